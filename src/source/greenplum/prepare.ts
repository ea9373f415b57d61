/** What has to be known before the leader's transaction begins, read in a short transaction of its own. */
import { type CatalogStream, formatStreamName } from '../../model/catalog.js'
import type { Limits } from '../../model/sync-spec.js'
import type { Connection } from '../../postgres/connection.js'
import { beginReading } from '../../postgres/session.js'
import type { RelationName } from '../lock-streams.js'
import { VIEW_RELATIONS_SQL, VIEWS_SQL } from './catalog-sql.js'
import { mayHaveMark, readChangeMarks } from './change-mark.js'
import { explainingStall } from './queue.js'
import { ofThese, readGreenplumContext } from './read-catalog.js'

export interface Prepared {
  /** By the oid of the stream; those without are read whatever happened. */
  readonly marks: ReadonlyMap<number, string>
  /** Tables that a view reads, which are locked in its place: a view itself cannot be. By the printed name of the view. */
  readonly viewTables: ReadonlyMap<string, readonly RelationName[]>
}

/** A mark is worth a short wait, not a long one: without it the table is read. */
const MARK_LOCK_TIMEOUT_MS = 1000

/**
 * @param relations what queries among the streams name
 * @throws SOURCE_PRESSURE when the resource queue is full
 */
export async function prepareSnapshot(
  leader: Connection,
  streams: readonly CatalogStream[],
  relations: readonly RelationName[],
  limits: Limits,
): Promise<Prepared> {
  const marked = streams.filter(mayHaveMark)
  const views = streams.filter(({ kind }) => kind === 'view')
  const named = [
    ...views.map(({ schema, table }) => formatStreamName(schema, table)),
    ...relations.flatMap(({ schema, name }) => (schema === null ? [] : [formatStreamName(schema, name)])),
  ]
  if (marked.length === 0 && named.length === 0) return { marks: new Map(), viewTables: new Map() }
  await beginReading(leader, {
    lockTimeoutMs: Math.min(limits.lockTimeoutMs, MARK_LOCK_TIMEOUT_MS),
    statementTimeoutMs: limits.stallTimeoutMs,
  })
  const prepared = await explainingStall(limits, async () => {
    const { greenplum } = await readGreenplumContext(leader)
    const marks = await readChangeMarks(leader, marked, greenplum.has)
    return { marks, viewTables: await readViewTables(leader, new Set(named)) }
  })
  await leader.execute('COMMIT')
  return prepared
}

/** What is locked in place of a relation: the tables of a view, itself otherwise. */
export function tablesOf({ viewTables }: Prepared, relation: RelationName): readonly RelationName[] {
  const { schema, name } = relation
  const tables = schema === null ? undefined : viewTables.get(formatStreamName(schema, name))
  return tables ?? [relation]
}

interface ViewRow {
  readonly oid: number
  readonly schema: string
  readonly name: string
}

interface ViewRelationRow extends ViewRow {
  readonly view: number
  readonly kind: string
}

/** Of those names that are views'. */
async function readViewTables(
  leader: Connection,
  names: ReadonlySet<string>,
): Promise<ReadonlyMap<string, readonly RelationName[]>> {
  if (names.size === 0) return new Map()
  const all = await leader.query<ViewRow>(VIEWS_SQL)
  const views = all.filter(({ schema, name }) => names.has(formatStreamName(schema, name)))
  const readsOf = new Map<number, readonly ViewRelationRow[]>()
  for (let unknown = views.map(({ oid }) => oid); unknown.length > 0;) {
    const [rows] = await leader.queryAll<[ViewRelationRow]>([ofThese(VIEW_RELATIONS_SQL, unknown)])
    for (const view of unknown) {
      readsOf.set(
        view,
        rows.filter((row) => row.view === view),
      )
    }
    const next = rows.filter(({ kind, oid }) => kind === 'v' && !readsOf.has(oid)).map(({ oid }) => oid)
    unknown = [...new Set(next)]
  }
  return new Map(
    views.map(({ oid, schema, name }) => [formatStreamName(schema, name), tablesBelow(oid, readsOf)]),
  )
}

function tablesBelow(
  view: number,
  readsOf: ReadonlyMap<number, readonly ViewRelationRow[]>,
): readonly RelationName[] {
  const tables = new Map<number, RelationName>()
  const seen = new Set([view])
  // A set is gone through in the order of insertion, those added meanwhile included.
  for (const oid of seen) {
    for (const row of readsOf.get(oid) ?? []) {
      if (row.kind === 'v') seen.add(row.oid)
      else tables.set(row.oid, { schema: row.schema, name: row.name })
    }
  }
  return [...tables.values()]
}
