/**
 * One DuckDB file, attached to an in-memory instance of its own, and the settings it runs under.
 *
 * The operating system forgets a process's lock on a file when the process closes any handle of it. So nothing here, and nothing
 * of Trunkline, opens the file by itself between `attach` and `detach`.
 */
import { chmod, link, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { hostname } from 'node:os'
import path from 'node:path'
import type { DuckDBConnection, DuckDBInstance, DuckDBValue } from '@duckdb/node-api'
import { TrunklineError } from '../../model/error.js'
import { isAlive } from '../process-identity.js'
import { describeRun } from '../run-note.js'
import { CATALOG, quoteName, quoteText } from './quote.js'
import { readRunNote } from './run-file.js'

export type DuckDbApi = typeof import('@duckdb/node-api')

export interface DatabaseLimits {
  readonly memoryLimitBytes: number
  readonly threads: number
}

/**
 * DuckDB's allocator keeps an arena for each processor's threads, and each keeps what it once had: statements run now in one
 * thread of Node's pool, now in another. One arena for all is 80 to 90 MiB less at the peak (events and lineitem, memory limit
 * 256 MiB) and no more processor. The allocator reads the variable once, when the library is loaded.
 */
const ALLOCATOR_VARIABLE = 'DUCKDB_JE_MALLOC_CONF'
const ALLOCATOR_OPTIONS = 'narenas:1'

function loadDuckDb(): DuckDbApi {
  // CommonJS: an import() would parse its hundred files for export names first, which takes longer than loading it.
  const require = createRequire(import.meta.url)
  const given = process.env[ALLOCATOR_VARIABLE]
  process.env[ALLOCATOR_VARIABLE] ??= ALLOCATOR_OPTIONS
  try {
    return require('@duckdb/node-api') as DuckDbApi
  } finally {
    // Not for the processes that we start.
    if (given === undefined) Reflect.deleteProperty(process.env, ALLOCATOR_VARIABLE)
  }
}

export type Row = Readonly<Record<string, unknown>>

/** Begins DuckDB's error for a lock held elsewhere; its errors carry nothing but words, and its version is pinned. */
const LOCK_ERROR = 'IO Error: Could not set lock on file'

const SCRATCH_SUFFIX = '.trunkline-tmp-'
const NURSERY_SUFFIX = `.trunkline-new-${process.pid}-`
const NURSERY = /\.trunkline-new-(\d+)-\w+$/
const NURSERY_MAX_AGE_MS = 60_000

export class Database {
  readonly api: DuckDbApi
  readonly #instance: DuckDBInstance
  #memoryLimitBytes: number
  #file: string | null = null
  #scratchDir: string | null = null

  private constructor(api: DuckDbApi, instance: DuckDBInstance, memoryLimitBytes: number) {
    this.api = api
    this.#instance = instance
    this.#memoryLimitBytes = memoryLimitBytes
  }

  /** An instance with no file yet. Nothing is ever fetched, loaded as an extension, or written to the home directory. */
  static async start(limits: DatabaseLimits): Promise<Database> {
    const api = loadDuckDb()
    const instance = await api.DuckDBInstance.create(':memory:', {
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      allow_persistent_secrets: 'false',
      temp_directory: '',
      memory_limit: formatKib(limits.memoryLimitBytes),
      threads: String(limits.threads),
      preserve_insertion_order: 'false',
    })
    const database = new Database(api, instance, limits.memoryLimitBytes)
    await database.#use((connection) => connection.run("SET GLOBAL TimeZone = 'UTC'"))
    return database
  }

  /** Takes the lock of the file. @throws DESTINATION_LOCKED naming who holds it, where that is known. */
  async attach(
    file: string,
    options: { readonly readOnly?: boolean; readonly as?: string; readonly runNoteOf?: string } = {},
  ): Promise<void> {
    const name = options.as ?? CATALOG
    const mode = options.readOnly ? ' (READ_ONLY)' : ''
    try {
      await this.#use((connection) =>
        connection.run(`ATTACH ${quoteText(file)} AS ${quoteName(name)}${mode}`),
      )
    } catch (error) {
      throw await explainLock(file, options.runNoteOf ?? file, error)
    }
    if (name === CATALOG && !options.readOnly) this.#file = file
  }

  async detach(name = CATALOG): Promise<void> {
    await this.#use((connection) => connection.run(`DETACH ${quoteName(name)}`))
    if (name === CATALOG) this.#file = null
  }

  /**
   * Makes the private folder for what does not fit in memory and for parts on their way in, removes those that crashed runs left
   * (we hold the lock of the file, so nobody else uses them), and closes every other way out of DuckDB.
   * @param allowed further folders that may be read and written, absolute, links resolved
   */
  async confine(beside: string, target: string, allowed: readonly string[] = []): Promise<string> {
    await removeLeftovers(beside, target)
    const scratch = await mkdtemp(`${beside}${SCRATCH_SUFFIX}`)
    await chmod(scratch, 0o700)
    this.#scratchDir = scratch
    await this.#use(async (connection) => {
      await connection.run(`SET GLOBAL temp_directory = ${quoteText(scratch)}`)
      const folders = [scratch, ...allowed].map((folder) => quoteText(folder.replace(/\/?$/, '/')))
      await connection.run(`SET GLOBAL allowed_directories = [${folders.join(', ')}]`)
      await connection.run('SET GLOBAL enable_external_access = false')
      await connection.run("SET GLOBAL allowed_configs = ['memory_limit']")
      await connection.run('SET GLOBAL lock_configuration = true')
    })
    return scratch
  }

  /** Raises the memory limit to at least this much; it is never lowered. */
  async allowMemory(bytes: number): Promise<void> {
    if (bytes <= this.#memoryLimitBytes) return
    await this.#use((connection) =>
      connection.run(`SET GLOBAL memory_limit = ${quoteText(formatKib(bytes))}`),
    )
    this.#memoryLimitBytes = bytes
  }

  connect(): Promise<DuckDBConnection> {
    return this.#instance.connect()
  }

  /**
   * Before each commit: DuckDB makes its log readable by everybody that the umask lets, but keeps one that is there.
   * The log holds rows.
   */
  async makeLogPrivate(): Promise<void> {
    if (this.#file === null) return
    const handle = await open(`${this.#file}.wal`, 'a', 0o600)
    await handle.close()
  }

  /** Closes everything. Every connection must be closed; what is still in a log is written into the file first. */
  async close(): Promise<void> {
    try {
      if (this.#file !== null) await this.detach()
    } finally {
      this.#instance.closeSync()
      if (this.#scratchDir !== null) await rm(this.#scratchDir, { recursive: true, force: true })
    }
  }

  async #use<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const connection = await this.#instance.connect()
    try {
      return await work(connection)
    } finally {
      connection.closeSync()
    }
  }
}

function formatKib(bytes: number): string {
  return `${Math.floor(bytes / 1024)}KiB`
}

async function removeLeftovers(beside: string, target: string): Promise<void> {
  const folder = path.dirname(target)
  for (const entry of await readdir(folder)) {
    const isScratch = entry.startsWith(`${path.basename(beside)}${SCRATCH_SUFFIX}`)
    if (isScratch || (await isDeadNursery(folder, entry, target))) {
      await rm(path.join(folder, entry), { recursive: true, force: true })
    }
  }
}

/** Whoever makes a file has no lock on it yet, so only its process can say whether it is still at it. */
async function isDeadNursery(folder: string, entry: string, target: string): Promise<boolean> {
  const maker = NURSERY.exec(entry)?.[1]
  if (maker === undefined || !entry.startsWith(`${path.basename(target)}.`)) return false
  const found = await stat(path.join(folder, entry)).catch(() => null)
  if (!found) return false
  const young = Date.now() - found.mtimeMs < NURSERY_MAX_AGE_MS
  const processStartedAt = found.mtimeMs
  return !young || !isAlive({ host: hostname(), pid: Number(maker), processStartedAt })
}

async function explainLock(file: string, runNoteOf: string, error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !error.message.startsWith(LOCK_ERROR)) return error
  const note = await readRunNote(runNoteOf)
  const holder = note && isAlive(note) ? describeRun(note) : error.message.slice('IO Error: '.length)
  return new TrunklineError('DESTINATION_LOCKED', `${file} is held by another process: ${holder}`, {
    hint: 'Wait until it is done, or end it; then run again. Readers that must not be kept out are served by publish=atomic.',
    context: { path: file },
    cause: error,
  })
}

export async function queryRows(
  connection: DuckDBConnection,
  sql: string,
  values: DuckDBValue[] = [],
): Promise<readonly Row[]> {
  const reader = await connection.runAndReadAll(sql, values)
  return reader.getRowObjects()
}

/** Makes an empty database in a private folder and moves it into place, so that it is never readable by others or half made. */
export async function createFile(file: string): Promise<void> {
  const nursery = await mkdtemp(`${file}${NURSERY_SUFFIX}`)
  try {
    await chmod(nursery, 0o700)
    const made = path.join(nursery, 'new.duckdb')
    const database = await Database.start({ memoryLimitBytes: 64 * 1024 * 1024, threads: 1 })
    try {
      await database.attach(made)
    } finally {
      await database.close()
    }
    await chmod(made, 0o600)
    await syncPath(made)
    await linkInto(made, file)
    await syncPath(path.dirname(file))
  } finally {
    await rm(nursery, { recursive: true, force: true })
  }
}

/** Like a rename, but never over a file that another process has made meanwhile: that one is as good. */
async function linkInto(made: string, file: string): Promise<void> {
  try {
    await link(made, file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    // Some file systems have no hard links.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error
    await rename(made, file)
  }
}

/** fsync of a file that is not attached, or of a folder after a rename in it. */
export async function syncPath(file: string): Promise<void> {
  const handle = await open(file, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
