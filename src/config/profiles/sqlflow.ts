/**
 * The parameters of SQLFlow's PostgreSQL connector as a file of their own, JSON or YAML; Airbyte's names for the same are among
 * them. One table, one query, or every table of a schema.
 */
import { formatStreamName } from '../../model/catalog.js'
import { TrunklineError } from '../../model/error.js'
import type { Landing, StreamOptions } from '../../model/sync-spec.js'
import type { SyncOptions } from '../sync-options.js'
import { warnOfDefaultSslMode, warnOfUnknownKeys } from './key-warnings.js'
import type { ProfileDocument, ProfileReading } from './profile.js'
import { TARGET_SCHEMA, refuse, syncName } from './profile.js'
import { SQLFLOW_TEXTS, describeSqlflowError } from './sqlflow-errors.js'
import { SqlflowParameters } from './sqlflow-parameters.js'
import { replaceVariables } from './variables.js'

const DEFAULTS = {
  port: 5432,
  schema: 'public',
  syncMode: 'full_refresh',
  connectTimeoutS: 10,
  applicationName: 'sqlflow',
  minConnections: 1,
  maxConnections: 5,
  sslmode: 'prefer',
  batchSize: 10_000,
  maxRetries: 3,
} as const

/** Handed on as they are, under libpq's names. */
const TLS_KEYS = ['sslrootcert', 'sslcert', 'sslkey', 'sslcrl'] as const

const KEYS = [
  ...['host', 'port', 'database', 'dbname', 'username', 'user', 'password', 'schema', 'table', 'table_name'],
  ...['query', 'sync_mode', 'cursor_field', 'primary_key', 'connect_timeout', 'application_name', 'sslmode'],
  ...['min_connections', 'max_connections', 'batch_size', 'timeout_seconds', 'max_retries', 'type_profile'],
  ...['destination_sync_mode', ...TLS_KEYS],
]

const DESTINATION_SYNC_MODES: Readonly<Record<string, Landing>> = {
  overwrite: 'replace',
  append: 'append',
  append_dedup: 'upsert',
}

/** @throws ProfileError: ParameterError or IncrementalError; CONFIG_UNSET_VARIABLE; CONFIG_UNSUPPORTED for `cdc` */
export function readSqlflow(asWritten: ProfileDocument): ProfileReading {
  const document = replaceVariables(asWritten)
  const parameters = new SqlflowParameters(document)
  const { host, database, user } = readRequired(document, parameters)
  const port = parameters.integer('port', 1) ?? DEFAULTS.port
  const connectTimeoutS = parameters.integer('connect_timeout', 0) ?? DEFAULTS.connectTimeoutS
  const minConnections = parameters.integer('min_connections', 0) ?? DEFAULTS.minConnections
  const maxConnections = parameters.integer('max_connections', 1) ?? DEFAULTS.maxConnections
  const schema = parameters.text('schema') ?? DEFAULTS.schema
  const table = parameters.text('table') ?? parameters.text('table_name')
  const reading = readStreams(document, parameters, { schema, table })
  const sslmode = parameters.text('sslmode')
  const options: Record<string, string> = {
    host,
    port: String(port),
    dbname: database,
    user,
    connect_timeout: String(connectTimeoutS),
    application_name: parameters.text('application_name') ?? DEFAULTS.applicationName,
    sslmode: sslmode ?? DEFAULTS.sslmode,
  }
  const password = parameters.text('password')
  if (password !== null) options['password'] = password
  for (const key of TLS_KEYS) {
    const value = parameters.text(key)
    if (value !== null) options[key] = value
  }
  const facts = { user, schema, table, cursorField: reading.cursorField }
  return {
    connection: { options, place: document.file, searchPath: [schema] },
    options: {
      name: syncName(database, 'sqlflow'),
      targetSchema: TARGET_SCHEMA,
      ...reading.options,
      limits: { minConnections, maxConnections, ...readRetryLimits(parameters) },
    },
    profile: {
      name: 'sqlflow',
      warnings: [
        ...warnOfUnknownKeys(document, KEYS),
        ...reading.warnings,
        ...(sslmode === null ? warnOfDefaultSslMode(document, host, DEFAULTS.sslmode) : []),
      ],
      debug: false,
      describeError: (error) => describeSqlflowError(error, facts),
      runWords: null,
      service: null,
    },
  }
}

/** The newer names win over `dbname` and `user`. */
function readRequired(
  document: ProfileDocument,
  parameters: SqlflowParameters,
): Readonly<Record<'host' | 'database' | 'user', string>> {
  const host = parameters.text('host')
  const database = parameters.text('database') ?? parameters.text('dbname')
  const user = parameters.text('username') ?? parameters.text('user')
  if (host !== null && database !== null && user !== null) return { host, database, user }
  const text =
    host === null
      ? SQLFLOW_TEXTS.missing(['host'])
      : database === null && user === null
        ? SQLFLOW_TEXTS.missing(['database', 'username'])
        : database === null
          ? SQLFLOW_TEXTS.database
          : SQLFLOW_TEXTS.username
  const missing = [host === null ? 'host' : null, database === null ? 'database' : null]
  const names = [...missing, user === null ? 'username' : null].filter((name) => name !== null)
  throw refuse(
    { className: 'ParameterError', text },
    `${document.file}: ${names.join(' and ')} must be stated.`,
    'dbname and user are accepted as older names of database and username.',
  )
}

interface StreamsReading {
  readonly options: Pick<SyncOptions, 'select' | 'streams' | 'defaults'>
  readonly cursorField: string | null
  readonly warnings: readonly string[]
}

function readStreams(
  document: ProfileDocument,
  parameters: SqlflowParameters,
  { schema, table }: { readonly schema: string; readonly table: string | null },
): StreamsReading {
  const query = parameters.text('query')
  if (table !== null && query !== null) {
    throw parameters.wrong('query', "Either 'table' or 'query' can be given, not both", 'Remove one of them.')
  }
  const { incremental, cursorField, warnings } = readSyncMode(document, parameters)
  const primaryKey = parameters.names('primary_key')
  const landing = readLanding(parameters, primaryKey)
  const typeProfile = parameters.choice('type_profile', ['exact', 'widened'])
  const common: StreamOptions = {
    mode: incremental ? 'incremental' : 'full_refresh',
    batchSize: parameters.integer('batch_size', 1) ?? DEFAULTS.batchSize,
    ...(incremental && cursorField !== null ? { cursorField } : {}),
    ...(landing === null ? {} : { landing }),
    // Rows that are replaced as a whole are not matched by a key.
    ...(primaryKey === null || (!incremental && landing !== 'upsert') ? {} : { primaryKey }),
    ...(typeProfile === null ? {} : { typeProfile }),
  }
  const streams =
    query !== null
      ? { [nameOfQuery(document.file)]: { sql: query, ...common } }
      : table !== null
        ? { [formatStreamName(schema, table)]: common }
        : everyTable(schema, common, incremental ? cursorField : null)
  return { options: { streams }, cursorField, warnings }
}

/** Of an incremental one, those that have the cursor field. */
function everyTable(
  schema: string,
  common: StreamOptions,
  cursorField: string | null,
): Readonly<Record<string, StreamOptions>> {
  // A pattern, in which the name of the schema stands for itself.
  const pattern = `"${schema.replaceAll('"', '""')}".*`
  return { [pattern]: cursorField === null ? common : { ...common, onlyWithColumn: cursorField } }
}

function readSyncMode(
  document: ProfileDocument,
  parameters: SqlflowParameters,
): {
  readonly incremental: boolean
  readonly cursorField: string | null
  readonly warnings: readonly string[]
} {
  const stated = parameters.text('sync_mode')
  const cursorField = parameters.text('cursor_field')
  switch (stated ?? DEFAULTS.syncMode) {
    case 'incremental':
      if (cursorField !== null) return { incremental: true, cursorField, warnings: [] }
      throw refuse(
        { className: 'IncrementalError', text: SQLFLOW_TEXTS.cursorRequired },
        `${document.placeOf('sync_mode')}: incremental needs a cursor_field.`,
        'Name the column that rises with every change, as "cursor_field": "updated_at".',
      )
    case 'full_refresh': {
      const ignored = `${document.placeOf('cursor_field')}: cursor_field has no effect without sync_mode incremental.`
      return { incremental: false, cursorField, warnings: cursorField === null ? [] : [ignored] }
    }
    case 'cdc':
      throw new TrunklineError(
        'CONFIG_UNSUPPORTED',
        `${document.placeOf('sync_mode')}: sync_mode cdc is not available in this version.`,
        { hint: 'trunkline.yaml with `mode: mirror` finds changes and deletes without a cursor.' },
      )
    default:
      throw parameters.wrong(
        'sync_mode',
        SQLFLOW_TEXTS.syncMode(stated ?? ''),
        'Write full_refresh or incremental.',
      )
  }
}

function readLanding(parameters: SqlflowParameters, primaryKey: readonly string[] | null): Landing | null {
  const stated = parameters.choice('destination_sync_mode', Object.keys(DESTINATION_SYNC_MODES))
  const landing = stated === null ? undefined : DESTINATION_SYNC_MODES[stated]
  if (landing === 'upsert' && primaryKey === null) {
    throw parameters.wrong(
      'destination_sync_mode',
      "destination_sync_mode 'append_dedup' requires primary_key to be specified",
      'Add "primary_key": ["id"].',
    )
  }
  return landing ?? null
}

function readRetryLimits(parameters: SqlflowParameters): NonNullable<SyncOptions['limits']> {
  const maxRetries = parameters.integer('max_retries', 0) ?? DEFAULTS.maxRetries
  const timeoutS = parameters.integer('timeout_seconds', 1)
  return {
    maxAttempts: maxRetries + 1,
    retryJitter: [0.9, 1.1],
    maxRequestsPerMinute: 300,
    requestBurst: 50,
    // Of silence: a large table that keeps coming takes as long as it takes.
    ...(timeoutS === null ? {} : { stallTimeoutMs: timeoutS * 1000 }),
  }
}

/** A query has no name of its own, so it takes that of its file. */
function nameOfQuery(file: string): string {
  const name = (file.split(/[\\/]/).at(-1) ?? '').replace(/\.[^.]*$/, '').replaceAll(/\W+/g, '_')
  return name === '' ? 'query' : name
}
