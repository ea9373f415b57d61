import { parquetMetadata } from 'hyparquet'
import { describe, expect, it } from 'vitest'
import { buildBatch } from '../../src/batch/build-batch.js'
import type { Value } from '../../src/batch/rows.js'
import type { ElementType, Field } from '../../src/model/column-type.js'
import { encodeParquet, parquetFiles, type ParquetTestOptions } from './parquet-files.js'

const files = parquetFiles()
const { query } = files

const encode = (
  fields: readonly Field[],
  rows: readonly (readonly Value[])[],
  options: ParquetTestOptions = {},
): Promise<Buffer> =>
  encodeParquet(fields, [buildBatch(fields, rows)], {
    compression: 'snappy',
    metadata: { 'trunkline.stream': 'public.größe' },
    ...options,
  })

const field = (name: string, type: Field['type']): Field => ({ name, type, nullable: true })
const scattered = (i: number): number => Math.imul(i + 1, 0x9e3779b1) >> 8

/** With nulls, and in an order that has neither end at an end. */
const COLUMNS: readonly (readonly [string, ElementType, (i: number) => Value])[] = [
  ['flag', { kind: 'bool' }, (i) => i % 120 > 50],
  ['small', { kind: 'int', bits: 16 }, (i) => scattered(i) % 30_000],
  ['medium', { kind: 'int', bits: 32 }, (i) => scattered(i) * 200],
  ['large', { kind: 'int', bits: 64 }, (i) => BigInt(scattered(i)) * 2n ** 38n],
  ['few', { kind: 'int', bits: 64 }, (i) => BigInt(scattered(i) % 5)],
  ['single', { kind: 'float', bits: 32 }, (i) => Math.fround(scattered(i) / 7)],
  ['double', { kind: 'float', bits: 64 }, (i) => scattered(i) / 7],
  ['short', { kind: 'decimal', precision: 9, scale: 2 }, (i) => `${scattered(i) % 100}.25`],
  ['middle', { kind: 'decimal', precision: 18, scale: 2 }, (i) => `${scattered(i)}.75`],
  ['long', { kind: 'decimal', precision: 38, scale: 1 }, (i) => `${scattered(i)}000000000000000000.5`],
  ['day', { kind: 'date' }, (i) => `${1950 + (scattered(i) & 127)}-03-01`],
  ['clock', { kind: 'time' }, (i) => `0${scattered(i) & 7}:00:01.5`],
  ['local', { kind: 'timestamp', utc: false }, (i) => `${1950 + (scattered(i) & 127)}-03-01T00:00:00.25`],
  ['instant', { kind: 'timestamp', utc: true }, (i) => `${1950 + (scattered(i) & 127)}-03-01T00:00:00Z`],
  ['name', { kind: 'text' }, (i) => ['b', 'ba', '', 'ä', 'zz', 'Z'][scattered(i) & 5]! + String(i % 40)],
  [
    'id',
    { kind: 'uuid' },
    (i) => `${(scattered(i) >>> 0).toString(16).padStart(8, '0')}-0000-0000-0000-000000000000`,
  ],
]
const FIELDS = COLUMNS.map(([name, type]) => field(name, type))
const ROWS = Array.from({ length: 1000 }, (_, i) =>
  COLUMNS.map(([, , value], column) => ((i + column) % 11 === 3 ? null : value(i))),
)

describe.each([
  ['with dictionaries', { dictionary: true }],
  ['without', { dictionary: false }],
  ['in pages of some values', { dictionary: true, pageBytes: 150 }],
])('statistics %s', (_, options) => {
  it('are what the values of a row group really are', async () => {
    const rowGroupRows = 130
    const file = await files.save(await encode(FIELDS, ROWS, { ...options, rowGroupRows }))
    for (const { name } of FIELDS) {
      const stated = await query(
        `SELECT stats_min_value, stats_max_value, stats_null_count FROM parquet_metadata('${file}')
          WHERE path_in_schema = '${name}' ORDER BY row_group_id`,
      )
      const real = await query(
        `SELECT min(${name})::VARCHAR, max(${name})::VARCHAR, count(*) - count(${name})
           FROM read_parquet('${file}', file_row_number = true)
          GROUP BY file_row_number // ${rowGroupRows} ORDER BY file_row_number // ${rowGroupRows}`,
      )
      expect(real).toHaveLength(8)
      expect(stated, name).toEqual(real)
    }
  })

  it('lead filters to the rows that are there', async () => {
    const file = await files.save(await encode(FIELDS, ROWS, { ...options, rowGroupRows: 50 }))
    await query(`CREATE OR REPLACE TABLE copied AS FROM read_parquet('${file}')`)
    for (const { name } of FIELDS) {
      const literals = await query(
        `SELECT DISTINCT ${name}::VARCHAR FROM copied WHERE ${name} IS NOT NULL ORDER BY hash(${name}) LIMIT 3`,
      )
      const [[type]] = (await query(`SELECT typeof(${name}) FROM copied LIMIT 1`)) as [[string]]
      const conditions = (literals as [string][]).flatMap(([literal]) =>
        ['=', '<', '<=', '>', '>=', '<>', 'IS NOT DISTINCT FROM'].map(
          (operator) => `${name} ${operator} '${literal}'::${type}`,
        ),
      )
      const counts = (from: string): string =>
        conditions.map((condition) => `(SELECT count(*) FROM ${from} WHERE ${condition})`).join(', ')
      const found = await query(`SELECT ${counts(`read_parquet('${file}')`)}`)
      expect(found, conditions.join(' | ')).toEqual(await query(`SELECT ${counts('copied')}`))
      const ends = `SELECT min(${name})::VARCHAR, max(${name})::VARCHAR, count(${name}), count(DISTINCT ${name})`
      expect(await query(`${ends} FROM read_parquet('${file}')`)).toEqual(await query(`${ends} FROM copied`))
    }
  })
})

/** Of the one column in each row group, as hyparquet reads them. */
async function statistics(
  type: ElementType,
  values: readonly Value[],
  options?: ParquetTestOptions,
): Promise<Record<string, unknown>> {
  const bytes = await encode(
    [field('v', type)],
    values.map((value) => [value]),
    options,
  )
  const [group] = parquetMetadata(Uint8Array.from(bytes).buffer).row_groups
  return { ...group!.columns[0]!.meta_data!.statistics }
}

const double: ElementType = { kind: 'float', bits: 64 }
const text: ElementType = { kind: 'text' }

describe('statistics of a column', () => {
  it('count nulls and, where all values are in the dictionary, kinds', async () => {
    const known = await statistics(text, ['a', null, 'b', 'a', null, 'a', 'a', 'b', 'a', 'a', 'a', 'a'])
    expect(known).toMatchObject({ null_count: 2n, distinct_count: 2n, min_value: 'a', max_value: 'b' })
    const many = await statistics({ kind: 'int', bits: 64 }, [1n, 2n, 3n])
    expect(many['distinct_count']).toBeUndefined()
  })

  it('have no ends where there are only nulls', async () => {
    const known = await statistics(text, [null, null])
    expect(known).toMatchObject({ null_count: 2n })
    expect(known['min_value']).toBeUndefined()
    expect(known['max_value']).toBeUndefined()
  })

  it.each([true, false])('have no ends where there is a NaN: dictionary %s', async (dictionary) => {
    for (const values of [[NaN], [1, NaN, 2], [NaN, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 2, null, NaN]]) {
      const known = await statistics(double, values, { dictionary })
      expect(known['min_value'], String(values)).toBeUndefined()
      expect(known['max_value'], String(values)).toBeUndefined()
    }
    // Which is why a filter finds a NaN, greater than all.
    const file = await files.save(await encode([field('v', double)], [[1], [NaN]], { dictionary }))
    expect(await query(`SELECT count(*) FROM read_parquet('${file}') WHERE v > 5`)).toEqual([['1']])
  })

  it('take zero for both zeros', async () => {
    for (const type of [double, { kind: 'float', bits: 32 }] satisfies ElementType[]) {
      for (const zero of [0, -0]) {
        const known = await statistics(type, [zero, zero])
        expect(known['min_value']).toBe(-0)
        expect(known['max_value']).toBe(0)
      }
      expect(await statistics(type, [5, -0, 3])).toMatchObject({ min_value: -0, max_value: 5 })
      expect(await statistics(type, [-5, 0])).toMatchObject({ min_value: -5, max_value: 0 })
    }
  })

  it('reach to infinity', async () => {
    const known = await statistics(double, [Infinity, 0, -Infinity])
    expect(known).toMatchObject({ min_value: -Infinity, max_value: Infinity })
  })

  it('are none for intervals, whose parts say nothing of them', async () => {
    const fields = [field('v', { kind: 'interval' })]
    const metadata = parquetMetadata(Uint8Array.from(await encode(fields, [['P1M'], ['P40D']])).buffer)
    for (const { meta_data: column } of metadata.row_groups[0]!.columns) {
      const { min_value: least, max_value: most, null_count: nulls } = column!.statistics!
      expect([least, most, nulls]).toEqual([undefined, undefined, 0n])
    }
  })

  const long = 'x'.repeat(70)
  it.each<[string, string, string | undefined, string | undefined]>([
    ['letters', long, 'x'.repeat(64), `${'x'.repeat(63)}y`],
    ['characters of two bytes', 'ü'.repeat(40), 'ü'.repeat(32), `${'ü'.repeat(31)}ý`],
    ['a character over the cut', `${'x'.repeat(63)}ü${long}`, 'x'.repeat(63), `${'x'.repeat(62)}y`],
    ['the last character there is', `a${'\u{10ffff}'.repeat(20)}`, `a${'\u{10ffff}'.repeat(15)}`, 'b'],
    ['nothing greater there is', '\u{10ffff}'.repeat(20), undefined, undefined],
    [
      'the last before the surrogates',
      '\ud7ff'.repeat(30),
      '\ud7ff'.repeat(21),
      `${'\ud7ff'.repeat(20)}\ue000`,
    ],
  ])('are cut to texts below and above a long one: %s', async (_, value, least, most) => {
    const known = await statistics(text, [value])
    expect(known['min_value']).toBe(least)
    expect(known['max_value']).toBe(most)
    if (least === undefined || most === undefined) return
    expect(known).toMatchObject({ is_min_value_exact: false, is_max_value_exact: false })
    expect(Buffer.compare(Buffer.from(least), Buffer.from(value))).toBeLessThan(0)
    expect(Buffer.compare(Buffer.from(most), Buffer.from(value))).toBeGreaterThan(0)
  })

  it('keep the byte order mark of a long text: a filter finds it', async () => {
    const values = ['a', `\uFEFF${long}`, `\uFEFF${long}z`]
    const rows = values.map((value) => [value])
    const file = await files.save(await encode([field('v', text)], rows, { rowGroupRows: 1 }))
    // A literal could lose it on its way to DuckDB.
    const found = await query(
      `SELECT count(*) FROM read_parquet('${file}') WHERE v = chr(65279) || '${long}'`,
    )
    expect(found).toEqual([['1']])
  })

  it('have no ends where a long text is not UTF-8', async () => {
    const broken = [new Uint8Array(70).fill(0xff)]
    const batch = buildBatch([field('v', { kind: 'binary' })], [broken])
    const fields = [field('v', text)]
    const [group] = parquetMetadata(
      Uint8Array.from(await encodeParquet(fields, [{ ...batch, fields }])).buffer,
    ).row_groups
    expect(group!.columns[0]!.meta_data!.statistics).toEqual({ null_count: 0n })
  })

  it('are exact up to 64 bytes, and say so', async () => {
    const known = await statistics(text, ['x'.repeat(64), 'a'])
    expect(known).toMatchObject({
      min_value: 'a',
      max_value: 'x'.repeat(64),
      is_min_value_exact: true,
      is_max_value_exact: true,
    })
  })

  it('order bytes and texts as unsigned bytes, and leave filters right where they are cut', async () => {
    const values = ['', '\u{1f600}', 'zz', '\uffff', 'Z', 'a'.repeat(100), `${'a'.repeat(100)}b`, 'ä']
    expect(await statistics(text, values)).toMatchObject({ min_value: '', max_value: '\u{1f600}' })
    const file = await files.save(
      await encode(
        [field('v', text)],
        values.map((value) => [value]),
        { rowGroupRows: 1 },
      ),
    )
    for (const value of values) {
      const found = await query(`SELECT count(*) FROM read_parquet('${file}') WHERE v = '${value}'`)
      expect(found, value).toEqual([['1']])
      const above = values.filter((other) => Buffer.compare(Buffer.from(other), Buffer.from(value)) > 0)
      const greater = await query(`SELECT count(*) FROM read_parquet('${file}') WHERE v > '${value}'`)
      expect(greater, value).toEqual([[String(above.length)]])
    }
    expect(await query(`SELECT max(v), min(v) FROM read_parquet('${file}')`)).toEqual([['\u{1f600}', '']])
    const bytes = await statistics({ kind: 'binary' }, [
      new Uint8Array(70).fill(0xff),
      Uint8Array.of(0),
      Uint8Array.of(0x80),
    ])
    expect(bytes['max_value']).toBeUndefined()
  })
})

it('a file says by what and of what it is, and that its columns are ordered as their types define', async () => {
  const bytes = await encode([field('v', double)], [[1]])
  const metadata = parquetMetadata(Uint8Array.from(bytes).buffer)
  expect(metadata).toMatchObject({
    created_by: 'test',
    num_rows: 1n,
    key_value_metadata: [{ key: 'trunkline.stream', value: 'public.größe' }],
  })
  const file = await files.save(bytes)
  expect(await query(`SELECT format_version FROM parquet_file_metadata('${file}')`)).toEqual([['2']])
})
