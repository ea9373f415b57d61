/** What a source offers: streams with their fields, keys, relationships and sizes, as discovered in one go. */

export type RelationKind =
  | 'table'
  /** Declaratively partitioned: read through the parent. */
  | 'partitioned'
  /** A plain table with inheritance children, read with them as one stream. */
  | 'inherited'
  | 'view'
  | 'matview'
  | 'foreign'
  /** A configured SELECT. */
  | 'query'

/** Why a relation that looks like a table must be read plainly and in full; null where nothing is special. */
export type RelationOddity =
  | 'hypertable'
  | 'distributed'
  | 'foreign_leaf'
  | 'unknown_access_method'
  | 'unlogged_on_standby'
  /** Of a Greenplum cluster: each segment counts transactions and places of its own. */
  | 'greenplum'
  /** An external table of Greenplum: reading it may run a program on every host. */
  | 'external'

/** A table that holds rows of the stream itself: the table, or each leaf partition or inheritance child. */
export interface Leaf {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** pg_relation_filenode; null where the relation has no storage. */
  readonly filenode: number | null
  readonly bytes: number
}

export interface CatalogColumn {
  readonly name: string
  /** attnum: stable for the life of the column, unlike its position. */
  readonly number: number
  /** Name of the type after domains are resolved, as in pg_type: `int4`, `numeric`, `_text`, `mood`. */
  readonly typeName: string
  readonly typeSchema: string
  readonly typeOid: number
  /** typtype after domains are resolved. */
  readonly typeKind: 'base' | 'composite' | 'enum' | 'range' | 'multirange' | 'pseudo'
  /** The type as SQL writes it, modifiers included and the domain kept: `numeric(10,2)`, `character(3)`, `us_zip`. */
  readonly sqlType: string
  /** The same with domains resolved; absent where it is the same. */
  readonly baseSqlType?: string
  /** atttypmod with the domain's own where the column has none; −1 without. */
  readonly modifier: number
  readonly domain: string | null
  readonly enumLabels: readonly string[] | null
  /** For arrays, the element's typeName. */
  readonly elementType: string | null
  /** For arrays, more of the element; absent where nothing more is known of it. */
  readonly element?: ElementFacts
  readonly nullable: boolean
  readonly default: string | null
  readonly generated: 'stored' | 'virtual' | null
  readonly identity: 'always' | 'default' | null
  readonly comment: string | null
  /** Whether the role may SELECT it. */
  readonly selectable: boolean
}

/** The type of an array's elements, after domains are resolved. */
export interface ElementFacts extends Pick<
  CatalogColumn,
  'typeName' | 'typeSchema' | 'typeOid' | 'typeKind' | 'modifier'
> {
  /** Whether it is an array itself, by way of a domain. */
  readonly isArray: boolean
  /** typdelim: what stands between elements in the array's text. */
  readonly delimiter: string
}

export interface StreamKey {
  readonly columns: readonly string[]
  readonly from: 'primary_key' | 'replica_identity' | 'unique_index' | 'declared'
  /** Name of the index; null for a declared key. */
  readonly index: string | null
}

export interface ForeignKey {
  readonly name: string
  readonly columns: readonly string[]
  readonly references: {
    readonly schema: string
    readonly table: string
    readonly columns: readonly string[]
  }
}

export interface CatalogIndex {
  readonly name: string
  /** Columns in order; null stands for an expression. */
  readonly columns: readonly (string | null)[]
  readonly unique: boolean
  readonly partial: boolean
  readonly valid: boolean
  /** Access method, `btree`, of an index with nothing but default operator classes; absent or null of others. */
  readonly method?: string | null
}

export interface CatalogStream {
  /** `schema.table`, each part double-quoted only where it holds a dot, a quote or a pattern character. */
  readonly name: string
  readonly schema: string
  readonly table: string
  readonly oid: number
  readonly kind: RelationKind
  readonly oddity: RelationOddity | null
  readonly columns: readonly CatalogColumn[]
  readonly key: StreamKey | null
  readonly foreignKeys: readonly ForeignKey[]
  readonly indexes: readonly CatalogIndex[]
  readonly comment: string | null
  /** Planner's estimate; null before the first ANALYZE. */
  readonly estimatedRows: number | null
  /** Heap bytes over all leaves. */
  readonly bytes: number
  readonly leaves: readonly Leaf[]
  /** How many locks and relations reading it takes: leaves and their indexes. */
  readonly lockCount: number
  /** Row security applies to this role. */
  readonly rowSecurity: boolean
  /** Table-level SELECT; without it only `selectable` columns can be read and no lock can be taken. */
  readonly tablePrivilege: boolean
  /** For `query` streams. */
  readonly sql: string | null
  /** Only where the source is Greenplum. */
  readonly greenplum?: GreenplumFacts
}

export type GreenplumStorage =
  | 'heap'
  | 'append_optimised_row'
  | 'append_optimised_column'
  | 'external'
  /** Leaves of several kinds. */
  | 'mixed'
  /** Views, and what later versions may bring. */
  | 'other'

/** What a Greenplum cluster says of a relation beyond what PostgreSQL would. */
export interface GreenplumFacts {
  readonly storage: GreenplumStorage
  /** How its rows are spread over the segments; none: they are not stored there. */
  readonly distribution: 'hashed' | 'random' | 'replicated' | 'none'
  /** Segments among which a read can be divided, known under the lock; 0: it cannot be, or is not known. */
  readonly segments: number
  /** Equal in two runs only where nothing was changed between them; null where the server does not tell. */
  readonly changeMark: string | null
}

export interface Catalog {
  readonly database: string
  readonly serverVersion: number
  readonly streams: readonly CatalogStream[]
}

/** The printed name of a relation; {@link parseStreamName} reads it back. */
export function formatStreamName(schema: string, table: string): string {
  return `${quoteNamePart(schema)}.${quoteNamePart(table)}`
}

function quoteNamePart(part: string): string {
  return /[."*?]/.test(part) || part === '' ? `"${part.replaceAll('"', '""')}"` : part
}
