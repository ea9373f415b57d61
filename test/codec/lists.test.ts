import { describe, expect, it } from 'vitest'
import { batchBytes, type Batch } from '../../src/batch/batch.js'
import { rows } from '../../src/batch/rows.js'
import type { DecoderColumn } from '../../src/codec/decoder-column.js'
import { captureError } from './capture-error.js'
import { decodeAll, textsOf } from './capture.js'
import {
  decoderColumn,
  encodeArray,
  encodeCopy,
  HEADER,
  int32,
  listOf,
  numeric,
  type RawField,
} from './encode-copy.js'
import { GOLDEN_BYTES, GOLDEN_COLUMNS, GOLDEN_TEXTS } from './golden.js'

/** The fields of the golden bytes, by row. */
const GOLDEN_FIELDS: RawField[][] = (() => {
  const bytes = Buffer.from(GOLDEN_BYTES)
  const read: RawField[][] = []
  for (let at = HEADER.length; bytes.readInt16BE(at) !== -1;) {
    at += 2
    read.push(
      GOLDEN_COLUMNS.map(() => {
        const length = bytes.readInt32BE(at)
        at += 4 + Math.max(0, length)
        return length < 0 ? null : bytes.subarray(at - length, at)
      }),
    )
  }
  return read
})()

/** A list of every type: all its golden values, null, none, the values again. */
const COLUMNS = GOLDEN_COLUMNS.map(listOf)
const whole = GOLDEN_COLUMNS.map((_, index) => encodeArray(GOLDEN_FIELDS.map((row) => row[index]!)))
const PAYLOAD = encodeCopy([
  whole,
  COLUMNS.map(() => null),
  COLUMNS.map(() => encodeArray([])),
  COLUMNS.map((_, index) => encodeArray([GOLDEN_FIELDS[1]![index]!, GOLDEN_FIELDS[0]![index]!])),
])
/** What stands in quotes is what the server puts in quotes. */
const asElement = (text: string | null): string =>
  text === null ? 'NULL' : /^$|[{}",\\\s]/.test(text) ? JSON.stringify(text) : text
const TEXTS = [
  GOLDEN_COLUMNS.map((_, index) => `{${GOLDEN_TEXTS.map((row) => asElement(row[index]!)).join(',')}}`),
  COLUMNS.map(() => null),
  COLUMNS.map(() => '{}'),
  COLUMNS.map((_, index) => `{${[1, 0].map((row) => asElement(GOLDEN_TEXTS[row]![index]!)).join(',')}}`),
]

/** Everything that a batch is, as one text. */
const bytesOf = (batches: readonly Batch[]): string =>
  batches.map((batch) => JSON.stringify(batch.columns) + Buffer.from(batch.buffer).toString('latin1')).join()

const INTEGERS = listOf(decoderColumn('int4'))
const TEXT_LIST = listOf(decoderColumn('text'))

describe.each(['always', 'never'] as const)('lists (code generation %s)', (codeGeneration) => {
  const decode = (...[columns, bytes, options]: Parameters<typeof decodeAll>): ReturnType<typeof decodeAll> =>
    decodeAll(columns, bytes, { codeGeneration, ...options })
  const decodeOne = (column: DecoderColumn, field: RawField): ReturnType<typeof decodeAll> =>
    decode(
      [decoderColumn('text'), column],
      encodeCopy([
        [Buffer.from('x'), null],
        [Buffer.from('y'), field],
      ]),
    )

  it('hold every kind of element, null elements, none and nothing', () => {
    const [batch, ...more] = decode(COLUMNS, PAYLOAD)
    expect(more).toEqual([])
    expect(textsOf([batch!])).toEqual(TEXTS)
    expect(batchBytes(batch!)).toBeLessThanOrEqual(batch!.buffer.byteLength)
    const moved = structuredClone(batch!, { transfer: [batch!.buffer] })
    expect(textsOf([moved])).toEqual(TEXTS)
  })

  it('are the same whatever two pieces they arrive in, and byte by byte', () => {
    const complete = bytesOf(decode(COLUMNS, PAYLOAD))
    for (let cut = 0; cut <= PAYLOAD.length; cut++) {
      expect(bytesOf(decode(COLUMNS, PAYLOAD, { cuts: [cut] })) === complete, `cut at ${cut}`).toBe(true)
    }
    expect(bytesOf(decode(COLUMNS, PAYLOAD, { cuts: [...PAYLOAD.keys()] }))).toBe(complete)
  })

  it('are an error when cut at any byte', () => {
    for (let length = 0; length < PAYLOAD.length; length++) {
      const error = captureError(() => decode(COLUMNS, PAYLOAD.subarray(0, length)))
      expect(error.code, `cut to ${length}`).toBe('COPY_INCOMPLETE')
    }
  })

  it('stay whole where batches end, and their bytes close batches', () => {
    const rowCount = 500
    const lists = Array.from({ length: rowCount }, (_, row) =>
      Array.from({ length: row % 23 }, (_, index) => (index % 5 === 4 ? null : row * index)),
    )
    const words = lists.map((list) => list.map((value) => (value === null ? null : `value ${value}`)))
    const flags = lists.map((list) => list.map((value) => (value === null ? null : value % 3 === 0)))
    const bytes = encodeCopy(
      lists.map((list, row) => [
        row % 7 === 0 ? null : encodeArray(list.map((value) => (value === null ? null : int32(value)))),
        encodeArray(words[row]!.map((value) => (value === null ? null : Buffer.from(value)))),
        encodeArray(flags[row]!.map((value) => (value === null ? null : Buffer.from([Number(value)])))),
      ]),
    )
    const columns = [
      { ...INTEGERS, name: 'numbers' },
      { ...TEXT_LIST, name: 'words' },
      { ...listOf(decoderColumn('bool')), name: 'flags' },
    ]
    for (const cuts of [[], [1000, 1001, 5000], Array.from({ length: 300 }, (_, k) => 97 * k)]) {
      const batches = decode(columns, bytes, {
        batchBytes: 2048,
        cuts: cuts.filter((at) => at < bytes.length),
      })
      expect(batches.length).toBeGreaterThan(20)
      for (const batch of batches.slice(0, -1)) {
        expect(batch.rowCount === 1 || batchBytes(batch) <= 2048).toBe(true)
      }
      expect(batches.flatMap((batch) => [...rows(batch)])).toEqual(
        lists.map((list, row) => ({
          numbers: row % 7 === 0 ? null : list,
          words: words[row],
          flags: flags[row],
        })),
      )
    }
  })

  it('of more elements and bytes than a batch has are taken, whatever pieces they come in', () => {
    const count = 100_000
    const large = encodeArray(
      Array.from({ length: count }, (_, index) => (index % 3 === 0 ? null : int32(index))),
    )
    const long = encodeArray([Buffer.alloc(1_500_000, 'x'), null, Buffer.alloc(0)])
    const bytes = encodeCopy([
      [large, encodeArray([Buffer.from('a')])],
      [encodeArray([int32(7)]), long],
    ])
    const columns = [
      { ...INTEGERS, name: 'numbers' },
      { ...TEXT_LIST, name: 'words' },
    ]
    for (const cuts of [[], [700_000, 700_003]]) {
      const read = decode(columns, bytes, { batchBytes: 10_000, cuts }).flatMap((batch) => [...rows(batch)])
      expect(read).toHaveLength(2)
      const numbers = read[0]!['numbers'] as readonly (number | null)[]
      expect(numbers).toHaveLength(count)
      expect(numbers.every((value, index) => value === (index % 3 === 0 ? null : index))).toBe(true)
      expect(read[0]!['words']).toEqual(['a'])
      expect(read[1]).toEqual({ numbers: [7], words: ['x'.repeat(1_500_000), null, ''] })
    }
  })

  it('forget the lower bound', () => {
    const [batch] = decodeOne(INTEGERS, encodeArray([int32(5)], { lowerBound: -3 }))
    expect(textsOf([batch!])[1]).toEqual(['y', '{5}'])
  })

  it.each([2, 6])('are refused for an array of %i dimensions, with what to do', (dimensions) => {
    const field = Buffer.concat([
      int32(dimensions),
      int32(0),
      int32(23),
      ...Array.from({ length: dimensions }, () => Buffer.concat([int32(1), int32(1)])),
      int32(4),
      int32(1),
    ])
    expect(captureError(() => decodeOne({ ...INTEGERS, name: 'grid' }, field))).toMatchObject({
      code: 'VALUE_UNREPRESENTABLE',
      message: `public.t, field grid, row 2: an array of ${dimensions} dimensions is no list.`,
      hint: expect.stringContaining('lands as JSON') as string,
      context: { stream: 'public.t', field: 'grid', rowNumber: 2 },
    })
  })

  it('refuse an element that its type does not hold, or land it as null', () => {
    const field = encodeArray([numeric({ digits: [1] }), numeric({ digits: [], sign: 0xc000 })])
    const column = listOf(decoderColumn('numeric', { name: 'amounts' }))
    const error = captureError(() => decodeOne(column, field))
    expect(error).toMatchObject({
      code: 'VALUE_UNREPRESENTABLE',
      context: { field: 'amounts', rowNumber: 2 },
    })
    const [batch] = decodeOne({ ...column, unrepresentable: 'null' }, field)
    expect(textsOf([batch!])[1]).toEqual(['y', '{1.00,NULL}'])
  })

  it('refuse text that is not UTF-8, by its row', () => {
    const bytes = encodeCopy([
      [encodeArray([Buffer.from('ü'), Buffer.from('ü')])],
      [encodeArray([])],
      [null],
      [encodeArray([null, Buffer.from([0xc3])])],
      [encodeArray([Buffer.from([0xbc])])],
    ])
    expect(captureError(() => decode([TEXT_LIST], bytes))).toMatchObject({
      code: 'DECODE_FAILED',
      message: 'public.t, field x, row 4: the text is not valid UTF-8.',
    })
  })

  it('longer than max_field_bytes are refused by their length', () => {
    const field = encodeArray(Array.from({ length: 100 }, () => int32(1)))
    const bytes = encodeCopy([[field]])
    expect(textsOf(decode([INTEGERS], bytes, { maxFieldBytes: field.length }))).toHaveLength(1)
    const upToItsLength = bytes.subarray(0, HEADER.length + 6)
    const error = captureError(() => decode([INTEGERS], upToItsLength, { maxFieldBytes: field.length - 1 }))
    expect(error.code).toBe('FIELD_TOO_LARGE')
  })

  const head = (dimensions: number, flags: number, ...rest: number[]): Buffer =>
    Buffer.concat([dimensions, flags, 23, ...rest].map(int32))
  it.each<[what: string, column: DecoderColumn, field: Buffer, where: number]>([
    ['no head', INTEGERS, Buffer.alloc(0), 0],
    ['half a head', INTEGERS, head(1, 0).subarray(0, 11), 0],
    ['a head without a dimension', INTEGERS, head(1, 0), 0],
    ['fewer than no dimensions', INTEGERS, head(-1, 0), 0],
    ['more dimensions than the server has', INTEGERS, head(7, 0, 1, 1), 0],
    ['unknown flags', INTEGERS, head(1, 2, 0, 1), 0],
    ['fewer than no elements', INTEGERS, head(1, 0, -1, 1), 0],
    ['more elements than bytes', INTEGERS, head(1, 0, 2147483647, 1, 4, 1), 0],
    ['bytes after an empty array', INTEGERS, head(0, 0, 0), 0],
    ['bytes after the last element', INTEGERS, Buffer.concat([encodeArray([int32(1)]), int32(0)]), 24],
    ['an element of another length', INTEGERS, head(1, 0, 2, 1, 4, 1, 2, 0), 24 + 8],
    ['an element of no length', INTEGERS, head(1, 0, 1, 1, 0), 24],
    ['an element longer than the array', TEXT_LIST, head(1, 0, 2, 1, 4, 0, 900), 24 + 8],
    ['an element whose length is negative', TEXT_LIST, head(1, 0, 2, 1, -2, -1), 24],
    ['an element that leaves no room for the next', TEXT_LIST, head(1, 0, 2, 1, 4, 0), 24],
    ['jsonb of no version', listOf(decoderColumn('jsonb')), encodeArray([Buffer.from('{}')]), 24],
    ['empty jsonb', listOf(decoderColumn('jsonb')), encodeArray([Buffer.alloc(0)]), 24],
    ['no boolean', listOf(decoderColumn('bool')), encodeArray([Buffer.from([2])]), 24],
  ])('are refused for %s, naming stream, field, row and place', (what, column, field, where) => {
    const row: RawField[] = [Buffer.from('x'), field]
    const bytes = encodeCopy([row])
    const error = captureError(() => decode([decoderColumn('text'), column], bytes))
    expect(error, what).toMatchObject({
      code: 'DECODE_FAILED',
      context: { stream: 'public.t', field: 'x', rowNumber: 1 },
    })
    // Where its bytes begin, after two lengths and a text.
    expect(error.context.byteOffset, what).toBe(HEADER.length + 2 + 5 + 4 + where)
  })

  it('take no more memory than bytes that came, whatever the array says of itself', () => {
    // Says 60 million uuids, of which none follow.
    const field = Buffer.concat([int32(1), int32(0), int32(2950), int32(60_000_000), int32(1)])
    const bytes = Buffer.concat([
      HEADER,
      Buffer.from([0, 1]),
      int32(252_000_000),
      field,
      ...Array.from({ length: 1000 }, () => int32(-1)),
    ])
    const column = listOf(decoderColumn('uuid'))
    const before = process.memoryUsage().arrayBuffers
    const error = captureError(() => decode([column], bytes))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50_000_000)
    expect(error.code).toBe('COPY_INCOMPLETE')
  })
})
