/** What has to be known before the leader's transaction begins, read in a short transaction of its own. */
import type { CatalogStream } from '../../model/catalog.js'
import type { Limits } from '../../model/sync-spec.js'
import type { Connection } from '../../postgres/connection.js'
import { beginReading } from '../../postgres/session.js'
import type { RelationName } from '../lock-streams.js'
import { VIEW_RELATIONS_SQL } from './catalog-sql.js'
import { mayHaveMark, readChangeMarks } from './change-mark.js'
import { explainingStall } from './queue.js'
import { ofThese, readGreenplumContext } from './read-catalog.js'

export interface Prepared {
  /** By the oid of the stream; those without are read whatever happened. */
  readonly marks: ReadonlyMap<number, string>
  /** Tables that a view reads, by the oid of the view: a view itself cannot be locked. */
  readonly viewRelations: ReadonlyMap<number, readonly RelationName[]>
}

/** A mark is worth a short wait, not a long one: without it the table is read. */
const MARK_LOCK_TIMEOUT_MS = 1000

/** @throws SOURCE_PRESSURE when the resource queue is full */
export async function prepareSnapshot(
  leader: Connection,
  streams: readonly CatalogStream[],
  limits: Limits,
): Promise<Prepared> {
  const marked = streams.filter(mayHaveMark)
  const views = streams.filter(({ kind }) => kind === 'view').map(({ oid }) => oid)
  if (marked.length === 0 && views.length === 0) return { marks: new Map(), viewRelations: new Map() }
  await beginReading(leader, {
    lockTimeoutMs: Math.min(limits.lockTimeoutMs, MARK_LOCK_TIMEOUT_MS),
    statementTimeoutMs: limits.stallTimeoutMs,
  })
  const prepared = await explainingStall(limits, async () => {
    const { greenplum } = await readGreenplumContext(leader)
    const marks = await readChangeMarks(leader, marked, greenplum.has)
    return { marks, viewRelations: await readViewRelations(leader, views) }
  })
  await leader.execute('COMMIT')
  return prepared
}

interface ViewRelationRow {
  readonly view: number
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: string
}

async function readViewRelations(
  leader: Connection,
  views: readonly number[],
): Promise<ReadonlyMap<number, readonly RelationName[]>> {
  const readsOf = new Map<number, readonly ViewRelationRow[]>()
  for (let unknown = views; unknown.length > 0;) {
    const [rows] = await leader.queryAll<[ViewRelationRow]>([ofThese(VIEW_RELATIONS_SQL, unknown)])
    for (const view of unknown)
      readsOf.set(
        view,
        rows.filter((row) => row.view === view),
      )
    const next = rows.filter(({ kind, oid }) => kind === 'v' && !readsOf.has(oid)).map(({ oid }) => oid)
    unknown = [...new Set(next)]
  }
  return new Map(views.map((view) => [view, tablesBelow(view, readsOf)]))
}

function tablesBelow(
  view: number,
  readsOf: ReadonlyMap<number, readonly ViewRelationRow[]>,
): readonly RelationName[] {
  const tables = new Map<number, RelationName>()
  const seen = new Set([view])
  for (const oid of seen) {
    for (const row of readsOf.get(oid) ?? []) {
      if (row.kind === 'v') seen.add(row.oid)
      else tables.set(row.oid, { schema: row.schema, name: row.name })
    }
  }
  return [...tables.values()]
}
