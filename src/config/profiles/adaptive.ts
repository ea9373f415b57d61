/**
 * `configuration.json` of the connector with adaptive processing: every table of the database, in batches and threads by its size
 * and by how busy the machine is.
 */
import { ADAPTIVE_TEXTS, describeAdaptiveError } from './adaptive-errors.js'
import { warnOfDefaultSslMode, warnOfUnknownKeys } from './key-warnings.js'
import type { ProfileDocument, ProfileReading } from './profile.js'
import { TARGET_SCHEMA, syncName } from './profile.js'
import {
  TYPE_PROFILE_KEY,
  readCount,
  readSeconds,
  readTexts,
  readTypeProfile,
  requireText,
} from './text-values.js'

const REQUIRED = ['host', 'port', 'database', 'username', 'password'] as const
const KEYS = [...REQUIRED, 'region', 'max_retries', 'retry_sleep_seconds', TYPE_PROFILE_KEY]

const DEFAULT_MAX_RETRIES = 5
const DEFAULT_RETRY_SLEEP_S = 5
const MAX_RETRY_DELAY_MS = 300_000
/** Four threads for small tables, and the connections that lead and watch. */
const MAX_CONNECTIONS = 6

/** @throws ProfileError, always a ValueError */
export function readAdaptive(document: ProfileDocument): ProfileReading {
  const texts = readTexts(document)
  const required = (key: (typeof REQUIRED)[number]): string =>
    requireText(document, texts, key, ADAPTIVE_TEXTS.missing)
  const [host, port, dbname, user, password] = [
    required('host'),
    required('port'),
    required('database'),
    required('username'),
    required('password'),
  ]
  const maxRetries = readCount(document, texts, 'max_retries', { fallback: DEFAULT_MAX_RETRIES, minimum: 1 })
  const retrySleepS = readSeconds(document, texts, 'retry_sleep_seconds', DEFAULT_RETRY_SLEEP_S)
  const region = texts.get('region') ?? ''
  const stated = document.env['PGSSLMODE'] ?? ''
  const sslmode = stated === '' ? 'prefer' : stated
  return {
    connection: { options: { host, port, dbname, user, password, sslmode }, place: document.file },
    options: {
      name: syncName(dbname, 'adaptive'),
      targetSchema: TARGET_SCHEMA,
      nameTemplate: 'source_{schema}_{table}',
      defaults: {
        mode: 'full_refresh',
        landing: 'upsert',
        landingWithoutKey: 'replace',
        deletes: 'ignore',
        readMethod: 'named',
        addColumns: {
          _fivetran_id: { from: 'row_id' },
          _fivetran_synced: { from: 'run_at' },
          sync_timestamp: { from: 'epoch_seconds', ifPresent: 'replace' },
          ...(region === '' ? {} : { region: { value: region, type: 'text', ifPresent: 'keep' } }),
        },
        ...readTypeProfile(document, texts),
      },
      limits: {
        maxConnections: MAX_CONNECTIONS,
        maxAttempts: maxRetries,
        firstRetryDelayMs: Math.round(retrySleepS * 1000),
        maxRetryDelayMs: MAX_RETRY_DELAY_MS,
        retryJitter: [0.5, 1.5],
      },
      adaptive: { strategy: 'table_size' },
      metadataTables: true,
      wording: 'connector_sdk',
      ...(region === '' ? {} : { rowFilter: { region } }),
    },
    profile: {
      name: 'adaptive',
      warnings: [
        ...warnOfUnknownKeys(document, KEYS),
        ...(stated === '' ? warnOfDefaultSslMode(document, host, sslmode) : []),
      ],
      debug: false,
      describeError: describeAdaptiveError,
      runWords: null,
      service: null,
    },
  }
}
