import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { readValue, rows } from '../../src/batch/rows.js'
import { createCopyDecoder } from '../../src/codec/copy-decoder.js'
import { captureError } from './capture-error.js'
import { DEFAULTS, decodeAll, textsOf } from './capture.js'
import {
  decoderColumn,
  encodeCopy,
  encodeRow,
  HEADER,
  int32,
  int64,
  numeric,
  TRAILER,
} from './encode-copy.js'
import { GOLDEN_BYTES, GOLDEN_COLUMNS, GOLDEN_TEXTS } from './golden.js'

/** Values that their types do not hold, and why. */
const UNREPRESENTABLE: readonly [
  wire: 'numeric' | 'date' | 'timestamp' | 'interval',
  bytes: Buffer,
  what: string,
][] = [
  ['numeric', numeric({ digits: [], sign: 0xc000 }), 'NaN'],
  ['numeric', numeric({ digits: [], sign: 0xd000 }), 'Infinity'],
  ['numeric', numeric({ digits: [], sign: 0xf000 }), '-Infinity'],
  ['numeric', numeric({ digits: [10], weight: 3 }), 'more than 15 digits'],
  ['numeric', numeric({ digits: [1], weight: 32767 }), 'far more than 15 digits'],
  ['numeric', numeric({ digits: [1, 1], weight: 0, dscale: 4 }), 'more than two decimals'],
  ['numeric', numeric({ digits: [1], weight: -2, dscale: 8 }), 'only decimals beyond two'],
  ['date', int32(2147483646), 'a day past the type'],
  ['timestamp', int64(9223371331199999999n), 'the last moment of the server'],
  ['timestamp', int64(9223372036854775807n - 946684800000000n), 'what would read as infinity'],
  [
    'interval',
    Buffer.concat([int64(9223372036854775807n), int32(2147483647), int32(2147483647)]),
    'infinity',
  ],
  [
    'interval',
    Buffer.concat([int64(-9223372036854775808n), int32(-2147483648), int32(-2147483648)]),
    '-infinity',
  ],
]

const MODES = ['always', 'never'] as const

describe.each(MODES)('the COPY decoder (code generation %s)', (codeGeneration) => {
  const decode = (...[columns, bytes, options]: Parameters<typeof decodeAll>): ReturnType<typeof decodeAll> =>
    decodeAll(columns, bytes, { codeGeneration, ...options })

  it('reads what a server sends', () => {
    const batches = decode(GOLDEN_COLUMNS, GOLDEN_BYTES)
    expect(textsOf(batches)).toEqual(GOLDEN_TEXTS)
    expect(batches).toHaveLength(1)
    expect(batches[0]!.fields[7]).toEqual({
      name: 'price',
      type: { kind: 'decimal', precision: 9, scale: 2 },
      nullable: true,
    })
  })

  it('packs a batch into one buffer, its spans at multiples of 8 and zeros under nulls', () => {
    const [batch] = decode(GOLDEN_COLUMNS, GOLDEN_BYTES)
    for (const [index, column] of batch!.columns.entries()) {
      expect(column.nullCount, batch!.fields[index]!.name).toBe(
        GOLDEN_TEXTS.filter((row) => row[index] === null).length,
      )
      for (const span of [column.validity, column.offsets, column.values]) {
        if (span !== null) expect(span.offset % 8).toBe(0)
      }
    }
    const large = batch!.columns[3]!
    expect(new BigInt64Array(batch!.buffer, large.values.offset, 3)[2]).toBe(0n)
    const moved = structuredClone(batch!, { transfer: [batch!.buffer] })
    expect(textsOf([moved])).toEqual(GOLDEN_TEXTS)
  })

  it('gives the same whatever two pieces it arrives in', () => {
    const whole = decode(GOLDEN_COLUMNS, GOLDEN_BYTES)
    for (let cut = 0; cut <= GOLDEN_BYTES.length; cut++) {
      expect(decode(GOLDEN_COLUMNS, GOLDEN_BYTES, { cuts: [cut] }), `cut at ${cut}`).toEqual(whole)
    }
  })

  it('gives the same when it arrives byte by byte, also from a buffer that is reused', () => {
    const whole = decode(GOLDEN_COLUMNS, GOLDEN_BYTES)
    expect(decode(GOLDEN_COLUMNS, GOLDEN_BYTES, { cuts: [...GOLDEN_BYTES.keys()] })).toEqual(whole)

    const decoder = createCopyDecoder(GOLDEN_COLUMNS, { ...DEFAULTS, codeGeneration })
    const reused = new Uint8Array(64)
    for (let at = 0; at < GOLDEN_BYTES.length; at += 29) {
      const piece = GOLDEN_BYTES.subarray(at, at + 29)
      reused.fill(0xee)
      reused.set(piece, 3)
      decoder.write(reused, 3, 3 + piece.length)
    }
    expect(decoder.finish()).toEqual(whole[0])
    expect(decoder.rows).toBe(3)
    expect(decoder.bytes).toBe(GOLDEN_BYTES.length)
  })

  it('is an error when cut at any byte', () => {
    for (let length = 0; length < GOLDEN_BYTES.length; length++) {
      const error = captureError(() => decode(GOLDEN_COLUMNS, GOLDEN_BYTES.subarray(0, length)))
      expect(error.code, `cut to ${length}`).toBe('COPY_INCOMPLETE')
    }
  })

  it('refuses bytes after the trailer', () => {
    const error = captureError(() => decode(GOLDEN_COLUMNS, Buffer.concat([GOLDEN_BYTES, Buffer.from([0])])))
    expect(error).toMatchObject({ code: 'DECODE_FAILED', context: { byteOffset: GOLDEN_BYTES.length } })
  })

  it.each([
    ['another signature', Buffer.concat([Buffer.from('PGCOPX'), HEADER.subarray(6)])],
    ['rows with oids', Buffer.concat([HEADER.subarray(0, 11), int32(0x10000), int32(0)])],
    ['an unknown critical flag', Buffer.concat([HEADER.subarray(0, 11), int32(1 << 30), int32(0)])],
    ['an endless extension', Buffer.concat([HEADER.subarray(0, 15), int32(0x7fffffff)])],
    ['a negative extension', Buffer.concat([HEADER.subarray(0, 15), int32(-4)])],
  ])('refuses a header with %s', (_, header) => {
    const error = captureError(() => decode([], Buffer.concat([header, TRAILER])))
    expect(error.code).toBe('DECODE_FAILED')
  })

  it('accepts uncritical flags and skips an extension', () => {
    const header = Buffer.concat([HEADER.subarray(0, 11), int32(0xffff), int32(5), Buffer.from('extra')])
    const bytes = Buffer.concat([header, encodeRow([int32(7)]), TRAILER])
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(textsOf(decode([decoderColumn('int4')], bytes, { cuts: [cut] }))).toEqual([['7']])
    }
  })

  it.each([
    ['int4', { length: 3, bytes: new Uint8Array(3) }, 'its length is 3 instead of 4'],
    ['int4', { length: 5, bytes: new Uint8Array(5) }, 'its length is 5 instead of 4'],
    ['int8', { length: -2, bytes: new Uint8Array(0) }, 'its length is -2'],
    ['text', { length: -2, bytes: new Uint8Array(0) }, 'its length is -2'],
    ['text', { length: -2147483648, bytes: new Uint8Array(0) }, 'its length is -2147483648'],
    ['uuid', { length: 15, bytes: new Uint8Array(15) }, 'its length is 15 instead of 16'],
    ['uuid', new Uint8Array(0), 'its length is 0 instead of 16'],
    ['bool', Uint8Array.of(2), 'its bytes are not of that type'],
    ['time', int64(86_400_000_001n), 'its bytes are not of that type'],
    ['time', int64(-1n), 'its bytes are not of that type'],
    ['jsonb', Uint8Array.of(2, 0x31), 'its jsonb version is 2'],
    ['jsonb', Uint8Array.of(1), 'it is empty'],
    ['jsonb', new Uint8Array(0), 'it is empty'],
    ['numeric', new Uint8Array(0), 'it is empty'],
    ['numeric', new Uint8Array(7), 'its bytes are not of that type'],
    ['numeric', { length: 80_000, bytes: new Uint8Array(0) }, 'its length is 80000'],
    ['numeric', numeric({ digits: [1], count: 2 }), 'its bytes are not of that type'],
    ['numeric', numeric({ digits: [1], count: -1 }), 'its bytes are not of that type'],
    ['numeric', numeric({ digits: [10000] }), 'its bytes are not of that type'],
    ['numeric', numeric({ digits: [1], sign: 0x1234 }), 'its bytes are not of that type'],
    ['numeric', numeric({ digits: [1], sign: 0xc000 }), 'its bytes are not of that type'],
    ['numeric', numeric({ digits: [1], dscale: 0x4000 }), 'its bytes are not of that type'],
  ] as const)('refuses a %s of wrong bytes and says where: %o', (wire, field, reason) => {
    const columns = [decoderColumn('int2', { name: 'before' }), decoderColumn(wire)]
    const good = encodeRow([Buffer.from([0, 1]), null])
    const bytes = Buffer.concat([HEADER, good, encodeRow([Buffer.from([0, 1]), field]), TRAILER])
    const error = captureError(() => decode(columns, bytes))
    expect(error.code).toBe('DECODE_FAILED')
    expect(error.message).toBe(`public.t, field x, row 2: a ${wire} value cannot be decoded, ${reason}.`)
    const lengthAt = HEADER.length + good.length + 2 + 6
    expect(error.context).toEqual({ stream: 'public.t', field: 'x', rowNumber: 2, byteOffset: lengthAt + 4 })
    // Neither the pieces nor what is thrown depends on where the bytes are split.
    expect(captureError(() => decode(columns, bytes, { cuts: [...bytes.keys()] })).message).toBe(
      error.message,
    )
  })

  it.each([0, 1, 3, -2, 32767])('refuses a row of %i fields where the schema has two', (count) => {
    const columns = [decoderColumn('int4'), decoderColumn('int4')]
    const bytes = Buffer.concat([
      HEADER,
      encodeRow([int32(1), int32(2)]),
      encodeRow([int32(1), int32(2)], count),
      TRAILER,
    ])
    const error = captureError(() => decode(columns, bytes))
    expect(error).toMatchObject({
      code: 'DECODE_FAILED',
      context: { rowNumber: 2, byteOffset: HEADER.length + 18 },
    })
  })

  it.each(UNREPRESENTABLE)(
    'cannot land a %s of %o (%s): an error that names field and row, or null if so told',
    (wire, field) => {
      const good = {
        numeric: numeric({ digits: [5] }),
        date: int32(0),
        timestamp: int64(0n),
        interval: Buffer.alloc(16),
      }[wire]
      const bytes = encodeCopy([[good], [good], [field], [good]])
      const error = captureError(() => decode([decoderColumn(wire)], bytes))
      expect(error.code).toBe('VALUE_UNREPRESENTABLE')
      expect(error.context).toMatchObject({ stream: 'public.t', field: 'x', rowNumber: 3 })
      expect(error.message).toMatch(/^public\.t, field x, row 3: /)
      const [batch] = decode([decoderColumn(wire, { unrepresentable: 'null' })], bytes)
      const texts = textsOf([batch!]).map(([text]) => text)
      expect(texts).toEqual([texts[0], texts[0], null, texts[0]])
      expect(texts[0]).not.toBeNull()
      const { values } = batch!.columns[0]!
      const width = values.length / 4
      const under = new Uint8Array(batch!.buffer, values.offset + 2 * width, width)
      expect([...under]).toEqual(Array.from({ length: width }, () => 0))
    },
  )

  it('keeps the last moments that fit', () => {
    const bytes = encodeCopy([
      [int64(9223372036854775806n - 946684800000000n)],
      [int64(-9223372036854775807n)],
    ])
    expect(textsOf(decode([decoderColumn('timestamp')], bytes))).toEqual([
      ['294247-01-10 04:00:54.775806'],
      ['290279-12-22 19:59:05.224193 BC'],
    ])
  })

  it('accepts a value at the limit of max_field_bytes and refuses the next as soon as its length is there', () => {
    const columns = [decoderColumn('text')]
    const text = Buffer.alloc(100, 'x')
    expect(textsOf(decode(columns, encodeCopy([[text]]), { maxFieldBytes: 100 }))).toEqual([
      [text.toString()],
    ])
    const decoder = createCopyDecoder(columns, { ...DEFAULTS, codeGeneration, maxFieldBytes: 99 })
    const head = Buffer.concat([HEADER, encodeRow([{ length: 100, bytes: new Uint8Array(0) }])])
    const error = captureError(() => decoder.write(head, 0, head.length))
    expect(error).toMatchObject({ code: 'FIELD_TOO_LARGE', context: { field: 'x', rowNumber: 1 } })
    expect(error.hint).toContain('max_field_bytes')
    // Failed it stays.
    expect(captureError(() => decoder.write(TRAILER, 0, 2))).toBe(error)
    expect(captureError(() => decoder.finish())).toBe(error)
  })

  it('reads a table without columns', () => {
    const bytes = Buffer.concat([HEADER, ...Array.from({ length: 5 }, () => encodeRow([])), TRAILER])
    expect(decode([], bytes, { batchRows: 2 }).map((batch) => batch.rowCount)).toEqual([2, 2, 1])
  })

  it('gives no batch for no rows', () => {
    expect(decode(GOLDEN_COLUMNS, Buffer.concat([HEADER, TRAILER]))).toEqual([])
  })

  it('refuses text that is not UTF-8, naming field and row, but not bytes', () => {
    const cases: Buffer[][] = [
      [Buffer.from('good'), Buffer.from([0xff])],
      [Buffer.from('ü'), Buffer.from([0xc3])],
      // Each half of a character in a value of its own: only together are they valid.
      [Buffer.from('ok'), Buffer.from([0x61, 0xc3]), Buffer.from([0xbc, 0x61])],
    ]
    for (const values of cases) {
      const bytes = encodeCopy(values.map((value) => [value]))
      const error = captureError(() => decode([decoderColumn('text')], bytes))
      expect(error).toMatchObject({ code: 'DECODE_FAILED', context: { field: 'x', rowNumber: 2 } })
      expect(error.hint).toContain('invalid_utf8')
      const [batch] = decode([decoderColumn('text', { type: { kind: 'binary' } })], bytes)
      expect(values.map((_, row) => readValue(batch!, 0, row))).toEqual(
        values.map((value) => Uint8Array.from(value)),
      )
    }
  })

  it('counts rows of earlier batches in the row an error names', () => {
    const values = Array.from({ length: 10 }, (_, i) => [i === 8 ? Buffer.from([0xff]) : Buffer.from('x')])
    const error = captureError(() => decode([decoderColumn('text')], encodeCopy(values), { batchRows: 3 }))
    expect(error.context.rowNumber).toBe(9)
  })
})

describe.each(MODES)('batches (code generation %s)', (codeGeneration) => {
  const columns = [
    decoderColumn('int4', { name: 'id' }),
    decoderColumn('text', { name: 'text' }),
    decoderColumn('bool', { name: 'flag' }),
  ]
  const table = (lengths: readonly number[]): Buffer =>
    encodeCopy(
      lengths.map((length, row) => [
        row % 5 === 4 ? null : int32(row),
        length < 0 ? null : Buffer.alloc(length, 97 + (row % 26)),
        row % 7 === 3 ? null : Uint8Array.of(row & 1),
      ]),
    )
  const decode = (
    lengths: readonly number[],
    batchBytes: number,
    batchRows: number,
    cuts: number[] = [],
  ): Batch[] => decodeAll(columns, table(lengths), { codeGeneration, batchBytes, batchRows, cuts })

  it('have at most batchRows rows', () => {
    const batches = decode(
      Array.from({ length: 25 }, () => 3),
      1_000_000,
      10,
    )
    expect(batches.map((batch) => batch.rowCount)).toEqual([10, 10, 5])
  })

  it('have at most batchBytes bytes, unless their only row has more', () => {
    const lengths = Array.from({ length: 400 }, (_, i) =>
      i % 50 === 49 ? 5000 : i % 9 === 0 ? -1 : (i * 37) % 200,
    )
    for (const cuts of [[], Array.from({ length: 3000 }, (_, i) => i * 7)]) {
      const batches = decode(lengths, 2000, 10_000, cuts)
      for (const batch of batches) {
        // Three spans a column are each padded to 8 bytes.
        if (batch.rowCount > 1) expect(batch.buffer.byteLength).toBeLessThanOrEqual(2000 + 9 * 8)
      }
      expect(batches.filter((batch) => batch.rowCount === 1 && batch.buffer.byteLength > 5000)).toHaveLength(
        8,
      )
      const landed = batches.flatMap((batch) => [...rows(batch)])
      expect(landed).toEqual(
        lengths.map((length, row) => ({
          id: row % 5 === 4 ? null : row,
          text: length < 0 ? null : String.fromCharCode(97 + (row % 26)).repeat(length),
          flag: row % 7 === 3 ? null : (row & 1) === 1,
        })),
      )
      const sizes = batches.map((batch) => batch.buffer.byteLength)
      expect(sizes.filter((size) => size > 1500).length).toBeGreaterThan(sizes.length / 2)
    }
  })

  it('are the same with values larger than a batch and than a piece', () => {
    const large = 3 * 1024 * 1024 + 17
    const lengths = [5, large, 6, large, large, -1, 7]
    const expected = decode(lengths, 1024 * 1024, 100)
    expect(expected.map((batch) => batch.rowCount)).toEqual([1, 1, 1, 1, 1, 2])
    const step = 65_521
    const cuts = Array.from({ length: Math.floor(table(lengths).length / step) }, (_, i) => (i + 1) * step)
    expect(decode(lengths, 1024 * 1024, 100, cuts)).toEqual(expected)
    expect(expected.map((batch) => readValue(batch, 1, 0))).toEqual(
      lengths
        .slice(0, 6)
        .map((length, row) => (length < 0 ? null : String.fromCharCode(97 + row).repeat(length))),
    )
  })
})

describe('a decoder', () => {
  const columns = [decoderColumn('int4', { name: 'id' }), decoderColumn('text', { name: 'text' })]
  const row = (id: number): Buffer => encodeRow([int32(id), id % 3 === 0 ? null : Buffer.from(`row ${id}`)])

  it('changes to generated code in the middle of a table without a trace', () => {
    const count = 25_000
    const bytes = Buffer.concat([HEADER, ...Array.from({ length: count }, (_, id) => row(id)), TRAILER])
    const cuts = Array.from({ length: 300 }, (_, i) => (i + 1) * 1001)
    const never = decodeAll(columns, bytes, { codeGeneration: 'never' })
    expect(decodeAll(columns, bytes, { codeGeneration: 'auto', cuts })).toEqual(never)
    expect(never.reduce((sum, batch) => sum + batch.rowCount, 0)).toBe(count)
  })

  it('leaves nothing to the next of the same columns, whether it ended well or not', () => {
    const bytes = encodeCopy([
      [int32(1), null],
      [null, Buffer.from('text')],
    ])
    const first = decodeAll(columns, bytes)
    for (let again = 0; again < 3; again++) {
      expect(decodeAll(columns, bytes)).toEqual(first)
      captureError(() => decodeAll(columns, Buffer.concat([HEADER, row(3), row(1), Buffer.from([0, 9])])))
      captureError(() => decodeAll(columns, Buffer.concat([HEADER, row(3), row(1)])))
    }
    const empty = Buffer.concat([HEADER, TRAILER])
    expect(decodeAll(columns, empty)).toEqual([])
  })

  it('works beside another of the same columns', () => {
    const decoders = [1, 2, 3].map(() => createCopyDecoder(columns, DEFAULTS))
    for (const part of [HEADER, row(1), row(2), TRAILER]) {
      for (const decoder of decoders) decoder.write(part, 0, part.length)
    }
    const batches = decoders.map((decoder) => decoder.finish()!)
    for (const batch of batches)
      expect([...rows(batch)]).toEqual([
        { id: 1, text: 'row 1' },
        { id: 2, text: 'row 2' },
      ])
    for (const decoder of decoders) {
      expect(decoder.rows).toBe(2)
      expect(captureError(() => decoder.finish()).code).toBe('INTERNAL')
      expect(captureError(() => decoder.write(HEADER, 0, 1)).code).toBe('DECODE_FAILED')
    }
  })
})

describe('memory', () => {
  const piece = Buffer.alloc(64 * 1024, 'x')
  const arrayBuffers = (): number => process.memoryUsage().arrayBuffers

  it('is taken for what arrived, not for what was announced', () => {
    const columns = Array.from({ length: 200 }, (_, i) => decoderColumn('text', { name: `c${i}` }))
    const before = arrayBuffers()
    const decoder = createCopyDecoder(columns, DEFAULTS)
    const head = Buffer.concat([
      HEADER,
      encodeRow([{ length: 250 * 1024 * 1024, bytes: Buffer.from('x') }], 200),
    ])
    decoder.write(head, 0, head.length)
    expect(arrayBuffers() - before).toBeLessThan(20 * 1024 * 1024)
  })

  it('holds a value of 100 MB once while it arrives, and twice while it is packed', () => {
    const size = 100 * 1024 * 1024
    const decoder = createCopyDecoder([decoderColumn('bytea')], DEFAULTS)
    const head = Buffer.concat([HEADER, encodeRow([{ length: size, bytes: new Uint8Array(0) }])])
    const before = arrayBuffers()
    decoder.write(head, 0, head.length)
    for (let sent = 0; sent < size; sent += piece.length) {
      decoder.write(piece, 0, piece.length)
      if (sent < size - piece.length) expect(arrayBuffers() - before - sent).toBeLessThan(24 * 1024 * 1024)
    }
    expect(arrayBuffers() - before).toBeLessThan(2 * size + 24 * 1024 * 1024)
    const batch = decoder.take()
    expect(batch!.columns[0]!.values.length).toBe(size)
    decoder.write(TRAILER, 0, 2)
    expect(decoder.finish()).toBeNull()
  })
})
