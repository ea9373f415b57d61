import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import { COMPRESSIONS } from '../../src/codec/compression/compressor.js'
import type { Field } from '../../src/model/column-type.js'
import { canonicalRows, expectRows, withoutMidnight, type Canonical } from './canonical-rows.js'
import { encodeParquet, PARQUET_READERS, parquetFiles, type ParquetTestOptions } from './parquet-files.js'
import { PYTHON_TIMEOUT_MS, pythonReaders, readByPython, type WrittenFile } from './python-readers.js'
import { randomTables, type RandomTable } from './random-batch.js'
import { typesTable } from './types-table.js'
import { SHAPE_FIELDS, shapes } from './value-shapes.js'

const files = parquetFiles()
const python = await pythonReaders()

const randomOptions: fc.Arbitrary<ParquetTestOptions> = fc.record({
  compression: fc.constantFrom(...COMPRESSIONS),
  rowGroupRows: fc.constantFrom(1, 7, 50, 122_880),
  rowGroupBytes: fc.constantFrom(500, 64 << 20),
  pageBytes: fc.constantFrom(1, 64, 1000, 1 << 20),
  dictionary: fc.boolean(),
  encodings: fc.constantFrom('v1', 'v2'),
})

/** Of every compression. */
const OPTIONS: readonly ParquetTestOptions[] = [
  {},
  { compression: 'snappy', pageBytes: 100, rowGroupRows: 33 },
  { compression: 'gzip', encodings: 'v1' },
  { compression: 'none', dictionary: false },
]

const built = ({ fields, batches }: RandomTable): Batch[] => batches.map((rows) => buildBatch(fields, rows))

describe('a Parquet file of a random table', () => {
  it(`has the same values for ${PARQUET_READERS.join(', ')}, however it is cut, encoded and compressed`, async () => {
    expect(PARQUET_READERS.length).toBeGreaterThanOrEqual(3)
    await fc.assert(
      fc.asyncProperty(randomTables, randomOptions, async (table, options) => {
        await files.roundTrip(table.fields, built(table), options)
      }),
      { numRuns: 120, seed: 17 },
    )
  })
})

const instruction = 'set TRUNKLINE_TEST_PYTHON to a Python that has it'
describe.each(['pyarrow', 'polars'] as const)('Parquet read by %s', (reader) => {
  const absent = !python.includes(reader)
  const note = absent ? ` (${reader} is not here: ${instruction})` : ''

  it.skipIf(absent)(
    `has every value of the types table, of many values and of random tables${note}`,
    { timeout: PYTHON_TIMEOUT_MS },
    async () => {
      const written: WrittenFile[] = []
      const expected: Canonical[][][] = []
      const write = async (
        fields: readonly Field[],
        batches: readonly Batch[],
        options: ParquetTestOptions,
      ): Promise<void> => {
        const rows = canonicalRows(batches)
        expected.push(reader === 'polars' ? withoutMidnight(fields, rows) : rows)
        written.push({ file: await files.save(await encodeParquet(fields, batches, options)), fields })
      }
      for (const options of OPTIONS) {
        const { fields, batch } = typesTable(100, true)
        await write(fields, [batch], options)
      }
      await write(SHAPE_FIELDS, [shapes(0, 5000), shapes(5000, 9000)], {})
      const random = fc.sample(fc.tuple(randomTables, randomOptions), { numRuns: 40, seed: 19 })
      for (const [table, options] of random) await write(table.fields, built(table), options)
      const found = await readByPython(reader, written)
      for (const [index, rows] of expected.entries()) expectRows(reader, found[index]!, rows)
    },
  )
})
