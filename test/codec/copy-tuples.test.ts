import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import type { CopyDecoder, CopyDecoderOptions } from '../../src/codec/copy-decoder.js'
import { createTupleReader } from '../../src/codec/copy-tuples.js'
import type { Field } from '../../src/model/column-type.js'
import { COPY_DATA_TYPE, DATA_ROW_TYPE } from '../../src/model/copy-message.js'

const FIELDS: readonly Field[] = [
  { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false },
  { name: 'note', type: { kind: 'text' }, nullable: true },
]
const OPTIONS: CopyDecoderOptions = {
  stream: 'public.t',
  maxFieldBytes: 100_000,
  batchBytes: 4096,
  batchRows: 50,
}
const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
const TRAILER = Buffer.from([0xff, 0xff])

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A row of those fields; null is NULL. */
function tuple(...values: readonly (Buffer | null)[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeInt16BE(values.length)
  return Buffer.concat([
    count,
    ...values.flatMap((value) => (value === null ? [int32(-1)] : [int32(value.length), value])),
  ])
}

const row = (id: number, note: string | null): Buffer =>
  tuple(int32(id), note === null ? null : Buffer.from(note))

function message(type: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), int32(4 + payload.length), payload])
}

function takeAll(reader: CopyDecoder, into: Batch[]): void {
  for (let batch = reader.take(); batch !== null; batch = reader.take()) into.push(batch)
}

/** The payload, cut at the ends of `cuts`. */
function readPayload(
  payload: Buffer,
  cuts: readonly number[] = [],
  options: Partial<CopyDecoderOptions> = {},
): Batch[] {
  const reader = createTupleReader(FIELDS, { ...OPTIONS, ...options })
  const batches: Batch[] = []
  let from = 0
  for (const to of [...cuts, payload.length]) {
    reader.write(payload, from, to)
    takeAll(reader, batches)
    from = to
  }
  const last = reader.finish()
  if (last !== null) batches.push(last)
  return batches
}

/** Messages as a connection cuts them: runs are offered whole, what is not taken goes on in pieces. */
function readMessages(messages: Buffer, chunk: number, framing: 'copy' | 'rows'): Batch[] {
  const reader = createTupleReader(FIELDS, { ...OPTIONS, framing })
  const batches: Batch[] = []
  let remaining = 0
  let header = Buffer.alloc(0)
  for (let at = 0; at < messages.length; at += chunk) {
    const bytes = messages.subarray(at, at + chunk)
    let pos = 0
    while (pos < bytes.length) {
      if (remaining > 0) {
        const stop = Math.min(bytes.length, pos + remaining)
        reader.write(bytes, pos, stop)
        remaining -= stop - pos
        pos = stop
        continue
      }
      if (header.length === 0 && bytes.length - pos >= 5) {
        const stop = reader.writeMessages(bytes, pos, bytes.length)
        if (stop > pos) {
          pos = stop
          continue
        }
      }
      const take = Math.min(5 - header.length, bytes.length - pos)
      header = Buffer.concat([header, bytes.subarray(pos, pos + take)])
      pos += take
      if (header.length === 5) {
        remaining = header.readInt32BE(1) - 4
        header = Buffer.alloc(0)
      }
    }
    takeAll(reader, batches)
  }
  const last = reader.finish()
  if (last !== null) batches.push(last)
  return batches
}

const bytesOf = (batches: readonly Batch[]): Buffer =>
  Buffer.concat(
    batches.map(({ buffer, tuples }) =>
      Buffer.from(buffer.slice(tuples!.offset, tuples!.offset + tuples!.length)),
    ),
  )
const rowsOf = (batches: readonly Batch[]): number => batches.reduce((sum, { rowCount }) => sum + rowCount, 0)

const rows = fc.array(
  fc.tuple(fc.integer(), fc.option(fc.oneof(fc.string(), fc.string({ minLength: 150, maxLength: 6000 })))),
  { maxLength: 120 },
)

describe('rows that are not decoded', () => {
  it('are the bytes that came, in whatever pieces, and are counted', () => {
    fc.assert(
      fc.property(rows, fc.array(fc.nat(), { maxLength: 8 }), (values, places) => {
        const tuples = values.map(([id, note]) => row(id, note))
        const payload = Buffer.concat([HEADER, ...tuples, TRAILER])
        const cuts = places.map((place) => place % payload.length).sort((a, b) => a - b)
        const batches = readPayload(payload, cuts)
        expect(rowsOf(batches)).toBe(values.length)
        expect(bytesOf(batches).equals(Buffer.concat(tuples))).toBe(true)
        for (const { rowCount, tuples: span, columns, fields } of batches) {
          expect(rowCount).toBeLessThanOrEqual(OPTIONS.batchRows)
          expect(span!.length <= OPTIONS.batchBytes || rowCount === 1).toBe(true)
          expect(columns).toEqual([])
          expect(fields).toEqual(FIELDS)
        }
      }),
      { numRuns: 150 },
    )
  })

  it.each([
    ['copy', COPY_DATA_TYPE],
    ['rows', DATA_ROW_TYPE],
  ] as const)('fall into the same batches however a connection cuts their messages (%s)', (framing, type) => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 9000 }), (values, chunk) => {
        const tuples = values.map(([id, note]) => row(id, note))
        const messages = tuples.map((payload, index) =>
          message(type, framing === 'copy' && index === 0 ? Buffer.concat([HEADER, payload]) : payload),
        )
        if (framing === 'copy') {
          if (tuples.length === 0) messages.push(message(type, HEADER))
          messages.push(message(type, TRAILER))
        }
        const batches = readMessages(Buffer.concat(messages), chunk, framing)
        const whole = framing === 'copy' ? [HEADER, ...tuples, TRAILER] : tuples
        const expected = readPayload(Buffer.concat(whole), [], { framing })
        expect(batches.map(({ rowCount }) => rowCount)).toEqual(expected.map(({ rowCount }) => rowCount))
        expect(bytesOf(batches).equals(bytesOf(expected))).toBe(true)
      }),
      { numRuns: 150 },
    )
  })

  it('may have a header with an extension, in whatever pieces', () => {
    const header = Buffer.concat([HEADER, Buffer.from('extension')])
    header.writeInt32BE(9, 15)
    const payload = Buffer.concat([header, row(1, 'a'), row(2, null), TRAILER])
    for (let cut = 0; cut <= payload.length; cut++) {
      const batches = readPayload(payload, [cut])
      expect(bytesOf(batches).equals(Buffer.concat([row(1, 'a'), row(2, null)]))).toBe(true)
    }
  })

  it('are incomplete wherever the data ends too early', () => {
    const payload = Buffer.concat([HEADER, row(1, 'a'), row(2, null), TRAILER])
    for (let end = 0; end < payload.length; end++) {
      expect(() => readPayload(payload.subarray(0, end))).toThrow(
        expect.objectContaining({ code: 'COPY_INCOMPLETE' }),
      )
    }
  })

  it.each([
    ['another number of fields', tuple(int32(1)), 'DECODE_FAILED', 2],
    [
      'a length below that of null',
      Buffer.concat([Buffer.from([0, 2]), int32(4), int32(7), int32(-2)]),
      'DECODE_FAILED',
      2,
    ],
    [
      'a field that is too long',
      Buffer.concat([Buffer.from([0, 2]), int32(4), int32(7), int32(100_001)]),
      'FIELD_TOO_LARGE',
      2,
    ],
    ['bytes behind the end', Buffer.concat([TRAILER, Buffer.from('x')]), 'DECODE_FAILED', undefined],
    ['a trailer with less than nothing', Buffer.from([0xff, 0xfe]), 'DECODE_FAILED', 2],
  ] as const)('are refused for %s, at every cut', (_, bad, code, rowNumber) => {
    const payload = Buffer.concat([HEADER, row(1, 'a'), bad])
    for (let cut = 0; cut <= payload.length; cut++) {
      let failure: unknown = null
      try {
        readPayload(payload, [cut])
      } catch (error) {
        failure = error
      }
      expect(failure).toMatchObject({
        code,
        context: { stream: 'public.t', ...(rowNumber && { rowNumber }) },
      })
    }
  })

  it.each([
    ['too few fields', tuple(int32(1))],
    ['more bytes than its row', Buffer.concat([row(2, 'b'), Buffer.from('x')])],
    [
      'a field that reaches beyond it',
      Buffer.concat([Buffer.from([0, 2]), int32(4), int32(7), int32(50), Buffer.from('x')]),
    ],
    ['a field that is too long', tuple(int32(1), Buffer.alloc(100_001))],
  ])('stay refused in a message with %s', (_, bad) => {
    const messages = Buffer.concat([
      message(COPY_DATA_TYPE, Buffer.concat([HEADER, row(1, 'a')])),
      message(COPY_DATA_TYPE, bad),
      message(COPY_DATA_TYPE, TRAILER),
    ])
    expect(() => readMessages(messages, messages.length, 'copy')).toThrow(
      expect.objectContaining({
        code: expect.stringMatching(/^(DECODE_FAILED|FIELD_TOO_LARGE|COPY_INCOMPLETE)$/) as string,
      }),
    )
  })

  it('stay failed after an error', () => {
    const reader = createTupleReader(FIELDS, OPTIONS)
    expect(() => {
      reader.write(Buffer.from('not a copy, but text'), 0, 19)
    }).toThrow(expect.objectContaining({ code: 'DECODE_FAILED' }))
    expect(() => reader.finish()).toThrow(expect.objectContaining({ code: 'DECODE_FAILED' }))
    expect(() => reader.writeMessages(Buffer.alloc(5), 0, 5)).toThrow(
      expect.objectContaining({ code: 'DECODE_FAILED' }),
    )
  })
})
