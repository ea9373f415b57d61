import fc from 'fast-check'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import type { RowRange } from '../../src/batch/row-range.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import { columnFormatter } from '../../src/batch/format-value.js'
import { valueReader } from '../../src/batch/rows.js'
import { createParquetFile, type ParquetOptions } from '../../src/codec/parquet-file.js'
import type { Field } from '../../src/model/column-type.js'
import { parquetFiles } from './parquet-files.js'
import { SAMPLE_FIELDS, sampleBatch } from './sample-batch.js'

const files = parquetFiles()
/** The last one written. */
let file: string

const whole = (batch: Batch): RowRange => ({ batch, start: 0, count: batch.rowCount })

/** Each group a row group, each part of it a page per column. */
function encode(
  fields: readonly Field[],
  groups: readonly (readonly RowRange[])[],
  options?: ParquetOptions,
): Uint8Array[] {
  const file = createParquetFile(fields, options)
  const pages = groups.flatMap((parts) => [...file.rowGroup(parts)])
  return [...pages.flat(), ...file.end()]
}

async function readWithDuckDb(pieces: Uint8Array[], expressions: string): Promise<unknown[][]> {
  file = await files.save(Buffer.concat(pieces))
  return files.query(`SELECT ${expressions} FROM read_parquet('${file}')`)
}

const DUCKDB_TYPES: Record<string, string> = {
  flag: 'BOOLEAN',
  small: 'SMALLINT',
  medium: 'INTEGER',
  large: 'BIGINT',
  single: 'FLOAT',
  double: 'DOUBLE',
  price: 'DECIMAL(9,2)',
  amount: 'DECIMAL(18,3)',
  total: 'DECIMAL(38,10)',
  day: 'DATE',
  at_time: 'TIME',
  local: 'TIMESTAMP',
  instant: 'TIMESTAMP WITH TIME ZONE',
  span: 'STRUCT("months" INTEGER, "days" INTEGER, micros BIGINT)',
  name: 'VARCHAR',
  document: 'JSON',
  id: 'UUID',
  content: 'BLOB',
}

/** Every column as text. */
const EXPRESSIONS = SAMPLE_FIELDS.map(({ name }) =>
  name === 'span'
    ? `CASE WHEN span IS NOT NULL THEN span.months || ' ' || span.days || ' ' || span.micros END`
    : name === 'content'
      ? 'hex(content)'
      : `${name}::VARCHAR`,
).join(', ')

/** What DuckDB prints where it prints otherwise than PostgreSQL. */
const DUCKDB_TEXT: Record<string, (text: string) => string> = {
  flag: (text) => (text === 't' ? 'true' : 'false'),
  single: (text) => ({ '-0': '-0.0', Infinity: 'inf' })[text] ?? text,
  double: (text) => ({ NaN: 'nan', '-Infinity': '-inf' })[text] ?? text,
  day: (text) => text.replace(' BC', ' (BC)'),
  instant: (text) => text.replace(/^(\S+) (\S+) BC$/, '$1 (BC) $2'),
  content: (text) => text.slice(2).toUpperCase(),
}

describe('a Parquet file read by DuckDB', () => {
  it.each([
    ['without nulls', [sampleBatch(1000, false)]],
    ['with nulls', [sampleBatch(1000, true)]],
    [
      'of several pages, some with nulls',
      [sampleBatch(7, false), sampleBatch(100, true), sampleBatch(8, false)],
    ],
    ['of one row', [sampleBatch(1, false)]],
  ])('holds every value of every kind, %s', async (_, batches) => {
    const pieces = encode(SAMPLE_FIELDS, [batches.map(whole), batches.map(whole)])
    const landed = await readWithDuckDb(pieces, EXPRESSIONS)
    const expected = [...batches, ...batches].flatMap(expectedTexts)
    expect(landed).toHaveLength(expected.length)
    expect(landed).toEqual(expected)
  })

  it('holds rows cut out of batches, wherever the cut falls in a byte of nulls', async () => {
    const batch = sampleBatch(100, true)
    const expected = expectedTexts(batch)
    for (let start = 0; start < 20; start++) {
      const parts = [
        { batch, start, count: 37 },
        { batch, start: start + 37, count: 1 },
        { batch, start: start + 38, count: 42 },
      ]
      const landed = await readWithDuckDb(encode(SAMPLE_FIELDS, [parts]), EXPRESSIONS)
      expect(landed).toEqual(expected.slice(start, start + 80))
    }
  })

  it('holds texts of any lengths beside one another, nulls between them or nothing but nulls', async () => {
    const fields: Field[] = [{ name: 't', type: { kind: 'text' }, nullable: true }]
    const lengths = fc.oneof(
      fc.constant(null),
      fc.constant(7),
      fc.nat(3),
      fc.nat(300),
      fc.integer({ min: 60_000, max: 70_000 }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.array(lengths, { minLength: 1, maxLength: 20 }),
          fc.array(fc.constantFrom(null, 7), { minLength: 1, maxLength: 300 }),
          fc.array(fc.option(fc.nat(300)), { minLength: 1, maxLength: 400 }),
          fc.array(fc.constant(null), { minLength: 1, maxLength: 300 }),
        ),
        fc.nat(20),
        async (data, skip) => {
          const texts = data.map((length, index) =>
            length === null ? null : String(index % 10).repeat(length),
          )
          const start = Math.min(skip, data.length - 1)
          const batch = buildBatch(
            fields,
            texts.map((text) => [text]),
          )
          const part = { batch, start, count: data.length - start }
          const landed = await readWithDuckDb(encode(fields, [[part, part]]), 't')
          const expected = texts.slice(start)
          expect(landed.flat()).toEqual([...expected, ...expected])
        },
      ),
      { numRuns: 60 },
    )
  })

  it('has the exact types, and is readable without rows or batches', async () => {
    for (const batches of [[], [sampleBatch(0, false)], [sampleBatch(3, false)]]) {
      const pieces = encode(SAMPLE_FIELDS, [batches.map(whole)])
      const rows = await readWithDuckDb(pieces, 'count(*)')
      expect(rows).toEqual([[batches[0]?.rowCount === 3 ? '3' : '0']])
      const described = await files.query(`DESCRIBE SELECT * FROM read_parquet('${file}')`)
      const types = Object.fromEntries(described.map(([name, type]) => [name, type]))
      expect(types).toEqual(DUCKDB_TYPES)
    }
  })

  it('keeps an interval exactly when its parts are put together', async () => {
    const landed = await readWithDuckDb(
      encode(SAMPLE_FIELDS, [[whole(sampleBatch(3, false))]]),
      `(to_months(span.months) + to_days(span.days) + to_microseconds(span.micros))::VARCHAR`,
    )
    expect(landed[2]).toEqual(['1 year 2 months -3 days 04:05:06.789012'])
  })

  it('is of as many columns as the table has', async () => {
    const fields: Field[] = Array.from({ length: 300 }, (_, i) => ({
      name: `column "${i}" ü`,
      type: { kind: 'int', bits: 32 },
      nullable: i % 2 === 0,
    }))
    const batch = buildBatch(fields, [fields.map((_, i) => i), fields.map((_, i) => -i)])
    const landed = await readWithDuckDb(encode(fields, [[whole(batch)]]), '*')
    expect(landed).toEqual([fields.map((_, i) => i), fields.map((_, i) => -i || 0)])
  })
})

function expectedTexts(batch: Batch): (string | null)[][] {
  const formats = batch.fields.map((field, index) => {
    const format = columnFormatter(batch, index)
    const read = valueReader(batch, index)
    return (row: number): string | null => {
      const text = format(row)
      if (text === null) return null
      if (field.name === 'span') {
        return {
          'P-178956970Y-8M-2147483648D': '-2147483648 -2147483648 0',
          PT0S: '0 0 0',
          'P1Y2M-3DT4H5M6.789012S': '14 -3 14706789012',
        }[read(row) as string]!
      }
      return DUCKDB_TEXT[field.name]?.(text) ?? text
    }
  })
  return Array.from({ length: batch.rowCount }, (_, row) => formats.map((format) => format(row)))
}

describe('a Parquet file read by hyparquet', () => {
  it('holds the values, the logical types and the metadata', async () => {
    const batch = sampleBatch(100, true)
    const pieces = encode(SAMPLE_FIELDS, [[whole(batch)]], {
      metadata: { 'trunkline.stream': 'public.größe' },
    })
    const bytes = Buffer.concat(pieces)
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
    const metadata = parquetMetadata(file)
    expect(metadata.key_value_metadata).toEqual([{ key: 'trunkline.stream', value: 'public.größe' }])
    expect(metadata.num_rows).toBe(100n)
    const logical = Object.fromEntries(metadata.schema.map(({ name, logical_type }) => [name, logical_type]))
    expect(logical).toMatchObject({
      total: { type: 'DECIMAL', precision: 38, scale: 10 },
      small: { type: 'INTEGER', bitWidth: 16, isSigned: true },
      local: { type: 'TIMESTAMP', isAdjustedToUTC: false, unit: 'MICROS' },
      instant: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
      document: { type: 'JSON' },
      id: { type: 'UUID' },
      name: { type: 'STRING' },
    })
    const landed = await parquetReadObjects({ file, columns: ['large', 'name', 'flag', 'small', 'id'] })
    const read = Object.fromEntries(batch.fields.map(({ name }, index) => [name, valueReader(batch, index)]))
    expect(landed).toHaveLength(100)
    landed.forEach((row, index) => {
      for (const name of ['large', 'name', 'flag', 'small', 'id']) {
        expect(row[name] ?? null, `${name} of row ${index}`).toEqual(read[name]!(index))
      }
    })
  })
})
