import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import type { SingleValue, Value } from '../../src/batch/rows.js'
import { COMPRESSIONS, loadCompressor } from '../../src/codec/compression/compressor.js'
import { createParquetWriter, type ParquetWriterOptions } from '../../src/codec/parquet-writer.js'
import type { ElementType, Field } from '../../src/model/column-type.js'
import {
  expectedRows,
  pythonReaders,
  readByDuckDb,
  readByHyparquet,
  readByPython,
  type Canonical,
} from './parquet-readers.js'
import { SAMPLE_FIELDS, sampleBatch } from './sample-batch.js'

let folder: string
let duckdb: DuckDBConnection
let fileCount = 0
const python = await pythonReaders()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trunkline-parquet-writer-'))
  duckdb = await (await DuckDBInstance.create(':memory:')).connect()
  await duckdb.run(`SET TimeZone = 'UTC'`)
})

afterAll(async () => {
  duckdb.closeSync()
  await rm(folder, { recursive: true })
})

type Options = Partial<Omit<ParquetWriterOptions, 'compress'>>

async function encode(
  fields: readonly Field[],
  batches: readonly Batch[],
  options: Options = {},
): Promise<Buffer> {
  const compression = options.compression ?? 'zstd'
  const writer = createParquetWriter(fields, {
    compression,
    rowGroupRows: 122_880,
    rowGroupBytes: 64 << 20,
    pageBytes: 1 << 20,
    dictionary: true,
    encodings: 'v2',
    metadata: {},
    createdBy: 'test',
    ...options,
    compress: await loadCompressor(compression),
  })
  const pieces: Buffer[] = []
  // Copied at once: what comes next may use the same memory.
  const take = (given: Iterable<readonly Uint8Array[]>): void => {
    for (const chunk of given) for (const piece of chunk) pieces.push(Buffer.from(piece))
  }
  for (const batch of batches) {
    // A part, nothing, and the rest.
    const first = Math.min(5, batch.rowCount)
    take(writer.add({ batch, start: 0, count: first }))
    take(writer.add({ batch, start: first, count: 0 }))
    take(writer.add({ batch, start: first, count: batch.rowCount - first }))
    // A batch's memory is somebody else's as soon as it is taken.
    new Uint8Array(batch.buffer).fill(0xaa)
  }
  take(writer.end())
  return Buffer.concat(pieces)
}

async function save(bytes: Uint8Array): Promise<string> {
  // A name of its own: DuckDB caches what it read.
  const file = join(folder, `${fileCount++}.parquet`)
  await writeFile(file, bytes)
  return file
}

async function roundTrip(
  fields: readonly Field[],
  batches: readonly Batch[],
  options: Options = {},
  readers: readonly string[] = ['hyparquet', 'DuckDB'],
): Promise<string> {
  const all = expectedRows(batches)
  const bytes = await encode(fields, batches, options)
  const file = await save(bytes)
  for (const reader of readers) {
    const found = await read(reader, bytes, file, fields)
    // Polars has no time 24:00:00.
    const missing = reader === 'polars' ? fields.findIndex(({ type }) => type.kind === 'time') : -1
    const expected = missing < 0 ? all : all.map((row) => row.with(missing, withoutMidnight(row[missing]!)))
    expect(found.length, `rows by ${reader}`).toBe(expected.length)
    // A comparison that says where rows differ takes seconds where they do not.
    if (JSON.stringify(found) !== JSON.stringify(expected)) expect(found, reader).toEqual(expected)
  }
  return file
}

const withoutMidnight = (time: Canonical): Canonical => (time === '86400000000' ? null : time)

function read(reader: string, bytes: Buffer, file: string, fields: readonly Field[]): Promise<Canonical[][]> {
  if (reader === 'hyparquet') return readByHyparquet(bytes, fields)
  if (reader === 'DuckDB') return readByDuckDb(duckdb, file, fields)
  return readByPython(reader, file, fields)
}

const nullable = (name: string, type: Field['type']): Field => ({ name, type, nullable: true })

const text: ElementType = { kind: 'text' }
const int = (bits: 16 | 32 | 64): ElementType => ({ kind: 'int', bits })
const decimal = (precision: number, scale: number): ElementType => ({ kind: 'decimal', precision, scale })

/** More of the types table: decimals at the edges of their storage, timestamps in nanoseconds, lists of all kinds. */
const EXTRA: readonly (readonly [type: Field['type'], values: readonly Value[]])[] = [
  ...[1, 9, 10, 18, 19, 28, 38].map((precision): [ElementType, Value[]] => [
    decimal(precision, 0),
    ['9'.repeat(precision), `-${'9'.repeat(precision)}`, '0', null],
  ]),
  [
    { kind: 'timestamp', utc: false, unit: 'ns' },
    ['1970-01-01T00:00:00.000001', '2262-04-11T23:47:16.854775', '1677-09-22T00:00:00', 'infinity'],
  ],
  [{ kind: 'timestamp', utc: true, unit: 'ns' }, ['2024-02-29T12:00:00Z', '-infinity', null]],
  [{ kind: 'list', element: int(64) }, [[1n, null, -1n], [], null, [2n ** 63n - 1n]]],
  [{ kind: 'list', element: int(16) }, [[], [], [1], [null]]],
  [{ kind: 'list', element: text }, [['a', '', null, 'ü'], null, []]],
  [{ kind: 'list', element: { kind: 'bool' } }, [[true, null, false], [null], null]],
  [{ kind: 'list', element: { kind: 'interval' } }, [['P1Y2M3DT4.5S', null], [], null]],
  [{ kind: 'list', element: { kind: 'uuid' } }, [['00112233-4455-6677-8899-aabbccddeeff'], null]],
  [{ kind: 'list', element: decimal(25, 3) }, [['-1.5', null, '12345678901234567890.125'], []]],
]

function typesTable(rowCount: number, nulls: boolean): { fields: Field[]; batch: Batch } {
  const sample = sampleBatch(rowCount, nulls)
  const fields = EXTRA.map(([type], index) => nullable(`extra${index}`, type))
  const extra = buildBatch(
    fields,
    Array.from({ length: rowCount }, (_, row) => EXTRA.map(([, values]) => values[row % values.length]!)),
  )
  // Both in one buffer, as a batch is.
  const shift = (sample.buffer.byteLength + 7) & ~7
  const buffer = new ArrayBuffer(shift + extra.buffer.byteLength)
  new Uint8Array(buffer).set(new Uint8Array(sample.buffer))
  new Uint8Array(buffer).set(new Uint8Array(extra.buffer), shift)
  const moved = extra.columns.map((column) => moveColumn(column, shift))
  const all = [...SAMPLE_FIELDS, ...fields]
  return { fields: all, batch: { fields: all, rowCount, columns: [...sample.columns, ...moved], buffer } }
}

type Column = Batch['columns'][number]
function moveColumn(column: Column, by: number): Column {
  const move = <S extends Column['validity']>(span: S): S =>
    span === null ? span : { ...span, offset: span.offset + by }
  return {
    ...column,
    validity: move(column.validity),
    offsets: move(column.offsets),
    values: move(column.values),
    ...(column.elements === undefined ? {} : { elements: moveColumn(column.elements, by) }),
  }
}

describe('a Parquet file', () => {
  it.each([
    ...COMPRESSIONS.map((compression): [string, Options] => [compression, { compression }]),
    ['PLAIN and dictionaries', { encodings: 'v1' }],
    ['PLAIN', { encodings: 'v1', dictionary: false }],
    ['DELTA', { dictionary: false }],
    ['a row in each row group', { rowGroupRows: 1, compression: 'snappy' }],
    ['a value in each page', { pageBytes: 1, compression: 'snappy' }],
    ['a value in each page, without dictionaries', { pageBytes: 1, dictionary: false, encodings: 'v1' }],
    ['pages of 100 bytes, row groups of 33', { pageBytes: 100, rowGroupRows: 33 }],
    ['row groups of 10 kB', { rowGroupBytes: 10_000, pageBytes: 1000 }],
  ] satisfies [string, Options][])('holds every value of every kind: %s', async (_, options) => {
    const tables = [typesTable(100, true), typesTable(1, false), typesTable(37, false), typesTable(0, false)]
    await roundTrip(
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
    const file = await roundTrip(fields, [sample])
    const schema = await duckdb.runAndReadAll(
      `SELECT name, repetition_type, type, type_length FROM parquet_schema('${file}')`,
    )
    const described = Object.fromEntries(schema.getRowsJson().map(([name, ...rest]) => [name, rest]))
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
    await expect(encode(fields, [batch])).rejects.toMatchObject({ code: 'INTERNAL', message: /Column a / })
  })

  it('has a schema without rows, and without batches', async () => {
    for (const batches of [[], [typesTable(0, false).batch]]) {
      const file = await roundTrip(typesTable(0, false).fields, batches)
      const described = await duckdb.runAndReadAll(`DESCRIBE SELECT * FROM read_parquet('${file}')`)
      const types = Object.fromEntries(described.getRowsJson().map((row) => [row[0], row[1]]))
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
    await roundTrip(fields, [batch(0), batch(1), batch(2)], { rowGroupRows: 4 })
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
      await roundTrip(fields, [buildBatch(fields, rows), buildBatch(fields, rows.slice(0, 10))], {
        pageBytes,
      })
    }
  })
})

/** Columns that take each way there is through dictionaries, differences and runs. */
const SHAPES: Readonly<
  Record<string, { type: Field['type']; value: (i: number) => Value; encodings: RegExp }>
> = {
  'numbers that rise': { type: int(64), value: (i) => BigInt(i) * 1000n, encodings: /DELTA_BINARY/ },
  'numbers without order': {
    type: int(32),
    value: (i) => Math.imul(i, 0x9e3779b1),
    encodings: /PLAIN|DELTA/,
  },
  'numbers that fall, below zero': { type: int(32), value: (i) => -3 * i, encodings: /DELTA_BINARY/ },
  'few numbers': { type: int(64), value: (i) => BigInt((i * i) % 7) << 50n, encodings: /RLE_DICTIONARY/ },
  'numbers at both ends': {
    type: int(64),
    value: (i) => (i % 2 === 0 ? 2n ** 63n - 1n - BigInt(i) : BigInt(i) - 2n ** 63n),
    encodings: /^RLE, PLAIN$/,
  },
  'jumps of 32 bits': {
    type: int(32),
    value: (i) => (i % 2 === 0 ? 2 ** 31 - 1 - i : -(2 ** 31) + i),
    encodings: /^RLE, PLAIN$/,
  },
  'long runs': { type: int(32), value: (i) => Math.floor(i / 700) % 11, encodings: /DICTIONARY|DELTA/ },
  'runs of 17 between changes': {
    type: text,
    value: (i) => (i % 40 < 17 ? 'run' : `v${i % 23}`),
    encodings: /RLE_DICTIONARY/,
  },
  'few texts': {
    type: text,
    value: (i) => ['a', '', 'größer', 'abcde'][i % 4]!,
    encodings: /RLE_DICTIONARY/,
  },
  'texts of few kinds that differ in the middle': {
    type: text,
    value: (i) => `${'x'.repeat(20)}${i % 50}${'y'.repeat(20)}`,
    encodings: /RLE_DICTIONARY/,
  },
  'texts each of its own': { type: text, value: (i) => `text ${i * 7919}`, encodings: /DELTA_LENGTH/ },
  'texts that are few at first': {
    type: text,
    value: (i) => (i < 3000 ? `few ${i % 10}` : `${'many '.repeat(20)}${i}`),
    encodings: /RLE_DICTIONARY, DELTA_LENGTH|DELTA_LENGTH.*RLE_DICTIONARY|DELTA_LENGTH/,
  },
  uuids: {
    type: { kind: 'uuid' },
    value: (i) => `00000000-0000-4000-8000-${(i % 90).toString(16).padStart(12, '0')}`,
    encodings: /RLE_DICTIONARY/,
  },
  'doubles of few kinds': {
    type: { kind: 'float', bits: 64 },
    value: (i) => [0, -0, NaN, 1 / 3, Infinity, null][i % 6]!,
    encodings: /RLE_DICTIONARY/,
  },
  'floats each of its own': {
    type: { kind: 'float', bits: 32 },
    value: (i) => Math.fround(1 / (i + 1)),
    encodings: /^RLE, PLAIN$/,
  },
  'long decimals of few kinds': {
    type: decimal(30, 2),
    value: (i) => `${i % 2 === 0 ? '-' : ''}12345678901234567890.0${i % 9}`,
    encodings: /RLE_DICTIONARY/,
  },
  'nulls in runs': {
    type: int(32),
    value: (i) => (i % 900 < 500 ? null : i),
    encodings: /DELTA_BINARY/,
  },
  'lists in runs': {
    type: { kind: 'list', element: int(32) },
    value: (i) => (i % 300 < 200 ? [] : [i % 5, null, i % 3]),
    encodings: /DICTIONARY|DELTA/,
  },
}
const SHAPE_FIELDS = Object.entries(SHAPES).map(([name, { type }]) => nullable(name, type))
const shapes = (from: number, to: number): Batch =>
  buildBatch(
    SHAPE_FIELDS,
    Array.from({ length: to - from }, (_, i) => Object.values(SHAPES).map(({ value }) => value(from + i))),
  )

describe('a column of many values', () => {
  it.each<[string, Options]>([
    ['', {}],
    ['in row groups and pages that end in batches', { rowGroupRows: 5000, pageBytes: 7000 }],
    ['by dictionaries or plainly', { encodings: 'v1', compression: 'snappy' }],
    ['without dictionaries', { dictionary: false, compression: 'none' }],
  ])('is read back value for value, whatever is best for it: %s', async (_, options) => {
    const batches = [shapes(0, 1000), shapes(1000, 6001), shapes(6001, 9000)]
    const file = await roundTrip(SHAPE_FIELDS, batches, options)
    if (Object.keys(options).length > 0) return
    const metadata = await duckdb.runAndReadAll(
      `SELECT path_in_schema, encodings FROM parquet_metadata('${file}')`,
    )
    const encodings = Object.fromEntries(metadata.getRowsJson() as [string, string][])
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
    const file = await roundTrip(fields, batches, { pageBytes: 40_000 }, ['DuckDB'])
    const metadata = await duckdb.runAndReadAll(
      `SELECT path_in_schema, encodings FROM parquet_metadata('${file}') WHERE path_in_schema = 't'`,
    )
    expect(metadata.getRowsJson()[0]![1]).toMatch(/RLE_DICTIONARY.*DELTA_LENGTH|DELTA_LENGTH.*RLE_DICTIONARY/)
  })

  it('costs as little as it is worth: dictionaries, differences and runs are smaller than plain values', async () => {
    const sizes: number[] = []
    for (const options of [
      { compression: 'none' },
      { compression: 'none', dictionary: false, encodings: 'v1' },
    ] satisfies Options[]) {
      sizes.push((await encode(SHAPE_FIELDS, [shapes(0, 5000)], options)).length)
    }
    expect(sizes[0]).toBeLessThan(0.75 * sizes[1]!)
  })

  it('is kept within the bytes of a row group, and rows of any width with it', async () => {
    const fields = [nullable('t', text)]
    const rows = Array.from({ length: 400 }, (_, i): Value[] => [`${i}`.repeat(5000).slice(0, 5000 + 17 * i)])
    const batches = Array.from({ length: 40 }, (_, i) => buildBatch(fields, rows.slice(10 * i, 10 * i + 10)))
    const bytes = await encode(fields, batches, { compression: 'none', rowGroupBytes: 300_000 })
    const file = await save(bytes)
    const groups = await duckdb.runAndReadAll(
      `SELECT row_group_bytes, row_group_num_rows FROM parquet_metadata('${file}')`,
    )
    const sizes = groups.getRowsJson().map(([size]) => Number(size))
    expect(sizes.length).toBeGreaterThan(5)
    // What was held and one batch more.
    expect(Math.max(...sizes)).toBeLessThan(300_000 + 10 * 12_000)
  })
})

const ELEMENTS: readonly (readonly [ElementType, fc.Arbitrary<SingleValue>])[] = [
  [{ kind: 'bool' }, fc.boolean()],
  [int(16), fc.integer({ min: -32768, max: 32767 })],
  [int(32), fc.oneof(fc.integer(), fc.nat(5))],
  [int(64), fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt({ min: 0n, max: 9n }))],
  [{ kind: 'float', bits: 32 }, fc.float()],
  [{ kind: 'float', bits: 64 }, fc.double()],
  ...[5, 9, 14, 18, 23, 38].map((precision): [ElementType, fc.Arbitrary<SingleValue>] => [
    decimal(precision, 2),
    fc
      .bigInt({ min: -(10n ** BigInt(precision - 2)) + 1n, max: 10n ** BigInt(precision - 2) - 1n })
      .map((whole) => `${whole}.25`),
  ]),
  [
    { kind: 'date' },
    fc.constantFrom('2024-02-29', '1969-12-31', 'infinity', '-infinity', '0001-01-01', '9999-12-31'),
  ],
  [{ kind: 'time' }, fc.constantFrom('00:00:00', '12:34:56.789012', '23:59:59.999999')],
  [
    { kind: 'timestamp', utc: false },
    fc.constantFrom('2024-02-29T12:00:00.000001', '1900-01-01T00:00:00', 'infinity', '-infinity'),
  ],
  [{ kind: 'timestamp', utc: true }, fc.constantFrom('2024-02-29T12:00:00Z', '1582-10-15T00:00:00Z')],
  [{ kind: 'interval' }, fc.constantFrom('PT0S', 'P1Y2M-3DT4H5M6.789012S', 'P-3M')],
  [text, fc.oneof(fc.string({ maxLength: 40, unit: 'grapheme' }), fc.constantFrom('a', 'b', ''))],
  [{ kind: 'json' }, fc.json({ maxDepth: 1 })],
  [{ kind: 'uuid' }, fc.uuid()],
  [{ kind: 'binary' }, fc.uint8Array({ maxLength: 30 })],
]

interface RandomTable {
  readonly fields: readonly Field[]
  readonly batches: readonly (readonly (readonly Value[])[])[]
}

const randomColumn = fc
  .tuple(fc.nat(ELEMENTS.length - 1), fc.boolean(), fc.boolean())
  .map(([kind, isList, isNullable]) => {
    const [element, single] = ELEMENTS[kind]!
    const value: fc.Arbitrary<Value> = isList
      ? fc.array(fc.option(single, { freq: 3 }), { maxLength: 4 })
      : single
    return {
      field: { type: isList ? { kind: 'list', element } : element, nullable: isNullable },
      value: isNullable ? fc.option(value, { freq: 2 }) : value,
    }
  })

const randomTable = fc.array(randomColumn, { minLength: 1, maxLength: 6 }).chain((columns) =>
  fc.record({
    fields: fc.constant(columns.map(({ field }, index) => ({ ...field, name: `c${index}` }) as Field)),
    batches: fc.array(fc.array(fc.tuple(...columns.map(({ value }) => value)), { maxLength: 60 }), {
      maxLength: 4,
    }),
  }),
)

const randomOptions: fc.Arbitrary<Options> = fc.record({
  compression: fc.constantFrom(...COMPRESSIONS),
  rowGroupRows: fc.constantFrom(1, 7, 50, 122_880),
  rowGroupBytes: fc.constantFrom(500, 64 << 20),
  pageBytes: fc.constantFrom(1, 64, 1000, 1 << 20),
  dictionary: fc.boolean(),
  encodings: fc.constantFrom('v1', 'v2'),
})

const batchesOf = ({ fields, batches }: RandomTable): Batch[] =>
  batches.map((rows) => buildBatch(fields, rows))

describe('a Parquet file of a random table', () => {
  it('holds every value, however it is cut, encoded and compressed', async () => {
    await fc.assert(
      fc.asyncProperty(randomTable, randomOptions, async (table, options) => {
        await roundTrip(table.fields, batchesOf(table), options)
      }),
      { numRuns: 120 },
    )
  })
})

const instruction = 'set TRUNKLINE_TEST_PYTHON to a Python that has it'
describe.each(['pyarrow', 'polars'])('read by %s', (reader) => {
  const absent = !python.includes(reader)
  it.skipIf(absent)(
    `the types table is the same${absent ? ` (${reader} is not here: ${instruction})` : ''}`,
    async () => {
      for (const options of [
        {},
        { compression: 'snappy', pageBytes: 100, rowGroupRows: 33 },
        { compression: 'gzip', encodings: 'v1' },
        { compression: 'none', dictionary: false },
      ] satisfies Options[]) {
        const { fields, batch } = typesTable(100, true)
        await roundTrip(fields, [batch], options, [reader])
      }
      await roundTrip(SHAPE_FIELDS, [shapes(0, 5000), shapes(5000, 9000)], {}, [reader])
    },
  )

  it.skipIf(absent)(
    `random tables are the same${absent ? ` (${reader} is not here: ${instruction})` : ''}`,
    async () => {
      await fc.assert(
        fc.asyncProperty(randomTable, randomOptions, async (table, options) => {
          await roundTrip(table.fields, batchesOf(table), options, [reader])
        }),
        { numRuns: 5 },
      )
    },
  )
})
