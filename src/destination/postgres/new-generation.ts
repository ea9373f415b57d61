/** What is done to the rows of a new generation once they are all there, before anybody sees them. */
import { TrunklineError } from '../../model/error.js'
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { StreamLanding, TableName } from '../contract.js'
import { keyDuplicate } from '../refusals.js'
import { RUN_AT, formatCarry, type OwnColumn } from './landing-sql.js'
import { ensureSchema, quoteTable } from './state-layout.js'
import { swapIn } from './swap.js'
import type { PresentTable } from './target-table.js'
import type { TargetColumn } from './target-types.js'

export interface LoadedGeneration {
  readonly landing: StreamLanding
  /** Where its rows are. */
  readonly table: TableName
  readonly columns: readonly TargetColumn[]
  readonly own: readonly OwnColumn[]
}

/**
 * Key, indexes and statistics are made, then the generation takes its place: inside the caller's transaction.
 * @throws KEY_DUPLICATE, LOCK_TIMEOUT
 */
export async function finishGeneration(
  connection: Connection,
  { landing, table, columns, own }: LoadedGeneration,
  { present, ours }: { readonly present: PresentTable | null; readonly ours: boolean },
): Promise<void> {
  const { key, deletes, origin } = landing
  const name = quoteTable(table)
  if (present !== null && ours && deletes === 'soft' && key !== null) {
    const carry = formatCarry({ from: landing.table, earlier: present, into: table, columns, key })
    for (const sql of carry) await connection.execute(sql)
  }
  const primaryKey = primaryKeyOf(landing)
  if (primaryKey !== null) await addKey(connection, landing.stream, table, primaryKey)
  for (const { columns: indexed, method } of origin?.indexes ?? []) {
    // Not unique: rows change one after the other, and in between two may have one value.
    const list = indexed.map(quoteIdent).join(', ')
    await connection.execute(`CREATE INDEX ON ${name} USING ${quoteIdent(method)} (${list})`)
  }
  if (own.some((column) => column.name === RUN_AT)) {
    await connection.execute(`ALTER TABLE ${name} ALTER COLUMN ${quoteIdent(RUN_AT)} DROP DEFAULT`)
  }
  await advanceIdentities(connection, table)
  // Nobody has counted these rows yet, and who reads them first should not have to guess.
  await connection.execute(`ANALYZE ${name}`)
  await ensureSchema(connection, landing.table.schema)
  const ownColumns = own.map((column) => column.name)
  await swapIn(connection, { landing, table, columns, ownColumns, primaryKey }, present)
}

/** Rows that are matched by it are told apart by it; else what the source says, of rows that are there once. */
function primaryKeyOf({ landing, key, origin }: StreamLanding): readonly string[] | null {
  switch (landing) {
    case 'upsert':
      return key
    case 'replace':
      return origin?.primaryKey ?? null
    case 'append':
      return null
  }
}

async function addKey(
  connection: Connection,
  stream: string,
  table: TableName,
  primaryKey: readonly string[],
): Promise<void> {
  const list = primaryKey.map(quoteIdent).join(', ')
  try {
    await connection.execute(`ALTER TABLE ${quoteTable(table)} ADD PRIMARY KEY (${list})`)
  } catch (error) {
    if (error instanceof TrunklineError && error.context.sqlstate === '23505') {
      throw keyDuplicate(stream, primaryKey)
    }
    throw error
  }
}

/** Whoever goes on writing where the copy ends gets numbers that are free. */
async function advanceIdentities(connection: Connection, table: TableName): Promise<void> {
  const name = quoteTable(table)
  const rows = await connection.query<{ name: string }>(
    `SELECT attname::text AS name FROM pg_attribute WHERE attrelid = to_regclass($1) AND attidentity <> ''`,
    [name],
  )
  for (const row of rows) {
    await connection.query(
      `SELECT setval(pg_get_serial_sequence($1, $2)::regclass, most)
         FROM (SELECT max(${quoteIdent(row.name)}) AS most FROM ${name}) AS m
        WHERE most >= 1`,
      [name, row.name],
    )
  }
}
