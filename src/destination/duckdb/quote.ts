/** SQL text for DuckDB: names always quoted, tables always in three parts, so that no name can be taken for another. */
import type { TableName } from '../contract.js'

/** The file is attached under this name whatever it is called, so that `public.duckdb` with a schema `public` is no puzzle. */
export const CATALOG = '_trunkline_file'

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

export function quoteTable(table: TableName): string {
  return `${quoteName(CATALOG)}.${quoteName(table.schema)}.${quoteName(table.name)}`
}

/** DuckDB compares names without regard to case, as ASCII does: `É` and `é` are two names to it. */
export function foldName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** The same folding inside SQL, where `lower` would fold more letters than DuckDB's names do. */
export function fold(expression: string): string {
  return `translate(${expression}, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')`
}

export function formatTable(table: TableName): string {
  return `${table.schema}.${table.name}`
}
