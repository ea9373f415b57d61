import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import type { SingleValue, Value } from '../../src/batch/rows.js'
import { COMPRESSIONS } from '../../src/codec/compression/compressor.js'
import type { ElementType, Field } from '../../src/model/column-type.js'
import { encodeParquet, parquetFiles, type ParquetTestOptions } from './parquet-files.js'
import { SAMPLE_FIELDS } from './sample-batch.js'
import { decimal, int, nullable, text, typesTable } from './types-table.js'

const files = parquetFiles()

describe('a Parquet file', () => {
  it.each([
    ...COMPRESSIONS.map((compression): [string, ParquetTestOptions] => [compression, { compression }]),
    ['PLAIN and dictionaries', { encodings: 'v1' }],
    ['PLAIN', { encodings: 'v1', dictionary: false }],
    ['DELTA', { dictionary: false }],
    ['a row in each row group', { rowGroupRows: 1, compression: 'snappy' }],
    ['a value in each page', { pageBytes: 1, compression: 'snappy' }],
    ['a value in each page, without dictionaries', { pageBytes: 1, dictionary: false, encodings: 'v1' }],
    ['pages of 100 bytes, row groups of 33', { pageBytes: 100, rowGroupRows: 33 }],
    ['row groups of 10 kB', { rowGroupBytes: 10_000, pageBytes: 1000 }],
  ] satisfies [string, ParquetTestOptions][])('holds every value of every kind: %s', async (_, options) => {
    const tables = [typesTable(100, true), typesTable(1, false), typesTable(37, false), typesTable(0, false)]
    await files.roundTrip(
      tables[0]!.fields,
      tables.map(({ batch }) => batch),
      options,
    )
  })

  it('is of required columns where fields cannot be null, and of few bytes for short decimals', async () => {
    const { batch } = typesTable(50, false)
    const rows = [...SAMPLE_FIELDS.keys()]
    const fields = SAMPLE_FIELDS.map((field) => ({ ...field, nullable: false }))
    const sample = { ...batch, fields, columns: rows.map((index) => batch.columns[index]!) }
    const file = await files.roundTrip(fields, [sample])
    const schema = await files.query(
      `SELECT name, repetition_type, type, type_length FROM parquet_schema('${file}')`,
    )
    const described = Object.fromEntries(schema.map(([name, ...rest]) => [name, rest]))
    expect(described).toMatchObject({
      flag: ['REQUIRED', 'BOOLEAN', null],
      price: ['REQUIRED', 'INT32', null],
      amount: ['REQUIRED', 'INT64', null],
      total: ['REQUIRED', 'FIXED_LEN_BYTE_ARRAY', '16'],
      span: ['REQUIRED', null, null],
      micros: ['REQUIRED', 'INT64', null],
    })
  })

  it('is refused by name where a column that cannot be null has one', async () => {
    const fields: Field[] = [{ name: 'a', type: text, nullable: false }]
    const batch = buildBatch(fields, [['x'], [null]])
    await expect(encodeParquet(fields, [batch])).rejects.toMatchObject({
      code: 'INTERNAL',
      message: /Column a /,
    })
  })

  it('has a schema without rows, and without batches', async () => {
    for (const batches of [[], [typesTable(0, false).batch]]) {
      const file = await files.roundTrip(typesTable(0, false).fields, batches)
      const described = await files.query(`DESCRIBE SELECT * FROM read_parquet('${file}')`)
      const types = Object.fromEntries(described.map((row) => [row[0], row[1]]))
      expect(types).toMatchObject({
        small: 'SMALLINT',
        total: 'DECIMAL(38,10)',
        local: 'TIMESTAMP',
        instant: 'TIMESTAMP WITH TIME ZONE',
        document: 'JSON',
        id: 'UUID',
        extra0: 'DECIMAL(1,0)',
        extra7: 'TIMESTAMP_NS',
        extra9: 'BIGINT[]',
        extra13: 'STRUCT("months" INTEGER, "days" INTEGER, micros BIGINT)[]',
      })
    }
  })

  it('is of 1,600 columns', async () => {
    const kinds: readonly (readonly [ElementType, SingleValue])[] = [
      [int(32), 7],
      [text, 'ü'],
      [{ kind: 'bool' }, true],
      [decimal(12, 2), '1.50'],
    ]
    const fields = Array.from({ length: 1600 }, (_, i) => ({
      ...nullable(`column "${i}" ü`, kinds[i % 4]![0]),
      nullable: i % 3 > 0,
    }))
    const batch = (row: number): Batch =>
      buildBatch(
        fields,
        [0, 1, 2].map((n) =>
          fields.map((field, i) => (field.nullable && (n + i + row) % 5 === 0 ? null : kinds[i % 4]![1])),
        ),
      )
    await files.roundTrip(fields, [batch(0), batch(1), batch(2)], { rowGroupRows: 4 })
  })

  it('holds columns of nothing but nulls, of one value, and of a huge one', async () => {
    const fields = [
      nullable('n', text),
      nullable('i', int(64)),
      nullable('one', text),
      nullable('huge', text),
    ]
    const rows = Array.from({ length: 300 }, (_, i): Value[] => [
      null,
      null,
      'the same',
      i === 150 ? 'größe '.repeat(700_000) : '',
    ])
    for (const pageBytes of [1 << 20, 1000]) {
      await files.roundTrip(fields, [buildBatch(fields, rows), buildBatch(fields, rows.slice(0, 10))], {
        pageBytes,
      })
    }
  })
})
