/** What readers that are not ours find in a Parquet file. */
import type { DuckDBConnection } from '@duckdb/node-api'
import { tableFromIPC } from 'apache-arrow'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { readParquet } from 'parquet-wasm'
import {
  DATE_INFINITY,
  TIMESTAMP_INFINITY,
  type ColumnType,
  type ElementType,
  type Field,
} from '../../src/model/column-type.js'
import { rowsOfApache } from './arrow-columns.js'
import { canonicalFloat, canonicalNanos, canonicalValue, type Canonical } from './canonical-rows.js'

/** By arrow-rs, in WebAssembly: what it makes of the file it hands on as an Arrow stream. */
export function readByArrowRs(bytes: Uint8Array, fields: readonly Field[]): Canonical[][] {
  return rowsOfApache(tableFromIPC(readParquet(bytes).intoIPCStream()), fields)
}

/** By hyparquet, which is told nothing of logical types: so it gives every value exactly as it is stored. */
export async function readByHyparquet(bytes: Uint8Array, fields: readonly Field[]): Promise<Canonical[][]> {
  const file = Uint8Array.from(bytes).buffer
  const metadata = parquetMetadata(file)
  for (const element of metadata.schema) {
    if (element.converted_type === 'LIST') continue
    delete element.converted_type
    delete element.logical_type
  }
  const rows = await parquetReadObjects({ file, metadata, compressors, utf8: false })
  return rows.map((row) => fields.map(({ name, type }) => fromPhysical(type, row[name])))
}

function fromPhysical(type: ColumnType, value: unknown): Canonical {
  if (value === null || value === undefined) return null
  if (type.kind === 'list') {
    return Array.from(value as unknown[], (element) => fromPhysical(type.element, element))
  }
  if (type.kind === 'timestamp' && type.unit === 'ns') return canonicalNanos(value as bigint)
  if (type.kind === 'decimal' && value instanceof Uint8Array) {
    return String(BigInt.asIntN(8 * value.length, BigInt(`0x${Buffer.from(value).toString('hex')}`)))
  }
  return canonicalValue(type, value)
}

/** By DuckDB, as the types it takes the columns for. */
export async function readByDuckDb(
  duckdb: DuckDBConnection,
  file: string,
  fields: readonly Field[],
): Promise<Canonical[][]> {
  const quoted = fields.map(({ name }) => `"${name.replaceAll('"', '""')}"`)
  const values = fields.map(({ type }, index) => duckDbExpression(type, quoted[index]!))
  const reader = await duckdb.runAndReadAll(`SELECT ${values.join(', ')} FROM read_parquet('${file}')`)
  return reader.getRowsJson().map((row) => row.map((value, index) => fromDuckDb(fields[index]!.type, value)))
}

function duckDbExpression(type: ColumnType, value: string): string {
  switch (type.kind) {
    case 'list':
      return `list_transform(${value}, lambda x: ${duckDbExpression(type.element, 'x')})`
    case 'date':
      return `CASE WHEN isfinite(${value}) THEN (${value} - DATE '1970-01-01')::VARCHAR ELSE ${value}::VARCHAR END`
    case 'timestamp':
      return `CASE WHEN isfinite(${value}) THEN epoch_us(${value})::VARCHAR ELSE ${value}::VARCHAR END`
    case 'interval':
      return `CASE WHEN ${value} IS NOT NULL THEN concat(${value}.months, '/', ${value}.days, '/', ${value}.micros) END`
    case 'text':
    case 'json':
      return `lower(hex(${value}::VARCHAR))`
    case 'binary':
      return `lower(hex(${value}))`
    case 'bool':
      return value
    default:
      return `${value}::VARCHAR`
  }
}

function fromDuckDb(type: ColumnType, value: unknown): Canonical {
  if (value === null) return null
  if (type.kind === 'list') return (value as unknown[]).map((element) => fromDuckDb(type.element, element))
  if (typeof value === 'boolean') return value
  return fromDuckDbText(type, value as string)
}

function fromDuckDbText(type: ElementType, text: string): Canonical {
  switch (type.kind) {
    case 'float': {
      const number = Number(text.replace('inf', 'Infinity').replace('nan', 'NaN'))
      return canonicalFloat(type.bits === 32 ? Math.fround(number) : number)
    }
    case 'decimal':
      return String(BigInt(text.replace('.', '')))
    case 'date':
      return text.endsWith('infinity') ? text.replace('infinity', String(DATE_INFINITY)) : text
    case 'timestamp':
      return text.endsWith('infinity') ? text.replace('infinity', String(TIMESTAMP_INFINITY)) : text
    case 'time': {
      const [hours, minutes, seconds = '0'] = text.split(':')
      const [whole, fraction = ''] = seconds.split('.')
      const inSeconds = (Number(hours) * 60 + Number(minutes)) * 60 + Number(whole)
      return String(inSeconds * 1e6 + Number(fraction.padEnd(6, '0')))
    }
    case 'uuid':
      return text.replaceAll('-', '')
    default:
      return text
  }
}
