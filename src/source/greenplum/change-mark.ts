/**
 * Whether an append-optimised table was changed, without reading it.
 *
 * Such a table counts its changes: per segment file a number that every INSERT, UPDATE and DELETE which changed something raises,
 * readable by everybody. It starts anew with TRUNCATE and whatever rewrites the table, which give it another relfilenode. Both
 * together are a mark that is equal in two runs only where nothing changed between them. Heap tables have no such counter.
 *
 * The counters are not read with the transaction's snapshot. So the mark is read BEFORE the snapshot that rows are read in: a
 * change in between is read again by the next run; the other way round it would be lost.
 */
import { createHash } from 'node:crypto'
import type { CatalogStream } from '../../model/catalog.js'
import { TrunklineError } from '../../model/error.js'
import type { Connection } from '../../postgres/connection.js'
import { queryGuarded } from '../guarded.js'
import { CLUSTER_SQL, storageFactsSql, type CatalogColumns } from './catalog-sql.js'
import { assertOid, ofThese } from './read-catalog.js'

interface StorageRow {
  readonly oid: number
  readonly filenode: number
  readonly storage: string
}

interface CounterRow {
  readonly segno: number
  readonly modcount: string
  readonly tupcount: string
}

/** Functions of gp_toolkit by storage. */
const COUNTERS: Readonly<Record<string, string>> = { a: '__gp_aoseg', c: '__gp_aocsseg' }
/** Tables asked about in one message. */
const CHUNK = 50

/** Streams that a mark can be of: their rows lie in append-optimised tables. */
export function mayHaveMark({ greenplum, leaves, kind }: CatalogStream): boolean {
  if (greenplum === undefined || leaves.length === 0 || kind === 'matview') return false
  return ['append_optimised_row', 'append_optimised_column', 'mixed'].includes(greenplum.storage)
}

/** Marks by the oid of the stream, of those that have one. Inside a transaction, which goes on. */
export async function readChangeMarks(
  connection: Connection,
  streams: readonly CatalogStream[],
  has: CatalogColumns,
): Promise<ReadonlyMap<number, string>> {
  const oids = [...new Set(streams.flatMap(({ leaves }) => leaves.map(({ oid }) => oid)))]
  if (oids.length === 0) return new Map()
  const [facts, cluster] = await connection.queryAll<[StorageRow, { segment: string }]>([
    ofThese(storageFactsSql(has), oids),
    CLUSTER_SQL,
  ])
  const factOf = new Map(facts.map((row) => [row.oid, row]))
  const counters = await readCounters(
    connection,
    facts.filter(({ storage }) => COUNTERS[storage] !== undefined),
  )
  const marks = new Map<number, string>()
  for (const stream of streams) {
    const leaves = stream.leaves.map(({ oid }) => {
      const fact = factOf.get(oid)
      const counted = counters.get(oid)
      return fact === undefined || counted === undefined ? null : [oid, fact.filenode, fact.storage, counted]
    })
    if (leaves.includes(null)) continue
    const text = JSON.stringify([stream.oid, cluster.map(({ segment }) => segment), leaves])
    marks.set(stream.oid, createHash('sha256').update(text).digest('hex'))
  }
  return marks
}

/** Sorted counters by table; tables whose counters say nothing are left out. */
async function readCounters(
  connection: Connection,
  tables: readonly StorageRow[],
): Promise<ReadonlyMap<number, readonly string[]>> {
  const counters = new Map<number, readonly string[]>()
  const silent: number[] = []
  for (let start = 0; start < tables.length; start += CHUNK) {
    const chunk = tables.slice(start, start + CHUNK)
    const answers = await ifAnswered(connection, () =>
      queryGuarded<CounterRow[][]>(
        connection,
        chunk.map((table) => counterSql(table)),
      ),
    )
    for (const [index, { oid }] of chunk.entries()) {
      const rows = answers?.[index] as readonly CounterRow[] | undefined
      if (rows === undefined) continue
      if (rows.length === 0) silent.push(oid)
      else counters.set(oid, sorted(rows))
    }
  }
  for (const oid of await findEmpty(connection, silent)) counters.set(oid, [])
  return counters
}

function counterSql({ oid, storage }: StorageRow): string {
  return `SELECT segno::int AS segno, modcount::text AS modcount, tupcount::text AS tupcount
  FROM gp_toolkit.${COUNTERS[storage] ?? ''}(${assertOid(oid)}::oid::regclass)`
}

function sorted(rows: readonly CounterRow[]): readonly string[] {
  return [...new Set(rows.map(({ segno, modcount, tupcount }) => `${segno}:${modcount}:${tupcount}`))].sort()
}

/** A table that was rewritten has no counters until it is changed again, although it has rows; only an empty one has none for sure. */
async function findEmpty(connection: Connection, oids: readonly number[]): Promise<readonly number[]> {
  if (oids.length === 0) return []
  const sql = `SELECT oid FROM unnest($1::oid[]) AS oid WHERE pg_relation_size(oid) = 0`
  const answers = await ifAnswered(connection, () =>
    queryGuarded<[{ oid: number }]>(connection, [ofThese(sql, oids)]),
  )
  return answers?.[0].map(({ oid }) => oid) ?? []
}

/** A table that is gone or locked, a function that is not there: then there is no mark, and the table is read. */
async function ifAnswered<Result>(
  connection: Connection,
  ask: () => Promise<Result>,
): Promise<Result | null> {
  try {
    return await ask()
  } catch (error) {
    if (connection.lost.aborted || !(error instanceof TrunklineError)) throw error
    return null
  }
}
