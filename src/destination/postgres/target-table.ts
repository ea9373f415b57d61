/** What is there at the target under a name: the relation, its columns and keys, who owns it, and types that it knows. */
import type { Connection } from '../../postgres/connection.js'
import { quoteLiteral } from '../../postgres/quote.js'
import type { StreamOrigin, TableName } from '../contract.js'
import { STATE } from './state-layout.js'
import { typesToAsk } from './target-types.js'
import type { KnownType } from './target-types.js'

export interface PresentColumn {
  readonly sqlType: string
  readonly notNull: boolean
  readonly comment: string | null
}

export interface PresentTable {
  readonly oid: number
  /** pg_class.relkind: r, p, v, m, f, …; null: only a type of that name is there. */
  readonly kind: string
  readonly owner: string
  readonly comment: string | null
  /** In the order of the table. */
  readonly columns: ReadonlyMap<string, PresentColumn>
  /** Columns of each index by which INSERT can find conflicts. */
  readonly uniqueKeys: readonly (readonly string[])[]
}

/** Whether INSERT finds conflicts by just these columns. */
export function isUniqueOver({ uniqueKeys }: PresentTable, columns: readonly string[]): boolean {
  return uniqueKeys.some((unique) => sameNames(unique, columns))
}

/** In whatever order. */
export function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name))
}

interface TableRow {
  readonly oid: number
  readonly kind: string
  readonly owner: string
  readonly comment: string | null
  readonly columns:
    readonly { name: string; type: string; not_null: boolean; comment: string | null }[] | null
  readonly unique_keys: readonly (readonly string[])[] | null
}

/** Types as format_type prints them under our search_path: whatever is not built in comes with its schema. */
const TABLE_SQL = `
SELECT c.oid,
       c.relkind::text AS kind,
       pg_get_userbyid(c.relowner)::text AS owner,
       obj_description(c.oid, 'pg_class') AS comment,
       (SELECT json_agg(json_build_object(
                 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull,
                 'comment', col_description(a.attrelid, a.attnum)) ORDER BY a.attnum)
          FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT json_agg((SELECT json_agg(a.attname) FROM pg_attribute a
                          WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])))
          FROM pg_index i
         WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready
           AND i.indpred IS NULL AND i.indexprs IS NULL) AS unique_keys
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2`

export async function readTable(connection: Connection, table: TableName): Promise<PresentTable | null> {
  const [row] = await connection.query<TableRow>(TABLE_SQL, [table.schema, table.name])
  if (row === undefined) return null
  const columns = (row.columns ?? []).map(
    ({ name, type, not_null: notNull, comment }): [string, PresentColumn] => [
      name,
      { sqlType: type, notNull, comment },
    ],
  )
  return {
    oid: row.oid,
    kind: row.kind,
    owner: row.owner,
    comment: row.comment,
    columns: new Map(columns),
    uniqueKeys: row.unique_keys ?? [],
  }
}

/** What we have made of a table; whatever else it has is somebody else's. */
export interface MadeParts {
  readonly columns: readonly string[]
  readonly primaryKey: readonly string[] | null
}

export interface TableOwner {
  readonly sync: string
  readonly stream: string
  readonly number: number
  /** Of the table that we made under the name; null where it is not known. */
  readonly oid: number | null
  /** Null where it is not known. */
  readonly made: MadeParts | null
}

/** A column that is there and that we have not made. Where nobody knows, all are taken for ours. */
export function isTheirs(name: string, present: PresentTable | null, made: MadeParts | null): boolean {
  if (made === null || name.startsWith('_trunkline_')) return false
  return present?.columns.has(name) === true && !made.columns.includes(name)
}

export async function readOwner(connection: Connection, table: TableName): Promise<TableOwner | null> {
  const [row] = await connection.query<Omit<TableOwner, 'number'> & { readonly number: string }>(
    `SELECT sync, stream, number, oid, made FROM ${STATE}.tables WHERE schema_name = $1 AND table_name = $2`,
    [table.schema, table.name],
  )
  return row === undefined ? null : { ...row, number: Number(row.number) }
}

const TYPES_SQL = `
SELECT n.nspname::text AS schema,
       t.typname::text AS name,
       t.typtype::text AS kind,
       coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '{}') AS labels,
       pg_has_role(t.typowner, 'USAGE') AS "mayChange",
       CASE WHEN t.typoutput = 'array_out'::regproc THEN element.typtype::text END AS "elementKind"
  FROM unnest($1::text[], $2::text[]) AS asked (schema, name)
  JOIN pg_namespace n ON n.nspname = asked.schema
  JOIN pg_type t ON t.typnamespace = n.oid AND t.typname = asked.name
  LEFT JOIN pg_type element ON element.oid = t.typelem
 WHERE has_schema_privilege(n.oid, 'USAGE')`

export async function readTypes(
  connection: Connection,
  origin: StreamOrigin | undefined,
): Promise<readonly KnownType[]> {
  const asked = typesToAsk(origin)
  if (asked.length === 0) return []
  return connection.query<KnownType>(TYPES_SQL, [
    asked.map(({ schema }) => schema),
    asked.map(({ name }) => name),
  ])
}

/** The first of the names that nothing in the schema has: `orders_pkey`, `orders_pkey1`, … */
export async function freeName(connection: Connection, schema: string, wanted: string): Promise<string> {
  const short = shorten(wanted)
  const rows = await connection.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND starts_with(c.relname, $2)`,
    [schema, short],
  )
  const taken = new Set(rows.map(({ name }) => name))
  for (let suffix = 0; ; suffix++) {
    const name = suffix === 0 ? short : `${short}${suffix}`
    if (!taken.has(name)) return name
  }
}

/** Bytes that a name has at most. */
export const NAME_BYTES = 63
/** Room for a number behind it. */
const NUMBER_BYTES = 4

function shorten(name: string): string {
  if (Buffer.byteLength(name) <= NAME_BYTES - NUMBER_BYTES) return name
  let short = name
  while (Buffer.byteLength(short) > NAME_BYTES - NUMBER_BYTES) short = [...short].slice(0, -1).join('')
  return short
}

/** As SQL of a timestamptz. */
export function instant(date: Date): string {
  return `${quoteLiteral(date.toISOString())}::pg_catalog.timestamptz`
}
