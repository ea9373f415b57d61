/**
 * Two files at the root that say which files the tables are just now: `latest.sql`, views for DuckDB, and `latest.json` for every
 * other reader. They follow the manifests, which alone decide: a run that died between a commit and this leaves them one commit
 * behind, and the next one puts them right. Files of an earlier generation stay for a while, so what they name is there.
 */
import type { Field } from '../../model/column-type.js'
import type { TableName } from '../contract.js'
import { quoteName } from '../duckdb/quote.js'
import type { Store } from '../stores/store.js'
import type { FileFormat } from './file-format.js'
import type { Ledger, StreamEntry } from './manifest.js'

export const VIEWS_FILE = 'latest.sql'
export const LISTING_FILE = 'latest.json'
const FIRST_LINE =
  '-- Views over the files of each table as of the last commit. Made by Trunkline, and made anew by each run.'

/** The FROM item that reads these rows; null where SQL of DuckDB cannot. */
export function scanFiles(
  { format, store }: { readonly format: FileFormat; readonly store: Store },
  fields: readonly Field[],
  paths: readonly string[],
): string | null {
  return format.scanSql(
    fields,
    paths.map((path) => store.locate(path)),
  )
}

/** Writes what is not so already. */
export async function writeListings(
  place: { readonly format: FileFormat; readonly store: Store },
  ledger: Ledger,
): Promise<void> {
  const tables = tablesOf(ledger)
  const views = formatViews(place, tables)
  if (views !== null) await putChanged(place.store, VIEWS_FILE, views)
  await putChanged(place.store, LISTING_FILE, formatListing(place.format, tables))
}

function formatViews(
  place: { readonly format: FileFormat; readonly store: Store },
  tables: readonly StreamEntry[],
): string | null {
  const lines = [FIRST_LINE]
  const schemas = new Set(tables.map(({ table }) => table.schema))
  for (const schema of schemas) lines.push(`CREATE SCHEMA IF NOT EXISTS ${quoteName(schema)};`)
  for (const { table, fields, files } of tables) {
    const scan = scanFiles(
      place,
      fields,
      files.map(({ path }) => path),
    )
    if (scan === null) return null
    const columns = fields.map(({ name }) => quoteName(name)).join(', ')
    lines.push(`CREATE OR REPLACE VIEW ${quoteTable(table)} AS SELECT ${columns} FROM ${scan};`)
  }
  return `${lines.join('\n')}\n`
}

function formatListing(format: FileFormat, tables: readonly StreamEntry[]): string {
  const listed = tables.map(({ sync, stream, table, generation, committedAt, files }) => ({
    ...table,
    sync,
    stream,
    generation,
    committedAt,
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    files: files.map(({ path, rows, bytes, sha256 }) => ({ path, rows, bytes, sha256 })),
  }))
  return `${JSON.stringify({ v: 1, madeBy: 'trunkline', format: format.name, tables: listed }, null, 1)}\n`
}

function tablesOf({ streams }: Ledger): readonly StreamEntry[] {
  const present = [...streams.values()].filter(({ lost, files }) => !lost && files.length > 0)
  return present.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
}

async function putChanged(store: Store, path: string, content: string): Promise<void> {
  const bytes = Buffer.from(content)
  const present = await store.read(path)
  if (present === null || !bytes.equals(present)) await store.put(path, bytes)
}

function nameOf({ table }: StreamEntry): string {
  return `${table.schema}.${table.name}`
}

function quoteTable({ schema, name }: TableName): string {
  return `${quoteName(schema)}.${quoteName(name)}`
}
