/**
 * libpq's connection parameters: what each is called in the environment, and what becomes of it here.
 *
 * https://www.postgresql.org/docs/current/libpq-connect.html and libpq-envars.html, up to version 18. `docs/reference/connection.md`
 * explains each; a test holds the page and this table together.
 */
import { TrunklineError } from '../model/error.js'

interface Keyword {
  readonly env: string | null
  /** `only`: the values that change nothing here; any other is CONFIG_UNSUPPORTED with the reason. */
  readonly support: 'yes' | { readonly only: readonly string[]; readonly why: string }
  readonly secret?: true
}

const supported = (env: string | null): Keyword => ({ env, support: 'yes' })
const secret = (env: string | null): Keyword => ({ env, support: 'yes', secret: true })
const only = (env: string | null, values: readonly string[], why: string): Keyword => ({
  env,
  support: { only: values, why },
})

const NO_GSS = 'Trunkline does not speak GSSAPI.'
const NO_OAUTH =
  'Trunkline does not speak OAuth; pass a token as the password by password_command where the server takes it.'
const NO_SOCKET_OPTION = 'Node.js cannot set this option of a socket; keepalives_idle is supported.'

export const KEYWORDS = {
  service: supported('PGSERVICE'),
  servicefile: supported('PGSERVICEFILE'),
  host: supported('PGHOST'),
  hostaddr: supported('PGHOSTADDR'),
  port: supported('PGPORT'),
  dbname: supported('PGDATABASE'),
  user: supported('PGUSER'),
  password: secret('PGPASSWORD'),
  passfile: supported('PGPASSFILE'),
  require_auth: supported('PGREQUIREAUTH'),
  channel_binding: supported('PGCHANNELBINDING'),
  connect_timeout: supported('PGCONNECT_TIMEOUT'),
  application_name: supported('PGAPPNAME'),
  fallback_application_name: supported(null),
  keepalives: supported(null),
  keepalives_idle: supported(null),
  sslmode: supported('PGSSLMODE'),
  sslnegotiation: supported('PGSSLNEGOTIATION'),
  sslcert: supported('PGSSLCERT'),
  sslkey: supported('PGSSLKEY'),
  sslpassword: secret(null),
  sslcertmode: only(
    'PGSSLCERTMODE',
    ['allow', 'disable'],
    'Node.js does not tell whether the server asked for the certificate.',
  ),
  sslrootcert: supported('PGSSLROOTCERT'),
  sslcrl: supported('PGSSLCRL'),
  sslsni: supported('PGSSLSNI'),
  ssl_min_protocol_version: supported('PGSSLMINPROTOCOLVERSION'),
  ssl_max_protocol_version: supported('PGSSLMAXPROTOCOLVERSION'),
  target_session_attrs: supported('PGTARGETSESSIONATTRS'),
  load_balance_hosts: supported('PGLOADBALANCEHOSTS'),

  client_encoding: only(
    'PGCLIENTENCODING',
    ['UTF8', 'utf8', 'UTF-8', 'utf-8', 'auto'],
    'Trunkline reads UTF-8.',
  ),
  options: only(
    'PGOPTIONS',
    [],
    'Poolers refuse startup options, so none are sent; set them on the role (ALTER ROLE … SET …).',
  ),
  keepalives_interval: only(null, [], NO_SOCKET_OPTION),
  keepalives_count: only(null, [], NO_SOCKET_OPTION),
  tcp_user_timeout: only(null, ['0'], NO_SOCKET_OPTION),
  // libpq itself ignores it: TLS compression is gone.
  sslcompression: only('PGSSLCOMPRESSION', ['0', '1'], 'TLS compression no longer exists.'),
  sslcrldir: only('PGSSLCRLDIR', [], 'Put the lists into one file and name it by sslcrl.'),
  sslkeylogfile: only(null, [], 'Trunkline does not write TLS keys to a file.'),
  gssencmode: only('PGGSSENCMODE', ['disable', 'prefer'], NO_GSS),
  gssdelegation: only('PGGSSDELEGATION', ['0'], NO_GSS),
  gsslib: only('PGGSSLIB', [], NO_GSS),
  krbsrvname: only('PGKRBSRVNAME', ['postgres'], NO_GSS),
  requirepeer: only('PGREQUIREPEER', [], 'Node.js cannot ask who owns the other end of a unix socket.'),
  replication: only(
    null,
    ['false', 'off', 'no', '0'],
    'Trunkline reads tables, not the replication protocol.',
  ),
  min_protocol_version: only('PGMINPROTOCOLVERSION', ['3.0'], 'Trunkline speaks protocol 3.0.'),
  max_protocol_version: only(
    'PGMAXPROTOCOLVERSION',
    ['3.0', '3.2', 'latest'],
    'Trunkline speaks protocol 3.0.',
  ),
  scram_client_key: { ...only(null, [], 'Give the password itself.'), secret: true },
  scram_server_key: { ...only(null, [], 'Give the password itself.'), secret: true },
  oauth_issuer: only(null, [], NO_OAUTH),
  oauth_client_id: only(null, [], NO_OAUTH),
  oauth_client_secret: { ...only(null, [], NO_OAUTH), secret: true },
  oauth_scope: only(null, [], NO_OAUTH),
} as const satisfies Record<string, Keyword>

export type ConninfoKeyword = keyof typeof KEYWORDS
/** Values as written, by keyword. */
export type Conninfo = Partial<Record<ConninfoKeyword, string>>

export function isKeyword(name: string): name is ConninfoKeyword {
  return Object.hasOwn(KEYWORDS, name)
}

/**
 * @param where - Where the keyword stands: `the connection URL`, `PGOPTIONS`.
 * @throws CONFIG_UNSUPPORTED for a value that would have to be obeyed and cannot be.
 */
export function assertSupported(keyword: ConninfoKeyword, value: string, where: string): void {
  const { support }: Keyword = KEYWORDS[keyword]
  if (support === 'yes' || value === '' || support.only.includes(value)) return
  throw new TrunklineError('CONFIG_UNSUPPORTED', `${where} sets ${keyword}, which is not supported here.`, {
    hint: `${support.why} Remove it${support.only.length === 0 ? '' : `, or set it to ${support.only.join(' or ')}`}.`,
  })
}

/**
 * CONFIG_UNKNOWN_KEY with the nearest keyword. A name that resembles none is not repeated: in a URL whose password was not
 * percent-encoded it can be a piece of the password.
 */
export function unknownKeyword(name: string, where: string): TrunklineError {
  const near = nearest(name)
  const shown = near === null ? 'a parameter' : JSON.stringify(name)
  return new TrunklineError('CONFIG_UNKNOWN_KEY', `${where} holds ${shown} that libpq does not have.`, {
    hint: near === null ? 'docs/reference/connection.md lists all parameters.' : `Did you mean ${near}?`,
  })
}

/** What other tools call the same. */
const ALIASES: Readonly<Record<string, ConninfoKeyword>> = {
  database: 'dbname',
  db: 'dbname',
  username: 'user',
  hostname: 'host',
  server: 'host',
  pass: 'password',
  pwd: 'password',
  passwd: 'password',
  ssl: 'sslmode',
  timeout: 'connect_timeout',
  sslca: 'sslrootcert',
  applicationname: 'application_name',
}

function nearest(name: string): ConninfoKeyword | null {
  const folded = name.toLowerCase().replaceAll('-', '_')
  const alias = ALIASES[folded.replaceAll('_', '')]
  if (alias !== undefined) return alias
  let best: ConninfoKeyword | null = null
  let bestDistance = 3
  for (const keyword of Object.keys(KEYWORDS)) {
    const distance = editDistance(folded, keyword)
    if (distance < bestDistance && isKeyword(keyword)) {
      best = keyword
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein's. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
