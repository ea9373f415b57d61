import { expect, test } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { startReplay } from '../../src/source/replay.js'

/** One int column; `spare` bytes behind what is used, as in a buffer that is used again. */
function batchOf(values: readonly number[], spare = 0): Batch {
  const buffer = new ArrayBuffer(values.length * 4 + spare)
  new Int32Array(buffer, 0, values.length).set(values)
  if (spare > 0) new Uint8Array(buffer, values.length * 4).fill(Math.random() * 256)
  return {
    fields: [{ name: 'n', type: { kind: 'int', bits: 32 }, nullable: false }],
    rowCount: values.length,
    columns: [
      { nullCount: 0, validity: null, offsets: null, values: { offset: 0, length: values.length * 4 } },
    ],
    buffer,
  }
}

const FIRST = Array.from({ length: 1000 }, (_, index) => index)
const SECOND = Array.from({ length: 1000 }, (_, index) => 1000 + index)

function givenAfter(...batches: readonly Batch[]): { batches: number; digest: number } {
  const replay = startReplay({ batches: 0, digest: 0 })
  for (const batch of batches) expect(replay.accept(batch)).toBe(true)
  replay.finish()
  return { batches: batches.length, digest: replay.digest }
}

test('what was given before is dropped, and what follows is given', () => {
  const replay = startReplay(givenAfter(batchOf(FIRST), batchOf(SECOND)))
  expect(replay.accept(batchOf(FIRST, 64))).toBe(false)
  expect(replay.accept(batchOf(SECOND))).toBe(false)
  expect(replay.accept(batchOf(FIRST))).toBe(true)
  replay.finish()
})

test.each([
  ['the batches in another order', [SECOND, FIRST]],
  ['a row that is missing at the start', [FIRST.slice(1), SECOND]],
  ['a row that moved to the end', [FIRST, [...SECOND.slice(1), 1000]]],
  ['another last row', [FIRST, [...SECOND.slice(0, -1), 7]]],
])('%s is an error', (_name, batches) => {
  const replay = startReplay(givenAfter(batchOf(FIRST), batchOf(SECOND)))
  const [first, second] = batches
  replay.accept(batchOf(first ?? []))
  expect(() => replay.accept(batchOf(second ?? []))).toThrow(
    expect.objectContaining({ code: 'CONNECTION_LOST', retry: 'safe' }),
  )
})

test('fewer batches than were given are an error', () => {
  const replay = startReplay(givenAfter(batchOf(FIRST), batchOf(SECOND)))
  expect(replay.accept(batchOf(FIRST))).toBe(false)
  expect(() => {
    replay.finish()
  }).toThrow(expect.objectContaining({ code: 'CONNECTION_LOST' }))
})
