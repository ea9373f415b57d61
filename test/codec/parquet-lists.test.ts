import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import fc from 'fast-check'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import type { RowRange } from '../../src/batch/row-range.js'
import { valueReader, type SingleValue, type Value } from '../../src/batch/rows.js'
import { createParquetFile } from '../../src/codec/parquet-file.js'
import type { ElementType, Field } from '../../src/model/column-type.js'

let folder: string
let duckdb: DuckDBConnection
let fileCount = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trunkline-lists-'))
  duckdb = await (await DuckDBInstance.create(':memory:')).connect()
})

afterAll(async () => {
  duckdb.closeSync()
  await rm(folder, { recursive: true })
})

const ELEMENTS: readonly (readonly [name: string, type: ElementType, value: fc.Arbitrary<SingleValue>])[] = [
  ['flags', { kind: 'bool' }, fc.boolean()],
  ['small', { kind: 'int', bits: 16 }, fc.integer({ min: -32768, max: 32767 })],
  ['large', { kind: 'int', bits: 64 }, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
  ['ratios', { kind: 'float', bits: 64 }, fc.double({ noNaN: true, noDefaultInfinity: true })],
  ['sums', { kind: 'decimal', precision: 38, scale: 2 }, fc.integer().map((value) => `${value}.25`)],
  ['words', { kind: 'text' }, fc.string({ maxLength: 20 })],
  ['ids', { kind: 'uuid' }, fc.uuid()],
  ['spans', { kind: 'interval' }, fc.nat(90).map((days) => (days === 0 ? 'PT0S' : `P${days}DT1S`))],
]
const FIELDS: readonly Field[] = ELEMENTS.map(([name, element]) => ({
  name,
  type: { kind: 'list', element },
  nullable: true,
}))
const row: fc.Arbitrary<Value[]> = fc.tuple(
  ...ELEMENTS.map(([, , value]) =>
    fc.option(fc.array(fc.option(value, { freq: 3 }), { maxLength: 5 }), { freq: 4 }),
  ),
)

/** Batches in some parts each, two row groups. */
function encode(batches: readonly Batch[], cut: number): Uint8Array {
  const file = createParquetFile(FIELDS)
  const parts = batches.flatMap((batch): RowRange[] => {
    const first = Math.min(cut, batch.rowCount)
    return [
      { batch, start: 0, count: first },
      { batch, start: first, count: batch.rowCount - first },
    ]
  })
  const half = Math.ceil(parts.length / 2)
  const groups = [parts.slice(0, half), parts.slice(half)]
  return Buffer.concat([...groups.flatMap((group) => [...file.rowGroup(group)]).flat(), ...file.end()])
}

/** What a reader that knows JSON says of the values. */
const asJson = (batches: readonly Batch[]): unknown[][] =>
  batches.flatMap((batch) => {
    const readers = FIELDS.map((_, index) => valueReader(batch, index))
    return Array.from({ length: batch.rowCount }, (_, at) => readers.map((read) => plain(read(at))))
  })

const plain = (value: Value): unknown =>
  Array.isArray(value)
    ? value.map((element) => plain(element as SingleValue))
    : typeof value === 'bigint'
      ? String(value)
      : value

describe('lists in a Parquet file', () => {
  it('are read back by DuckDB value for value: nulls, empty ones, null elements, wherever pages are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(row, { maxLength: 30 }), { minLength: 1, maxLength: 3 }),
        fc.nat(30),
        async (tables, cut) => {
          const batches = tables.map((rows) => buildBatch(FIELDS, rows))
          const file = join(folder, `${fileCount++}.parquet`)
          await writeFile(file, encode(batches, cut))
          const text = (name: string): string => `list_transform(${name}, x -> x::VARCHAR)`
          const span = `list_transform(spans, x -> CASE WHEN x.days = 0 THEN 'PT0S' WHEN x IS NOT NULL THEN 'P' || x.days || 'DT' || (x.micros // 1000000) || 'S' END)`
          const reader = await duckdb.runAndReadAll(
            `SELECT flags, small, ${text('large')}, ratios, ${text('sums')}, words, ${text('ids')}, ${span} FROM read_parquet('${file}')`,
          )
          // Negative zero is 0 in JSON.
          expect(JSON.stringify(reader.getRowsJson())).toBe(JSON.stringify(asJson(batches)))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('are read back by hyparquet', async () => {
    const [samples] = fc.sample(fc.array(row, { minLength: 60, maxLength: 60 }), { seed: 7, numRuns: 1 })
    const batch = buildBatch(FIELDS, samples!)
    const bytes = encode([batch], 17)
    const file = Uint8Array.from(bytes).buffer
    const read = await parquetReadObjects({ file, columns: ['small', 'words', 'flags'] })
    const wanted = ['small', 'words', 'flags'].map((name) =>
      valueReader(
        batch,
        FIELDS.findIndex((field) => field.name === name),
      ),
    )
    expect(read.map((record) => ['small', 'words', 'flags'].map((name) => record[name] ?? null))).toEqual(
      Array.from({ length: batch.rowCount }, (_, at) => wanted.map((values) => values(at))),
    )
  })
})
