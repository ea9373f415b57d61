/** The shape of `trunkline.yaml`; `trunkline.schema.json` is made from it. */
import { z } from 'zod'
import type { Limits } from '../model/sync-spec.js'
import { adaptiveSchema, knownAdaptiveKeysAt } from './adaptive-schema.js'
import { SERVICE_KEYS, toServiceSettings } from './service-schema.js'
import {
  STREAM_KEYS,
  camelKeys,
  duration,
  flag,
  name,
  names,
  size,
  streamSchema,
  text,
  wholeNumber,
  withoutUndefined,
} from './stream-schema.js'

const BYTES_PER_MB = 1e6

const stated = z.union([z.string(), z.number(), z.boolean()]).transform(String)

/** libpq's connection keywords, with `database` for `dbname`. */
export const CONNECTION_KEYS = {
  url: name.describe(
    'postgresql://user@host:port/database?sslmode=…, or a keyword string as libpq takes it.',
  ),
  password_command: name.describe(
    'Run by the shell for each new connection; its first line is the password.',
  ),
  search_path: names.describe('Schemas in which unqualified names of `sql` streams are looked for.'),
  service: text.describe('Section of the service file.'),
  host: text,
  hostaddr: text,
  port: stated,
  database: text,
  dbname: text,
  user: text,
  password: text.describe('Better in ${VAR}, a passfile or password_command.'),
  passfile: text,
  connect_timeout: stated.describe('Seconds.'),
  application_name: text,
  sslmode: z.enum(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'], {
    error: () => 'must be one of: disable, allow, prefer, require, verify-ca, verify-full',
  }),
  sslrootcert: text.describe('Path, or system.'),
  sslcert: text,
  sslkey: text,
  sslpassword: text,
  sslcrl: text,
  ssl_min_protocol_version: text,
  ssl_max_protocol_version: text,
  sslsni: stated,
  sslnegotiation: text,
  keepalives: stated,
  keepalives_idle: stated,
  target_session_attrs: text,
  load_balance_hosts: text,
  ssh_tunnel: text.describe('ssh://user@host:port: the way to the database leads through there.'),
  ssh_key: text.describe('Path of a private key, or the key itself from a ${VAR}.'),
  ssh_passphrase: text.describe('Of the private key; better in ${VAR}.'),
  ssh_password: text.describe('Better in ${VAR}, or a key.'),
  ssh_password_command: text.describe('Run by the shell; its first line is the password.'),
  ssh_known_hosts: text.describe('Path; else ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts.'),
} as const

const connectionObject = z.strictObject(CONNECTION_KEYS).partial()
const connectionSchema = z.union([name, connectionObject])

const factor = z.number().nonnegative()
/** Two factors, the smaller one first. */
export const jitter = z
  .tuple([factor, factor], { error: () => 'must be two factors, such as [0.5, 1.5]' })
  .refine(([low, high]) => low <= high, { error: () => 'must be two factors, the smaller one first' })

const LIMIT_KEYS = {
  max_connections: wholeNumber(1).describe('Connections to the source, all together.'),
  max_snapshot_age: duration.describe('After which the snapshot is let go in an orderly way.'),
  max_replica_lag: duration.nullable().describe('Reading pauses while a standby is further behind.'),
  max_read_mb_per_s: z
    .union([z.number().positive(), z.string().regex(/^\d+(\.\d+)?$/)], {
      error: () => 'must be a number of megabytes per second',
    })
    .transform(Number)
    .nullable()
    .describe('Megabytes (10⁶ bytes) read per second.'),
  yield_to_ddl: duration.describe('How long a session may wait on a lock of ours before we let go.'),
  lock_timeout: duration,
  stall_timeout: duration.describe('Longest silence of the server during a read.'),
  max_field_bytes: size.describe('A larger value is an error.'),
  batch_bytes: size.describe('Target size of a batch in memory.'),
  batch_rows: wholeNumber(1).describe('Most rows in a batch.'),
  statement_timeout: duration.describe('Longest time of one statement, kept by the server; 0s: none.'),
  max_attempts: wholeNumber(1).describe('Attempts at a stream.'),
  first_retry_delay: duration.describe('First pause between two attempts; each one doubles.'),
  max_retry_delay: duration.describe('Longest pause between two attempts.'),
  retry_jitter: jitter.describe('Each pause is multiplied by a chance number between these two.'),
  min_connections: wholeNumber(0).describe('Connections kept open between two uses.'),
  idle_timeout: duration.describe('After which other connections are closed that nobody uses.'),
  connection_max_age: duration.describe('A connection this old is not used for another transaction.'),
  breaker_failures: wholeNumber(0).describe(
    'Failed contacts in a row before the source is left alone; 0: it never is.',
  ),
  breaker_pause: duration.describe('How long it is left alone.'),
  max_requests_per_minute: wholeNumber(1).nullable().describe('Contacts with the source in a minute.'),
  request_burst: wholeNumber(1).describe('Of them, at most so many at once.'),
  save_every: duration.describe('How often a first load is saved, to be gone on with after an interruption.'),
  save_every_rows: wholeNumber(1).nullable().describe('And after how many rows.'),
} as const

const limitsObject = z.strictObject(LIMIT_KEYS).partial()
export const limitsSchema = limitsObject.transform(toLimits)

/** Units leave the values and enter the names. */
function toLimits(stated: z.output<typeof limitsObject>): Partial<Limits> {
  return withoutUndefined({
    maxConnections: stated.max_connections,
    maxSnapshotAgeMs: stated.max_snapshot_age,
    maxReplicaLagMs: stated.max_replica_lag,
    maxReadBytesPerSecond:
      stated.max_read_mb_per_s === undefined || stated.max_read_mb_per_s === null
        ? stated.max_read_mb_per_s
        : Math.ceil(stated.max_read_mb_per_s * BYTES_PER_MB),
    yieldToDdlMs: stated.yield_to_ddl,
    lockTimeoutMs: stated.lock_timeout,
    stallTimeoutMs: stated.stall_timeout,
    maxFieldBytes: stated.max_field_bytes,
    batchBytes: stated.batch_bytes,
    batchRows: stated.batch_rows,
    statementTimeoutMs: stated.statement_timeout,
    maxAttempts: stated.max_attempts,
    firstRetryDelayMs: stated.first_retry_delay,
    maxRetryDelayMs: stated.max_retry_delay,
    retryJitter: stated.retry_jitter,
    minConnections: stated.min_connections,
    idleTimeoutMs: stated.idle_timeout,
    connectionMaxAgeMs: stated.connection_max_age,
    breakerFailures: stated.breaker_failures,
    breakerPauseMs: stated.breaker_pause,
    maxRequestsPerMinute: stated.max_requests_per_minute,
    requestBurst: stated.request_burst,
    saveEveryMs: stated.save_every,
    saveEveryRows: stated.save_every_rows,
  })
}

/** Keys of a sync that are not about where it reads and writes; flags and the library take the same. */
export const SYNC_OPTION_KEYS = {
  name: name.describe('Identity of the sync at the destination.'),
  select: names.describe('Patterns of streams to read; default: the keys of `streams`, else everything.'),
  exclude: names.describe('Patterns of streams to leave out.'),
  defaults: streamSchema.describe('Options of every stream.'),
  streams: z
    .record(
      name,
      z.union([z.null(), streamSchema]).transform((options) => options ?? {}),
    )
    .describe(
      'Options by stream or pattern; of the patterns that match, the most specific wins, key by key.',
    ),
  limits: limitsSchema,
  target_schema: name.describe('Land every stream in this schema.'),
  name_template: name.describe('Destination table, with {schema} and {table} replaced.'),
  adopt: flag.describe('Take over destination tables that another sync or nobody owns.'),
  allow_mass_delete: flag,
  allow_privileged_role: flag,
  accept_new_source: flag,
  allow_unverified_snapshot: flag.describe(
    'Read Greenplum by several connections also where its version was not measured.',
  ),
  jobs: wholeNumber(0).describe('Readers, 0: none but the thread of the run; default: chosen while reading.'),
  verify: flag.describe('Compare everything after landing.'),
  adaptive: adaptiveSchema.describe('How a run adapts to tables, memory and pressure on the server.'),
  row_filter: z
    .record(name, text)
    .describe('By column: streams that have it are read only where it has the value.'),
  metadata_tables: flag.describe('Land what streams and columns are in postgres_table and postgres_column.'),
  wording: z
    .enum(['native', 'connector_sdk'], { error: () => 'must be one of: native, connector_sdk' })
    .describe('Whose levels and texts the log uses.'),
} as const

const SYNC_KEYS = {
  source: name.describe('Name of a connection.'),
  destination: name.describe(
    'FORMAT:LOCATION, as duckdb:shop.duckdb or parquet:s3://bucket/prefix, or postgresql://…',
  ),
  ...SYNC_OPTION_KEYS,
} as const

const syncSchema = z
  .strictObject(SYNC_KEYS)
  .partial()
  .required({ source: true, destination: true })
  .transform(camelKeys)

const SERVICE_FILE_KEYS = {
  ...SERVICE_KEYS,
  limits: limitsSchema.describe('Of extractions; those of runs stand with their sync.'),
} as const

const serviceSchema = z.strictObject(SERVICE_FILE_KEYS).partial().transform(toServiceSettings)

export const fileSchema = z
  .strictObject({
    version: z.literal(1, { error: () => 'must be 1, the version of the format' }),
    connections: z.record(name, connectionSchema).optional(),
    syncs: z.record(name, syncSchema).optional(),
    service: serviceSchema.optional().describe('What `trunkline serve` listens to and allows.'),
  })
  .meta({
    title: 'trunkline.yaml',
    description: 'Connections and syncs of Trunkline. ${VAR} in values is replaced by the environment.',
  })

export type ConfigurationFile = z.output<typeof fileSchema>

/** What may stand at a path of the file, for suggestions; null where names are free. */
export function knownKeysAt(path: readonly PropertyKey[]): readonly string[] | null {
  const [section] = path
  if (path.length === 0) return ['version', 'connections', 'syncs', 'service']
  if (section === 'connections' && path.length === 2) return Object.keys(CONNECTION_KEYS)
  if (section === 'service' && path.length === 1) return Object.keys(SERVICE_FILE_KEYS)
  if (section === 'service' && path[1] === 'limits') return Object.keys(LIMIT_KEYS)
  if (section !== 'syncs') return null
  if (path.length === 2) return Object.keys(SYNC_KEYS)
  return knownSyncKeysAt(path.slice(2))
}

function knownSyncKeysAt(path: readonly PropertyKey[]): readonly string[] | null {
  const [part] = path
  if (path.length === 0) return Object.keys(SYNC_OPTION_KEYS)
  if (part === 'limits' && path.length === 1) return Object.keys(LIMIT_KEYS)
  if (part === 'adaptive') return knownAdaptiveKeysAt(path.slice(1))
  if (part === 'defaults' && path.length === 1) return Object.keys(STREAM_KEYS)
  if (part === 'streams' && path.length === 2) return Object.keys(STREAM_KEYS)
  return null
}

/** The published JSON Schema. */
export function toJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7' })
}
