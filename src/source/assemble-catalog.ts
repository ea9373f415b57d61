/** Puts the rows of the catalog queries together to streams. */
import type {
  CatalogColumn,
  CatalogStream,
  ElementFacts,
  ForeignKey,
  Leaf,
  RelationKind,
  RelationOddity,
} from '../model/catalog.js'
import { formatStreamName } from '../model/catalog.js'
import { chooseKey, type IndexFacts } from './key-choice.js'

export interface ContextRow {
  readonly database: string
  readonly server_version: number
  readonly block_size: number
  /** Locks that the server has room for, all sessions together: int8 as text. */
  readonly lock_slots: string
  readonly standby: boolean
  readonly hypertables: boolean
  readonly distributed: boolean
  /** Only where the server is a Greenplum cluster. */
  readonly greenplum?: {
    /** Primary segments that hold rows: `gp_segment_id` is 0 to one less. */
    readonly segments: number
    /** Columns of the catalog that not every version has: `pg_class.relstorage`. */
    readonly has: ReadonlySet<string>
  }
}

export interface DetailRow {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: string
  readonly row_security: boolean
  readonly table_privilege: boolean
  readonly comment: string | null
}

export interface TreeRow {
  readonly root: number
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: string
  readonly persistence: string
  readonly access_method: string | null
  readonly filenode: number | null
  /** float8 as text; −1, or 0 without pages, before the first ANALYZE. */
  readonly planner_rows: string
  readonly planner_pages: number
  readonly block_size: number
  readonly bytes: string
  readonly indexes: number
}

interface ElementRow extends Pick<
  ColumnRow,
  'type_oid' | 'type_name' | 'type_schema' | 'type_kind' | 'modifier'
> {
  readonly is_array: boolean
  readonly delimiter: string
}

export interface ColumnRow {
  readonly relation: number
  readonly name: string
  readonly number: number
  readonly type_oid: number
  readonly type_name: string
  readonly type_schema: string
  readonly type_kind: string
  readonly sql_type: string
  /** Only of a domain. */
  readonly base_sql_type: string | null
  readonly modifier: number
  readonly domain: string | null
  readonly enum_labels: readonly string[] | null
  readonly element_type: string | null
  /** Of an array; as JSON. */
  readonly element: string | null
  readonly not_null: boolean
  readonly default_expression: string | null
  readonly generated: string
  readonly identity: string
  readonly comment: string | null
  readonly selectable: boolean
}

export interface IndexRow {
  readonly relation: number
  readonly oid: number
  readonly name: string
  readonly columns: readonly (string | null)[]
  readonly unique: boolean
  readonly primary: boolean
  readonly immediate: boolean
  readonly valid: boolean
  readonly replica_identity: boolean
  readonly partial: boolean
  readonly method: string | null
}

export interface ForeignKeyRow {
  readonly relation: number
  readonly name: string
  readonly columns: readonly string[]
  readonly referenced_schema: string
  readonly referenced_table: string
  readonly referenced_columns: readonly string[]
}

export interface CatalogRows {
  readonly standby: boolean
  readonly details: readonly DetailRow[]
  readonly tree: readonly TreeRow[]
  readonly columns: readonly ColumnRow[]
  readonly indexes: readonly IndexRow[]
  readonly foreignKeys: readonly ForeignKeyRow[]
  readonly hypertables: ReadonlySet<number>
  readonly distributed: ReadonlySet<number>
}

export function assembleStreams(rows: CatalogRows): readonly CatalogStream[] {
  const treeOf = groupBy(rows.tree, (row) => row.root)
  const columnsOf = groupBy(rows.columns, (row) => row.relation)
  const indexesOf = groupBy(rows.indexes, (row) => row.relation)
  const foreignKeysOf = groupBy(rows.foreignKeys, (row) => row.relation)
  return rows.details.map((detail) => {
    const tree = treeOf.get(detail.oid) ?? []
    const kind = relationKind(detail, tree)
    const columns = (columnsOf.get(detail.oid) ?? []).map(assembleColumn)
    const indexes = (indexesOf.get(detail.oid) ?? []).map(assembleIndex)
    const storing = tree.filter((row) => row.kind === 'r' || row.kind === 'm' || row.kind === 'f')
    return {
      name: formatStreamName(detail.schema, detail.name),
      schema: detail.schema,
      table: detail.name,
      oid: detail.oid,
      kind,
      oddity: findOddity(detail, tree, rows),
      columns,
      // A unique index of a parent says nothing about its inheritance children.
      key: kind === 'inherited' ? null : chooseKey(indexes, columns),
      foreignKeys: (foreignKeysOf.get(detail.oid) ?? []).map(assembleForeignKey),
      indexes: indexes.map(({ name, columns: names, unique, partial, valid, method }) => ({
        name,
        columns: names,
        unique,
        partial,
        valid,
        method: method ?? null,
      })),
      comment: detail.comment,
      estimatedRows: estimateRows(storing),
      bytes: storing.reduce((sum, row) => sum + Number(row.bytes), 0),
      leaves: kind === 'foreign' ? [] : storing.map(assembleLeaf),
      lockCount: tree.reduce((sum, row) => sum + 1 + row.indexes, 0),
      rowSecurity: detail.row_security,
      tablePrivilege: detail.table_privilege,
      sql: null,
    }
  })
}

function relationKind(detail: DetailRow, tree: readonly TreeRow[]): RelationKind {
  switch (detail.kind) {
    case 'p':
      return 'partitioned'
    case 'v':
      return 'view'
    case 'm':
      return 'matview'
    case 'f':
      return 'foreign'
    default:
      return tree.length > 1 ? 'inherited' : 'table'
  }
}

function findOddity(detail: DetailRow, tree: readonly TreeRow[], rows: CatalogRows): RelationOddity | null {
  if (tree.some((row) => rows.hypertables.has(row.oid))) return 'hypertable'
  if (tree.some((row) => rows.distributed.has(row.oid))) return 'distributed'
  if (detail.kind !== 'f' && tree.some((row) => row.kind === 'f')) return 'foreign_leaf'
  const storing = tree.filter((row) => row.kind === 'r' || row.kind === 'm')
  if (storing.some((row) => row.access_method !== 'heap')) return 'unknown_access_method'
  if (rows.standby && storing.some((row) => row.persistence === 'u')) return 'unlogged_on_standby'
  return null
}

/** As the planner does: rows per page of the last ANALYZE or VACUUM, times the pages there are now. */
function estimateRows(storing: readonly TreeRow[]): number | null {
  let sum = 0
  for (const row of storing) {
    const plannerRows = Number(row.planner_rows)
    const pages = Number(row.bytes) / row.block_size
    if (row.kind === 'f') {
      if (plannerRows <= 0) return null
      sum += plannerRows
    } else if (pages > 0) {
      if (plannerRows < 0 || row.planner_pages === 0) return null
      sum += (plannerRows / row.planner_pages) * pages
    }
  }
  return storing.length === 0 ? null : Math.round(sum)
}

function assembleLeaf(row: TreeRow): Leaf {
  return {
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    filenode: row.filenode,
    bytes: Number(row.bytes),
  }
}

const TYPE_KINDS: Readonly<Record<string, CatalogColumn['typeKind']>> = {
  b: 'base',
  c: 'composite',
  e: 'enum',
  r: 'range',
  m: 'multirange',
  p: 'pseudo',
}

export function assembleColumn(row: ColumnRow): CatalogColumn {
  return {
    name: row.name,
    number: row.number,
    typeName: row.type_name,
    typeSchema: row.type_schema,
    typeOid: row.type_oid,
    typeKind: TYPE_KINDS[row.type_kind] ?? 'pseudo',
    sqlType: row.sql_type,
    ...(row.base_sql_type === null ? {} : { baseSqlType: row.base_sql_type }),
    modifier: row.modifier,
    domain: row.domain,
    enumLabels: row.enum_labels,
    elementType: row.element_type,
    ...(row.element === null ? {} : { element: assembleElement(row.element) }),
    nullable: !row.not_null,
    default: row.default_expression,
    generated: row.generated === 's' ? 'stored' : row.generated === 'v' ? 'virtual' : null,
    identity: row.identity === 'a' ? 'always' : row.identity === 'd' ? 'default' : null,
    comment: row.comment,
    selectable: row.selectable,
  }
}

function assembleElement(json: string): ElementFacts {
  const row = JSON.parse(json) as ElementRow
  return {
    typeName: row.type_name,
    typeSchema: row.type_schema,
    typeOid: row.type_oid,
    typeKind: TYPE_KINDS[row.type_kind] ?? 'pseudo',
    modifier: row.modifier,
    isArray: row.is_array,
    delimiter: row.delimiter,
  }
}

function assembleIndex(row: IndexRow): IndexFacts {
  return {
    oid: row.oid,
    name: row.name,
    columns: row.columns,
    unique: row.unique,
    partial: row.partial,
    valid: row.valid,
    primary: row.primary,
    immediate: row.immediate,
    replicaIdentity: row.replica_identity,
    method: row.method,
  }
}

function assembleForeignKey(row: ForeignKeyRow): ForeignKey {
  return {
    name: row.name,
    columns: row.columns,
    references: {
      schema: row.referenced_schema,
      table: row.referenced_table,
      columns: row.referenced_columns,
    },
  }
}

function groupBy<Row>(rows: readonly Row[], key: (row: Row) => number): ReadonlyMap<number, Row[]> {
  const groups = new Map<number, Row[]>()
  for (const row of rows) {
    const group = groups.get(key(row))
    if (group === undefined) groups.set(key(row), [row])
    else group.push(row)
  }
  return groups
}
