/**
 * Composition root: the only place that knows every source and destination. Each is imported when it is opened, so that
 * a face starts fast and a missing optional package harms only those who ask for it.
 */
import { realpath } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { ConnectionInput } from './config/connection-input.js'
import { requireSslMode } from './config/connection-input.js'
import type { DestinationLocation, DuckDbLocation, FilesLocation } from './config/destination-text.js'
import { parseDestination } from './config/destination-text.js'
import { readS3Options } from './config/s3-options.js'
import type { Environment } from './config/interpolate.js'
import type { Destination } from './destination/contract.js'
import type { Garbage, GarbageOptions } from './destination/files/collect-garbage.js'
import type { FileFormat } from './destination/files/file-format.js'
import type { SqlRehearsal, SqlSession } from './destination/sql-session.js'
import type { Store } from './destination/stores/store.js'
import { unreachable } from './model/column-type.js'
import { TrunklineError } from './model/error.js'
import { silentLogger, type Logger } from './model/log.js'
import type { Limits } from './model/sync-spec.js'
import { DEFAULT_LIMITS } from './model/thresholds.js'
import type { ConnectionObserver } from './postgres/connection-observer.js'
import type { ConnectionSettings } from './postgres/connection-settings.js'
import type { Source } from './source/contract.js'

export type { ConnectionEvent, ConnectionObserver } from './postgres/connection-observer.js'
/** For what a face prints of text that others wrote. */
export { redact } from './postgres/redact.js'

/**
 * Everything needed to connect, from what is stated, the environment, the password file and the service file.
 * @throws CONFIG_INVALID, CONFIG_UNSUPPORTED, SECRET_FILE_PERMISSIONS
 */
export async function resolveSettings(input: ConnectionInput, env: Environment): Promise<ConnectionSettings> {
  const { resolveConnection } = await import('./postgres/resolve-connection.js')
  const stated = {
    options: input.options,
    env,
    homeDir: env['HOME'] ?? homedir(),
    userName: findUserName(env),
    ...(input.url === undefined ? {} : { url: input.url }),
    ...(input.passwordCommand === undefined ? {} : { passwordCommand: input.passwordCommand }),
    ...(input.ssh === undefined ? {} : { ssh: input.ssh }),
  }
  const settings = await resolveConnection(stated).catch((error: unknown) => {
    throw input.place === null ? error : placeError(error, input.place)
  })
  if (input.place !== null) requireSslMode(settings, input.place)
  return settings
}

/** What is wrong with a connection of a file is said with where it stands. */
function placeError(error: unknown, place: string): unknown {
  if (!(error instanceof TrunklineError)) return error
  const { code, message, hint, retry, context } = error
  const options = { retry, context, cause: error }
  return new TrunklineError(code, `${place}: ${message}`, hint === undefined ? options : { ...options, hint })
}

export interface OpenSourceOptions {
  readonly logger?: Logger
  readonly limits?: Limits
  /** Where the reader's worker code is, for programs bundled into one file. */
  readonly readerWorker?: URL
  /** Schemas in which unqualified names of `sql` streams are looked for, after pg_catalog. */
  readonly searchPath?: readonly string[] | undefined
  /** Asked afresh for each connection. */
  readonly password?: () => string | Promise<string>
  /** Told what happens to connections, for metrics. */
  readonly observer?: ConnectionObserver
}

export async function openSource(
  settings: ConnectionSettings,
  options: OpenSourceOptions = {},
): Promise<Source> {
  const { createPostgresSource } = await import('./source/postgres-source.js')
  const { createContact } = await import('./sync/source-contacts.js')
  const { describeConnection } = await import('./postgres/resolve-connection.js')
  const { searchPath, ...rest } = options
  const { limits = DEFAULT_LIMITS, logger = silentLogger } = options
  const contact = createContact({ limits, logger, name: describeConnection(settings) })
  return createPostgresSource(settings, {
    ...rest,
    ...(searchPath === undefined ? {} : { searchPath }),
    contact,
  })
}

/** Shells leave `~` alone behind a colon, and a file has no shell: `parquet:~/lake` would be a folder named `~`. */
function locateDestination(text: string): DestinationLocation {
  const location = parseDestination(text)
  if (location.format === 'postgresql') return location
  if (location.format === 'duckdb') return { ...location, path: inHome(location.path) }
  const { place } = location
  return place.kind === 'folder' ? { ...location, place: { ...place, path: inHome(place.path) } } : location
}

function inHome(stated: string): string {
  return stated.startsWith('~/') ? join(homedir(), stated.slice(2)) : stated
}

/** @throws CONFIG_INVALID, CONFIG_UNSUPPORTED, CONFIG_UNKNOWN_KEY, MODULE_MISSING */
export async function openDestination(
  text: string,
  options: {
    readonly logger?: Logger
    /** What a connection to a server is completed by; absent: that of the process. */
    readonly env?: Environment
    /** Where it stands in a file, which has to say how a host beyond this machine is trusted. */
    readonly place?: string | null
  } = {},
): Promise<Destination> {
  const location = locateDestination(text)
  const withLogger = options.logger === undefined ? {} : { logger: options.logger }
  switch (location.format) {
    case 'duckdb': {
      const { createDuckDbDestination } = await import('./destination/duckdb/duckdb-destination.js')
      return createDuckDbDestination({ path: location.path, publish: location.publish, ...withLogger })
    }
    case 'postgresql': {
      const { createPostgresDestination } = await import('./destination/postgres/postgres-destination.js')
      const input: ConnectionInput = { url: location.url, options: {}, place: options.place ?? null }
      // A tunnel that the environment states is the way to the source.
      const { TRUNKLINE_SSH_TUNNEL: _, ...env } = options.env ?? process.env
      const settings = await resolveSettings(input, env)
      return createPostgresDestination({ settings, ...withLogger })
    }
    default:
      return openFiles(location, withLogger)
  }
}

async function openFiles(
  location: FilesLocation,
  options: { readonly logger?: Logger },
): Promise<Destination> {
  const { createFilesDestination } = await import('./destination/files/files-destination.js')
  return createFilesDestination({
    format: await openFormat(location),
    store: await openStore(location, options.logger ?? silentLogger),
    layout: location.layout,
    ...options,
  })
}

/** How rows become a file. */
async function openFormat({ format, options }: FilesLocation): Promise<FileFormat> {
  switch (format) {
    case 'parquet':
      return (await import('./destination/files/parquet-format.js')).createParquetFormat(options.format)
    case 'arrow':
      return (await import('./destination/files/arrow-format.js')).createArrowFormat(options.format)
    case 'csv':
      return (await import('./destination/files/csv-format.js')).createCsvFormat(options.format)
    case 'jsonl':
      return (await import('./destination/files/jsonl-format.js')).createJsonlFormat(options.format)
    default:
      return unreachable(format)
  }
}

/** Where the files lie. */
async function openStore({ place, options }: FilesLocation, logger: Logger): Promise<Store> {
  switch (place.kind) {
    case 'folder': {
      const { createLocalStore } = await import('./destination/stores/local-store.js')
      return createLocalStore({ path: place.path })
    }
    case 'bucket': {
      const { createS3Store } = await import('./destination/stores/s3-store.js')
      return createS3Store(readS3Options(place, options.store), { logger })
    }
    default:
      return unreachable(place)
  }
}

/**
 * Removes files that no table needs any more.
 * @throws CONFIG_UNSUPPORTED for a destination that is not made of files, and what its store can meet
 */
export async function removeGarbage(text: string, options: GarbageOptions): Promise<Garbage> {
  const location = locateDestination(text)
  if (location.format === 'duckdb' || location.format === 'postgresql') {
    throw new TrunklineError(
      'CONFIG_UNSUPPORTED',
      `${location.format}: destinations leave nothing behind that would have to be removed.`,
      { hint: 'Name a destination of files, as parquet:DIR.' },
    )
  }
  const { collectGarbage } = await import('./destination/files/collect-garbage.js')
  await using store = await openStore(location, silentLogger)
  return await collectGarbage(store, options)
}

export interface SqlOptions {
  /** Folders that queries may read and exports may write. */
  readonly allowedFolders: readonly string[]
  /** Replace tables that no pipeline made. */
  readonly adopt: boolean
}

/** SQL of a person's own at a destination. @throws CONFIG_INVALID, DESTINATION_LOCKED, … */
export async function openSqlSession(text: string, options: SqlOptions): Promise<SqlSession> {
  const { path, publish } = requireDuckDb(locateDestination(text))
  const { openDuckDbSession } = await import('./destination/duckdb/sql-session.js')
  return openDuckDbSession({ path, publish, ...options })
}

/** The same, tried on empty tables. */
export async function openSqlRehearsal(
  text: string,
  { allowedFolders }: Pick<SqlOptions, 'allowedFolders'>,
): Promise<SqlRehearsal> {
  const { path } = requireDuckDb(locateDestination(text))
  const { openDuckDbRehearsal } = await import('./destination/duckdb/sql-rehearsal.js')
  return openDuckDbRehearsal({ path, allowedFolders })
}

/** @throws CONFIG_UNSUPPORTED */
function requireDuckDb(location: DestinationLocation): DuckDbLocation {
  if (location.format === 'duckdb') return location
  throw new TrunklineError(
    'CONFIG_UNSUPPORTED',
    `${location.format}: destinations cannot run the SQL of a pipeline file.`,
    { hint: 'Name a duckdb: destination; its EXPORT steps write files of other kinds.' },
  )
}

/** A run that holds a destination just now, where it tells; as far as that can be known from here, it still goes on. */
export async function findRunInProgress(text: string): Promise<RunInProgress | null> {
  const location = locateDestination(text)
  if (location.format === 'postgresql') return null
  if (location.format !== 'duckdb') {
    const { findFilesRun } = await import('./destination/files/files-destination.js')
    await using store = await openStore(location, silentLogger)
    return await findFilesRun(store)
  }
  const { path } = location
  const { isAlive } = await import('./destination/process-identity.js')
  const { readRunNote } = await import('./destination/duckdb/run-file.js')
  const note = await readRunNote(await realpath(path).catch(() => path))
  return note === null || !isAlive(note) ? null : note
}

export interface RunInProgress {
  readonly pid: number
  readonly host: string
  readonly sync: string
  readonly runId: string
  /** ISO 8601. */
  readonly startedAt: string
  readonly updatedAt: string
  readonly rows: number
  readonly committedStreams: number
}

/** As libpq takes it: the account's name. Containers run as users that have none. */
function findUserName(env: Environment): string {
  try {
    return userInfo().username
  } catch {
    return env['USER'] ?? ''
  }
}
