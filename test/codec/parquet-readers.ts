/**
 * What readers that are not ours find in a Parquet file, in one form for all of them: whole numbers, unscaled decimals, days and
 * microseconds as text; floats as text that tells −0 and NaN; texts and bytes in hexadecimal; intervals as `months/days/micros`.
 */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { DuckDBConnection } from '@duckdb/node-api'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import type { Batch } from '../../src/batch/batch.js'
import { columnReader } from '../../src/batch/column-reader.js'
import {
  DATE_INFINITY,
  TIMESTAMP_INFINITY,
  type ColumnType,
  type ElementType,
  type Field,
} from '../../src/model/column-type.js'

export type Canonical = string | boolean | null | readonly Canonical[]

export function expectedRows(batches: readonly Batch[]): Canonical[][] {
  return batches.flatMap((batch) => {
    const readers = batch.fields.map(({ type }, index) => {
      const read = columnReader(batch, index)
      return (row: number) => canonical(type, read(row))
    })
    return Array.from({ length: batch.rowCount }, (_, row) => readers.map((read) => read(row)))
  })
}

/** `value` as batches store it. */
function canonical(type: ColumnType, value: unknown): Canonical {
  if (value === null || value === undefined) return null
  switch (type.kind) {
    case 'list':
      return (value as unknown[]).map((element) => canonical(type.element, element))
    case 'bool':
      return value as boolean
    case 'float':
      return floatText(value as number)
    case 'interval': {
      const { months, days, micros } = value as { months: number; days: number; micros: bigint }
      return `${months}/${days}/${micros}`
    }
    case 'text':
    case 'json':
    case 'uuid':
    case 'binary':
      return Buffer.from(value as Uint8Array).toString('hex')
    default:
      return (value as number | bigint).toString()
  }
}

const floatText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value))

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
  if (type.kind === 'timestamp' && type.unit === 'ns') {
    const nanos = value as bigint
    const infinite = nanos === TIMESTAMP_INFINITY || nanos === -TIMESTAMP_INFINITY
    return String(infinite ? nanos : nanos / 1000n)
  }
  if (type.kind === 'decimal' && value instanceof Uint8Array) {
    return String(BigInt.asIntN(8 * value.length, BigInt(`0x${Buffer.from(value).toString('hex')}`)))
  }
  return canonical(type, value)
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
      return floatText(type.bits === 32 ? Math.fround(number) : number)
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

const run = promisify(execFile)
const script = fileURLToPath(new URL('read-parquet.py', import.meta.url))
export const PYTHON = process.env['TRUNKLINE_TEST_PYTHON'] ?? 'python3'

/** Which of `pyarrow` and `polars` this machine's Python has. */
export async function pythonReaders(): Promise<readonly string[]> {
  const found: string[] = []
  for (const name of ['pyarrow', 'polars']) {
    const works = await run(PYTHON, ['-c', `import ${name}`]).then(
      () => true,
      () => false,
    )
    if (works) found.push(name)
  }
  return found
}

/** By pyarrow or polars, in a process of its own. `output`: a file for what it found. */
export async function readByPython(
  reader: string,
  file: string,
  fields: readonly Field[],
): Promise<Canonical[][]> {
  const plan = `${file}.fields.json`
  await writeFile(plan, JSON.stringify(fields.map(({ name, type }) => ({ name, type }))))
  const { stdout } = await run(PYTHON, [script, reader, file, plan], { maxBuffer: 1 << 30 })
  const rows = JSON.parse(stdout) as unknown[][]
  return rows.map((row) => row.map((value, index) => fromPython(fields[index]!.type, value)))
}

/** Floats come as the bytes of a double. */
function fromPython(type: ColumnType, value: unknown): Canonical {
  if (value === null) return null
  if (type.kind === 'list') return (value as unknown[]).map((element) => fromPython(type.element, element))
  if (type.kind === 'float') return floatText(Buffer.from(value as string, 'hex').readDoubleBE())
  return value as string | boolean
}
