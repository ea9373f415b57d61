/**
 * The configuration of the noesis PostgreSQL connector: YAML in the words of its README or JSON in those of its catalog, with
 * POSTGRES_* from the environment for what is left out. Alone, every table and view of a schema; with `mode`, the one that is named.
 */
import { formatStreamName } from '../../model/catalog.js'
import { TrunklineError } from '../../model/error.js'
import type { StreamOptions } from '../../model/sync-spec.js'
import type { Environment } from '../interpolate.js'
import { parseDuration } from '../quantity.js'
import { warnOfDefaultSslMode, warnOfUnknownKeys } from './key-warnings.js'
import { NOESIS_TEXTS, describeNoesisError } from './noesis-errors.js'
import type { ProfileDocument, ProfileError, ProfileReading } from './profile.js'
import { TARGET_SCHEMA, refuse, syncName } from './profile.js'

/** By the README's name: the catalog's, and the variable of the environment. */
const KEYS: Readonly<Record<string, { readonly alias: string | null; readonly variable: string | null }>> = {
  host: { alias: 'hostname', variable: 'POSTGRES_HOST' },
  port: { alias: null, variable: 'POSTGRES_PORT' },
  database: { alias: null, variable: 'POSTGRES_DATABASE' },
  username: { alias: null, variable: 'POSTGRES_USERNAME' },
  password: { alias: null, variable: 'POSTGRES_PASSWORD' },
  sslmode: { alias: 'sslMode', variable: 'POSTGRES_SSLMODE' },
  schema: { alias: null, variable: 'POSTGRES_SCHEMA' },
  connect_timeout: { alias: 'connectTimeout', variable: 'POSTGRES_CONNECT_TIMEOUT' },
  statement_timeout: { alias: 'statementTimeout', variable: 'POSTGRES_STATEMENT_TIMEOUT' },
  batch_size: { alias: 'batchSize', variable: null },
  max_connections: { alias: 'maxConnections', variable: null },
  idle_timeout: { alias: 'idleTimeout', variable: null },
  log_level: { alias: 'logLevel', variable: null },
}
const FURTHER_KEYS = ['mode', 'type_profile', 'sslrootcert']

const SSLMODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full']
const LOG_LEVELS = ['debug', 'info', 'warn', 'error']

const DEFAULTS = {
  sslmode: 'prefer',
  schema: 'public',
  connectTimeoutMs: 30_000,
  statementTimeoutMs: 300_000,
  idleTimeoutMs: 300_000,
  batchSize: 10_000,
  maxConnections: 10,
} as const

/** What is asked for: `{"mode": {"fullTable": …}}` or `{"mode": {"incremental": …}}`. */
export type Extraction =
  | { readonly kind: 'full_table'; readonly entity: string }
  | {
      readonly kind: 'incremental'
      readonly entity: string
      readonly cursorField: string
      /** Rows after this value; null for all of them. */
      readonly cursor: string | null
    }

/** Variables that can stand for a file, and those without which they cannot. */
export const NOESIS_VARIABLES: readonly string[] = Object.values(KEYS).flatMap(({ variable }) =>
  variable === null ? [] : [variable],
)
export const REQUIRED_VARIABLES = [
  'POSTGRES_HOST',
  'POSTGRES_PORT',
  'POSTGRES_DATABASE',
  'POSTGRES_USERNAME',
  'POSTGRES_PASSWORD',
] as const

/** @throws ProfileError */
export function readNoesis(document: ProfileDocument): ProfileReading {
  const values = new NoesisValues(document)
  const [host, port, dbname, user, password] = [
    values.required('host'),
    values.required('port'),
    values.required('database'),
    values.required('username'),
    values.required('password'),
  ]
  const stated = values.text('sslmode')
  const sslmode = stated ?? DEFAULTS.sslmode
  if (!SSLMODES.includes(sslmode)) throw values.wrong('sslmode', `must be one of ${SSLMODES.join(', ')}`)
  const schema = values.text('schema') ?? DEFAULTS.schema
  const connectTimeoutMs = values.duration('connect_timeout') ?? DEFAULTS.connectTimeoutMs
  const service = {
    schema,
    batchSize: values.count('batch_size') ?? DEFAULTS.batchSize,
    maxConnections: values.count('max_connections') ?? DEFAULTS.maxConnections,
    idleTimeoutMs: values.duration('idle_timeout') ?? DEFAULTS.idleTimeoutMs,
    statementTimeoutMs: values.duration('statement_timeout') ?? DEFAULTS.statementTimeoutMs,
  }
  const logLevel = values.text('log_level')?.toLowerCase() ?? 'info'
  if (!LOG_LEVELS.includes(logLevel))
    throw values.wrong('log_level', `must be one of ${LOG_LEVELS.join(', ')}`)
  const { batchSize, ...limits } = service
  return {
    connection: {
      options: {
        host,
        port,
        dbname,
        user,
        password,
        sslmode,
        // Whole seconds, as libpq counts; less than one is one.
        connect_timeout: String(Math.ceil(connectTimeoutMs / 1000)),
        ...rootCertificate(document, values, sslmode),
      },
      place: document.file,
      searchPath: [schema],
    },
    options: {
      name: syncName(dbname, 'noesis'),
      targetSchema: TARGET_SCHEMA,
      streams: toStreams(schema, readMode(document), { ...readTypes(values), batchSize }),
      limits: {
        maxConnections: limits.maxConnections,
        idleTimeoutMs: limits.idleTimeoutMs,
        statementTimeoutMs: limits.statementTimeoutMs,
      },
    },
    profile: {
      name: 'noesis',
      warnings: [
        ...warnOfUnknownKeys(document, knownKeys()),
        ...(stated === null ? warnOfDefaultSslMode(document, host, sslmode) : []),
      ],
      debug: logLevel === 'debug',
      describeError: describeNoesisError,
      runWords: null,
      service,
    },
  }
}

/** The connector takes the machine's own authorities where no other is named. */
function rootCertificate(
  { env }: ProfileDocument,
  values: NoesisValues,
  sslmode: string,
): Readonly<Record<string, string>> {
  const stated = values.text('sslrootcert')
  if (stated !== null) return { sslrootcert: stated }
  return sslmode === 'verify-full' && (env['PGSSLROOTCERT'] ?? '') === '' ? { sslrootcert: 'system' } : {}
}

function knownKeys(): readonly string[] {
  const aliases = Object.values(KEYS).flatMap(({ alias }) => (alias === null ? [] : [alias]))
  return [...Object.keys(KEYS), ...aliases, ...FURTHER_KEYS]
}

/** Rows come by a cursor at the server: so statement_timeout is about one batch, and not about a whole table. */
function toStreams(
  schema: string,
  extraction: Extraction | null,
  figures: StreamOptions,
): Readonly<Record<string, StreamOptions>> {
  const full: StreamOptions = { mode: 'full_refresh', readMethod: 'named', ...figures }
  if (extraction === null) return { [`"${schema.replaceAll('"', '""')}".*`]: full }
  const stream = formatStreamName(schema, extraction.entity)
  if (extraction.kind === 'full_table') return { [stream]: full }
  const { cursorField, cursor } = extraction
  return {
    [stream]: {
      mode: 'incremental',
      cursorField,
      ...(cursor === null ? {} : { cursorStart: cursor }),
      readMethod: 'named',
      ...figures,
    },
  }
}

function readTypes(values: NoesisValues): Pick<StreamOptions, 'typeProfile'> {
  const stated = values.text('type_profile')
  if (stated === null) return {}
  if (stated === 'exact' || stated === 'widened') return { typeProfile: stated }
  throw values.wrong('type_profile', 'must be exact or widened')
}

function readMode(document: ProfileDocument): Extraction | null {
  if (document.values['mode'] === undefined || document.values['mode'] === null) return null
  try {
    return parseExtraction({ mode: document.values['mode'] })
  } catch (error) {
    if (!(error instanceof TrunklineError)) throw error
    const text = `invalid configuration: ${error.message}`
    throw refuse(
      { className: 'Error', text },
      `${document.placeOf('mode')}: ${error.message}`,
      error.hint ?? '',
    )
  }
}

const EXAMPLE = '{"mode": {"fullTable": {"entity": "users"}}}'

/** @throws CONFIG_INVALID naming the field */
export function parseExtraction(value: unknown): Extraction {
  const mode = partOf(value, 'mode')
  const kinds = Object.keys(mode)
  const [kind] = kinds
  if (kinds.length === 1 && kind === 'fullTable') {
    return {
      kind: 'full_table',
      entity: textOf(partOf(mode, 'fullTable', 'mode'), 'entity', 'mode.fullTable'),
    }
  }
  if (kinds.length === 1 && kind === 'incremental') {
    const part = partOf(mode, 'incremental', 'mode')
    const { cursor } = part
    return {
      kind: 'incremental',
      entity: textOf(part, 'entity', 'mode.incremental'),
      cursorField: textOf(part, 'cursorField', 'mode.incremental'),
      cursor:
        cursor === undefined || cursor === null || cursor === ''
          ? null
          : typeof cursor === 'number' && Number.isSafeInteger(cursor)
            ? String(cursor)
            : textOf(part, 'cursor', 'mode.incremental'),
    }
  }
  throw invalidExtraction('mode must hold either fullTable or incremental, and nothing else')
}

function partOf(value: unknown, key: string, path?: string): Readonly<Record<string, unknown>> {
  const part: unknown =
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
  if (typeof part === 'object' && part !== null && !Array.isArray(part))
    return part as Record<string, unknown>
  throw invalidExtraction(`${path === undefined ? '' : `${path}.`}${key} must be an object`)
}

function textOf(part: Readonly<Record<string, unknown>>, key: string, path: string): string {
  const value = part[key]
  if (typeof value === 'string' && value !== '') return value
  throw invalidExtraction(`${path}.${key} must be text that is not empty`)
}

function invalidExtraction(message: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', message, { hint: `Write ${EXAMPLE}.` })
}

/** Values by the README's names: what the file says under either name, else the environment. */
class NoesisValues {
  readonly #document: ProfileDocument

  constructor(document: ProfileDocument) {
    this.#document = document
  }

  /** @throws ProfileError */
  required(key: string): string {
    const value = this.text(key)
    if (value !== null) return value
    const variable = KEYS[key]?.variable ?? ''
    throw refuse(
      { className: 'Error', text: NOESIS_TEXTS.missing(key) },
      `${this.#document.file}: \`${key}\` is missing or empty.`,
      `Write it there, or set ${variable} in the environment.`,
    )
  }

  /** Numbers as they are written. @throws ProfileError */
  text(key: string): string | null {
    const { name, value } = this.#find(key)
    if (value === undefined || value === null || value === '') return null
    if (typeof value === 'string') return value
    if (typeof value === 'number') return this.#document.writtenAt(name) ?? String(value)
    throw this.wrong(key, 'must be text')
  }

  /** @throws ProfileError */
  count(key: string): number | null {
    const text = this.text(key)
    if (text === null) return null
    const count = /^\d+$/.test(text) ? Number(text) : NaN
    if (Number.isSafeInteger(count) && count >= 1) return count
    throw this.wrong(key, 'must be a whole number, 1 or more')
  }

  /** Milliseconds of `60s`; a number alone is seconds. @throws ProfileError */
  duration(key: string): number | null {
    const text = this.text(key)
    if (text === null) return null
    const milliseconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : parseDuration(text)
    if (milliseconds !== null) return milliseconds
    throw this.wrong(key, 'must be a duration, such as 30s')
  }

  wrong(key: string, why: string): ProfileError {
    return refuse(
      { className: 'Error', text: NOESIS_TEXTS.invalid(key, why) },
      `${this.#document.placeOf(key)}: ${why}.`,
      'docs/reference/profiles.md lists the keys and their values.',
    )
  }

  #find(key: string): { readonly name: string; readonly value: unknown } {
    const { values, env } = this.#document
    const { alias, variable } = KEYS[key] ?? { alias: null, variable: null }
    const name = Object.hasOwn(values, key) || alias === null ? key : alias
    if (Object.hasOwn(values, name)) return { name, value: values[name] }
    return { name, value: variable === null ? undefined : ownValue(env, variable) }
  }
}

function ownValue(env: Environment, variable: string): string | undefined {
  return Object.hasOwn(env, variable) ? env[variable] : undefined
}
