import { describe, expect, it } from 'vitest'
import { buildBatch } from '../../src/batch/build-batch.js'
import type { Value } from '../../src/batch/rows.js'
import { encodeParquet, PARQUET_READERS, parquetFiles, type ParquetTestOptions } from './parquet-files.js'
import { int, nullable, text } from './types-table.js'
import { SHAPE_FIELDS, SHAPES, shapes } from './value-shapes.js'

const files = parquetFiles()

describe('a column of many values', () => {
  it.each<[string, ParquetTestOptions]>([
    ['', {}],
    ['in row groups and pages that end in batches', { rowGroupRows: 5000, pageBytes: 7000 }],
    ['by dictionaries or plainly', { encodings: 'v1', compression: 'snappy' }],
    ['without dictionaries', { dictionary: false, compression: 'none' }],
  ])('is read back value for value, whatever is best for it: %s', async (_, options) => {
    const batches = [shapes(0, 1000), shapes(1000, 6001), shapes(6001, 9000)]
    const usual = Object.keys(options).length === 0
    const file = await files.roundTrip(SHAPE_FIELDS, batches, options, usual ? PARQUET_READERS : ['DuckDB'])
    if (!usual) return
    const metadata = await files.query(`SELECT path_in_schema, encodings FROM parquet_metadata('${file}')`)
    const encodings = Object.fromEntries(metadata as [string, string][])
    for (const [name, shape] of Object.entries(SHAPES)) {
      const column = Object.keys(encodings).find((path) => path === name || path.startsWith(`${name}, `))!
      expect(encodings[column], name).toMatch(shape.encodings)
    }
  })

  it('goes on without a dictionary when it is full', async () => {
    const fields = [nullable('t', text), nullable('n', int(64))]
    // As many repeats at first as a dictionary needs, then more kinds than it takes.
    const kind = (i: number): number => (i < 15_000 ? i % 700 : i % 7000)
    const rows = Array.from({ length: 30_000 }, (_, i): Value[] => [
      `${kind(i)} ${'wide '.repeat(40)}`,
      BigInt(kind(i)) * 2n ** 48n,
    ])
    const batches = [0, 10_000, 20_000].map((at) => buildBatch(fields, rows.slice(at, at + 10_000)))
    const file = await files.roundTrip(fields, batches, { pageBytes: 40_000 }, ['DuckDB'])
    const metadata = await files.query(
      `SELECT path_in_schema, encodings FROM parquet_metadata('${file}') WHERE path_in_schema = 't'`,
    )
    expect(metadata[0]![1]).toMatch(/RLE_DICTIONARY.*DELTA_LENGTH|DELTA_LENGTH.*RLE_DICTIONARY/)
  })

  it('has pages that stand for little more than asked for, however few their indices are', async () => {
    const pageBytes = 10_000
    const fields = [nullable('t', text)]
    // Two long values by turns, then more than a dictionary takes: what is in no page by then is put back.
    const value = (i: number): string => `${i < 3000 ? i % 2 : i} ${'long '.repeat(400)}`
    const rows = Array.from({ length: 4000 }, (_, i): Value[] => [value(i)])
    const batches = [0, 1000, 2000, 3000].map((at) => buildBatch(fields, rows.slice(at, at + 1000)))
    const pages: number[] = []
    const compress = (pieces: readonly Uint8Array[]): Uint8Array => {
      const page = Buffer.concat(pieces)
      pages.push(page.length)
      return page
    }
    const file = await files.save(
      await encodeParquet(fields, batches, { pageBytes, compression: 'none', compress }),
    )
    expect(await files.query(`SELECT count(*), count(DISTINCT t) FROM read_parquet('${file}')`)).toEqual([
      ['4000', '1002'],
    ])
    const encodings = await files.query(`SELECT encodings FROM parquet_metadata('${file}')`)
    expect(encodings[0]![0]).toMatch(/RLE_DICTIONARY/)
    // The last is the dictionary.
    expect(Math.max(...pages.slice(0, -1))).toBeLessThan(5 * pageBytes)
  })

  it('costs as little as it is worth: dictionaries, differences and runs are smaller than plain values', async () => {
    const sizes: number[] = []
    for (const options of [
      { compression: 'none' },
      { compression: 'none', dictionary: false, encodings: 'v1' },
    ] satisfies ParquetTestOptions[]) {
      sizes.push((await encodeParquet(SHAPE_FIELDS, [shapes(0, 5000)], options)).length)
    }
    expect(sizes[0]).toBeLessThan(0.75 * sizes[1]!)
  })

  it('is kept within the bytes of a row group, and rows of any width with it', async () => {
    const fields = [nullable('t', text)]
    const rows = Array.from({ length: 400 }, (_, i): Value[] => [`${i}`.repeat(5000).slice(0, 5000 + 17 * i)])
    const batches = Array.from({ length: 40 }, (_, i) => buildBatch(fields, rows.slice(10 * i, 10 * i + 10)))
    const bytes = await encodeParquet(fields, batches, { compression: 'none', rowGroupBytes: 300_000 })
    const file = await files.save(bytes)
    const groups = await files.query(
      `SELECT row_group_bytes, row_group_num_rows FROM parquet_metadata('${file}')`,
    )
    const sizes = groups.map(([size]) => Number(size))
    expect(sizes.length).toBeGreaterThan(5)
    // What was held and one batch more.
    expect(Math.max(...sizes)).toBeLessThan(300_000 + 10 * 12_000)
  })
})
