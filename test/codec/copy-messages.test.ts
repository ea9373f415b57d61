/** Rows decoded from runs of CopyData messages as they lie on the wire: the same as from the payload alone. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { createCopyDecoder, type CopyDecoderOptions } from '../../src/codec/copy-decoder.js'
import type { DecoderColumn } from '../../src/codec/decoder-column.js'
import { TrunklineError } from '../../src/model/error.js'
import { MessageFramer } from '../../src/postgres/message-framer.js'
import { copyData, copyDone } from '../postgres/fake-server.js'
import { captureError } from './capture-error.js'
import { DEFAULTS, decodeAll } from './capture.js'
import { decoderColumn, encodeCopy, encodeRow, HEADER, int32, TRAILER } from './encode-copy.js'
import { GOLDEN_BYTES, GOLDEN_COLUMNS } from './golden.js'

const OPTIONS: CopyDecoderOptions = { ...DEFAULTS, batchRows: 7, maxFieldBytes: 100_000 }

interface Decoded {
  readonly batches: readonly Batch[]
  readonly bytes: number
  /** Messages taken in runs. */
  readonly inRuns: number
}

/** Sends `payloads` as one CopyData message each, in pieces that end at `cuts`. */
function decodeMessages(
  columns: readonly DecoderColumn[],
  payloads: readonly Uint8Array[],
  options: Partial<CopyDecoderOptions> & { readonly cuts?: readonly number[] } = {},
): Decoded {
  const decoder = createCopyDecoder(columns, { ...OPTIONS, ...options })
  const batches: Batch[] = []
  let inRuns = 0
  const framer = new MessageFramer({
    message: () => true,
    copyData: (bytes, start, end) => {
      decoder.write(bytes, start, end)
    },
    copyMessages: (bytes, start, end) => {
      const before = decoder.rows
      const stop = decoder.writeMessages(bytes, start, end)
      inRuns += decoder.rows - before
      return stop
    },
  })
  const wire = Buffer.concat([...payloads.map((payload) => copyData(latin1(payload))), copyDone])
  const edges = [0, ...[...(options.cuts ?? [])].sort((a, b) => a - b), wire.length]
  // Read into one buffer again and again, as from a socket, and not at its start.
  const buffer = Buffer.alloc(wire.length + 3)
  for (let i = 1; i < edges.length; i += 1) {
    const length = wire.copy(buffer, 3, edges[i - 1], edges[i])
    expect(framer.push(buffer, 3, 3 + length)).toBe(3 + length)
    buffer.fill(0xee)
    for (let batch = decoder.take(); batch !== null; batch = decoder.take()) batches.push(batch)
  }
  const last = decoder.finish()
  if (last !== null) batches.push(last)
  return { batches, bytes: decoder.bytes, inRuns }
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

/** The payloads that PostgreSQL sends: the header with the first row, each other row, the trailer. */
function messagesOf(rows: readonly Uint8Array[]): Uint8Array[] {
  const [first = new Uint8Array(0), ...others] = rows
  return [Buffer.concat([HEADER, first]), ...others, TRAILER]
}

const COLUMNS = [decoderColumn('int4', { name: 'n' }), decoderColumn('text', { name: 't' })]
const ROWS = Array.from({ length: 40 }, (_, i) =>
  encodeRow([i % 9 === 0 ? null : int32(i), i % 7 === 0 ? null : Buffer.from('é'.repeat(i))]),
)
const WHOLE = decodeAll(COLUMNS, Buffer.concat([HEADER, ...ROWS, TRAILER]), OPTIONS)

describe.each(['always', 'never', 'auto'] as const)(
  'rows in CopyData messages (code generation %s)',
  (codeGeneration) => {
    it('are decoded in runs where each lies in a message of its own', () => {
      const { batches, bytes, inRuns } = decodeMessages(COLUMNS, messagesOf(ROWS), { codeGeneration })
      expect(batches).toEqual(WHOLE)
      expect(bytes).toBe(Buffer.concat([HEADER, ...ROWS, TRAILER]).length)
      expect(inRuns).toBe(ROWS.length - 1)
    })

    it('are the same whatever two pieces they arrive in', () => {
      const length = Buffer.concat(messagesOf(ROWS)).length + 5 * (ROWS.length + 1)
      for (let cut = 0; cut <= length; cut++) {
        const { batches } = decodeMessages(COLUMNS, messagesOf(ROWS), { codeGeneration, cuts: [cut] })
        expect(batches, `cut at ${cut}`).toEqual(WHOLE)
      }
    })

    it('are the same however they are spread over messages, and those over pieces', () => {
      const payload = Buffer.concat([HEADER, ...ROWS, TRAILER])
      const places = fc.array(fc.nat(payload.length), { maxLength: 60 })
      fc.assert(
        fc.property(places, fc.array(fc.nat(payload.length), { maxLength: 8 }), (ends, cuts) => {
          const edges = [0, ...ends.sort((a, b) => a - b), payload.length]
          const payloads = edges.slice(1).map((end, i) => payload.subarray(edges[i], end))
          const { batches, bytes } = decodeMessages(COLUMNS, payloads, { codeGeneration, cuts })
          expect(batches).toEqual(WHOLE)
          expect(bytes).toBe(payload.length)
        }),
        { numRuns: 200 },
      )
    })

    it('are the same when each field, or each pair of rows, is a message', () => {
      const pairs = ROWS.flatMap((row, i) => (i % 2 === 0 ? [Buffer.concat([row, ROWS[i + 1]!])] : []))
      expect(decodeMessages(COLUMNS, [HEADER, ...pairs, TRAILER], { codeGeneration }).batches).toEqual(WHOLE)
      const halves = ROWS.flatMap((row) => [row.subarray(0, 6), row.subarray(6)])
      expect(decodeMessages(COLUMNS, [HEADER, ...halves, TRAILER], { codeGeneration }).batches).toEqual(WHOLE)
    })

    it('of a real server are what its payload is', () => {
      const whole = decodeAll(GOLDEN_COLUMNS, GOLDEN_BYTES, OPTIONS)
      expect(decodeMessages(GOLDEN_COLUMNS, [GOLDEN_BYTES], { codeGeneration }).batches).toEqual(whole)
    })

    it('of no columns are counted', () => {
      const rows = Array.from({ length: 20 }, () => encodeRow([]))
      const { batches, inRuns } = decodeMessages([], messagesOf(rows), { codeGeneration })
      expect(batches.reduce((sum, batch) => sum + batch.rowCount, 0)).toBe(20)
      expect(inRuns).toBe(19)
    })

    it('fail with the message and the place that the payload alone gives', () => {
      const wrong = [
        encodeRow([int32(1)]),
        encodeRow([{ length: 3, bytes: new Uint8Array(3) }, null]),
        encodeRow([null, { length: -2, bytes: new Uint8Array(0) }]),
        encodeRow([null, new Uint8Array(100_001)]),
        encodeRow([null, Uint8Array.of(0xff)]),
        Buffer.concat([TRAILER, Buffer.from([0])]),
        Buffer.alloc(0),
      ]
      for (const [index, row] of wrong.entries()) {
        const rows = [...ROWS.slice(0, 20), row]
        const tail = index === wrong.length - 1 ? [] : [TRAILER]
        const alone = captureError(() =>
          decodeAll(COLUMNS, Buffer.concat([HEADER, ...rows, ...tail]), OPTIONS),
        )
        const [first, ...others] = rows
        const inMessages = captureError(() =>
          decodeMessages(COLUMNS, [Buffer.concat([HEADER, first!]), ...others, ...tail], { codeGeneration }),
        )
        expect(inMessages).toBeInstanceOf(TrunklineError)
        const { code, message, context } = inMessages
        expect({ code, message, context }).toEqual({
          code: alone.code,
          message: alone.message,
          context: alone.context,
        })
      }
    })
  },
)

it('a decoder that failed in a run stays failed', () => {
  const decoder = createCopyDecoder([decoderColumn('text')], { ...OPTIONS, batchRows: 1 })
  decoder.write(HEADER, 0, HEADER.length)
  const wire = copyData(latin1(encodeRow([Uint8Array.of(0xff)])))
  const first = captureError(() => decoder.writeMessages(wire, 0, wire.length))
  expect(first.code).toBe('DECODE_FAILED')
  const rest = encodeCopy([])
  expect(captureError(() => decoder.write(rest, 0, rest.length))).toBe(first)
  expect(captureError(() => decoder.writeMessages(wire, 0, wire.length))).toBe(first)
  expect(captureError(() => decoder.finish())).toBe(first)
})
