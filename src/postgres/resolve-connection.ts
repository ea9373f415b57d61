/**
 * Turns whatever says how to connect into one {@link ConnectionSettings}, by libpq's precedence: explicit options, then the
 * connection string, then the service file, then PG* variables, then defaults.
 */
import { stat } from 'node:fs/promises'
import { inspect } from 'node:util'
import { join } from 'node:path'
import { TrunklineError } from '../model/error.js'
import { parseConninfoDsn } from './conninfo-dsn.js'
import { KEYWORDS, assertSupported, isKeyword, unknownKeyword } from './conninfo-keywords.js'
import type { Conninfo, ConninfoKeyword } from './conninfo-keywords.js'
import { isConninfoUri, parseConninfoUri } from './conninfo-uri.js'
import {
  parseBoolean,
  parseChoice,
  parseHosts,
  parseInteger,
  parseRequireAuth,
  parseTlsVersion,
} from './conninfo-values.js'
import type { ConnectionSettings, HostAddress, SslMode } from './connection-settings.js'
import { SOCKET_DIRECTORIES } from './passfile.js'
import { readService } from './service-file.js'
import { resolveSshTunnel, type SshInput } from './ssh/tunnel-settings.js'

export interface ConnectionInput {
  /** A URI or a keyword DSN. */
  readonly url?: string
  /** libpq keywords; these win over the URL. */
  readonly options?: Partial<Record<string, string>>
  readonly passwordCommand?: string
  /** What is stated of a way through an SSH server. */
  readonly ssh?: SshInput
  readonly env: Readonly<Record<string, string | undefined>>
  readonly homeDir: string
  /** Name of the operating system's user: the default role. */
  readonly userName: string
}

const DEFAULT_PORT = '5432'
/** libpq would wait for ever; stated as 0 it still does. */
const DEFAULT_CONNECT_TIMEOUT_S = '30'
const DEFAULT_KEEPALIVES_IDLE_S = '30'
const SSL_MODES: readonly SslMode[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

/**
 * Reads files, makes no connection.
 *
 * @throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY, CONFIG_UNSUPPORTED
 */
export async function resolveConnection(input: ConnectionInput): Promise<ConnectionSettings> {
  const { env, homeDir } = input
  const conninfo = await layerConninfo(input)
  const tls = await resolveTls(conninfo, input)
  const sshTunnel = resolveSshTunnel(input.ssh ?? {}, input)
  const hosts = await resolveHosts(conninfo, sshTunnel !== null)
  const user = nonEmpty(conninfo.user) ?? input.userName
  if (user === '') {
    throw new TrunklineError('CONFIG_INVALID', 'No user to connect as is known.', {
      hint: 'Give one in the connection URL or by PGUSER.',
    })
  }
  const connectTimeoutS = parseInteger(
    'connect_timeout',
    conninfo.connect_timeout ?? DEFAULT_CONNECT_TIMEOUT_S,
  )
  const idleS = parseInteger('keepalives_idle', conninfo.keepalives_idle ?? DEFAULT_KEEPALIVES_IDLE_S)
  return withoutPrintedSecrets({
    hosts,
    database: nonEmpty(conninfo.dbname) ?? user,
    user,
    password: nonEmpty(conninfo.password) ?? null,
    passwordCommand: nonEmpty(input.passwordCommand) ?? null,
    passfile: nonEmpty(conninfo.passfile) ?? (homeDir === '' ? null : join(homeDir, '.pgpass')),
    ...tls,
    channelBinding: parseChoice('channel_binding', conninfo.channel_binding, [
      'prefer',
      'disable',
      'require',
    ]),
    requireAuth: parseRequireAuth(conninfo.require_auth),
    connectTimeoutMs: Math.max(0, connectTimeoutS) * 1000,
    applicationName:
      nonEmpty(conninfo.application_name) ?? nonEmpty(conninfo.fallback_application_name) ?? 'trunkline',
    keepalives: parseBoolean('keepalives', conninfo.keepalives ?? '1'),
    keepalivesIdleMs: (idleS > 0 ? idleS : Number(DEFAULT_KEEPALIVES_IDLE_S)) * 1000,
    targetSessionAttrs: parseChoice('target_session_attrs', conninfo.target_session_attrs, [
      'any',
      'read-write',
      'read-only',
      'primary',
      'standby',
      'prefer-standby',
    ]),
    loadBalanceHosts:
      parseChoice('load_balance_hosts', conninfo.load_balance_hosts, ['disable', 'random']) === 'random',
    ...(sshTunnel === null ? {} : { sshTunnel }),
    ...(env['TRUNKLINE_REQUIRE_TLS'] === undefined ? {} : requiredTls(env['TRUNKLINE_REQUIRE_TLS'])),
  })
}

async function layerConninfo(input: ConnectionInput): Promise<Conninfo> {
  const explicit: Conninfo = {}
  for (const [name, value] of Object.entries(input.options ?? {})) {
    if (value === undefined) continue
    if (!isKeyword(name)) throw unknownKeyword(name, 'The connection')
    assertSupported(name, value, 'The connection')
    explicit[name] = value
  }
  const url = parseUrl(input.url)
  assertAllSupported(url, 'The connection URL')
  const stated = { ...url, ...explicit }

  const environment: Conninfo = {}
  for (const name of Object.keys(KEYWORDS) as ConninfoKeyword[]) {
    const variable = KEYWORDS[name].env
    const value = variable === null ? undefined : input.env[variable]
    if (value !== undefined) environment[name] = value
  }
  // Of a libpq long ago, still obeyed: as good as sslmode=require.
  if (environment.sslmode === undefined && input.env['PGREQUIRESSL']?.startsWith('1')) {
    environment.sslmode = 'require'
  }

  const service = nonEmpty(stated.service) ?? nonEmpty(environment.service)
  const fromService =
    service === undefined
      ? {}
      : await readService({
          service,
          file: nonEmpty(stated.servicefile) ?? nonEmpty(environment.servicefile) ?? null,
          homeDir: input.homeDir,
          systemDir: nonEmpty(input.env['PGSYSCONFDIR']) ?? null,
        })
  assertAllSupported(fromService, `The service ${JSON.stringify(service ?? '')}`)

  for (const name of Object.keys(environment) as ConninfoKeyword[]) {
    const overridden = stated[name] !== undefined || fromService[name] !== undefined
    if (!overridden) assertSupported(name, environment[name] ?? '', KEYWORDS[name].env ?? name)
  }
  return { ...environment, ...fromService, ...stated }
}

function parseUrl(url: string | undefined): Conninfo {
  if (url === undefined || url.trim() === '') return {}
  if (isConninfoUri(url)) return parseConninfoUri(url)
  const scheme = /^([a-z][a-z0-9+.:-]*):\/\//i.exec(url)?.[1]
  if (scheme !== undefined && !url.slice(0, url.indexOf('://')).includes('=')) {
    throw new TrunklineError('CONFIG_INVALID', `The connection URL begins with ${scheme}://.`, {
      hint: 'Begin it with postgresql://.',
    })
  }
  return parseConninfoDsn(url)
}

function assertAllSupported(conninfo: Conninfo, where: string): void {
  for (const name of Object.keys(conninfo) as ConninfoKeyword[])
    assertSupported(name, conninfo[name] ?? '', where)
}

type TlsSettings = Pick<
  ConnectionSettings,
  | 'sslmode'
  | 'sslmodeStated'
  | 'sslrootcert'
  | 'sslcert'
  | 'sslkey'
  | 'sslpassword'
  | 'sslcrl'
  | 'sslMinProtocolVersion'
  | 'sslMaxProtocolVersion'
  | 'sslsni'
  | 'sslNegotiation'
>

async function resolveTls(conninfo: Conninfo, { env, homeDir }: ConnectionInput): Promise<TlsSettings> {
  const stated = nonEmpty(conninfo.sslmode)
  const sslrootcert = nonEmpty(conninfo.sslrootcert)
  // As libpq: public authorities sign for anybody, so only the name makes them mean something.
  const sslmode = parseChoice(
    'sslmode',
    stated ?? (sslrootcert === 'system' ? 'verify-full' : 'prefer'),
    SSL_MODES,
  )
  const overridden = env['TRUNKLINE_REQUIRE_TLS'] !== undefined
  if (sslrootcert === 'system' && sslmode !== 'verify-full' && !overridden) {
    throw new TrunklineError('CONFIG_INVALID', `sslmode=${sslmode} is too weak for sslrootcert=system.`, {
      hint: 'Anybody can get a certificate from a public authority: use sslmode=verify-full.',
    })
  }
  const sslNegotiation = parseChoice('sslnegotiation', conninfo.sslnegotiation, ['postgres', 'direct'])
  if (sslNegotiation === 'direct' && ['disable', 'allow', 'prefer'].includes(sslmode) && !overridden) {
    throw new TrunklineError('CONFIG_INVALID', `sslmode=${sslmode} is too weak for sslnegotiation=direct.`, {
      hint: 'Use sslmode=require, verify-ca or verify-full.',
    })
  }
  const min = parseTlsVersion('ssl_min_protocol_version', conninfo.ssl_min_protocol_version ?? 'TLSv1.2')
  const max = parseTlsVersion('ssl_max_protocol_version', conninfo.ssl_max_protocol_version ?? '')
  if (min !== null && max !== null && min > max) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      'ssl_min_protocol_version is newer than ssl_max_protocol_version.',
      {
        hint: 'Exchange the two.',
      },
    )
  }
  const own = (name: string): Promise<string | null> => existing(homeDir, name)
  const certificates =
    conninfo.sslcertmode === 'disable' ? null : (nonEmpty(conninfo.sslcert) ?? (await own('postgresql.crt')))
  return {
    sslmode,
    sslmodeStated: stated !== undefined,
    sslrootcert: sslrootcert ?? (await own('root.crt')),
    sslcert: certificates,
    sslkey: nonEmpty(conninfo.sslkey) ?? (await own('postgresql.key')),
    sslpassword: nonEmpty(conninfo.sslpassword) ?? null,
    sslcrl: nonEmpty(conninfo.sslcrl) ?? (await own('root.crl')),
    sslMinProtocolVersion: min,
    sslMaxProtocolVersion: max,
    sslsni: parseBoolean('sslsni', nonEmpty(conninfo.sslsni) ?? '1'),
    sslNegotiation,
  }
}

/** TRUNKLINE_REQUIRE_TLS: the operator's word above every configuration. */
function requiredTls(value: string): { sslmode: SslMode; sslmodeStated: boolean } {
  if (value !== 'verify-full') {
    throw new TrunklineError('CONFIG_INVALID', 'TRUNKLINE_REQUIRE_TLS has a value that means nothing.', {
      hint: 'Set it to verify-full, or unset it.',
    })
  }
  return { sslmode: 'verify-full', sslmodeStated: true }
}

async function existing(homeDir: string, name: string): Promise<string | null> {
  if (homeDir === '') return null
  const path = join(homeDir, '.postgresql', name)
  return stat(path).then(
    () => path,
    () => null,
  )
}

/** Where no host is stated, libpq takes the directory of the unix socket. */
async function resolveHosts(conninfo: Conninfo, tunnelled: boolean): Promise<ConnectionSettings['hosts']> {
  const hosts = parseHosts(conninfo.host ?? '', conninfo.hostaddr ?? '', conninfo.port ?? DEFAULT_PORT)
  if (tunnelled) return hosts.map(asSeenFromThere)
  return Promise.all(
    hosts.map(async (host) =>
      host.host === '' && host.hostaddr === null ? { ...host, host: await defaultHost(host.port) } : host,
    ),
  )
}

/** Sockets of this machine are not at the other end of a tunnel. @throws CONFIG_INVALID */
function asSeenFromThere(host: HostAddress): HostAddress {
  if (host.hostaddr === null && /^[/@]/.test(host.host)) {
    throw new TrunklineError('CONFIG_INVALID', 'ssh_tunnel does not lead to a unix socket.', {
      hint: 'Give the host of the database as the SSH server sees it: its name, or localhost.',
    })
  }
  return host.host === '' && host.hostaddr === null ? { ...host, host: 'localhost' } : host
}

async function defaultHost(port: number): Promise<string> {
  for (const directory of SOCKET_DIRECTORIES) {
    const found = await stat(join(directory, `.s.PGSQL.${port}`)).catch(() => null)
    if (found?.isSocket() === true) return directory
  }
  return 'localhost'
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}

/** `user@host:port/database`: what may be printed. */
export function describeConnection(settings: ConnectionSettings): string {
  const hosts = settings.hosts.map(({ host, hostaddr, port }) => {
    const name = host === '' ? (hostaddr ?? '') : host
    return `${name.includes(':') ? `[${name}]` : name}:${port}`
  })
  return `${settings.user}@${hosts.join(',')}/${settings.database}`
}

/** Whoever prints or logs the settings by accident sees no secret. A structured clone carries the plain data alone. */
function withoutPrintedSecrets(settings: ConnectionSettings): ConnectionSettings {
  const shown = (): Record<string, unknown> => ({
    ...settings,
    password: settings.password === null ? null : '***',
    passwordCommand: settings.passwordCommand === null ? null : '***',
    sslpassword: settings.sslpassword === null ? null : '***',
    ...(settings.sshTunnel === undefined ? {} : { sshTunnel: '***' }),
  })
  Object.defineProperty(settings, 'toJSON', { value: shown, enumerable: false })
  Object.defineProperty(settings, inspect.custom, { value: shown, enumerable: false })
  return settings
}
