/**
 * `configuration.json` of the connector that compares client-side with server-side cursors: one table, read incrementally by
 * `last_updated`, upserted by `id`.
 */
import type { ProfileDocument, ProfileReading } from './profile.js'
import { TARGET_SCHEMA, refuse, syncName } from './profile.js'
import { warnOfDefaultSslMode, warnOfUnknownKeys } from './key-warnings.js'
import type { CursorMode } from './server-side-cursors-errors.js'
import { SERVER_SIDE_CURSORS_TEXTS, describeServerSideCursorsError } from './server-side-cursors-errors.js'
import { TYPE_PROFILE_KEY, readCount, readTexts, readTypeProfile, requireText } from './text-values.js'
import { parseUnquotedName } from './unquoted-name.js'

const REQUIRED = ['hostname', 'port', 'database', 'username', 'password', 'table_name'] as const
const KEYS = [...REQUIRED, 'sslmode', 'batch_size', 'cursor_mode', TYPE_PROFILE_KEY]

const DEFAULT_SSLMODE = 'disable'
const SSLMODES = ['disable', 'require']
const DEFAULT_BATCH_SIZE = 5000
const CURSOR_FIELD = 'last_updated'
const CURSOR_START = '1990-01-01T00:00:00+00:00'
const PRIMARY_KEY = ['id']

/** @throws ProfileError, always a ValueError */
export function readServerSideCursors(document: ProfileDocument): ProfileReading {
  const texts = readTexts(document)
  const required = (key: (typeof REQUIRED)[number]): string =>
    requireText(document, texts, key, SERVER_SIDE_CURSORS_TEXTS.missing)
  const [host, port, database, user, password, tableName] = [
    required('hostname'),
    required('port'),
    required('database'),
    required('username'),
    required('password'),
    required('table_name'),
  ]
  const sslmode = readSslMode(document, texts)
  const cursorMode = readCursorMode(document, texts)
  const batchSize = readCount(document, texts, 'batch_size', { fallback: DEFAULT_BATCH_SIZE, minimum: 1 })
  const relation = parseUnquotedName(tableName)
  if (relation === null) {
    throw refuse(
      { className: 'ValueError', text: `Invalid table_name: ${tableName}` },
      `${document.placeOf('table_name')}: is not the name of a table.`,
      'Write people, sales.people, or "\\"People\\"" for a name with capital letters.',
    )
  }
  const describeError = (error: Parameters<typeof describeServerSideCursorsError>[0]) =>
    describeServerSideCursorsError(error, cursorMode)
  return {
    connection: {
      options: { host, port, dbname: database, user, password, sslmode },
      place: document.file,
    },
    options: {
      name: syncName(database, 'server-side-cursors'),
      targetSchema: TARGET_SCHEMA,
      streams: {
        [relation.stream]: {
          mode: 'incremental',
          landing: 'upsert',
          cursorField: CURSOR_FIELD,
          cursorStart: CURSOR_START,
          primaryKey: PRIMARY_KEY,
          readMethod: cursorMode === 'NAMED' ? 'named' : 'client',
          batchSize,
          ...readTypeProfile(document, texts),
        },
      },
      // All rows come over one connection; the other watches that its lock keeps nobody waiting.
      jobs: 1,
      limits: { maxConnections: 2 },
    },
    profile: {
      name: 'server-side-cursors',
      warnings: [
        ...warnOfUnknownKeys(document, KEYS),
        ...((texts.get('sslmode') ?? '') === '' ? warnOfDefaultSslMode(document, host, sslmode) : []),
      ],
      debug: false,
      describeError,
      runWords: {
        connected: 'Successfully connected to database',
        reading: `Fetching data using ${cursorMode} cursor mode and ${batchSize} batch size.`,
        landed: (rows) => `Total rows upserted from ${tableName}: ${rows}`,
        closed: 'Closed database connection',
      },
      service: null,
    },
  }
}

function readSslMode(document: ProfileDocument, texts: ReadonlyMap<string, string>): string {
  const value = texts.get('sslmode') ?? ''
  if (value === '') return DEFAULT_SSLMODE
  if (SSLMODES.includes(value)) return value
  throw refuse(
    { className: 'ValueError', text: SERVER_SIDE_CURSORS_TEXTS.sslmode(value) },
    `${document.placeOf('sslmode')}: must be disable, require or empty.`,
    'For verify-full use trunkline.yaml, or set TRUNKLINE_REQUIRE_TLS=verify-full in the environment.',
  )
}

function readCursorMode(document: ProfileDocument, texts: ReadonlyMap<string, string>): CursorMode {
  const value = texts.get('cursor_mode') ?? ''
  const mode = value === '' ? 'NAMED' : value.toUpperCase()
  if (mode === 'NAMED' || mode === 'CLIENT') return mode
  throw refuse(
    { className: 'ValueError', text: SERVER_SIDE_CURSORS_TEXTS.cursorMode(mode) },
    `${document.placeOf('cursor_mode')}: must be CLIENT or NAMED.`,
    'NAMED keeps the rows at the server and fetches batch_size of them at a time.',
  )
}
