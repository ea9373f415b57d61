/**
 * How a new generation takes the place of a table.
 *
 * By name: the present table is dropped and the new one gets its name, owner, grants, comments and plain indexes. That costs nothing,
 * but whatever else hangs on the present table would go with it. So where there is anything (`hanging-parts.ts`), or somebody has
 * added columns to it, the table stays and its rows become those of the new generation in place: by key only those that differ, else
 * all of them. Both are one transaction with the checkpoint; in place, readers are never kept waiting, and older snapshots still see
 * the earlier rows. By name, a transaction that looks at the table for the first time in an older snapshot sees the new rows where
 * they were loaded in one go (COPY … FREEZE), and none where the load was saved on its way.
 */
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent, quoteLiteral } from '../../postgres/quote.js'
import type { TableName } from '../contract.js'
import { hasMoreOnIt } from './hanging-parts.js'
import { notTheTable, valuesWouldGo } from './refusals.js'
import { type Generation, replaceInPlace } from './replace-in-place.js'
import { quoteOnly, quoteTable } from './state-layout.js'
import { grantByDefault, passOn, readGrants } from './table-grants.js'
import { executeWithShortWaits, lockExclusively } from './table-lock.js'
import {
  makeIndexes,
  matchParts,
  nameParts,
  readParts,
  type PartPair,
  type TablePart,
} from './table-parts.js'
import type { PresentTable } from './target-table.js'
import { isUniqueOver, readTable } from './target-table.js'

/**
 * Inside the caller's transaction, which holds nothing of the present table yet, or only reads it. True: the present table stayed.
 * @throws LOCK_TIMEOUT, TABLE_OWNED where the name is another table's by now
 */
export async function swapIn(
  connection: Connection,
  generation: Generation,
  present: PresentTable | null,
): Promise<boolean> {
  const { landing, kept, before, signal } = generation
  const { table } = landing
  if (present === null) {
    await moveIn(connection, generation, [])
    await grantByDefault(connection, table)
    return false
  }
  const made = await requireTable(connection, generation.table)
  const hasMore = (): Promise<boolean> => hasMoreOnIt(connection, present.oid, { oid: made.oid, before })
  if (present.kind !== 'r' && present.kind !== 'p') {
    await assertSame(connection, generation, present)
    await takeName(connection, generation, { present, pairs: [] })
    return false
  }
  if (present.kind === 'p' || kept.length > 0 || (await hasMore())) {
    await stayAndReplace(connection, generation, present)
    return true
  }
  const match = async (): Promise<ReturnType<typeof matchParts>> =>
    matchParts(
      (await readParts(connection, present.oid)).filter((part) => isOver(part, made)),
      await readParts(connection, made.oid),
    )
  // Before anybody is kept out.
  await makeIndexes(connection, { table: generation.table, stream: landing.stream }, (await match()).lacking)
  await lockExclusively(connection, table, signal)
  // Somebody may have been quicker than the lock.
  await assertSame(connection, generation, present)
  const { pairs, lacking } = await match()
  if (lacking.length > 0 || (await hasMore())) {
    await stayAndReplace(connection, generation, present)
    return true
  }
  await takeName(connection, generation, { present, pairs })
  return false
}

/** All that it is over lands. */
function isOver({ columns }: TablePart, made: PresentTable): boolean {
  return columns.every((column) => made.columns.has(column))
}

const KINDS: Readonly<Record<string, string>> = { v: 'VIEW', m: 'MATERIALIZED VIEW', f: 'FOREIGN TABLE' }

/** The present table goes, and the new one gets its name and what else it had. */
async function takeName(
  connection: Connection,
  generation: Generation,
  { present, pairs }: { readonly present: PresentTable; readonly pairs: readonly PartPair[] },
): Promise<void> {
  const { table } = generation.landing
  const grants = await readGrants(connection, present.oid)
  // As they are now; those of the source come after these.
  const commented = (await readTable(connection, table)) ?? present
  const drop = `DROP ${KINDS[present.kind] ?? 'TABLE'} ${quoteTable(table)}`
  await executeWithShortWaits(connection, drop, generation.signal)
  await moveIn(connection, generation, pairs)
  await passOn(connection, table, { before: present, grants })
  const moved = await requireTable(connection, table)
  const statements = [
    ...(commented.comment === null
      ? []
      : [`COMMENT ON TABLE ${quoteTable(table)} IS ${quoteLiteral(commented.comment)}`]),
    ...[...commented.columns].flatMap(([name, { comment }]) =>
      comment === null || !moved.columns.has(name)
        ? []
        : [`COMMENT ON COLUMN ${quoteTable(table)}.${quoteIdent(name)} IS ${quoteLiteral(comment)}`],
    ),
  ]
  if (statements.length > 0) await connection.execute(statements.join('; '))
}

/** The new table gets the name, which is free. */
async function moveIn(
  connection: Connection,
  { table, landing }: Generation,
  pairs: readonly PartPair[],
): Promise<void> {
  const to = landing.table
  const { oid } = await requireTable(connection, table)
  await connection.execute(`ALTER TABLE ${quoteTable(table)} SET SCHEMA ${quoteIdent(to.schema)}`)
  await connection.execute(
    `ALTER TABLE ${quoteTable({ schema: to.schema, name: table.name })} RENAME TO ${quoteIdent(to.name)}`,
  )
  await nameParts(connection, to, { oid, madeAs: table.name, pairs })
}

/** The present table stays what it is. @throws TABLE_OWNED where values of somebody's own would go with their rows */
async function stayAndReplace(
  connection: Connection,
  generation: Generation,
  present: PresentTable,
): Promise<void> {
  const { landing, kept, primaryKey, signal } = generation
  // Held to the end: nobody gives the name to another table meanwhile.
  await executeWithShortWaits(
    connection,
    `LOCK TABLE ONLY ${quoteTable(landing.table)} IN ROW EXCLUSIVE MODE`,
    signal,
  )
  await assertSame(connection, generation, present)
  const byKey = primaryKey !== null && isUniqueOver(present, primaryKey)
  if (!byKey) {
    const filled = await findFilled(
      connection,
      { ...present, rows: quoteOnly(landing.table, present.kind) },
      kept,
    )
    if (filled !== null) throw valuesWouldGo(landing, filled)
  }
  await replaceInPlace(connection, generation, present)
}

/** A column that has values which no default and no generation would give again. */
async function findFilled(
  connection: Connection,
  { oid, rows }: { readonly oid: number; readonly rows: string },
  columns: readonly string[],
): Promise<string | null> {
  if (columns.length === 0) return null
  const written = await connection.query<{ name: string; initial: string | null }>(
    `SELECT a.attname::text AS name, pg_get_expr(d.adbin, d.adrelid) AS initial
       FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = $1 AND a.attname = ANY ($2::text[]) AND a.attgenerated = ''`,
    [oid, columns],
  )
  for (const { name, initial } of written) {
    const [row] = await connection.query<{ filled: boolean }>(
      `SELECT EXISTS (SELECT FROM ${rows} WHERE ${quoteIdent(name)}::text IS DISTINCT FROM (${initial ?? 'NULL'})::text) AS filled`,
    )
    if (row?.filled === true) return name
  }
  return null
}

/** @throws TABLE_OWNED */
async function assertSame(
  connection: Connection,
  { landing }: Generation,
  present: PresentTable,
): Promise<void> {
  const now = await readTable(connection, landing.table)
  if (now?.oid !== present.oid) throw notTheTable(landing)
}

async function requireTable(connection: Connection, table: TableName): Promise<PresentTable> {
  const found = await readTable(connection, table)
  if (found === null) throw new Error('the table that was made is gone')
  return found
}
