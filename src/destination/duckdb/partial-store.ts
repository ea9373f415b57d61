/** What interrupted loads left, to be gone on with: rows in tables that readers do not look for, and how far each load was. */
import type { DuckDBConnection } from '@duckdb/node-api'
import { parseLoadProgress } from '../../model/checkpoint.js'
import type { PartialLoad, TableName } from '../contract.js'
import { queryRows } from './database.js'
import { CATALOG, fold, quoteName, quoteTable } from './quote.js'
import { STATE, hasStateTable, toDate } from './state-layout.js'

/** Which load it is of, and where its rows are. */
export interface PartialKey {
  readonly sync: string
  readonly stream: string
  readonly table: TableName
  readonly number: number
  readonly generation: number
}

export interface PartialRow extends PartialKey {
  readonly savedAt: Date
  /** Not parsed: what cannot be read can still be dropped. */
  readonly progress: string
  /** Its rows are there. */
  readonly exists: boolean
}

export async function readPartials(connection: DuckDBConnection): Promise<readonly PartialRow[]> {
  if (!(await hasStateTable(connection, 'partials'))) return []
  const rows = await queryRows(
    connection,
    `SELECT p.*, EXISTS (
       SELECT 1 FROM duckdb_tables() AS t
        WHERE t.database_name = $1 AND ${fold('t.schema_name')} = ${fold('p.schema_name')}
          AND t.table_name = '_trunkline_' || p.number || '_' || p.generation) AS has_rows
     FROM ${STATE}.partials AS p`,
    [CATALOG],
  )
  return rows.map((row) => ({
    sync: String(row['sync']),
    stream: String(row['stream']),
    table: { schema: String(row['schema_name']), name: String(row['table_name']) },
    number: Number(row['number']),
    generation: Number(row['generation']),
    savedAt: toDate(row['saved_at']),
    progress: String(row['progress']),
    exists: row['has_rows'] === true,
  }))
}

/** @throws STATE_TOO_NEW, STATE_MALFORMED */
export function toPartialLoad(row: PartialRow): PartialLoad {
  const { generation, table, savedAt } = row
  return { generation, table, savedAt, progress: parseLoadProgress(row.progress) }
}

/** Forgets what an interrupted load left, and drops its rows. */
export async function dropPartial(connection: DuckDBConnection, saved: PartialKey): Promise<void> {
  const table = generationTable(saved.table, saved.number, saved.generation)
  await connection.run('BEGIN')
  try {
    await connection.run(`DROP TABLE IF EXISTS ${quoteTable(table)}`)
    await deletePartial(connection, saved.sync, saved.stream)
    await connection.run('COMMIT')
  } catch (error) {
    await connection.run('ROLLBACK')
    throw error
  }
  // Gives the blocks back. Refused while another stream is being written: then it is done later.
  await connection.run(`CHECKPOINT ${quoteName(CATALOG)}`).catch(() => undefined)
}

/** Where the rows of a generation wait until it takes the place of `table`. */
export function generationTable(table: TableName, number: number, generation: number): TableName {
  return { schema: table.schema, name: `_trunkline_${number}_${generation}` }
}

export function deletePartial(connection: DuckDBConnection, sync: string, stream: string): Promise<unknown> {
  return connection.run(`DELETE FROM ${STATE}.partials WHERE sync = $1 AND stream = $2`, [sync, stream])
}
