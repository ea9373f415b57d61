/** What PARAMS and OPTIONS of a POSTGRES source say: how to connect, what to read, and how. */
import type { Limits, TypeProfile } from '../model/sync-spec.js'
import { DEFAULT_LIMITS } from '../model/thresholds.js'
import { ParameterReader, refuseUnknownKeys, type Parameters } from './parameters.js'
import type { PipelineSource, SourceRelation } from './pipeline.js'
import { failure, ProblemList } from './pipeline-error.js'
import type { Span } from './source-text.js'

export interface SourceSettings {
  readonly source: PipelineSource
  readonly limits: Limits
  readonly batchSize: number
  readonly typeProfile: TypeProfile | null
  /** Which mode a LOAD without one has; null: REPLACE. */
  readonly defaultMode: 'replace' | 'append' | 'upsert' | null
  readonly primaryKey: readonly string[] | null
}

export interface SourceInput {
  readonly name: string
  readonly span: Span
  /** A connection of the configuration, which says what the parameters leave out. */
  readonly connection: string | null
  readonly parameters: Parameters
}

const DEFAULTS = {
  port: 5432,
  schema: 'public',
  syncMode: 'full_refresh',
  connectTimeoutS: 10,
  applicationName: 'sqlflow',
  maxConnections: 5,
  batchSize: 10_000,
  maxRetries: 3,
} as const

/** Handed on as they are, under libpq's names. */
const TLS_KEYS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslcrl'] as const

const KEYS = [
  ...[
    'host',
    'port',
    'database',
    'dbname',
    'username',
    'user',
    'password',
    'connect_timeout',
    'application_name',
  ],
  ...TLS_KEYS,
  ...['schema', 'table', 'table_name', 'query', 'sync_mode', 'cursor_field', 'primary_key', 'batch_size'],
  ...['timeout_seconds', 'max_retries', 'min_connections', 'max_connections', 'destination_sync_mode'],
  ...['replication_method', 'lookback_window', 'start_date', 'end_date', 'type_profile'],
]

const SYNC_MODES = ['cdc', 'full_refresh', 'incremental'] as const
const DESTINATION_SYNC_MODES = { append: 'append', append_dedup: 'upsert', overwrite: 'replace' } as const
const TYPE_PROFILES = ['exact', 'widened'] as const
const REPLICATION_METHODS = ['FULL_TABLE', 'INCREMENTAL', 'LOG_BASED'] as const

/** @throws PipelineError with everything that is wrong */
export function readSourceParameters(input: SourceInput): SourceSettings {
  const problems = new ProblemList()
  const reader = new ParameterReader(input.parameters, problems, 'ParameterError: ')
  refuseUnknownKeys(input.parameters, KEYS, problems)
  const options = readConnection(input, reader, problems)
  const primaryKey = reader.names('primary_key')
  const how = readSyncMode(input, reader, problems)
  const reads = readRelation(reader, problems)
  const defaultMode = readDefaultMode(reader, problems, primaryKey)
  const limits = readLimits(reader, problems)
  const typeProfile = readTypeProfile(reader, problems)
  const batchSize = reader.integer('batch_size', 1) ?? DEFAULTS.batchSize
  // Checked, and of no effect where nothing is read by a cursor.
  reader.integer('lookback_window', 0)
  reader.text('start_date')
  reader.text('end_date')
  const { name, span, connection } = input
  const schema = nonEmpty(reader.text('schema')) ?? DEFAULTS.schema
  problems.assertNone()
  return {
    source: { name, span, connection, options, schema, reads, ...how },
    limits,
    batchSize,
    typeProfile,
    defaultMode,
    primaryKey,
  }
}

/** The newer names win over `dbname` and `user`. */
function readConnection(
  input: SourceInput,
  reader: ParameterReader,
  problems: ProblemList,
): Readonly<Record<string, string>> {
  const host = nonEmpty(reader.text('host'))
  const port = reader.integer('port', 1)
  const database = nonEmpty(reader.text('database')) ?? nonEmpty(reader.text('dbname'))
  const user = nonEmpty(reader.text('username')) ?? nonEmpty(reader.text('user'))
  const password = nonEmpty(reader.text('password'))
  const timeout = reader.integer('connect_timeout', 0)
  const application = nonEmpty(reader.text('application_name'))
  const complete = input.connection === null
  if (complete) assertComplete(input.span, { host, database, user }, problems)
  const options: Record<string, string> = {}
  const set = (key: string, value: string | number | null): void => {
    if (value !== null) options[key] = String(value)
  }
  set('host', host)
  set('port', port ?? (complete ? DEFAULTS.port : null))
  set('dbname', database)
  set('user', user)
  set('password', password)
  set('connect_timeout', timeout ?? (complete ? DEFAULTS.connectTimeoutS : null))
  set('application_name', application ?? (complete ? DEFAULTS.applicationName : null))
  for (const key of TLS_KEYS) set(key, nonEmpty(reader.text(key)))
  return options
}

function assertComplete(
  span: Span,
  { host, database, user }: Readonly<Record<'host' | 'database' | 'user', string | null>>,
  problems: ProblemList,
): void {
  const add = (message: string): void => {
    problems.add(failure(span, `ParameterError: ${message}`))
  }
  if (host === null) add("Missing required parameters: {'host'}")
  if (database === null && user === null) add("Missing required parameters: {'database', 'username'}")
  else if (database === null) add("Either 'database' or 'dbname' parameter is required")
  else if (user === null) add("Either 'username' or 'user' parameter is required")
}

function readSyncMode(
  { span }: SourceInput,
  reader: ParameterReader,
  problems: ProblemList,
): Pick<PipelineSource, 'syncMode' | 'cursorField'> {
  const stated = nonEmpty(reader.text('sync_mode'))
  const cursorField = nonEmpty(reader.text('cursor_field'))
  const mode = SYNC_MODES.find((known) => known === stated)
  const place = reader.spanOf('sync_mode') ?? span
  if (stated !== null && mode === undefined) {
    problems.add(failure(place, `Invalid sync_mode '${stated}'. Must be one of: ${SYNC_MODES.join(', ')}`))
  }
  if (mode === 'cdc') {
    problems.add(
      failure(place, "sync_mode 'cdc' is not available in this version.", {
        code: 'CONFIG_UNSUPPORTED',
        hint: "Use 'full_refresh', or `trunkline sync`, which finds changes and deletes by itself.",
      }),
    )
  }
  if ((mode === 'full_refresh' || mode === 'cdc') && cursorField !== null) {
    const where = reader.spanOf('cursor_field') ?? place
    problems.add(failure(where, `sync_mode '${mode}' cannot be used with cursor_field`))
  }
  if (mode === 'incremental' && cursorField === null) {
    problems.add(failure(place, 'IncrementalError: cursor_field is required for incremental sync_mode'))
  }
  const method = nonEmpty(reader.text('replication_method'))
  const methodPlace = reader.spanOf('replication_method') ?? span
  if (method !== null && !REPLICATION_METHODS.some((known) => known === method)) {
    const among = `Must be one of: ${REPLICATION_METHODS.join(', ')}`
    problems.add(failure(methodPlace, `Invalid replication_method '${method}'. ${among}`))
  }
  if (method === 'LOG_BASED') {
    problems.add(
      failure(methodPlace, "replication_method 'LOG_BASED' is not available in this version.", {
        code: 'CONFIG_UNSUPPORTED',
      }),
    )
  }
  return { syncMode: mode === 'incremental' ? mode : DEFAULTS.syncMode, cursorField }
}

function readRelation(reader: ParameterReader, problems: ProblemList): SourceRelation | null {
  const table = nonEmpty(reader.text('table')) ?? nonEmpty(reader.text('table_name'))
  const sql = nonEmpty(reader.text('query'))
  const place = reader.spanOf('query')
  if (table !== null && sql !== null && place !== null) {
    problems.add(
      failure(place, "ParameterError: Either 'table' or 'query' can be given, not both", {
        hint: 'Remove one of the two.',
      }),
    )
  }
  if (sql !== null) return { kind: 'query', sql }
  return table === null ? null : { kind: 'table', table }
}

function readDefaultMode(
  reader: ParameterReader,
  problems: ProblemList,
  primaryKey: readonly string[] | null,
): SourceSettings['defaultMode'] {
  const stated = nonEmpty(reader.text('destination_sync_mode'))
  const place = reader.spanOf('destination_sync_mode')
  if (stated === null || place === null) return null
  if (!Object.hasOwn(DESTINATION_SYNC_MODES, stated)) {
    const among = `Must be one of: ${Object.keys(DESTINATION_SYNC_MODES).join(', ')}`
    problems.add(failure(place, `Invalid destination_sync_mode '${stated}'. ${among}`))
    return null
  }
  const mode = DESTINATION_SYNC_MODES[stated as keyof typeof DESTINATION_SYNC_MODES]
  if (mode === 'upsert' && primaryKey === null) {
    problems.add(failure(place, "destination_sync_mode 'append_dedup' requires primary_key to be specified"))
  }
  return mode
}

function readTypeProfile(reader: ParameterReader, problems: ProblemList): TypeProfile | null {
  const stated = nonEmpty(reader.text('type_profile'))
  const place = reader.spanOf('type_profile')
  const profile = TYPE_PROFILES.find((known) => known === stated) ?? null
  if (stated !== null && profile === null && place !== null) {
    problems.add(
      failure(place, `Invalid type_profile '${stated}'. Must be one of: ${TYPE_PROFILES.join(', ')}`),
    )
  }
  return profile
}

function readLimits(reader: ParameterReader, problems: ProblemList): Limits {
  const fewest = reader.integer('min_connections', 0)
  const most = reader.integer('max_connections', 1) ?? DEFAULTS.maxConnections
  const place = reader.spanOf('min_connections')
  if (fewest !== null && fewest > most && place !== null) {
    problems.add(
      failure(place, "ParameterError: Parameter 'min_connections' is larger than 'max_connections'"),
    )
  }
  const timeoutS = reader.integer('timeout_seconds', 1)
  const retries = reader.integer('max_retries', 0) ?? DEFAULTS.maxRetries
  return {
    ...DEFAULT_LIMITS,
    maxConnections: most,
    maxAttempts: retries + 1,
    ...(timeoutS === null ? {} : { stallTimeoutMs: timeoutS * 1000 }),
  }
}

function nonEmpty(text: string | null): string | null {
  return text === '' ? null : text
}
