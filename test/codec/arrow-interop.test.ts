import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompressionType, setCompressionCodec, tableFromIPC as flechetteTable } from '@uwdata/flechette'
import { compressionRegistry, tableFromIPC } from 'apache-arrow'
import fc from 'fast-check'
import { compressors } from 'hyparquet-compressors'
import { Table } from 'parquet-wasm'
import { afterAll, beforeAll, describe, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import { dropColumns } from '../../src/batch/select.js'
import { createArrowEncoder, type ArrowFraming } from '../../src/codec/arrow-ipc.js'
import { loadCompressor } from '../../src/codec/compression/compressor.js'
import type { Field } from '../../src/model/column-type.js'
import { rowsOfApache, rowsOfFlechette } from './arrow-columns.js'
import { canonicalRows, expectRows, withoutMidnight, type Canonical } from './canonical-rows.js'
import { encoded } from './encoded.js'
import { PYTHON_TIMEOUT_MS, pythonReaders, readByPython, type WrittenFile } from './python-readers.js'
import { randomTables, type RandomTable } from './random-batch.js'
import { typesTable } from './types-table.js'

/** Readers that are there wherever the tests run, each written by others from the format's specification. */
const READERS: Readonly<Record<string, (bytes: Uint8Array, fields: readonly Field[]) => Canonical[][]>> = {
  'apache-arrow': (bytes, fields) => rowsOfApache(tableFromIPC(bytes), fields),
  flechette: (bytes, fields) =>
    rowsOfFlechette(flechetteTable(bytes, { useBigInt: true, useDecimalInt: true }), fields),
  // In WebAssembly: what it makes of a stream it hands on as one of its own.
  'arrow-rs': (bytes, fields) =>
    rowsOfApache(tableFromIPC(Table.fromIPCStream(bytes).intoIPCStream()), fields),
}
/** `arrow-rs` is asked for streams alone, and not for compressed buffers: so it was built. */
const FORMS: readonly { framing: ArrowFraming; zstd: boolean; readers: readonly string[] }[] = [
  { framing: 'stream', zstd: false, readers: ['apache-arrow', 'flechette', 'arrow-rs'] },
  { framing: 'file', zstd: false, readers: ['apache-arrow', 'flechette'] },
  { framing: 'stream', zstd: true, readers: ['apache-arrow', 'flechette'] },
  { framing: 'file', zstd: true, readers: ['apache-arrow', 'flechette'] },
]
const zstd = await loadCompressor('zstd')
const python = await pythonReaders()
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trunkline-arrow-'))
  /** More than any buffer of these tests has. */
  const most = 4 * 1024 * 1024
  const decode = (bytes: Uint8Array): Uint8Array => compressors.ZSTD!(bytes, most).slice()
  compressionRegistry.set(CompressionType.ZSTD, { decode })
  setCompressionCodec(CompressionType.ZSTD, { decode, encode: (bytes) => zstd([bytes]) })
})
afterAll(() => rm(folder, { recursive: true }))

function encode(
  { framing, zstd: compressed }: (typeof FORMS)[number],
  fields: readonly Field[],
  batches: readonly Batch[],
): Buffer {
  const encoder = createArrowEncoder(fields, { framing, compress: compressed ? zstd : null })
  // Each in two parts, the second of which begins anywhere.
  const ranges = batches.flatMap((batch) => {
    const first = Math.min(5, batch.rowCount)
    return [
      { batch, start: 0, count: first },
      { batch, start: first, count: batch.rowCount - first },
    ]
  })
  return encoded(encoder, ranges)
}

const built = ({ fields, batches }: RandomTable): Batch[] => batches.map((rows) => buildBatch(fields, rows))

describe.each(FORMS)('an Arrow $framing, in Zstandard: $zstd', (form) => {
  const { readers } = form
  it(`has the same values of every kind for ${readers.join(', ')}`, () => {
    const tables = [typesTable(100, true), typesTable(1, false), typesTable(0, false)]
    const { fields } = tables[0]!
    const batches = tables.map(({ batch }) => batch)
    const bytes = encode(form, fields, batches)
    for (const reader of readers) expectRows(reader, READERS[reader]!(bytes, fields), canonicalRows(batches))
  })

  it(`has the same values of random tables for ${readers.join(', ')}`, () => {
    fc.assert(
      fc.property(randomTables, (table) => {
        const batches = built(table)
        const bytes = encode(form, table.fields, batches)
        const expected = canonicalRows(batches)
        for (const reader of readers) expectRows(reader, READERS[reader]!(bytes, table.fields), expected)
      }),
      { numRuns: 60, seed: 23 },
    )
  })
})

const instruction = 'set TRUNKLINE_TEST_PYTHON to a Python that has it'
describe.each(['pyarrow', 'polars'] as const)('Arrow read by %s', (reader) => {
  const absent = !python.includes(reader)
  const note = absent ? ` (${reader} is not here: ${instruction})` : ''

  it.skipIf(absent)(
    `has every value of the types table and of random tables${note}`,
    { timeout: PYTHON_TIMEOUT_MS },
    async () => {
      const random = fc.sample(randomTables, { numRuns: 20, seed: 29 }).map(built)
      const tables = [[typesTable(100, true).batch], ...random.filter((batches) => batches.length > 0)]
      const written: WrittenFile[] = []
      const expected: Canonical[][][] = []
      for (const [index, all] of tables.entries()) {
        // Polars has no intervals, and refuses a file with one.
        const batches = reader === 'polars' ? all.map(withoutIntervals) : all
        const { fields } = batches[0]!
        if (fields.length === 0) continue
        const rows = canonicalRows(batches)
        for (const form of FORMS) {
          const suffix = form.framing === 'file' ? 'arrow' : 'arrows'
          const file = join(folder, `${reader}-${index}-${form.zstd}.${suffix}`)
          await writeFile(file, encode(form, fields, batches))
          written.push({ file, fields })
          expected.push(reader === 'polars' ? withoutMidnight(fields, rows) : rows)
        }
      }
      const found = await readByPython(reader, written)
      for (const [index, rows] of expected.entries()) expectRows(reader, found[index]!, rows)
    },
  )
})

function withoutIntervals(batch: Batch): Batch {
  const intervals = batch.fields.filter(
    ({ type }) => (type.kind === 'list' ? type.element : type).kind === 'interval',
  )
  return dropColumns(
    batch,
    intervals.map(({ name }) => name),
  )
}
