/**
 * What the file holds under which name, kept in memory: DuckDB's own lists build a row for every table at each look, 10 to 40 ms
 * with two thousand tables. While we hold the lock of the file, nothing changes but by our own commits.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import type { TableName } from '../contract.js'
import { queryRows } from './database.js'
import { CATALOG, foldName } from './quote.js'
import { STATE } from './state-layout.js'

export interface TableOwner {
  readonly sync: string
  readonly stream: string
  readonly number: number
  readonly generation: number
}

export interface KnownTable {
  readonly exists: 'table' | 'view' | null
  readonly owner: TableOwner | null
}

export class KnownTables {
  readonly #connection: DuckDBConnection
  /** Null before the first look, and when a commit failed: then the file is asked again. */
  #tables: Map<string, KnownTable> | null = null

  constructor(connection: DuckDBConnection) {
    this.#connection = connection
  }

  /** The owner of a table, and whether anything of that name exists: names are compared as DuckDB does. */
  async find(table: TableName): Promise<KnownTable> {
    this.#tables ??= await readTables(this.#connection)
    return this.#tables.get(keyOf(table)) ?? { exists: null, owner: null }
  }

  committed(table: TableName, owner: TableOwner): void {
    this.#tables?.set(keyOf(table), { exists: 'table', owner })
  }

  forget(): void {
    this.#tables = null
  }
}

async function readTables(connection: DuckDBConnection): Promise<Map<string, KnownTable>> {
  const relations = await queryRows(
    connection,
    `SELECT 'table' AS kind, schema_name, table_name FROM duckdb_tables() WHERE database_name = $1
     UNION ALL
     SELECT 'view', schema_name, view_name FROM duckdb_views() WHERE database_name = $1`,
    [CATALOG],
  )
  const owners = await queryRows(
    connection,
    `SELECT schema_name, table_name, sync, stream, number, generation FROM ${STATE}.tables`,
  )
  const tables = new Map<string, KnownTable>()
  for (const row of relations) {
    tables.set(keyOf(nameOf(row)), { exists: row['kind'] === 'view' ? 'view' : 'table', owner: null })
  }
  for (const row of owners) {
    const key = keyOf(nameOf(row))
    const owner = {
      sync: String(row['sync']),
      stream: String(row['stream']),
      number: Number(row['number']),
      generation: Number(row['generation']),
    }
    tables.set(key, { exists: tables.get(key)?.exists ?? null, owner })
  }
  return tables
}

function nameOf(row: Readonly<Record<string, unknown>>): TableName {
  return { schema: String(row['schema_name']), name: String(row['table_name']) }
}

function keyOf({ schema, name }: TableName): string {
  return JSON.stringify([foldName(schema), foldName(name)])
}

/** For one look. */
export function findTable(connection: DuckDBConnection, table: TableName): Promise<KnownTable> {
  return new KnownTables(connection).find(table)
}
