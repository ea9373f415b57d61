/** A folder of files, and what a stranger sees in it: DuckDB by `latest.sql`, or whoever reads Arrow by `latest.json`. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DuckDBInstance, type DuckDBValue } from '@duckdb/node-api'
import type { Destination, TableName } from '../../../src/destination/contract.js'
import { createFilesDestination } from '../../../src/destination/files/files-destination.js'
import type { FilesDestinationOptions } from '../../../src/destination/files/files-destination.js'
import type { FileFormat } from '../../../src/destination/files/file-format.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import type { Field } from '../../../src/model/column-type.js'
import type { Place } from '../../../src/testing/place.js'
import type { Plain } from '../../../src/testing/plain.js'
import { selectField, toPlain } from '../duckdb/duckdb-place.js'

export interface FilesPlace extends Place {
  readonly folder: string
  create(options?: Partial<FilesDestinationOptions>): Destination
  /** Rows of a query over the views, on a plain DuckDB of its own. */
  query(sql: string): Promise<readonly (readonly DuckDBValue[])[]>
}

/** Files of the table, by their absolute paths. */
type ReadFiles = (
  files: readonly string[],
  columns: readonly Field[],
) => Promise<readonly (readonly Plain[])[]>

export async function makeFilesPlace(
  format: FileFormat,
  options: Partial<Place> & { readonly readFiles?: ReadFiles } = {},
): Promise<FilesPlace> {
  const { readFiles, ...place } = options
  const folder = await mkdtemp(path.join(tmpdir(), 'trunkline-files-'))
  const root = path.join(folder, 'lake')
  const query = async (sql: string): Promise<readonly (readonly DuckDBValue[])[]> => {
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    try {
      await connection.run("SET TimeZone = 'UTC'")
      await connection.run(await readFile(path.join(root, 'latest.sql'), 'utf8'))
      return (await connection.runAndReadAll(sql)).getRows()
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
  }
  return {
    folder: root,
    query,
    create: (more = {}) =>
      createFilesDestination({ format, store: createLocalStore({ path: root }), ...more }),
    async readRows(table, columns) {
      const files = await listFiles(root, table)
      if (files === null) return null
      if (readFiles !== undefined) return readFiles(files, columns)
      const { schema, name } = table
      const rows = await query(
        `SELECT ${columns.map(selectField).join(', ')} FROM ${quote(schema)}.${quote(name)}`,
      )
      return rows.map((row) => row.map((value, index) => toPlain(columns[index]?.type, value)))
    },
    async makeForeignTable({ schema, name }) {
      await mkdir(path.join(root, `${schema}.${name}`), { recursive: true })
      await writeFile(path.join(root, `${schema}.${name}`, `mine${format.suffix}`), 'not of ours')
    },
    readableDuringRuns: true,
    rowsFollow: true,
    remove: () => rm(folder, { recursive: true, force: true }),
    ...place,
  }
}

interface Listing {
  readonly tables: readonly {
    readonly schema: string
    readonly name: string
    readonly files: readonly { readonly path: string }[]
  }[]
}

/** Null where the listing has no such table. */
async function listFiles(root: string, table: TableName): Promise<readonly string[] | null> {
  const listing = path.join(root, 'latest.json')
  if (!existsSync(listing)) return null
  const { tables } = JSON.parse(await readFile(listing, 'utf8')) as Listing
  const found = tables.find(({ schema, name }) => schema === table.schema && name === table.name)
  return found === undefined ? null : found.files.map((file) => path.join(root, file.path))
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
