/** User SQL in a DuckDB file: under the file's lock, in an instance of its own that can leave the file only for allowed folders. */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import type { DuckDBConnection } from '@duckdb/node-api'
import { TrunklineError } from '../../model/error.js'
import type { SqlSession, SqlStatement } from '../sql-session.js'
import { Database, queryRows, syncPath } from './database.js'
import { toDestinationError } from './errors.js'
import { inspectFile } from './inspect-file.js'
import { findTable } from './known-tables.js'
import { CATALOG, foldName, quoteName, quoteText } from './quote.js'
import { hasStateTables } from './state-layout.js'
import { openAtomic, openDirect, type Workspace } from './workspace.js'

export interface SqlSessionOptions {
  readonly path: string
  readonly publish: 'direct' | 'atomic'
  /** Folders that queries may read and exports may write. */
  readonly allowedFolders: readonly string[]
  /** Replace tables that were not made here. */
  readonly adopt: boolean
}

/** What is larger goes to the scratch folder. */
const MEMORY_BYTES = 1024 * 1024 * 1024
/** Where unqualified names are looked for, and tables made. */
export const SQL_SCHEMA = 'main'
const TABLE_COMMENT = 'Made by the SQL of a Trunkline pipeline.'
const STAGED = '_trunkline_staged'

/** Takes the lock of the file. @throws DESTINATION_LOCKED, DESTINATION_INVALID, DESTINATION_READ_ONLY */
export async function openDuckDbSession(options: SqlSessionOptions): Promise<SqlSession> {
  try {
    const folders = await realFolders(options.allowedFolders)
    const target = await inspectFile(options.path, true)
    const database = await Database.start({ memoryLimitBytes: MEMORY_BYTES, threads: availableParallelism() })
    let workspace: Workspace | null = null
    try {
      workspace =
        options.publish === 'atomic' ? await openAtomic(database, target) : await openDirect(database, target)
      const connection = await database.connect()
      // Before the settings are locked.
      await connection.run('SET preserve_insertion_order = true')
      await connection.run(`USE ${quoteName(CATALOG)}.${SQL_SCHEMA}`)
      await database.confine(workspace.file, target.path, folders)
      return new DuckDbSession({ options, folders, file: target.path, database, workspace, connection })
    } catch (error) {
      await database.close().catch(() => undefined)
      workspace?.release()
      throw error
    }
  } catch (error) {
    throw await toDestinationError(error, { doing: 'opening', path: options.path })
  }
}

interface SessionParts {
  readonly options: SqlSessionOptions
  readonly folders: readonly string[]
  readonly file: string
  readonly database: Database
  readonly workspace: Workspace
  readonly connection: DuckDBConnection
}

class DuckDbSession implements SqlSession {
  readonly #parts: SessionParts
  #changed = false
  #closed = false

  constructor(parts: SessionParts) {
    this.#parts = parts
  }

  async run(
    statement: SqlStatement,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly rows: number }> {
    const { connection, options } = this.#parts
    signal?.throwIfAborted()
    const interrupt = (): void => {
      connection.interrupt()
    }
    signal?.addEventListener('abort', interrupt, { once: true })
    try {
      return await (statement.kind === 'create' ? this.#create(statement) : this.#export(statement))
    } catch (error) {
      signal?.throwIfAborted()
      throw await toDestinationError(error, { doing: describe(statement), path: options.path })
    } finally {
      signal?.removeEventListener('abort', interrupt)
    }
  }

  async #create(statement: Extract<SqlStatement, { kind: 'create' }>): Promise<{ readonly rows: number }> {
    const { connection, database } = this.#parts
    await database.makeLogPrivate()
    await connection.run('BEGIN')
    try {
      const present = await this.#assertOurs(statement.table)
      const rows =
        statement.mode === 'replace' || !present
          ? await this.#makeTable(statement)
          : statement.mode === 'append'
            ? await this.#count(`INSERT INTO ${tableName(statement.table)} BY NAME\n${statement.query}`)
            : await this.#upsert(statement)
      await connection.run(`COMMENT ON TABLE ${tableName(statement.table)} IS ${quoteText(TABLE_COMMENT)}`)
      await connection.run('COMMIT')
      this.#changed = true
      return { rows }
    } catch (error) {
      await connection.run('ROLLBACK').catch(() => undefined)
      throw error
    }
  }

  async #makeTable({ table, mode, keys, query }: Extract<SqlStatement, { kind: 'create' }>): Promise<number> {
    const rows = await this.#count(`CREATE OR REPLACE TABLE ${tableName(table)} AS\n${query}`)
    if (mode === 'upsert') await this.#assertKey(table, tableName(table), keys)
    return rows
  }

  /** Rows with a key that is there take the place of that row. */
  async #upsert({ table, keys, query }: Extract<SqlStatement, { kind: 'create' }>): Promise<number> {
    const { connection } = this.#parts
    const staged = `temp.main.${quoteName(STAGED)}`
    await connection.run(`CREATE OR REPLACE TEMP TABLE ${quoteName(STAGED)} AS\n${query}`)
    await this.#assertKey(table, staged, keys)
    const equal = keys.map((key) => `t.${quoteName(key)} = s.${quoteName(key)}`).join(' AND ')
    await connection.run(`DELETE FROM ${tableName(table)} t USING ${staged} s WHERE ${equal}`)
    const rows = await this.#count(`INSERT INTO ${tableName(table)} BY NAME FROM ${staged}`)
    await connection.run(`DROP TABLE ${staged}`)
    return rows
  }

  async #assertKey(table: string, rows: string, keys: readonly string[]): Promise<void> {
    const columns = keys.map(quoteName).join(', ')
    const isNull = keys.map((key) => `${quoteName(key)} IS NULL`).join(' OR ')
    const [found] = await queryRows(
      this.#parts.connection,
      `SELECT (SELECT count(*) FROM ${rows} WHERE ${isNull}) AS nulls,
              (SELECT count(*) FROM (SELECT 1 FROM ${rows} GROUP BY ${columns} HAVING count(*) > 1)) AS doubles`,
    )
    const problem =
      Number(found?.['nulls']) > 0
        ? 'is null in some rows'
        : Number(found?.['doubles']) > 0
          ? 'is not unique'
          : null
    if (problem === null) return
    throw new TrunklineError('KEY_DUPLICATE', `The key (${keys.join(', ')}) of ${table} ${problem}.`, {
      hint: 'Name columns that identify a row, or make the query give each key once.',
      context: { stream: table },
    })
  }

  /** Whether there is such a table. @throws TABLE_OWNED */
  async #assertOurs(table: string): Promise<boolean> {
    const { connection, options } = this.#parts
    const { exists, owner } = (await hasStateTables(connection))
      ? await findTable(connection, { schema: SQL_SCHEMA, name: table })
      : { exists: await this.#find(table), owner: null }
    if (owner !== null) {
      const { sync, stream } = owner
      throw new TrunklineError(
        'TABLE_OWNED',
        `The table ${table} belongs to the stream ${stream} of the sync ${sync}.`,
        { hint: 'Give the table of the query another name.', context: { stream: table } },
      )
    }
    if (exists === null) return false
    if (exists === 'table' && (options.adopt || (await this.#wasMadeHere(table)))) return true
    throw new TrunklineError(
      'TABLE_OWNED',
      `The ${exists} ${table} is already there and was not made by a pipeline.`,
      {
        hint:
          exists === 'view'
            ? 'Give the table another name.'
            : 'Give it another name, or take it over with --adopt.',
        context: { stream: table },
      },
    )
  }

  async #find(table: string): Promise<'table' | 'view' | null> {
    const rows = await queryRows(
      this.#parts.connection,
      `SELECT 'table' AS kind FROM duckdb_tables() WHERE ${IN_SCHEMA} AND lower(table_name) = $1
       UNION ALL SELECT 'view' FROM duckdb_views() WHERE ${IN_SCHEMA} AND lower(view_name) = $1`,
      [foldName(table)],
    )
    const kind = rows[0]?.['kind']
    return kind === 'table' || kind === 'view' ? kind : null
  }

  async #wasMadeHere(table: string): Promise<boolean> {
    const rows = await queryRows(
      this.#parts.connection,
      `SELECT 1 FROM duckdb_tables() WHERE ${IN_SCHEMA} AND lower(table_name) = $1 AND comment = $2`,
      [foldName(table), TABLE_COMMENT],
    )
    return rows.length > 0
  }

  /** Written beside its place and moved there when it is whole. */
  async #export(statement: Extract<SqlStatement, { kind: 'export' }>): Promise<{ readonly rows: number }> {
    const { query, format, options } = statement
    const place = await this.#makePlace(statement.path)
    const part = path.join(path.dirname(place), `.${path.basename(place)}.${randomBytes(4).toString('hex')}`)
    try {
      const rows = await this.#count(
        `COPY (\n${query}\n) TO ${quoteText(part)} (${formatOptions(format, options)})`,
      )
      await chmod(part, 0o600)
      await syncPath(part)
      await rename(part, place)
      await syncPath(path.dirname(place))
      return { rows }
    } finally {
      await rm(part, { recursive: true, force: true })
    }
  }

  /** The file to be written, its folders made. @throws DESTINATION_INVALID outside of the allowed folders */
  async #makePlace(stated: string): Promise<string> {
    const { folders, file } = this.#parts
    const wanted = path.resolve(stated)
    const folder = path.dirname(wanted)
    // A link in the part that is there may lead out.
    const real = path.join(await realpathOfExisting(folder), path.basename(wanted))
    if (!folders.some((allowed) => real.startsWith(allowed.replace(/\/?$/, '/'))))
      throw outside(stated, folders)
    if (real === file || real === `${file}.wal`) throw notThere(stated, 'it is the database')
    await mkdir(path.dirname(real), { recursive: true })
    const found = await stat(real).catch(() => null)
    if (found?.isFile() === false) throw notThere(stated, 'there is something that is not a file')
    return real
  }

  /** Runs a statement whose result is how many rows it was about. */
  async #count(sql: string): Promise<number> {
    const reader = await this.#parts.connection.runAndReadAll(sql)
    return Number(reader.getRows()[0]?.[0] ?? 0)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const { database, workspace, connection, options } = this.#parts
    try {
      await database.makeLogPrivate()
      connection.closeSync()
      await database.detach()
      await workspace.publish(this.#changed)
    } catch (error) {
      throw await toDestinationError(error, { doing: 'closing', path: options.path })
    } finally {
      await database.close().catch(() => undefined)
      workspace.release()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

const IN_SCHEMA = `database_name = ${quoteText(CATALOG)} AND schema_name = ${quoteText(SQL_SCHEMA)}`

function tableName(table: string): string {
  return `${quoteName(CATALOG)}.${quoteName(SQL_SCHEMA)}.${quoteName(table)}`
}

function formatOptions(
  format: string,
  options: Extract<SqlStatement, { kind: 'export' }>['options'],
): string {
  const stated = Object.entries(options).map(
    ([name, value]) => `${name} ${typeof value === 'string' ? quoteText(value) : String(value)}`,
  )
  return [`FORMAT ${format}`, ...stated].join(', ')
}

function describe(statement: SqlStatement): string {
  return statement.kind === 'create'
    ? `making the table ${statement.table}`
    : `exporting to ${statement.path}`
}

/** Those that are there, links resolved. */
export async function realFolders(folders: readonly string[]): Promise<readonly string[]> {
  return Promise.all(
    folders.map((folder) =>
      realpath(folder).catch((cause: unknown) => {
        throw new TrunklineError('CONFIG_INVALID', `The allowed folder ${folder} does not exist.`, { cause })
      }),
    ),
  )
}

async function realpathOfExisting(folder: string): Promise<string> {
  try {
    return await realpath(folder)
  } catch (error) {
    const parent = path.dirname(folder)
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === folder) throw error
    return path.join(await realpathOfExisting(parent), path.basename(folder))
  }
}

function outside(stated: string, folders: readonly string[]): TrunklineError {
  return new TrunklineError(
    'DESTINATION_INVALID',
    `${stated} is outside of the folders that may be written.`,
    {
      hint: `Write below ${folders.join(' or ')}, or allow another folder with --allow-folder.`,
      context: { path: stated },
    },
  )
}

function notThere(stated: string, why: string): TrunklineError {
  return new TrunklineError('DESTINATION_INVALID', `${stated} cannot be written: ${why}.`, {
    hint: 'Name another file.',
    context: { path: stated },
  })
}
