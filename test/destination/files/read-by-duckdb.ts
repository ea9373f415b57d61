/** Values as DuckDB gives them, in the form that `exactRows` has. */
import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBIntervalValue,
  DuckDBListValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  DuckDBUUIDValue,
  type DuckDBConnection,
  type DuckDBValue,
} from '@duckdb/node-api'

export interface ReadByDuckDb {
  readonly names: readonly string[]
  readonly types: readonly string[]
  readonly rows: readonly unknown[][]
}

export async function readByDuckDb(duckdb: DuckDBConnection, fromItem: string): Promise<ReadByDuckDb> {
  const described = await duckdb.runAndReadAll(`DESCRIBE SELECT * FROM ${fromItem}`)
  const reader = await duckdb.runAndReadAll(`SELECT * FROM ${fromItem}`)
  return {
    names: reader.columnNames(),
    types: described.getRows().map(([, type]) => String(type)),
    rows: reader.getRows().map((row) => row.map(exactText)),
  }
}

const INFINITE = 2n ** 63n - 1n

function exactText(value: DuckDBValue): unknown {
  if (value === null) return null
  if (value instanceof DuckDBListValue) return value.items.map(exactText)
  if (value instanceof DuckDBDateValue) return String(value.days)
  if (value instanceof DuckDBTimeValue || value instanceof DuckDBTimestampValue) return String(value.micros)
  if (value instanceof DuckDBTimestampTZValue) return String(value.micros)
  if (value instanceof DuckDBTimestampNanosecondsValue) {
    const { nanos } = value
    return String(nanos === INFINITE || nanos === -INFINITE ? nanos : nanos / 1000n)
  }
  if (value instanceof DuckDBIntervalValue) return `${value.months} ${value.days} ${value.micros}`
  if (value instanceof DuckDBDecimalValue) return String(value.value)
  if (value instanceof DuckDBUUIDValue) return value.toString().replaceAll('-', '')
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString('hex')
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value === 'string') return value
  return String(value)
}
