import { expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { createCopyDecoder } from '../../src/codec/copy-decoder.js'
import { keepBuffer, takeBuffer } from '../../src/codec/idle-buffers.js'
import { DEFAULTS, textsOf } from './capture.js'
import { decoderColumn, encodeCopy, int32 } from './encode-copy.js'

const MIB = 1024 * 1024
const COLUMNS = [
  decoderColumn('int4', { name: 'n' }),
  decoderColumn('bool', { name: 'flag' }),
  decoderColumn('text', { name: 'note' }),
]

it('takes the buffer of a batch that is done for the next one, and never for two', () => {
  const first = takeBuffer(2 * MIB)
  expect(takeBuffer(2 * MIB)).not.toBe(first)
  keepBuffer(first)
  expect(takeBuffer(2 * MIB - 5)).toBe(first)
  expect(takeBuffer(2 * MIB - 5)).not.toBe(first)
})

it('keeps few buffers, none made for one large value, and takes none that is far too large or too small', () => {
  const kept = Array.from({ length: 9 }, () => new ArrayBuffer(8 * MIB))
  for (const buffer of kept) keepBuffer(buffer)
  const huge = new ArrayBuffer(200 * MIB)
  keepBuffer(huge)
  expect(takeBuffer(200 * MIB)).not.toBe(huge)
  expect(takeBuffer(100).byteLength).toBe(100)
  expect(takeBuffer(2 * MIB).byteLength).toBe(2 * MIB)
  expect(takeBuffer(9 * MIB).byteLength).toBe(9 * MIB)
  const taken = Array.from({ length: 9 }, () => takeBuffer(8 * MIB))
  expect(taken.filter((buffer) => kept.includes(buffer))).toHaveLength(4)
})

it('decodes the same rows into memory that held anything before', () => {
  const bytes = encodeCopy(
    Array.from({ length: 60_000 }, (_, row) => [
      row % 3 === 0 ? null : int32(row),
      row % 5 === 0 ? null : Uint8Array.of(row % 2),
      row % 7 === 0 ? null : Buffer.from(`note ${row} ${'x'.repeat(row % 200)}`),
    ]),
  )
  const options = { ...DEFAULTS, batchBytes: MIB + 300_000, batchRows: 60_000 }
  const fresh = decode(bytes, options, () => undefined)
  const dirty: ArrayBuffer[] = []
  const again = decode(bytes, options, (batch) => {
    new Uint8Array(batch.buffer).fill(0xa5)
    dirty.push(batch.buffer)
    keepBuffer(batch.buffer)
  })
  expect(again).toEqual(fresh)
  // Else nothing was shown.
  expect(new Set(dirty).size).toBeLessThan(dirty.length)
})

function decode(
  bytes: Uint8Array,
  options: typeof DEFAULTS,
  done: (batch: Batch) => void,
): (string | null)[][] {
  const decoder = createCopyDecoder(COLUMNS, options)
  const texts: (string | null)[][] = []
  const take = (batch: Batch): void => {
    texts.push(...textsOf([batch]))
    done(batch)
  }
  for (let at = 0; at < bytes.length; at += 100_000) {
    decoder.write(bytes, at, Math.min(bytes.length, at + 100_000))
    for (let batch = decoder.take(); batch !== null; batch = decoder.take()) take(batch)
  }
  const last = decoder.finish()
  if (last !== null) take(last)
  return texts
}
