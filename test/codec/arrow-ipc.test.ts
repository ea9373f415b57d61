import { CompressionType, compressionRegistry, RecordBatchReader, tableFromIPC } from 'apache-arrow'
import fc from 'fast-check'
import { compressors } from 'hyparquet-compressors'
import { describe, expect, it, test } from 'vitest'
import { toArrow, toArrowSchema } from '../../src/arrow.js'
import type { Batch } from '../../src/batch/batch.js'
import { buildBatch } from '../../src/batch/build-batch.js'
import { createArrowEncoder, type ArrowOptions } from '../../src/codec/arrow-ipc.js'
import { loadCompressor } from '../../src/codec/compression/compressor.js'
import type { Field } from '../../src/model/column-type.js'
import { captureError } from './capture-error.js'
import { encoded } from './encoded.js'
import { exactRows, randomBatches } from './random-batch.js'
import { rowsOf } from './read-by-arrow.js'
import { SAMPLE_FIELDS, sampleBatch } from './sample-batch.js'

const whole = (batch: Batch) => ({ batch, start: 0, count: batch.rowCount })
const encode = (batches: readonly Batch[], options: ArrowOptions, fields = batches[0]!.fields): Buffer =>
  encoded(createArrowEncoder(fields, options), batches.map(whole))

describe.each(['file', 'stream'] as const)('an Arrow %s', (framing) => {
  it('is read by apache-arrow as what was written, whatever the fields, values and rows of a batch', () => {
    fc.assert(
      fc.property(randomBatches, fc.nat(), (batch, cut) => {
        const start = batch.rowCount === 0 ? 0 : cut % batch.rowCount
        const rest = { batch, start, count: batch.rowCount - start }
        const bytes = encoded(createArrowEncoder(batch.fields, { framing }), [whole(batch), rest])
        expect(bytes.length % 2).toBe(0)
        const table = tableFromIPC(bytes)
        expect(rowsOf(table.batches)).toEqual([...exactRows(batch), ...exactRows(batch, start)])
        expect(table.schema.fields.map(String)).toEqual(toArrowSchema(batch.fields).fields.map(String))
        expect(table.schema.fields.map(({ metadata }) => metadata)).toEqual(
          toArrowSchema(batch.fields).fields.map(({ metadata }) => metadata),
        )
      }),
      { numRuns: 150, seed: 11 },
    )
  })

  it('says what it was told of itself, and is one without rows and with 1,600 columns', () => {
    const metadata = { 'trunkline.stream': 'public.orders', empty: '' }
    const fields: readonly Field[] = Array.from({ length: 1600 }, (_, index) => ({
      name: `c${index}`,
      type: index % 2 === 0 ? { kind: 'text' } : { kind: 'int', bits: 32 },
      nullable: true,
    }))
    const rows = [fields.map((_, index) => (index % 3 === 0 ? null : index % 2 === 0 ? `v${index}` : index))]
    const batch = buildBatch(fields, rows)
    const table = tableFromIPC(encode([batch], { framing, metadata }))
    expect([...table.schema.metadata]).toEqual(Object.entries(metadata))
    expect(rowsOf(table.batches)).toEqual(exactRows(batch))
    const empty = tableFromIPC(encode([buildBatch(fields, [])], { framing }))
    expect([empty.numRows, empty.schema.fields.length]).toEqual([0, 1600])
  })
})

test('buffers in Zstandard are read by apache-arrow with a codec', async () => {
  compressionRegistry.set(CompressionType.ZSTD, {
    decode: (bytes: Uint8Array) => compressors.ZSTD!(bytes, LARGEST).slice(),
  })
  const batch = sampleBatch(500, true)
  const compress = await loadCompressor('zstd')
  const bytes = encode([batch, batch], { framing: 'file', compress })
  expect(bytes.length).toBeLessThan(encode([batch, batch], { framing: 'file' }).length / 4)
  expect(rowsOf(tableFromIPC(bytes).batches)).toEqual([...exactRows(batch), ...exactRows(batch)])
})

/** More than any buffer of the test has. */
const LARGEST = 4 * 1024 * 1024

test('columns that need no change are written from where they lie', () => {
  const batch = sampleBatch(3000, false)
  const pieces = [...createArrowEncoder(batch.fields, { framing: 'stream' }).add(whole(batch))].flat()
  const shared = pieces.filter(({ buffer }) => buffer === batch.buffer)
  const copied = pieces.filter(({ buffer, length }) => buffer !== batch.buffer && length > 4096)
  // Two decimals of 64 bits and the interval are rewritten; bits are few.
  expect(copied).toHaveLength(3)
  expect(shared.length).toBeGreaterThanOrEqual(SAMPLE_FIELDS.length - 3)
})

test('an interval that nanoseconds cannot hold is refused by its column', () => {
  const fields = [{ name: 'span', type: { kind: 'interval' }, nullable: true }] as const
  const error = captureError(() => encode([buildBatch(fields, [['PT2562048H']])], { framing: 'file' }))
  expect(error).toMatchObject({ code: 'VALUE_UNREPRESENTABLE', context: { field: 'span' } })
})

describe('a stream that was cut', () => {
  const END_OF_STREAM = 'ffffffff00000000'

  it('does not end as a whole one does', () => {
    const encoder = createArrowEncoder(SAMPLE_FIELDS, { framing: 'stream' })
    const cut = Buffer.concat([...encoder.add(whole(sampleBatch(3, false)))].flat())
    expect(cut.subarray(-8).toString('hex')).not.toBe(END_OF_STREAM)
    const rest = Buffer.concat([...encoder.end()].flat())
    expect(rest.toString('hex')).toBe(END_OF_STREAM)
    expect([...RecordBatchReader.from(Buffer.concat([cut, rest]))]).toHaveLength(1)
  })

  it('is an error of a file at every byte', () => {
    const bytes = encode([sampleBatch(3, true)], { framing: 'file' })
    const rows = (length: number): number => {
      try {
        return tableFromIPC(bytes.subarray(0, length)).numRows
      } catch {
        return -1
      }
    }
    expect(rows(bytes.length)).toBe(3)
    for (let length = bytes.length - 1; length > bytes.length - 40; length--) expect(rows(length)).not.toBe(3)
  })
})

test('lists are record batches of apache-arrow, too, over the same memory', () => {
  fc.assert(
    fc.property(randomBatches, (batch) => {
      expect(rowsOf([toArrow(batch)])).toEqual(exactRows(batch))
    }),
    { numRuns: 60, seed: 5 },
  )
})
