/** A DuckDB file in a folder of its own, and what a stranger's DuckDB sees in it. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { DuckDBValue } from '@duckdb/node-api'
import { DuckDBInstance } from '@duckdb/node-api'
import type { Destination } from '../../../src/destination/contract.js'
import { createDuckDbDestination } from '../../../src/destination/duckdb/duckdb-destination.js'
import type { Place } from '../conformance.js'

export interface DuckDbPlace extends Place {
  readonly folder: string
  readonly file: string
  create(publish?: 'direct' | 'atomic'): Destination
  /** Rows of a query, on a plain DuckDB of its own. */
  query(sql: string): Promise<readonly (readonly DuckDBValue[])[]>
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

export async function makeDuckDbPlace(
  options: { name?: string; publish?: 'direct' | 'atomic'; folder?: string } = {},
): Promise<DuckDbPlace> {
  const folder = options.folder ?? (await mkdtemp(path.join(tmpdir(), 'trunkline-duckdb-')))
  const file = path.join(folder, options.name ?? 'copy.duckdb')
  const query = async (sql: string): Promise<readonly (readonly DuckDBValue[])[]> => {
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    try {
      await connection.run(`ATTACH '${file.replaceAll("'", "''")}' AS db`)
      await connection.run("SET TimeZone = 'UTC'")
      await connection.run('USE db')
      return (await connection.runAndReadAll(sql)).getRows()
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
  }
  return {
    folder,
    file,
    query,
    create: (publish = options.publish ?? 'direct') => createDuckDbDestination({ path: file, publish }),
    async readRows({ schema, name }, columns) {
      if (!existsSync(file)) return null
      const found = await query(
        `SELECT 1 FROM duckdb_tables() WHERE database_name = 'db' AND schema_name = '${schema}' AND table_name = '${name}'`,
      )
      if (found.length === 0) return null
      return query(`SELECT ${columns.map(quote).join(', ')} FROM db.${quote(schema)}.${quote(name)}`)
    },
    async makeForeignTable({ schema, name }) {
      await query(`CREATE SCHEMA IF NOT EXISTS db.${quote(schema)}`)
      await query(`CREATE TABLE db.${quote(schema)}.${quote(name)} AS SELECT 77 AS id`)
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
