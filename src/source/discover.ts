/** Reads the catalog: which relations there are, and everything about those that are asked for. */
import type { CatalogStream } from '../model/catalog.js'
import type { Connection } from '../postgres/connection.js'
import { greenplumOf } from '../postgres/dialect.js'
import {
  assembleStreams,
  type ColumnRow,
  type ContextRow,
  type DetailRow,
  type ForeignKeyRow,
  type IndexRow,
  type TreeRow,
} from './assemble-catalog.js'
import {
  COLUMNS_SQL,
  CONTEXT_SQL,
  DETAILS_SQL,
  DISTRIBUTED_SQL,
  FOREIGN_KEYS_SQL,
  HYPERTABLES_SQL,
  INDEXES_SQL,
  RELATIONS_SQL,
  TREE_SQL,
} from './catalog-sql.js'
import {
  readGreenplumContext,
  readGreenplumRelations,
  readGreenplumStreams,
} from './greenplum/read-catalog.js'
import type { RelationRow } from './selection.js'

export async function readContext(connection: Connection): Promise<ContextRow> {
  if (greenplumOf(connection) !== null) return readGreenplumContext(connection)
  const [context] = await connection.query<ContextRow>(CONTEXT_SQL)
  if (context === undefined) throw new Error('a query without FROM gave no row')
  return context
}

/** What the server is, and every relation of the database; `first` are sent before, in the same round trip. */
export async function readRelations(
  connection: Connection,
  first: readonly string[] = [],
): Promise<{ readonly context: ContextRow; readonly relations: readonly RelationRow[] }> {
  if (greenplumOf(connection) !== null) return readGreenplumRelations(connection, first)
  const [[context], relations] = await connection.queryAll<[ContextRow, RelationRow]>([
    ...first,
    CONTEXT_SQL,
    RELATIONS_SQL,
  ])
  if (context === undefined) throw new Error('a query without FROM gave no row')
  return { context, relations }
}

/**
 * The streams with these oids, as the current transaction sees the catalog; those that are gone are left out. One round trip,
 * however many there are; `last` are sent after, in the same one.
 */
export async function readStreams(
  connection: Connection,
  context: ContextRow,
  oids: readonly number[],
  last: readonly string[] = [],
): Promise<readonly CatalogStream[]> {
  if (oids.length === 0) return []
  if (context.greenplum !== undefined)
    return readGreenplumStreams(connection, { ...context, greenplum: context.greenplum }, oids, last)
  const list = `'{${oids.map(assertOid).join(',')}}'`
  const ofThese = (sql: string): string => sql.replaceAll('$1', () => list)
  const [details, tree, columns, indexes, foreignKeys, hypertableOids, distributedOids] =
    await connection.queryAll<
      [DetailRow, TreeRow, ColumnRow, IndexRow, ForeignKeyRow, { oid: number }, { oid: number }]
    >([
      ...[DETAILS_SQL, TREE_SQL, COLUMNS_SQL, INDEXES_SQL, FOREIGN_KEYS_SQL].map(ofThese),
      context.hypertables ? HYPERTABLES_SQL : NO_OIDS_SQL,
      context.distributed ? DISTRIBUTED_SQL : NO_OIDS_SQL,
      ...last,
    ])
  const hypertables = new Set(hypertableOids.map(({ oid }) => oid))
  const distributed = new Set(distributedOids.map(({ oid }) => oid))
  const { standby } = context
  return assembleStreams({
    standby,
    details,
    tree,
    columns,
    indexes,
    foreignKeys,
    hypertables,
    distributed,
  })
}

/** In place of what an extension would tell, where it is not there. */
const NO_OIDS_SQL = 'SELECT 0::oid AS oid WHERE false'

function assertOid(oid: number): number {
  if (Number.isInteger(oid) && oid >= 0) return oid
  throw new Error(`not an oid: ${oid}`)
}
