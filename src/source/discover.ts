/** Reads the catalog: which relations there are, and everything about those that are asked for. */
import type { CatalogStream } from '../model/catalog.js'
import type { Connection } from '../postgres/connection.js'
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
import type { RelationRow } from './selection.js'

export async function readContext(connection: Connection): Promise<ContextRow> {
  const [context] = await connection.query<ContextRow>(CONTEXT_SQL)
  if (context === undefined) throw new Error('a query without FROM gave no row')
  return context
}

export function readRelations(connection: Connection): Promise<readonly RelationRow[]> {
  return connection.query<RelationRow>(RELATIONS_SQL)
}

/** The streams with these oids, as the current transaction sees the catalog; those that are gone are left out. */
export async function readStreams(
  connection: Connection,
  context: ContextRow,
  oids: readonly number[],
): Promise<readonly CatalogStream[]> {
  if (oids.length === 0) return []
  const list = [`{${oids.join(',')}}`]
  const oidSet = async (sql: string): Promise<ReadonlySet<number>> =>
    new Set((await connection.query<{ oid: number }>(sql)).map((row) => row.oid))
  const details = await connection.query<DetailRow>(DETAILS_SQL, list)
  const tree = await connection.query<TreeRow>(TREE_SQL, list)
  const columns = await connection.query<ColumnRow>(COLUMNS_SQL, list)
  const indexes = await connection.query<IndexRow>(INDEXES_SQL, list)
  const foreignKeys = await connection.query<ForeignKeyRow>(FOREIGN_KEYS_SQL, list)
  const hypertables = context.hypertables ? await oidSet(HYPERTABLES_SQL) : new Set<number>()
  const distributed = context.distributed ? await oidSet(DISTRIBUTED_SQL) : new Set<number>()
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
