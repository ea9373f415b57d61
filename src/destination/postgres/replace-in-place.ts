/** How rows of a new generation become those of the present table, which stays what it is, with all that hangs on it. */
import { TrunklineError } from '../../model/error.js'
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { StreamLanding, TableName } from '../contract.js'
import { advanceIdentities } from './identities.js'
import {
  DELETED_AT,
  RUN_AT,
  addColumn,
  formatDuplicates,
  formatGone,
  formatInsert,
  formatUpsert,
} from './landing-sql.js'
import { keyStandsInTheWay, rowsKeptBack } from './refusals.js'
import { quoteOnly, quoteTable } from './state-layout.js'
import { executeWithShortWaits } from './table-lock.js'
import type { MadeParts, PresentColumn, PresentTable } from './target-table.js'
import { isUniqueOver, readTable, sameNames } from './target-table.js'
import type { TargetColumn } from './target-types.js'
import { executeForTriggers } from './write-session.js'

export interface Generation {
  readonly landing: StreamLanding
  /** Where its rows are. */
  readonly table: TableName
  readonly columns: readonly TargetColumn[]
  /** Beside those. */
  readonly ownColumns: readonly string[]
  /** Unique in it, as its primary key. */
  readonly primaryKey: readonly string[] | null
  /** Columns of the present table that somebody else added: they are never dropped. */
  readonly kept: readonly string[]
  /** What we had made of the present table; null where it is not known, or the table is taken over. */
  readonly before: MadeParts | null
  /** Ends what waits for locks. */
  readonly signal: AbortSignal | undefined
}

type Columns = ReadonlyMap<string, PresentColumn>

/**
 * The rows of the present table become those of the generation; the table stays what it is.
 * @throws DESTINATION_FAILED where what hangs on it stands in the way, or keeps rows back; LOCK_TIMEOUT
 */
export async function replaceInPlace(
  connection: Connection,
  generation: Generation,
  present: PresentTable,
): Promise<void> {
  const { landing, table, columns, ownColumns, primaryKey, signal } = generation
  const target = quoteTable(landing.table)
  const rows = quoteOnly(landing.table, present.kind)
  const from = quoteTable(table)
  // As it was made, and not as the fields say: rows that were carried over may lack values.
  const wanted = await columnsOf(connection, table)
  const kept = await settlePrimaryKey(connection, generation, { present, wanted })
  await alignColumns(connection, generation, { present, wanted, strict: kept ?? [] })
  // What was made of another type may have taken its indexes along.
  const aligned = await readTable(connection, landing.table)
  if (aligned === null) throw new Error('the table that rows go to is gone')

  const names = [...columns.map(({ field }) => field.name), ...ownColumns]
  const match = primaryKey ?? kept
  if (match !== null && isUniqueOver(aligned, match)) {
    await executeForTriggers(
      connection,
      `DELETE FROM ${rows} AS t WHERE ${formatGone('true', from, match)};
       ${formatUpsert({ into: target, from, columns: names, own: [], key: match })}`,
    )
  } else {
    await executeForTriggers(
      connection,
      `DELETE FROM ${rows}; ${formatInsert({ into: target, from, columns: names, own: [] })}`,
    )
  }
  const stale = [DELETED_AT, RUN_AT].filter((name) => present.columns.has(name) && !ownColumns.includes(name))
  for (const name of stale.map(quoteIdent)) {
    await executeForTriggers(connection, `UPDATE ${rows} SET ${name} = NULL WHERE ${name} IS NOT NULL`)
  }
  await assertAllArrived(connection, { landing, rows, from, present })

  const strict = [...wanted].filter(([name, { notNull }]) => notNull && !aligned.columns.get(name)?.notNull)
  const constraints = strict.map(([name]) => `ALTER COLUMN ${quoteIdent(name)} SET NOT NULL`)
  if (primaryKey !== null && present.kind === 'r' && (await readPrimaryKey(connection, present)) === null) {
    constraints.push(`ADD PRIMARY KEY (${primaryKey.map(quoteIdent).join(', ')})`)
  }
  if (constraints.length > 0) {
    // No table is altered while triggers of its rows still wait.
    await executeForTriggers(connection, 'SET CONSTRAINTS ALL IMMEDIATE')
    await executeWithShortWaits(connection, `ALTER TABLE ${target} ${constraints.join(', ')}`, signal)
  }
  await advanceIdentities(connection, landing.table)
  await connection.execute(`DROP TABLE ${from}`)
}

async function columnsOf(connection: Connection, table: TableName): Promise<Columns> {
  const made = await readTable(connection, table)
  if (made === null) throw new Error('the table of the generation is gone')
  return made.columns
}

interface Alignment {
  readonly present: PresentTable
  /** Of the generation. */
  readonly wanted: Columns
}

interface PrimaryKey {
  readonly name: string
  readonly columns: readonly string[]
}

async function readPrimaryKey(connection: Connection, { oid }: PresentTable): Promise<PrimaryKey | null> {
  const [row] = await connection.query<PrimaryKey>(
    `SELECT k.conname::text AS name,
            (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
              WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) AS columns
       FROM pg_constraint k WHERE k.conrelid = $1 AND k.contype = 'p'`,
    [oid],
  )
  return row ?? null
}

/**
 * A primary key of the present table stays if it is that of the generation, or if there is no other and its rows keep it. Returns the
 * columns of the one that stays. One of a partitioned table has to have columns that the stream's need not have.
 */
async function settlePrimaryKey(
  connection: Connection,
  generation: Generation,
  { present, wanted }: Alignment,
): Promise<readonly string[] | null> {
  const { landing, table, primaryKey, before, kept, signal } = generation
  const key = await readPrimaryKey(connection, present)
  if (key === null) return null
  if (primaryKey !== null && sameNames(key.columns, primaryKey)) return key.columns
  const isGone = key.columns.some((name) => !wanted.has(name) && !kept.includes(name))
  if (before !== null && !isGone && !sameNames(before.primaryKey ?? [], key.columns)) {
    return keepTheirKey(connection, generation, { key, wanted, present })
  }
  const isComplete = key.columns.every((name) => wanted.get(name)?.notNull === true)
  const mayStay = isComplete && (primaryKey === null || present.kind === 'p')
  if (mayStay) {
    const found = await connection.query(formatDuplicates(quoteTable(table), key.columns))
    if (found.length === 0) return key.columns
  }
  const target = quoteTable(landing.table)
  await executeWithShortWaits(
    connection,
    `ALTER TABLE ${target} DROP CONSTRAINT ${quoteIdent(key.name)}`,
    signal,
  )
  return null
}

/** A primary key that somebody else made stays, or nothing is done. As {@link settlePrimaryKey}. @throws DESTINATION_FAILED */
async function keepTheirKey(
  connection: Connection,
  { landing, table, primaryKey }: Generation,
  { key, wanted, present }: Alignment & { readonly key: PrimaryKey },
): Promise<readonly string[] | null> {
  // A table has one; that of a partitioned table could not be ours.
  if (primaryKey !== null && present.kind === 'r') throw keyStandsInTheWay(landing, key.name)
  if (!key.columns.every((name) => wanted.has(name))) return null
  const isNull = key.columns.map((name) => `${quoteIdent(name)} IS NULL`).join(' OR ')
  const misfits = await connection.query(
    `(SELECT 1 FROM ${quoteTable(table)} WHERE ${isNull} LIMIT 1)
     UNION ALL (${formatDuplicates(quoteTable(table), key.columns)})`,
  )
  if (misfits.length > 0) throw keyStandsInTheWay(landing, key.name)
  return key.columns
}

/**
 * Columns get the types and the nullability of those of the generation, missing ones are added, and those that are gone are dropped, but
 * for our own and those that somebody else added. What depends on a dropped one is told by the server.
 */
async function alignColumns(
  connection: Connection,
  { landing, ownColumns, kept, signal }: Generation,
  { present, wanted, strict }: Alignment & { readonly strict: readonly string[] },
): Promise<void> {
  const target = quoteTable(landing.table)
  const changes: string[] = []
  const retyped: { readonly name: string; readonly sqlType: string }[] = []
  for (const [name, { sqlType, notNull }] of present.columns) {
    const column = wanted.get(name)
    const isOurs = ownColumns.includes(name) || name === DELETED_AT || name === RUN_AT
    if (isOurs || (column === undefined && kept.includes(name))) continue
    const quoted = quoteIdent(name)
    if (column === undefined) changes.push(`DROP COLUMN ${quoted}`)
    else if (notNull && !column.notNull && !strict.includes(name)) {
      // An identity column takes no NULL.
      changes.push(`ALTER COLUMN ${quoted} DROP IDENTITY IF EXISTS`, `ALTER COLUMN ${quoted} DROP NOT NULL`)
    }
    if (column !== undefined && column.sqlType !== sqlType) retyped.push({ name, sqlType: column.sqlType })
  }
  if (changes.length > 0) {
    await executeWithShortWaits(connection, `ALTER TABLE ${target} ${changes.join(', ')}`, signal)
  }
  for (const { name, sqlType } of retyped) await retype(connection, { target, name, sqlType, signal })
  const added = [...wanted].filter(([name]) => !present.columns.has(name))
  const statements = added.map(([name, { sqlType }]) => addColumn(target, name, sqlType))
  if (statements.length > 0) await executeWithShortWaits(connection, statements.join('; '), signal)
}

interface Retyping {
  readonly target: string
  readonly name: string
  readonly sqlType: string
  readonly signal: AbortSignal | undefined
}

/**
 * Where the server can make the one type of the other, the column keeps its indexes and what refers to it, and rows their key. Its values
 * are those of the generation afterwards, whatever becomes of them here. Else it is made anew.
 */
async function retype(connection: Connection, { target, name, sqlType, signal }: Retyping): Promise<void> {
  const column = quoteIdent(name)
  await connection.execute('SAVEPOINT retyping')
  try {
    await executeWithShortWaits(
      connection,
      `ALTER TABLE ${target} ALTER COLUMN ${column} TYPE ${sqlType}`,
      signal,
    )
  } catch (error) {
    if (!isRefused(error)) throw error
    await connection.execute('ROLLBACK TO retyping')
    await executeWithShortWaits(
      connection,
      `ALTER TABLE ${target} DROP COLUMN ${column}, ADD COLUMN ${column} ${sqlType}`,
      signal,
    )
  }
  await connection.execute('RELEASE retyping')
}

/** Classes of what a server says of the statement itself or of values, and not of locks, resources and connections. */
const REFUSALS: ReadonlySet<string> = new Set(['0A', '22', '23', '2B', '42'])

function isRefused(error: unknown): boolean {
  if (!(error instanceof TrunklineError)) return false
  const { sqlstate } = error.context
  return sqlstate !== undefined && sqlstate !== '42501' && REFUSALS.has(sqlstate.slice(0, 2))
}

/** A trigger can leave a row out, and a rule can do something else instead. */
async function assertAllArrived(
  connection: Connection,
  {
    landing,
    rows,
    from,
    present,
  }: {
    readonly landing: StreamLanding
    readonly rows: string
    readonly from: string
    readonly present: PresentTable
  },
): Promise<void> {
  const [facts] = await connection.query<{ may: boolean }>(
    `SELECT relhastriggers OR relhasrules OR relkind = 'p' AS may FROM pg_class WHERE oid = $1`,
    [present.oid],
  )
  if (facts?.may !== true) return
  const [counts] = await connection.query<{ there: string; expected: string }>(
    `SELECT (SELECT count(*) FROM ${rows}) AS there, (SELECT count(*) FROM ${from}) AS expected`,
  )
  const [there, expected] = [Number(counts?.there), Number(counts?.expected)]
  if (there !== expected) throw rowsKeptBack(landing, there, expected)
}
