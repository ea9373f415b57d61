/**
 * `configuration.json` of the Greenplum connector: a connection and nothing else. Its one stream is built in: who does what at the
 * server, by the time that the query began.
 */
import { GREENPLUM_TEXTS, describeGreenplumError } from './greenplum-errors.js'
import { warnOfDefaultSslMode, warnOfUnknownKeys } from './key-warnings.js'
import type { ProfileDocument, ProfileReading } from './profile.js'
import { TARGET_SCHEMA, syncName } from './profile.js'
import { TYPE_PROFILE_KEY, readTexts, readTypeProfile, requireText } from './text-values.js'

const REQUIRED = ['HOST', 'PORT', 'DATABASE', 'USERNAME', 'PASSWORD'] as const

const STREAM = 'sample_table'
const CURSOR_FIELD = 'query_start'
const CURSOR_START = '1990-01-01T00:00:00Z'
/** A session. `datid`, which the connector declares as its key, is shared by all sessions of a database. */
const PRIMARY_KEY = ['pid', 'backend_start']
const BATCH_SIZE = 5000

/** @throws ProfileError, always a ValueError */
export function readGreenplum(document: ProfileDocument): ProfileReading {
  const texts = readTexts(document)
  const required = (key: (typeof REQUIRED)[number]): string =>
    requireText(document, texts, key, GREENPLUM_TEXTS.missing)
  const [host, port, dbname, user, password] = [
    required('HOST'),
    required('PORT'),
    required('DATABASE'),
    required('USERNAME'),
    required('PASSWORD'),
  ]
  const stated = document.env['PGSSLMODE'] ?? ''
  const sslmode = stated === '' ? 'prefer' : stated
  return {
    connection: { options: { host, port, dbname, user, password, sslmode }, place: document.file },
    options: {
      name: syncName(dbname, 'greenplum'),
      targetSchema: TARGET_SCHEMA,
      streams: {
        [STREAM]: {
          sql: 'SELECT * FROM pg_catalog.pg_stat_activity',
          mode: 'incremental',
          landing: 'upsert',
          cursorField: CURSOR_FIELD,
          cursorStart: CURSOR_START,
          primaryKey: PRIMARY_KEY,
          readMethod: 'named',
          batchSize: BATCH_SIZE,
          ...readTypeProfile(document, texts),
        },
      },
      // What a session sees of the others stays the same in its transaction, and differs from what another sees: so one counts and
      // reads. The second connection watches that nobody waits for it.
      jobs: 1,
      limits: { maxConnections: 2 },
      // The query is this file's own, and whoever looks at pg_stat_activity is often an administrator.
      allowPrivilegedRole: true,
    },
    profile: {
      name: 'greenplum',
      warnings: [
        ...warnOfUnknownKeys(document, [...REQUIRED, TYPE_PROFILE_KEY]),
        ...(stated === '' ? warnOfDefaultSslMode(document, host, sslmode) : []),
      ],
      debug: false,
      describeError: describeGreenplumError,
      runWords: null,
      service: null,
    },
  }
}
