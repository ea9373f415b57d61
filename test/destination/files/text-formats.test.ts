import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import type { Batch } from '../../../src/batch/batch.js'
import { buildBatch } from '../../../src/batch/build-batch.js'
import { parseDestination } from '../../../src/config/destination-text.js'
import { createArrowFormat } from '../../../src/destination/files/arrow-format.js'
import { createCsvFormat } from '../../../src/destination/files/csv-format.js'
import type { FileFormat } from '../../../src/destination/files/file-format.js'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { formatDuckDbType } from '../../../src/destination/duckdb/column-types.js'
import type { Field } from '../../../src/model/column-type.js'
import { encoded } from '../../codec/encoded.js'
import { exactRows, randomBatches } from '../../codec/random-batch.js'
import { sampleBatch } from '../../codec/sample-batch.js'
import { readByDuckDb, type ReadByDuckDb } from './read-by-duckdb.js'

let folder: string
let duckdb: DuckDBConnection
let fileCount = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trunkline-text-'))
  duckdb = await (await DuckDBInstance.create(':memory:')).connect()
  await duckdb.run(`SET TimeZone = 'UTC'`)
})

afterAll(async () => {
  duckdb.closeSync()
  await rm(folder, { recursive: true })
})

async function writeFiles(format: FileFormat, batches: readonly Batch[]): Promise<string[]> {
  const paths: string[] = []
  for (const batch of batches) {
    const path = join(folder, `${fileCount++}${format.suffix}`)
    const half = batch.rowCount >> 1
    const ranges = [
      { batch, start: 0, count: half },
      { batch, start: half, count: batch.rowCount - half },
    ]
    await writeFile(
      path,
      encoded(
        format.encoder(batch.fields, {}, () => 1),
        ranges,
      ),
    )
    paths.push(path)
  }
  return paths
}

async function readBack(
  format: FileFormat,
  fields: readonly Field[],
  batches: readonly Batch[],
): Promise<ReadByDuckDb> {
  return readByDuckDb(duckdb, format.scanSql(fields, await writeFiles(format, batches)) ?? '')
}

/** A type as DuckDB writes it, lists included. */
const typeNames = (fields: readonly Field[]): string[] => fields.map(({ type }) => formatDuckDbType(type))

/** DuckDB writes documents anew: what they say is compared. */
function compactDocuments({ fields }: Batch, rows: readonly unknown[][]): unknown[][] {
  const compact = (text: unknown): unknown =>
    text === null ? null : JSON.stringify(JSON.parse(text as string))
  return rows.map((row) =>
    row.map((value, index) => {
      const { type } = fields[index]!
      if (type.kind === 'json') return compact(value)
      return type.kind === 'list' && type.element.kind === 'json' && Array.isArray(value)
        ? value.map(compact)
        : value
    }),
  )
}

const csvVariants: [string, Record<string, string>][] = [
  ['CSV', {}],
  ['CSV between tabs in single quotes', { delimiter: 'tab', quote: "'" }],
  ['CSV with a text for null', { null_text: 'NULL', delimiter: ';' }],
  ['CSV without names', { header: 'false' }],
  ['CSV in gzip', { compression: 'gzip' }],
]

describe.each(csvVariants)('%s', (_, options) => {
  it('is read by DuckDB as what was written, whatever the fields and values', async () => {
    const format = await createCsvFormat(options)
    await fc.assert(
      fc.asyncProperty(randomBatches, async (batch) => {
        const read = await readBack(format, batch.fields, [batch])
        expect(read.rows).toEqual(exactRows(batch))
        expect(read.types).toEqual(typeNames(batch.fields))
        expect(read.names).toEqual(batch.fields.map(({ name }) => name))
      }),
      { numRuns: 40, seed: 7 },
    )
  })
})

describe.each([
  ['JSON Lines', {}],
  ['JSON Lines in zstd', { compression: 'zstd' }],
])('%s', (_, options) => {
  it('is read by DuckDB as what was written, whatever the fields and values', async () => {
    const format = await createJsonlFormat(options)
    await fc.assert(
      fc.asyncProperty(randomBatches, async (batch) => {
        const read = await readBack(format, batch.fields, [batch])
        expect(compactDocuments(batch, read.rows)).toEqual(compactDocuments(batch, exactRows(batch)))
        expect(read.types).toEqual(typeNames(batch.fields))
        expect(read.names).toEqual(batch.fields.map(({ name }) => name))
      }),
      { numRuns: 60, seed: 7 },
    )
  })
})

const field = (name: string, type: Field['type'] = { kind: 'text' }): Field => ({
  name,
  type,
  nullable: true,
})

describe.each([
  ['csv', createCsvFormat],
  ['jsonl', createJsonlFormat],
] as const)('files of %s', (_, create) => {
  it('hold every kind with its extremes, several files as one', async () => {
    const format = await create({})
    const batches = [sampleBatch(30, true), sampleBatch(7, false)]
    const [first] = batches
    const read = await readBack(format, first!.fields, batches)
    const expected = batches.flatMap((batch) => compactDocuments(batch, exactRows(batch)))
    const documentAt = first!.fields.findIndex(({ name }) => name === 'document')
    // The one loss of JSON Lines, and it is declared.
    if (format.name === 'jsonl')
      for (const row of expected) if (row[documentAt] === 'null') row[documentAt] = null
    expect(compactDocuments(first!, read.rows)).toEqual(expected)
    expect(format.losses(first!.fields)).toHaveLength({ arrow: 3, csv: 1, jsonl: 4, parquet: 3 }[format.name])
  })

  it('have no value of a column that came after them', async () => {
    const format = await create({})
    const old = buildBatch([field('b'), field('a')], [['1', 'x\ny']])
    const fields = [field('a'), field('added', { kind: 'date' }), field('b')]
    const present = buildBatch(fields, [['z', '2024-01-31', '2']])
    const paths = [...(await writeFiles(format, [old])), ...(await writeFiles(format, [present]))]
    const { rows } = await readByDuckDb(duckdb, format.scanSql(fields, paths) ?? '')
    expect(rows).toEqual([
      ['x\ny', null, '1'],
      ['z', '19753', '2'],
    ])
  })

  it('without rows, with 1,600 columns, and with values that are megabytes long are files as any other', async () => {
    const format = await create({})
    const wide = Array.from({ length: 1600 }, (_, index) =>
      field(`c${index}`, index % 2 === 0 ? { kind: 'text' } : { kind: 'int', bits: 32 }),
    )
    const rows = [wide.map((_, index) => (index % 3 === 0 ? null : index % 2 === 0 ? `"${index},` : index))]
    const batch = buildBatch(wide, [...rows, ...rows, ...rows])
    expect((await readBack(format, wide, [batch])).rows).toEqual(exactRows(batch))
    expect((await readBack(format, wide, [buildBatch(wide, [])])).rows).toEqual([])
    const long = [
      field('text'),
      field('bytes', { kind: 'binary' }),
      field('list', { kind: 'list', element: { kind: 'text' } }),
    ]
    const values = buildBatch(long, [
      [
        'a"\n\u0001'.repeat(400_000),
        new Uint8Array(300_000).fill(7),
        Array.from({ length: 50_000 }, (_, n) => (n % 7 === 0 ? null : `e"${n}`)),
      ],
      ['short', null, []],
      ['x'.repeat(3_000_000), Uint8Array.of(1), ['y'.repeat(700_000), null]],
    ])
    const read = await readBack(format, long, [values])
    expect(read.rows.length).toBe(3)
    // Not by `toEqual` on the whole: what differs would be megabytes of message.
    const same = exactRows(values).map((row, at) =>
      row.map((value, index) => JSON.stringify(value) === JSON.stringify(read.rows[at]![index])),
    )
    expect(same).toEqual(Array.from({ length: 3 }, () => [true, true, true]))
  })
})

test.each([
  ['csv', createCsvFormat],
  ['jsonl', createJsonlFormat],
] as const)(
  'a byte order mark that begins a value stays, in %s, also where the value begins the file',
  async (_, create) => {
    const fields = [field('mark')]
    const batch = buildBatch(fields, [['\uFEFFa'], ['\uFEFF']])
    for (const options of [{}, ...(create === createCsvFormat ? [{ header: 'false' }] : [])]) {
      const format = await create(options)
      const scan = format.scanSql(fields, await writeFiles(format, [batch])) ?? ''
      const { rows } = await readByDuckDb(duckdb, `(SELECT hex(encode(mark)) FROM ${scan})`)
      expect(rows).toEqual([['EFBBBF61'], ['EFBBBF']])
    }
  },
)

test('formulas are disarmed only where that is asked for, and it is said as a loss', async () => {
  const fields = [field('=name'), field('n', { kind: 'int', bits: 32 })]
  const texts = ['=1+1', '+1', '-1', '@SUM', '\tx', '\rx', 'a=1', '', "'", '"']
  const batch = buildBatch(
    fields,
    texts.map((text) => [text, -5]),
  )
  const plain = await createCsvFormat({})
  expect((await readBack(plain, fields, [batch])).rows.map(([text]) => text)).toEqual(texts)
  const untyped = expect.stringMatching(/^The files have no types/) as string
  expect(plain.losses(fields)).toEqual([untyped])
  const escaping = await createCsvFormat({ formulas: 'escape' })
  const read = await readBack(escaping, fields, [batch])
  expect(read.names).toEqual(['=name', 'n'])
  expect(read.rows.map(([text]) => text)).toEqual(
    texts.map((text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text)),
  )
  expect(read.rows.map(([, number]) => number)).toEqual(texts.map(() => '-5'))
  expect(escaping.losses(fields)).toEqual([untyped, expect.stringContaining('apostrophe')])
  expect(escaping.losses(fields.slice(1))).toEqual([untyped])
})

it('what JSON Lines and Arrow cannot keep is said by column, of wide tables of a few', async () => {
  const fields: Field[] = Array.from({ length: 9 }, (_, index) => ({
    name: `at${index}`,
    type: { kind: 'list', element: { kind: 'date' } },
    nullable: true,
  }))
  const [arrow, jsonl] = await Promise.all([createArrowFormat({}), createJsonlFormat({})])
  expect(arrow.losses(fields)).toEqual([
    'at0, at1, at2, at3, at4, at5 and 3 others: Infinity is the end of the range, which readers take for a date.',
  ])
  const told = (type: Field['type']): readonly string[] => jsonl.losses([{ name: 'f', type, nullable: true }])
  expect(told({ kind: 'int', bits: 32 })).toEqual([])
  expect(told({ kind: 'int', bits: 64 })).toEqual([expect.stringContaining('2^53')])
  expect(told({ kind: 'float', bits: 64 })).toEqual([expect.stringContaining('NaN')])
  expect(told({ kind: 'json' })).toEqual([expect.stringContaining('document null')])
  expect(told({ kind: 'uuid' })).toEqual([expect.stringContaining('are text')])
})

describe('options', () => {
  const creators = { arrow: createArrowFormat, csv: createCsvFormat, jsonl: createJsonlFormat }

  it.each([
    ['arrow:lake?framing=stream', '.arrows'],
    ['arrow:lake?compression=zstd', '.arrow'],
    [
      'csv:lake?header=false&delimiter=;&quote=%27&null_text=NULL&formulas=escape&compression=zstd',
      '.csv.zst',
    ],
    ['csv:lake?compression=gzip', '.csv.gz'],
    ['jsonl:lake?compression=gzip', '.jsonl.gz'],
    ['jsonl:lake', '.jsonl'],
  ])('of %s come to files that end with %s', async (text, suffix) => {
    const location = parseDestination(text)
    if (!('options' in location) || location.format === 'parquet') throw new Error('not files')
    expect((await creators[location.format](location.options.format)).suffix).toBe(suffix)
  })

  it.each([
    ['csv', { delimiter: 'x' }, 'CONFIG_INVALID', 'delimiter is one of: , ; | tab'],
    ['csv', { header: 'yes' }, 'CONFIG_INVALID', 'header is one of: true false'],
    ['csv', { null_text: 'a,b' }, 'CONFIG_INVALID', 'null_text=NULL'],
    ['csv', { delimter: ';' }, 'CONFIG_UNKNOWN_KEY', 'Did you mean `delimiter`?'],
    ['jsonl', { header: 'false' }, 'CONFIG_UNKNOWN_KEY', 'Options: compression.'],
    ['arrow', { framing: 'zip' }, 'CONFIG_INVALID', 'framing is one of: file stream'],
    ['arrow', { compression: 'gzip' }, 'CONFIG_INVALID', 'compression is one of: none zstd'],
  ] as const)('of %s are refused where there are none such: %j', async (name, options, code, hint) => {
    await expect(creators[name](options)).rejects.toMatchObject({
      code,
      hint: expect.stringContaining(hint) as string,
    })
  })
})
