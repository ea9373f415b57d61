/** Tries user SQL in memory, on empty copies of the tables that a DuckDB file has and of those that will be made. */
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Field } from '../../model/column-type.js'
import type { SqlProblem, SqlRehearsal, SqlStatement } from '../sql-session.js'
import { formatDuckDbType } from './column-types.js'
import { Database, queryRows } from './database.js'
import { toDestinationError } from './errors.js'
import { claimFile } from './file-claim.js'
import { assertDuckDb, inspectFile } from './inspect-file.js'
import { CATALOG, foldName, quoteName, quoteText } from './quote.js'
import { realFolders, SQL_SCHEMA } from './sql-session.js'

const MEMORY_BYTES = 256 * 1024 * 1024
const PRESENT = '_trunkline_present'
const TRIED = '_trunkline_tried'

/** The file need not exist. @throws DESTINATION_LOCKED, DESTINATION_INVALID */
export async function openDuckDbRehearsal(options: {
  readonly path: string
  readonly allowedFolders: readonly string[]
}): Promise<SqlRehearsal> {
  try {
    const folders = await realFolders(options.allowedFolders)
    const database = await Database.start({ memoryLimitBytes: MEMORY_BYTES, threads: 1 })
    try {
      const connection = await database.connect()
      await connection.run(`ATTACH ':memory:' AS ${quoteName(CATALOG)}`)
      await connection.run(`USE ${quoteName(CATALOG)}.${SQL_SCHEMA}`)
      await copyTables(database, connection, options.path)
      await connection.run('SET errors_as_json = true')
      const allowed = folders.map((folder) => quoteText(folder.replace(/\/?$/, '/')))
      await connection.run(`SET GLOBAL allowed_directories = [${allowed.join(', ')}]`)
      await connection.run('SET GLOBAL enable_external_access = false')
      await connection.run('SET GLOBAL lock_configuration = true')
      return new Rehearsal(database, connection)
    } catch (error) {
      await database.close().catch(() => undefined)
      throw error
    }
  } catch (error) {
    throw await toDestinationError(error, { doing: 'reading the tables', path: options.path })
  }
}

/** Without their rows. */
async function copyTables(database: Database, connection: DuckDBConnection, file: string): Promise<void> {
  const target = await inspectFile(file, false)
  if (!target.exists) return
  const claim = await claimFile(target.path, 'read', target.path)
  try {
    if (claim.alone) await assertDuckDb(target, 'read')
    await database.attach(target.path, { readOnly: true, as: PRESENT })
    const tables = await queryRows(
      connection,
      `SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = $1 AND NOT starts_with(schema_name, '_trunkline')
       UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = $1 AND NOT internal`,
      [PRESENT],
    )
    for (const row of tables) {
      const [schema, table] = [quoteName(String(row['schema_name'])), quoteName(String(row['table_name']))]
      await connection.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(CATALOG)}.${schema}`)
      // A view whose tables are gone is as good as none.
      await connection
        .run(
          `CREATE TABLE ${quoteName(CATALOG)}.${schema}.${table} AS FROM ${quoteName(PRESENT)}.${schema}.${table} WITH NO DATA`,
        )
        .catch(() => undefined)
    }
    await database.detach(PRESENT)
  } finally {
    claim.release()
  }
}

class Rehearsal implements SqlRehearsal {
  readonly #database: Database
  readonly #connection: DuckDBConnection
  /** A statement could not be tried, so what depends on its table cannot be judged. */
  #uncertain = false

  constructor(database: Database, connection: DuckDBConnection) {
    this.#database = database
    this.#connection = connection
  }

  async declare(table: string, fields: readonly Field[]): Promise<void> {
    const columns = fields.map((field) => `${quoteName(field.name)} ${formatDuckDbType(field.type)}`)
    await this.#connection.run(`CREATE OR REPLACE TABLE ${quoteName(table)} (${columns.join(', ')})`)
  }

  async attempt(statement: SqlStatement): Promise<SqlProblem | null> {
    const { query } = statement
    try {
      const statements = await this.#connection.extractStatements(query)
      if (statements.count !== 1) return { message: 'This is not one query.', offset: null }
    } catch (error) {
      return this.#judge(error, query, 0)
    }
    const before = `CREATE OR REPLACE TEMP TABLE ${quoteName(TRIED)} AS\n`
    try {
      await this.#connection.run(`${before}${query}\nWITH NO DATA`)
    } catch (error) {
      return this.#judge(error, query, before.length)
    }
    return statement.kind === 'export' ? null : this.#make(statement)
  }

  async #make({ table, mode, keys }: Extract<SqlStatement, { kind: 'create' }>): Promise<SqlProblem | null> {
    const tried = `temp.main.${quoteName(TRIED)}`
    const rows = await queryRows(this.#connection, `DESCRIBE ${tried}`)
    const columns = rows.map((row) => String(row['column_name']))
    const missing = keys.find((key) => !columns.some((column) => foldName(column) === foldName(key)))
    if (missing !== undefined) {
      return { message: `The query has no column "${missing}" for the key.`, offset: null }
    }
    const known = await queryRows(
      this.#connection,
      `SELECT 1 FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2 AND lower(table_name) = $3`,
      [CATALOG, SQL_SCHEMA, foldName(table)],
    )
    try {
      await this.#connection.run(
        mode === 'replace' || known.length === 0
          ? `CREATE OR REPLACE TABLE ${quoteName(table)} AS FROM ${tried}`
          : `INSERT INTO ${quoteName(table)} BY NAME FROM ${tried}`,
      )
      return null
    } catch (error) {
      return this.#judge(error, '', null)
    }
  }

  /** @param before how many characters stand before the query in what was run; null where the place is of no use */
  #judge(error: unknown, query: string, before: number | null): SqlProblem | null {
    const { type, message, position } = readError(error)
    // A file that is not there yet may be by then.
    if (type === 'IO' || this.#uncertain) {
      this.#uncertain = true
      return null
    }
    if (position === null || before === null) return { message, offset: null }
    // The parser counts characters, the binder bytes.
    const text =
      type === 'Parser' ? [...query].slice(0, position - before).join('') : cutBytes(query, position - before)
    return { message, offset: text.length }
  }

  async close(): Promise<void> {
    this.#connection.closeSync()
    await this.#database.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function cutBytes(text: string, bytes: number): string {
  return Buffer.from(text).subarray(0, Math.max(0, bytes)).toString()
}

function readError(error: unknown): {
  readonly type: string
  readonly message: string
  readonly position: number | null
} {
  const words = error instanceof Error ? error.message : String(error)
  try {
    const found = JSON.parse(words.slice(words.indexOf('{'))) as Record<string, unknown>
    const position = Number(found['position'])
    return {
      type: String(found['exception_type']),
      message: String(found['exception_message']).replace(/\s*\n+\s*/g, ' '),
      position: Number.isInteger(position) ? position : null,
    }
  } catch {
    return { type: '', message: words, position: null }
  }
}
