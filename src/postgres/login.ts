/** Startup and authentication over a transport, with the rules for what we let a server ask of us. */
import pg from 'pg'
import { TrunklineError } from '../model/error.js'
import type { ErrorOptions } from '../model/error.js'
import type { AuthMethod, ConnectionSettings, HostAddress } from './connection-settings.js'
import { toNetworkError } from './network-error.js'
import type { PasswordSource } from './password.js'
import { printable } from './redact.js'
import { toTrunklineError } from './sqlstate.js'
import { describeAddress, isLoopback } from './transport.js'
import type { Address, Transport } from './transport.js'
import { Wire } from './wire.js'
import type { AuthRequest } from './wire.js'

export interface Login {
  readonly client: pg.Client
  readonly wire: Wire
  readonly address: Address
  readonly host: HostAddress
  readonly tls: string | null
  readonly serverVersion: number
}

/** A login that failed, with what the fallbacks of sslmode need to know. */
export class LoginError extends TrunklineError {
  readonly encrypted: boolean
  /** The server sent an error before it accepted us: another pg_hba.conf line may say yes. */
  readonly refusedBeforeLogin: boolean

  constructor(error: TrunklineError, facts: { encrypted: boolean; refusedBeforeLogin: boolean }) {
    const options: ErrorOptions = {
      retry: error.retry,
      context: error.context,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      ...(error.cause === undefined ? {} : { cause: error.cause }),
    }
    super(error.code, error.message, options)
    this.encrypted = facts.encrypted
    this.refusedBeforeLogin = facts.refusedBeforeLogin
  }
}

export interface LoginOptions {
  readonly settings: ConnectionSettings
  readonly host: HostAddress
  readonly passwords: PasswordSource
  readonly signal: AbortSignal
}

/** PostgreSQL 16 lets a server set scram_iterations; a hostile one could keep us busy for ever. */
const MAX_SCRAM_ITERATIONS = 10_000_000

/** `pg` reads PGOPTIONS and the like by itself; we send exactly this, because poolers refuse anything more. */
class Client extends pg.Client {
  readonly #startup: Readonly<Record<string, string>>

  constructor(config: pg.ClientConfig, startup: Readonly<Record<string, string>>) {
    super(config)
    this.#startup = startup
  }

  getStartupConf(): Record<string, string> {
    return { ...this.#startup }
  }
}

/** @throws LoginError; the signal's reason. */
export async function login(transport: Transport, options: LoginOptions): Promise<Login> {
  const { settings, host, passwords, signal } = options
  const { address, tls } = transport
  const where = describeAddress(address)
  const wire = new Wire(transport, { onAuthRequest: authPolicy(transport, settings, where) })
  const config = {
    connection: wire,
    host: address.host === '' ? address.target : address.host,
    port: address.port,
    user: settings.user,
    database: settings.database,
    password: () => passwords.passwordFor(host),
    ssl: false,
    sslnegotiation: 'postgres' as const,
    enableChannelBinding: tls !== null && settings.channelBinding !== 'disable',
    scramMaxIterations: MAX_SCRAM_ITERATIONS,
  }
  const client = new Client(config, {
    user: settings.user,
    database: settings.database,
    application_name: settings.applicationName,
  })
  // Errors after the login are the connection's to tell; without a listener they would end the process.
  client.on('error', () => undefined)
  const abort = (): void => {
    wire.destroy()
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    await client.connect()
    return { client, wire, address, host, tls, serverVersion: await readServerVersion(client, wire) }
  } catch (error) {
    wire.destroy()
    signal.throwIfAborted()
    throw new LoginError(explain(error, wire, where, address.host), {
      encrypted: tls !== null,
      refusedBeforeLogin: !wire.authenticated && isServerError(error),
    })
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function isServerError(error: unknown): boolean {
  return typeof (error as { severity?: unknown } | null)?.severity === 'string'
}

function explain(error: unknown, wire: Wire, where: string, host: string): TrunklineError {
  if (error instanceof TrunklineError) return error
  if (isServerError(error)) return toTrunklineError(error, { doing: where, host })
  if (wire.fatal !== null) return toTrunklineError(wire.fatal, { doing: where, host })
  if (error instanceof Error && error.message.startsWith('SASL')) {
    return new TrunklineError(
      'AUTH_FAILED',
      `${where}: the SCRAM exchange failed: ${printable(error.message)}.`,
      {
        hint: 'The server could not prove that it knows the password, or is not PostgreSQL.',
        context: { host },
      },
    )
  }
  if (wire.closed && typeof (error as { code?: unknown } | null)?.code !== 'string') {
    return new TrunklineError(
      'CONNECT_FAILED',
      `${where}: the server closed the connection during the login.`,
      {
        hint: 'Something that is not PostgreSQL may listen there, or the server is stopping.',
        context: { host },
      },
    )
  }
  return toNetworkError(error, where, host)
}

/** `18.1 (Debian 18.1-1)` → 180001, `9.4.26` → 90426, `19devel` → 190000. */
export function parseServerVersion(text: string): number | null {
  const match = /^(\d+)(?:\.(\d+))?(?:\.(\d+))?/.exec(text)
  if (!match) return null
  const [major, minor, patch] = [match[1], match[2], match[3]].map((part) => Number(part ?? 0))
  if (major === undefined || minor === undefined || patch === undefined) return null
  return major >= 10 ? major * 10_000 + minor : major * 10_000 + minor * 100 + patch
}

async function readServerVersion(client: pg.Client, wire: Wire): Promise<number> {
  const parsed = parseServerVersion(wire.parameters.get('server_version') ?? '')
  if (parsed !== null) return parsed
  const { rows } = await client.query<{ version: string }>(
    "SELECT pg_catalog.current_setting('server_version_num') AS version",
  )
  return Number(rows[0]?.version ?? 0)
}

/** Which requests to authenticate are answered: the password never in a form that an eavesdropper could use. */
function authPolicy(
  { address, tls }: Transport,
  settings: ConnectionSettings,
  where: string,
): (request: AuthRequest) => void {
  const safe = tls !== null || address.kind === 'unix' || isLoopback(address.target)
  let exchange: AuthMethod = 'none'
  let bound = false
  const insecure = (message: string, hint: string): TrunklineError =>
    new TrunklineError('AUTH_INSECURE', `${where}: ${message}`, { hint, context: { host: address.host } })
  const assertAccepted = (method: AuthMethod): void => {
    if (settings.requireAuth === null || settings.requireAuth.includes(method)) return
    throw insecure(
      `the server ${method === 'none' ? 'let us in without authentication' : `asks for the method ${method}`}, which require_auth excludes.`,
      `require_auth accepts ${settings.requireAuth.join(', ')}; change it, or pg_hba.conf at the server.`,
    )
  }
  const unbound = (): TrunklineError =>
    insecure(
      'channel_binding=require, and the server does not bind the login to the TLS channel.',
      'Channel binding needs TLS and scram-sha-256; poolers and proxies often cannot do it. Use channel_binding=prefer.',
    )
  return (request) => {
    switch (request.kind) {
      case 'password':
      case 'md5':
        exchange = request.kind
        assertAccepted(exchange)
        if (settings.channelBinding === 'require') throw unbound()
        if (!safe) {
          throw insecure(
            `the server asks for the password ${exchange === 'md5' ? 'as an MD5 hash' : 'in clear text'}, and the connection is not encrypted.`,
            'Use sslmode=verify-full (or require); or have the role use scram-sha-256, which is safe without TLS.',
          )
        }
        return
      case 'sasl':
        exchange = 'scram-sha-256'
        assertAccepted(exchange)
        bound =
          tls !== null && settings.channelBinding !== 'disable' && request.mechanisms.includes(SCRAM_PLUS)
        if (!bound && settings.channelBinding === 'require') {
          throw unbound()
        }
        if (
          !request.mechanisms.some((mechanism) => mechanism === 'SCRAM-SHA-256' || mechanism === SCRAM_PLUS)
        ) {
          throw unsupported(where, address.host, printable(request.mechanisms.join(', '), 100))
        }
        return
      case 'ok':
        if (exchange === 'none') assertAccepted('none')
        if (settings.channelBinding === 'require' && !bound) {
          throw unbound()
        }
        return
      case 'unsupported':
        throw unsupported(where, address.host, AUTH_NAMES[request.code] ?? `number ${request.code}`)
      case 'sasl_continue':
      case 'sasl_final':
        return
    }
  }
}

const SCRAM_PLUS = 'SCRAM-SHA-256-PLUS'
const AUTH_NAMES: Readonly<Record<number, string>> = { 2: 'Kerberos', 6: 'SCM', 7: 'GSSAPI', 9: 'SSPI' }

function unsupported(where: string, host: string, method: string): TrunklineError {
  return new TrunklineError('AUTH_FAILED', `${where}: the server asks for the login method ${method}.`, {
    hint: 'Trunkline speaks scram-sha-256, md5, password and client certificates: have pg_hba.conf offer one of them.',
    context: { host },
  })
}
