/**
 * Whether a table in a DuckDB file is the table in PostgreSQL, found out without any of Trunkline's own code: both sides are asked
 * for every row as text, by plain SQL, and the rows are compared as a multiset.
 */
import { expect } from 'vitest'
import type { TestDatabase } from '../server/servers.js'
import type { CopyFile } from './copy-file.js'

interface ComparedColumn {
  readonly name: string
  /** pg_type.typname. */
  readonly type: string
}

export interface TableAt {
  readonly schema: string
  readonly name: string
}

/** Columns that only the destination has, named by Trunkline. */
const OWN_COLUMNS = ['_trunkline_deleted_at', '_trunkline_run_at']

/** A table as plain data: its columns, and its rows as text, in no order. */
export interface TableText {
  readonly columns: readonly string[]
  readonly rows: readonly string[]
}

/**
 * Fails unless columns and rows are the same. `source` is `schema.table` or its two parts; it lands under the same name unless
 * `landed` says otherwise.
 */
export async function expectSameRows(
  db: Pick<TestDatabase, 'sql'>,
  copy: CopyFile,
  source: string | TableAt,
  landed: string | TableAt = source,
): Promise<void> {
  expectEqual(await readBoth(db, copy, source, landed))
}

export interface BothSides {
  readonly source: TableText
  readonly landed: TableText
}

export function expectEqual({ source, landed }: BothSides): void {
  expect(landed.columns).toEqual(source.columns)
  expect(differences(landed.rows, source.rows)).toEqual({ missing: [], unexpected: [] })
}

/** Rows as often as one side has them more often than the other; the first few of each. */
export function differences(
  landed: readonly string[],
  source: readonly string[],
): { missing: string[]; unexpected: string[] } {
  const surplus = new Map<string, number>()
  for (const row of source) surplus.set(row, (surplus.get(row) ?? 0) + 1)
  for (const row of landed) surplus.set(row, (surplus.get(row) ?? 0) - 1)
  const pick = (sign: 1 | -1): string[] =>
    [...surplus].flatMap(([row, count]) => (count * sign > 0 ? [`${row} x${count * sign}`] : [])).slice(0, 5)
  return { missing: pick(1), unexpected: pick(-1) }
}

export async function readBoth(
  db: Pick<TestDatabase, 'sql'>,
  copy: CopyFile,
  source: string | TableAt,
  landed: string | TableAt = source,
): Promise<BothSides> {
  const from = tableAt(source)
  const columns = await db.sql<{ name: string; type: string }>(
    `SELECT attname AS name, typname AS type FROM pg_attribute
       JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_type t ON t.oid = atttypid
      WHERE nspname = $1 AND relname = $2 AND attnum > 0 AND NOT attisdropped`,
    [from.schema, from.name],
  )
  const sorted = columns.sort(byName)
  const rows = await db.sql(`SELECT ${sorted.map(sourceText).join(', ')} FROM ${quoted(from)}`)
  return {
    source: { columns: sorted.map((column) => column.name), rows: rows.map(rowText) },
    landed: await readLanded(copy, landed, new Map(sorted.map(({ name, type }) => [name, type]))),
  }
}

/** `types` are those of the source; where it knows none, the text is DuckDB's own. */
export async function readLanded(
  copy: CopyFile,
  table: string | TableAt,
  types: ReadonlyMap<string, string> = new Map(),
): Promise<TableText> {
  return await copy.whileOpen(() => readTable(copy, table, types))
}

async function readTable(
  copy: CopyFile,
  table: string | TableAt,
  types: ReadonlyMap<string, string>,
): Promise<TableText> {
  const into = tableAt(table)
  const found = await copy.rows(
    `SELECT column_name AS name FROM duckdb_columns()
      WHERE database_name <> 'temp' AND schema_name = $1 AND table_name = $2`,
    [into.schema, into.name],
  )
  const columns = found
    .map((row) => ({ name: row['name'] ?? '', type: types.get(row['name'] ?? '') ?? '' }))
    .filter(({ name }) => !OWN_COLUMNS.includes(name))
    .sort(byName)
  const rows =
    columns.length === 0
      ? []
      : await copy.rows(
          `SELECT ${columns.map(landedText).join(', ')} FROM ${quote(copy.catalog)}.${quoted(into)}`,
        )
  return { columns: columns.map((column) => column.name), rows: rows.map(rowText) }
}

function byName(a: ComparedColumn, b: ComparedColumn): number {
  return a.name < b.name ? -1 : 1
}

/** The type's own output text: a cast gives another for inet and char. */
function sourceText({ name, type }: ComparedColumn, index: number): string {
  const column = quote(name)
  if (type === 'bytea') return `pg_catalog.encode(${column}, 'hex') AS c${index}`
  if (type === 'bool') return `${column}::pg_catalog.text AS c${index}`
  return `CASE WHEN ${column} IS NULL THEN NULL ELSE pg_catalog.format('%s', ${column}) END AS c${index}`
}

function landedText({ name, type }: ComparedColumn, index: number): string {
  const column = quote(name)
  return `${type === 'bytea' ? `lower(hex(${column}))` : `CAST(${column} AS VARCHAR)`} AS c${index}`
}

function rowText(row: Record<string, string | null>): string {
  return JSON.stringify(Object.values(row))
}

function tableAt(table: string | TableAt): TableAt {
  if (typeof table !== 'string') return table
  const [schema = '', name = ''] = table.split('.')
  return { schema, name }
}

export function quoted({ schema, name }: TableAt): string {
  return `${quote(schema)}.${quote(name)}`
}

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
