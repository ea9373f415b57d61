/** A DuckDB file in a folder of its own, and what a stranger's DuckDB sees in it. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { DuckDBListValue, DuckDBValue } from '@duckdb/node-api'
import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBInstance,
  DuckDBIntervalValue,
  DuckDBStructValue,
  DuckDBTimeValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUUIDValue,
} from '@duckdb/node-api'
import type { Destination } from '../../../src/destination/contract.js'
import type { ColumnType, Field } from '../../../src/model/column-type.js'
import { createDuckDbDestination } from '../../../src/destination/duckdb/duckdb-destination.js'
import type { Place } from '../../../src/testing/place.js'
import type { Plain, PlainElement } from '../../../src/testing/plain.js'

export interface DuckDbPlace extends Place {
  readonly folder: string
  readonly file: string
  create(publish?: 'direct' | 'atomic'): Destination
  /** Rows of a query, on a plain DuckDB of its own. */
  readonly query: Query
}

type Query = (sql: string) => Promise<readonly (readonly DuckDBValue[])[]>

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
const text = (value: string): string => `'${value.replaceAll("'", "''")}'`

const isText = (type: ColumnType | undefined): boolean => type?.kind === 'text' || type?.kind === 'json'

/** Text as its bytes: the driver takes a byte order mark for none of its characters. */
export function selectField({ name, type }: Field): string {
  if (isText(type)) return `encode(${quote(name)}::VARCHAR)`
  if (type.kind !== 'list' || !isText(type.element)) return quote(name)
  return `list_transform(${quote(name)}, x -> encode(x::VARCHAR))`
}

export function toPlain(type: ColumnType | undefined, value: DuckDBValue): Plain {
  if (type?.kind !== 'list' || value === null) return toElement(type, value)
  return (value as DuckDBListValue).items.map((item) => toElement(type.element, item))
}

function toElement(type: ColumnType | undefined, value: DuckDBValue): PlainElement {
  if (value === null || typeof value !== 'object') return value
  if (value instanceof DuckDBDecimalValue || value instanceof DuckDBUUIDValue) return value.toString()
  if (value instanceof DuckDBDateValue) return value.days
  if (value instanceof DuckDBTimeValue) return value.micros
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) return value.micros
  if (value instanceof DuckDBTimestampNanosecondsValue) return value.nanos
  if (value instanceof DuckDBIntervalValue) return [value.months, value.days, value.micros]
  // An interval, as Parquet has it.
  if (value instanceof DuckDBStructValue && type?.kind === 'interval') {
    const { months, days, micros } = value.entries
    return [Number(months), Number(days), BigInt(micros as bigint)]
  }
  if (value instanceof DuckDBBlobValue)
    return isText(type) ? Buffer.from(value.bytes).toString() : value.bytes
  throw new Error(`a reader of DuckDB finds ${value.constructor.name}`)
}

export async function makeDuckDbPlace(
  options: { name?: string; publish?: 'direct' | 'atomic'; folder?: string } = {},
): Promise<DuckDbPlace> {
  const folder = options.folder ?? (await mkdtemp(path.join(tmpdir(), 'trunkline-duckdb-')))
  const file = path.join(folder, options.name ?? 'copy.duckdb')
  const attached = async <T>(work: (run: Query) => Promise<T>): Promise<T> => {
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    try {
      await connection.run(`ATTACH ${text(file)} AS db`)
      await connection.run("SET TimeZone = 'UTC'")
      await connection.run('USE db')
      return await work(async (sql) => (await connection.runAndReadAll(sql)).getRows())
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
  }
  const query: Query = (sql) => attached((run) => run(sql))
  return {
    folder,
    file,
    query,
    create: (publish = options.publish ?? 'direct') => createDuckDbDestination({ path: file, publish }),
    async readRows(table, columns) {
      if (!existsSync(file)) return null
      return attached(async (run) => {
        const present = await run(
          `SELECT 1 FROM duckdb_tables()
           WHERE database_name = 'db' AND schema_name = ${text(table.schema)} AND table_name = ${text(table.name)}`,
        )
        if (present.length === 0) return null
        const selected = columns.map(selectField).join(', ')
        const found = await run(`SELECT ${selected} FROM db.${quote(table.schema)}.${quote(table.name)}`)
        return found.map((row) => row.map((value, index) => toPlain(columns[index]?.type, value)))
      })
    },
    async readComments({ schema, name }) {
      const place = `database_name = 'db' AND schema_name = ${text(schema)} AND table_name = ${text(name)}`
      const [table] = await query(`SELECT comment FROM duckdb_tables() WHERE ${place}`)
      const columns = await query(
        `SELECT column_name, comment FROM duckdb_columns() WHERE ${place} AND comment IS NOT NULL`,
      )
      return {
        table: (table?.[0] ?? null) as string | null,
        columns: Object.fromEntries(columns.map(([column, comment]) => [String(column), String(comment)])),
      }
    },
    // Its compression takes equal values for the same.
    mixesZeros: true,
    // DuckDB lets nobody read a file that is being written; a published copy is read by whoever likes.
    readableDuringRuns: options.publish === 'atomic',
    async makeForeignTable({ schema, name }) {
      await query(`CREATE SCHEMA IF NOT EXISTS db.${quote(schema)}`)
      await query(`CREATE TABLE db.${quote(schema)}.${quote(name)} AS SELECT 77 AS id`)
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
