import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { parquetMetadata } from 'hyparquet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildBatch } from '../../../src/batch/build-batch.js'
import type { Value } from '../../../src/batch/rows.js'
import { parseDestination } from '../../../src/config/destination-text.js'
import { formatDuckDbType } from '../../../src/destination/duckdb/column-types.js'
import { createParquetFormat, PARQUET_OPTIONS } from '../../../src/destination/files/parquet-format.js'
import type { Field } from '../../../src/model/column-type.js'
import { SAMPLE_FIELDS, sampleBatch } from '../../codec/sample-batch.js'

let folder: string
let duckdb: DuckDBConnection

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trunkline-parquet-format-'))
  duckdb = await (await DuckDBInstance.create(':memory:')).connect()
  await duckdb.run(`SET TimeZone = 'UTC'`)
})

afterAll(async () => {
  duckdb.closeSync()
  await rm(folder, { recursive: true })
})

const rowsOf = async (sql: string): Promise<unknown[][]> => (await duckdb.runAndReadAll(sql)).getRowsJson()

async function encode(
  fields: readonly Field[],
  batches: readonly ReturnType<typeof buildBatch>[],
  options: Readonly<Record<string, string>> = {},
): Promise<Buffer> {
  const encoder = (await createParquetFormat(options)).encoder(fields, { 'trunkline.stream': 's.t' }, () => 1)
  const pieces = batches.flatMap((batch) => [...encoder.add({ batch, start: 0, count: batch.rowCount })])
  return Buffer.concat([...pieces, ...encoder.end()].flat())
}

async function save(name: string, bytes: Uint8Array): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, bytes)
  return file
}

const metadataOf = (bytes: Uint8Array): ReturnType<typeof parquetMetadata> =>
  parquetMetadata(Uint8Array.from(bytes).buffer)

describe('options of Parquet', () => {
  it.each<[Record<string, string>, string, string, string]>([
    [{ compresion: 'zstd' }, 'CONFIG_UNKNOWN_KEY', 'compresion', 'compression'],
    [{ row_group_size: '5' }, 'CONFIG_UNKNOWN_KEY', 'row_group_size', 'row_group_rows'],
    [{ compression: 'lz4' }, 'CONFIG_INVALID', 'compression', 'zstd snappy gzip none'],
    [{ compression: '' }, 'CONFIG_INVALID', 'compression', 'zstd snappy gzip none'],
    [{ compression_level: '0' }, 'CONFIG_INVALID', 'compression_level', 'from 1 to 22'],
    [{ compression: 'gzip', compression_level: '10' }, 'CONFIG_INVALID', 'compression_level', 'from 1 to 9'],
    [{ compression: 'snappy', compression_level: '1' }, 'CONFIG_INVALID', 'snappy', 'compression_level'],
    [{ row_group_rows: '0' }, 'CONFIG_INVALID', 'row_group_rows', 'from 1'],
    [{ row_group_rows: '1e3' }, 'CONFIG_INVALID', 'row_group_rows', 'whole number'],
    [{ row_group_bytes: '-1' }, 'CONFIG_INVALID', 'row_group_bytes', 'whole number'],
    [{ page_bytes: '99999999999' }, 'CONFIG_INVALID', 'page_bytes', 'whole number'],
    [{ dictionary: 'yes' }, 'CONFIG_INVALID', 'dictionary', 'true false'],
    [{ encodings: 'v3' }, 'CONFIG_INVALID', 'encodings', 'v2 v1'],
    [{ constructor: '1' }, 'CONFIG_UNKNOWN_KEY', 'constructor', 'compression'],
  ])('that say nothing valid are errors that say what is: %j', async (options, code, named, hint) => {
    const error = await createParquetFormat(options).then(
      () => null,
      (thrown: unknown) => thrown as { code: string; message: string; hint: string },
    )
    expect(error).toMatchObject({ code })
    expect(error!.message).toContain(named)
    expect(error!.hint).toContain(hint)
  })

  it('each changes the file as it says', async () => {
    const fields: Field[] = [{ name: 't', type: { kind: 'text' }, nullable: false }]
    const batch = buildBatch(
      fields,
      Array.from({ length: 5000 }, (_, i): Value[] => [`value ${i % 10} ${'x'.repeat(i % 7)}`]),
    )
    const facts = async (options: Record<string, string>): Promise<Record<string, unknown>> => {
      const bytes = await encode(fields, [batch], options)
      const groups = metadataOf(bytes).row_groups.map(({ columns }) => columns[0]!.meta_data!)
      return {
        codec: groups[0]!.codec,
        encodings: groups[0]!.encodings.join(' '),
        groups: groups.length,
        pages: groups[0]!.encoding_stats!.reduce((sum, { count }) => sum + count, 0),
        bytes: bytes.length,
      }
    }
    const usual = await facts({})
    expect(usual).toMatchObject({ codec: 'ZSTD', groups: 1, pages: 2, encodings: 'RLE PLAIN RLE_DICTIONARY' })
    expect(await facts({ compression: 'snappy' })).toMatchObject({ codec: 'SNAPPY' })
    expect(await facts({ compression: 'gzip', compression_level: '9' })).toMatchObject({ codec: 'GZIP' })
    expect(await facts({ compression: 'none' })).toMatchObject({ codec: 'UNCOMPRESSED' })
    expect(await facts({ row_group_rows: '1000' })).toMatchObject({ groups: 5 })
    expect(await facts({ row_group_bytes: '1' })).toMatchObject({ groups: 1 })
    expect(await facts({ page_bytes: '4000' })).toMatchObject({ pages: 6 })
    expect(await facts({ dictionary: 'false' })).toMatchObject({ encodings: 'RLE DELTA_LENGTH_BYTE_ARRAY' })
    expect(await facts({ dictionary: 'false', encodings: 'v1' })).toMatchObject({ encodings: 'RLE PLAIN' })
  })

  it('are those that the destination is told with', () => {
    const stated = PARQUET_OPTIONS.map((key) => `${key}=1`).join('&')
    expect(parseDestination(`parquet:dir?${stated}`)).toMatchObject({
      options: { format: Object.fromEntries(PARQUET_OPTIONS.map((key) => [key, '1'])) },
    })
  })
})

describe('SQL that reads Parquet files', () => {
  it('has the types of a DuckDB destination, and every value of them, in files that are one', async () => {
    const format = await createParquetFormat({})
    const files = [
      await save('a.parquet', await encode(SAMPLE_FIELDS, [sampleBatch(6, true)])),
      await save("b'c.parquet", await encode(SAMPLE_FIELDS, [sampleBatch(3, false)])),
    ]
    const from = format.scanSql(SAMPLE_FIELDS, files)!
    const described = await rowsOf(`DESCRIBE SELECT * FROM ${from}`)
    expect(described.map(([name, type]) => [name, type])).toEqual(
      SAMPLE_FIELDS.map(({ name, type }) => [name, formatDuckDbType(type)]),
    )
    expect(await rowsOf(`SELECT count(*), count(span), max(total) FROM ${from}`)).toEqual([
      ['9', '7', '9999999999999999999999999999.9999999999'],
    ])
    const spans = await rowsOf(`SELECT span::VARCHAR FROM ${from} WHERE day = 'infinity' OR flag`)
    expect(spans).toContainEqual(['1 year 2 months -3 days 04:05:06.789012'])
  })

  it('gives NULL for a column that came later, even where no file has it', async () => {
    const old: Field[] = [{ name: 'a', type: { kind: 'int', bits: 64 }, nullable: false }]
    const span: Field = { name: 'a "span"', type: { kind: 'interval' }, nullable: true }
    const spans: Field = {
      name: 'spans',
      type: { kind: 'list', element: { kind: 'interval' } },
      nullable: true,
    }
    const fields = [span, ...old, spans]
    const first = await save('old.parquet', await encode(old, [buildBatch(old, [[1n]])]))
    const second = await save(
      'new.parquet',
      await encode(fields, [buildBatch(fields, [['P1DT0.5S', 2n, ['P1M', null]]])]),
    )
    const format = await createParquetFormat({ compression: 'snappy' })
    const read = (files: string[]): Promise<unknown[][]> =>
      rowsOf(
        `SELECT a, "a ""span"""::VARCHAR, spans::VARCHAR FROM ${format.scanSql(fields, files)!} ORDER BY a`,
      )
    expect(await read([first])).toEqual([['1', null, null]])
    expect(await read([second, first])).toEqual([
      ['1', null, null],
      ['2', '1 day 00:00:00.5', '[1 month, NULL]'],
    ])
  })
})

it('what Parquet cannot keep is said, of the kinds that the fields have', async () => {
  const format = await createParquetFormat({ compression: 'none' })
  const losses = (type: Field['type']): readonly string[] =>
    format.losses([{ name: 'f', type, nullable: true }])
  expect(losses({ kind: 'text' })).toEqual([])
  expect(losses({ kind: 'interval' })).toEqual([expect.stringMatching(/group of months, days and micros/)])
  expect(losses({ kind: 'list', element: { kind: 'date' } })).toEqual([expect.stringMatching(/^f: Infinity/)])
  expect(losses({ kind: 'time' })).toEqual([expect.stringMatching(/24:00:00/)])
  expect(format.suffix).toBe('.parquet')
})

it('a file says who wrote it and what of', async () => {
  const fields: Field[] = [{ name: 'a', type: { kind: 'bool' }, nullable: true }]
  const metadata = metadataOf(await encode(fields, []))
  expect(metadata.created_by).toMatch(/^trunkline version /)
  expect(metadata.key_value_metadata).toEqual([{ key: 'trunkline.stream', value: 's.t' }])
})
