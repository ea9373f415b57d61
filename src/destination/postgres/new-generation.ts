/** What is done to the rows of a new generation once they are all there, before anybody sees them. */
import { TrunklineError } from '../../model/error.js'
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { OriginIndex, StreamLanding, TableName } from '../contract.js'
import { keyDuplicate } from '../refusals.js'
import { advanceIdentities } from './identities.js'
import { RUN_AT, formatCarry, formatLooseness, type Carry, type OwnColumn } from './landing-sql.js'
import { ensureSchema, quoteTable } from './state-layout.js'
import { swapIn } from './swap.js'
import { isTheirs, type MadeParts, type PresentTable } from './target-table.js'
import type { TargetColumn } from './target-types.js'

export interface LoadedGeneration {
  readonly landing: StreamLanding
  /** Where its rows are. */
  readonly table: TableName
  readonly columns: readonly TargetColumn[]
  readonly own: readonly OwnColumn[]
  readonly signal: AbortSignal | undefined
}

/** What is there under the name. */
interface Replaced {
  readonly present: PresentTable | null
  /** It is an earlier generation of the stream. */
  readonly ours: boolean
  /** What we have made of it; null where it is not known, or the table is taken over. */
  readonly made: MadeParts | null
}

/**
 * Key, indexes and statistics are made, then the generation takes its place: inside the caller's transaction. Returns what is ours of
 * the table that is there then.
 * @throws KEY_DUPLICATE, LOCK_TIMEOUT
 */
export async function finishGeneration(
  connection: Connection,
  { landing, table, columns, own, signal }: LoadedGeneration,
  { present, ours, made }: Replaced,
): Promise<MadeParts> {
  const { key, deletes, origin } = landing
  const name = quoteTable(table)
  if (present !== null && ours && deletes === 'soft' && key !== null) {
    const carry = formatCarry({ from: landing.table, earlier: present, into: table, columns, key })
    if (carry !== null) await carryOver(connection, table, carry)
  }
  const primaryKey = primaryKeyOf(landing)
  if (primaryKey !== null) await addKey(connection, landing.stream, table, primaryKey)
  await makeOriginIndexes(connection, table, origin?.indexes ?? [])
  if (own.some((column) => column.name === RUN_AT)) {
    await connection.execute(`ALTER TABLE ${name} ALTER COLUMN ${quoteIdent(RUN_AT)} DROP DEFAULT`)
  }
  await advanceIdentities(connection, table)
  // Nobody has counted these rows yet, and who reads them first should not have to guess.
  await connection.execute(`ANALYZE ${name}`)
  await ensureSchema(connection, landing.table.schema)
  const ownColumns = own.map((column) => column.name)
  const landed = new Set([...columns.map(({ field }) => field.name), ...ownColumns])
  const kept = [...(present?.columns.keys() ?? [])].filter(
    (column) => !landed.has(column) && isTheirs(column, present, made),
  )
  const generation = { landing, table, columns, ownColumns, primaryKey, kept, before: made, signal }
  const stayed = await swapIn(connection, generation, present)
  // One that the source no longer has stays with a table that stays, and ours.
  const earlierKey = stayed ? (made?.primaryKey ?? null) : null
  return { columns: [...landed], primaryKey: primaryKey ?? earlierKey }
}

/**
 * Not unique: rows change one after the other, and in between two may have one value. One that the target has no access method or
 * operator class for, or no room in a page, only makes queries slower by its absence: it is left out.
 */
async function makeOriginIndexes(
  connection: Connection,
  table: TableName,
  indexes: readonly OriginIndex[],
): Promise<void> {
  const wanted = new Set(
    indexes.map(
      ({ columns, method }) => `USING ${quoteIdent(method)} (${columns.map(quoteIdent).join(', ')})`,
    ),
  )
  for (const how of wanted) {
    await connection.execute('SAVEPOINT indexing')
    try {
      await connection.execute(`CREATE INDEX ON ${quoteTable(table)} ${how}; RELEASE indexing`)
    } catch (error) {
      const sqlstate = error instanceof TrunklineError ? error.context.sqlstate : undefined
      if (sqlstate === undefined || !CANNOT_INDEX.has(sqlstate)) throw error
      await connection.execute('ROLLBACK TO indexing; RELEASE indexing')
    }
  }
}

/** undefined_object, datatype_mismatch, feature_not_supported, program_limit_exceeded */
const CANNOT_INDEX: ReadonlySet<string> = new Set(['42704', '42804', '0A000', '54000'])

/** A column that is to have values goes without them only where a row that is marked as deleted has none. */
async function carryOver(
  connection: Connection,
  table: TableName,
  { statements, loosened }: Carry,
): Promise<void> {
  for (const sql of statements) await connection.execute(sql)
  if (loosened.length === 0) return
  const [row] = await connection.query<{ loose: readonly string[] }>(formatLooseness(table, loosened))
  const strict = loosened.filter((_, index) => row?.loose[index] === 'false')
  if (strict.length === 0) return
  const set = strict.map((column) => `ALTER COLUMN ${quoteIdent(column)} SET NOT NULL`)
  await connection.execute(`ALTER TABLE ${quoteTable(table)} ${set.join(', ')}`)
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
