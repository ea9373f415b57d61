import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildBatch } from '../../src/batch/build-batch.js'
import { COMPRESSIONS } from '../../src/codec/compression/compressor.js'
import {
  PARQUET_READERS,
  parquetFiles,
  type ParquetReader,
  type ParquetTestOptions,
} from './parquet-files.js'
import { pythonReaders } from './python-readers.js'
import { randomTables } from './random-batch.js'
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

/** Every kind of column, also as the elements of lists, with its extremes; null and not; none, one and many batches and row groups. */
async function expectRandomTables(readers: readonly ParquetReader[], numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(randomTables, randomOptions, async ({ fields, batches }, options) => {
      const built = batches.map((rows) => buildBatch(fields, rows))
      await files.roundTrip(fields, built, options, readers)
    }),
    { numRuns, seed: 17 },
  )
}

describe('a Parquet file of a random table', () => {
  it(`has the same values for ${PARQUET_READERS.join(', ')}, however it is cut, encoded and compressed`, async () => {
    expect(PARQUET_READERS.length).toBeGreaterThanOrEqual(3)
    await expectRandomTables(PARQUET_READERS, 150)
  })
})

const instruction = 'set TRUNKLINE_TEST_PYTHON to a Python that has it'
describe.each(['pyarrow', 'polars'] as const)('a Parquet file read by %s', (reader) => {
  const absent = !python.includes(reader)
  const note = absent ? ` (${reader} is not here: ${instruction})` : ''
  it.skipIf(absent)(`has every value of the types table${note}`, async () => {
    for (const options of [
      {},
      { compression: 'snappy', pageBytes: 100, rowGroupRows: 33 },
      { compression: 'gzip', encodings: 'v1' },
      { compression: 'none', dictionary: false },
    ] satisfies ParquetTestOptions[]) {
      const { fields, batch } = typesTable(100, true)
      await files.roundTrip(fields, [batch], options, [reader])
    }
    await files.roundTrip(SHAPE_FIELDS, [shapes(0, 5000), shapes(5000, 9000)], {}, [reader])
  })

  it.skipIf(absent)(`has every value of random tables${note}`, async () => {
    await expectRandomTables([reader], Number(process.env['TRUNKLINE_TEST_TABLES'] ?? 5))
  })
})
