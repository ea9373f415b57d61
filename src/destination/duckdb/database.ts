/** One DuckDB file, attached to an in-memory instance of its own, and the settings it runs under. */
import { stat, rm, mkdir, rename, chmod, open } from 'node:fs/promises'
import path from 'node:path'
import type { DuckDBConnection, DuckDBInstance, DuckDBValue } from '@duckdb/node-api'
import type { DuckDbApi } from './chunk-loader.js'
import { CATALOG, quoteName, quoteText } from './quote.js'

export interface DatabaseOptions {
  readonly path: string
  readonly readOnly: boolean
  readonly memoryLimitBytes: number
  readonly threads: number
  /** For what does not fit in memory; beside the file, so that it is on the same disk and as private. */
  readonly scratchDir: string
}

export type Row = Readonly<Record<string, unknown>>

export class Database {
  readonly api: DuckDbApi
  readonly #instance: DuckDBInstance

  private constructor(api: DuckDbApi, instance: DuckDBInstance) {
    this.api = api
    this.#instance = instance
  }

  static async open(options: DatabaseOptions): Promise<Database> {
    const api = await import('@duckdb/node-api')
    const instance = await api.DuckDBInstance.create(':memory:', {
      // Nothing is fetched, loaded or written outside the folder of the file.
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      temp_directory: options.scratchDir,
      memory_limit: `${Math.floor(options.memoryLimitBytes / 1024)}KiB`,
      threads: String(options.threads),
      preserve_insertion_order: 'false',
    })
    const database = new Database(api, instance)
    try {
      const connection = await instance.connect()
      await connection.run("SET TimeZone = 'UTC'")
      const mode = options.readOnly ? ' (READ_ONLY)' : ''
      await connection.run(`ATTACH ${quoteText(options.path)} AS ${quoteName(CATALOG)}${mode}`)
      await connection.run('SET lock_configuration = true')
      connection.closeSync()
    } catch (error) {
      instance.closeSync()
      throw error
    }
    return database
  }

  connect(): Promise<DuckDBConnection> {
    return this.#instance.connect()
  }

  /** Writes what is still in the log into the file. Every connection must be closed. */
  async close(): Promise<void> {
    const connection = await this.#instance.connect()
    try {
      await connection.run(`DETACH ${quoteName(CATALOG)}`)
    } finally {
      connection.closeSync()
      this.#instance.closeSync()
    }
  }
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
  if (await exists(file)) return
  const nursery = `${file}.trunkline-new-${process.pid}`
  await mkdir(nursery, { mode: 0o700, recursive: true })
  try {
    const made = path.join(nursery, 'new.duckdb')
    const database = await Database.open({
      path: made,
      readOnly: false,
      memoryLimitBytes: 64 * 1024 * 1024,
      threads: 1,
      scratchDir: nursery,
    })
    await database.close()
    await chmod(made, 0o600)
    await syncPath(made)
    await rename(made, file)
    await syncPath(path.dirname(file))
  } finally {
    await rm(nursery, { recursive: true, force: true })
  }
}

export async function exists(file: string): Promise<boolean> {
  try {
    await stat(file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

export async function syncPath(file: string): Promise<void> {
  const handle = await open(file, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
