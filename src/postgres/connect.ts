/**
 * Makes a connection the way libpq would: hosts and their addresses in turn, TLS as sslmode says, the fallbacks of `prefer`
 * and `allow`, a session with the attributes that are wanted.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { TrunklineError } from '../model/error.js'
import { silentLogger } from '../model/log.js'
import type { Logger } from '../model/log.js'
import type { ConnectionObserver } from './connection-observer.js'
import type { ConnectionSettings, HostAddress } from './connection-settings.js'
import { PostgresConnection } from './connection.js'
import type { Connection } from './connection.js'
import { LoginError, login } from './login.js'
import type { Login } from './login.js'
import { toNetworkError } from './network-error.js'
import { openPasswordSource } from './password.js'
import type { PasswordSource } from './password.js'
import { describeUnsuitable, isSuitable } from './session-attributes.js'
import { loadTlsMaterial } from './tls.js'
import type { TlsMaterial } from './tls.js'
import { describeAddress, isLoopback, openTransport } from './transport.js'
import type { Address, TlsUse } from './transport.js'

export interface ConnectOptions {
  readonly logger?: Logger
  readonly signal?: AbortSignal
  /** Replaces that of the settings, so that a DBA sees what a session is for. */
  readonly applicationName?: string
  /** Asked afresh for each connection; wins over every other source of a password. */
  readonly password?: () => string | Promise<string>
  readonly observer?: ConnectionObserver
}

interface Attempts {
  readonly settings: ConnectionSettings
  readonly material: TlsMaterial
  readonly passwords: PasswordSource
  readonly signal: AbortSignal | undefined
}

/**
 * @throws CONNECT_FAILED, CONNECT_TIMEOUT, CONNECT_NO_SUITABLE_HOST, AUTH_FAILED, AUTH_INSECURE, TLS_FAILED, DATABASE_MISSING,
 * SERVER_BUSY, SERVER_RESTARTING, CONFIG_INVALID, SECRET_FILE_PERMISSIONS, and the signal's reason.
 */
export async function connect(given: ConnectionSettings, options: ConnectOptions = {}): Promise<Connection> {
  const { logger = silentLogger, signal, observer } = options
  const settings =
    options.applicationName === undefined ? given : { ...given, applicationName: options.applicationName }
  signal?.throwIfAborted()
  const material = await loadTlsMaterial(settings, logger)
  const passwords = await openPasswordSource(settings, options.password, signal)
  const attempts: Attempts = { settings, material, passwords, signal }
  const startedAtMs = performance.now()
  const session = await connectToAny(attempts).catch((error: unknown) => {
    if (error instanceof TrunklineError && error.code !== 'ABORTED') {
      observer?.({ kind: 'refused', code: error.code })
    }
    throw error
  })
  const connectMs = performance.now() - startedAtMs
  observer?.({ kind: 'opened', seconds: connectMs / 1000 })
  logger.debug(
    {
      host: describeAddress(session.address),
      database: settings.database,
      tls: session.tls,
      ms: Math.round(connectMs),
    },
    'connected',
  )
  warnUnverified(session, settings, material, logger)
  return new PostgresConnection({
    ...session,
    connectMs,
    settings: { ...settings, hosts: [pinned(session.address, session.host)] },
    sendCancel: (request) => sendCancel(request, session, settings, material),
    ...(observer === undefined ? {} : { observer }),
  })
}

interface Failure {
  readonly error: TrunklineError
  readonly unsuitable: boolean
}

async function connectToAny(attempts: Attempts): Promise<Login> {
  const { settings } = attempts
  const hosts = settings.loadBalanceHosts ? shuffle(settings.hosts) : settings.hosts
  const failures: Failure[] = []
  // prefer-standby asks everybody for a standby first, then takes whoever is there.
  const wish = settings.targetSessionAttrs
  const rounds = wish === 'prefer-standby' ? (['standby', 'any'] as const) : ([wish] as const)
  for (const wanted of rounds) {
    failures.length = 0
    for (const host of hosts) {
      let addresses: readonly Address[]
      try {
        addresses = await resolveAddresses(host, settings)
      } catch (error) {
        failures.push({
          error: toNetworkError(error, `${host.host}:${host.port}`, host.host),
          unsuitable: false,
        })
        continue
      }
      for (const address of addresses) {
        try {
          const session = await connectToAddress(attempts, host, address)
          if (await isSuitable(session, wanted)) return session
          session.wire.destroy()
          const error = new TrunklineError(
            'CONNECT_NO_SUITABLE_HOST',
            `${describeAddress(address)}: ${describeUnsuitable(wanted)}.`,
          )
          failures.push({ error, unsuitable: true })
        } catch (error) {
          attempts.signal?.throwIfAborted()
          const failure = toNetworkError(error, describeAddress(address), host.host)
          // Whoever was reached and refused has the last word, as in libpq; only who cannot serve now is passed over.
          if (!PASSED_OVER.has(failure.code)) throw failure
          failures.push({ error: failure, unsuitable: false })
        }
      }
    }
  }
  throw summarize(failures, settings)
}

const PASSED_OVER = new Set(['CONNECT_FAILED', 'CONNECT_TIMEOUT', 'SERVER_RESTARTING'])

async function connectToAddress(attempts: Attempts, host: HostAddress, address: Address): Promise<Login> {
  const { sslmode } = attempts.settings
  if (address.kind === 'unix') return attemptLogin(attempts, host, address, 'never')
  switch (sslmode) {
    case 'disable':
      return attemptLogin(attempts, host, address, 'never')
    case 'allow':
      return withFallback(attempts, host, address, ['never', 'must'])
    case 'prefer':
      return withFallback(attempts, host, address, ['try', 'never'])
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return attemptLogin(attempts, host, address, 'must')
  }
}

/** libpq's fallback: when TLS cannot be made, or the server refuses the login, the other way is tried once. */
async function withFallback(
  attempts: Attempts,
  host: HostAddress,
  address: Address,
  [first, second]: readonly [TlsUse, TlsUse],
): Promise<Login> {
  let refusal: TrunklineError
  try {
    return await attemptLogin(attempts, host, address, first)
  } catch (error) {
    const handshakeFailed = error instanceof TrunklineError && error.code === 'TLS_FAILED'
    const refused =
      error instanceof LoginError && error.refusedBeforeLogin && error.encrypted === (first === 'try')
    if (!handshakeFailed && !refused) throw error
    refusal = error
  }
  try {
    return await attemptLogin(attempts, host, address, second)
  } catch (error) {
    if (!(error instanceof TrunklineError)) throw error
    throw bothRefused(refusal, error, first === 'try' ? ['with TLS', 'without'] : ['without TLS', 'with'])
  }
}

/** A wrong password is said by whichever way got as far as asking for one. */
function bothRefused(
  first: TrunklineError,
  second: TrunklineError,
  [one, other]: readonly [string, string],
): TrunklineError {
  const telling = second.context.sqlstate === '28P01' ? second : first
  if (first.message === second.message) return telling
  return new TrunklineError(
    telling.code,
    `Tried ${one}: ${first.message} Tried ${other}: ${second.message}`,
    {
      retry: telling.retry,
      ...(telling.hint === undefined ? {} : { hint: telling.hint }),
      context: telling.context,
      cause: first,
    },
  )
}

async function attemptLogin(
  attempts: Attempts,
  host: HostAddress,
  address: Address,
  use: TlsUse,
): Promise<Login> {
  const { settings, material, passwords, signal } = attempts
  const deadline = new AbortController()
  const onAbort = (): void => {
    deadline.abort(signal?.reason)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  const timer =
    settings.connectTimeoutMs > 0
      ? setTimeout(() => {
          deadline.abort(timedOut(address, settings.connectTimeoutMs))
        }, settings.connectTimeoutMs)
      : null
  try {
    signal?.throwIfAborted()
    const transport = await openTransport(
      address,
      settings,
      use === 'never' ? null : { material, use },
      deadline.signal,
    )
    return await login(transport, { settings, host, passwords, signal: deadline.signal })
  } finally {
    if (timer !== null) clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function timedOut(address: Address, timeoutMs: number): TrunklineError {
  return new TrunklineError(
    'CONNECT_TIMEOUT',
    `${describeAddress(address)}: no connection within ${Math.round(timeoutMs / 1000)} seconds.`,
    {
      hint: 'A firewall may drop the packets, or the server is overloaded; connect_timeout sets how long to wait.',
      context: { host: address.host },
    },
  )
}

function summarize(failures: readonly Failure[], settings: ConnectionSettings): TrunklineError {
  const [only] = failures
  if (only === undefined) {
    return new TrunklineError('CONFIG_INVALID', 'No host to connect to is configured.', {
      hint: 'Give a host in the connection URL or by PGHOST.',
    })
  }
  if (failures.length === 1 && !only.unsuitable) return only.error
  const unsuitable = failures.some((failure) => failure.unsuitable)
  const list = failures.map(({ error }) => `\n  ${error.message}`).join('')
  const hints = new Set(failures.map(({ error }) => error.hint).filter((hint) => hint !== undefined))
  return unsuitable
    ? new TrunklineError(
        'CONNECT_NO_SUITABLE_HOST',
        `No host has the session that target_session_attrs=${settings.targetSessionAttrs} asks for:${list}`,
        { hint: 'Check which server is the primary, or relax target_session_attrs.' },
      )
    : new TrunklineError(only.error.code, `No host could be connected to:${list}`, {
        retry: failures.some(({ error }) => error.retry !== 'never') ? 'backoff' : 'never',
        hint: [...hints].join(' '),
        cause: only.error,
      })
}

async function resolveAddresses(
  { host, hostaddr, port, through }: HostAddress,
  settings: ConnectionSettings,
): Promise<readonly Address[]> {
  if (hostaddr === null && (host.startsWith('/') || host.startsWith('@'))) {
    return [{ host, port, target: `${host}/.s.PGSQL.${port}`, kind: 'unix' }]
  }
  const target = hostaddr ?? host
  if (through !== undefined) return [{ host, port, target, kind: 'tcp', through }]
  if (isIP(target) !== 0) return [{ host, port, target, kind: 'tcp' }]
  const found = await lookup(target, { all: true, verbatim: true })
  const addresses = found.map(({ address }): Address => ({ host, port, target: address, kind: 'tcp' }))
  return settings.loadBalanceHosts ? shuffle(addresses) : addresses
}

/** So that readers and cancel requests reach the very server, also where a name stands for several. */
function pinned(address: Address, host: HostAddress): HostAddress {
  return address.kind === 'unix' || address.through !== undefined
    ? host
    : { ...host, hostaddr: address.target }
}

function shuffle<Item>(items: readonly Item[]): readonly Item[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i -= 1) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[result[i], result[j]] = [result[j] as Item, result[i] as Item]
  }
  return result
}

/** Once per logger and host: a run opens several connections. */
const warned = new WeakMap<Logger, Set<string>>()

function warnUnverified(
  { address, tls }: Login,
  settings: ConnectionSettings,
  material: TlsMaterial,
  logger: Logger,
): void {
  // Through a tunnel nobody on the way to its end can read; what is behind it was chosen with it.
  if (address.kind === 'unix' || address.through !== undefined || isLoopback(address.target)) return
  if (tls !== null && material.verifyChain && material.verifyName) return
  if (tls !== null && settings.sslmode === 'verify-ca') return
  const hosts = warned.get(logger) ?? new Set()
  warned.set(logger, hosts)
  if (hosts.has(address.host)) return
  hosts.add(address.host)
  const how = tls === null ? 'in plain text' : 'with TLS, but the server was not verified'
  const fields = { host: address.host, sslmode: settings.sslmode }
  const message = `Connected to ${address.host} ${how}: whoever controls the network can read and change the data. sslmode=verify-full prevents it.`
  // Whoever chose the mode knows; whoever did not is told.
  if (settings.sslmodeStated) logger.info(fields, message)
  else logger.warn(fields, message)
}

/** How long a server may take to read a cancel request. */
const CANCEL_TIMEOUT_MS = 5000

async function sendCancel(
  request: Buffer,
  session: Login,
  settings: ConnectionSettings,
  material: TlsMaterial,
): Promise<void> {
  const timeout = AbortSignal.timeout(CANCEL_TIMEOUT_MS)
  const tls = session.tls === null ? null : ({ material, use: 'must' } as const)
  const { socket, listen } = await openTransport(session.address, settings, tls, timeout)
  await new Promise<void>((resolve) => {
    socket.on('error', () => undefined)
    socket.once('close', resolve)
    socket.setTimeout(CANCEL_TIMEOUT_MS, () => socket.destroy())
    // The server answers a cancel request by closing. Not closed from here: pgbouncer would forget the request.
    listen(() => undefined)
    socket.resume()
    socket.write(request)
  })
}
