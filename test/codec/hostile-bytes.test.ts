import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import type { DecoderColumn } from '../../src/codec/decoder-column.js'
import { TrunklineError } from '../../src/model/error.js'
import { decodeAll, textsOf } from './capture.js'
import {
  decoderColumn,
  encodeArray,
  encodeCopy,
  encodeRow,
  HEADER,
  int32,
  listOf,
  numeric,
  TRAILER,
  type RawField,
} from './encode-copy.js'
import { GOLDEN_BYTES, GOLDEN_COLUMNS } from './golden.js'

/** What came of it; anything but batches and a TrunklineError is thrown on. */
type Outcome = readonly Batch[] | { code: string; message: string; context: TrunklineError['context'] }

function decode(
  columns: readonly DecoderColumn[],
  bytes: Uint8Array,
  codeGeneration: 'always' | 'never',
  cuts: number[] = [],
): Outcome {
  try {
    return decodeAll(columns, bytes, {
      codeGeneration,
      cuts,
      batchBytes: 4096,
      batchRows: 100,
      maxFieldBytes: 100_000,
    })
  } catch (error) {
    if (!(error instanceof TrunklineError)) throw error
    return { code: error.code, message: error.message, context: error.context }
  }
}

/** Both ways of decoding, which must agree on values, messages and places; the pieces must not matter. */
function decodeBothWays(columns: readonly DecoderColumn[], bytes: Uint8Array, cuts: number[]): Outcome {
  const generated = decode(columns, bytes, 'always')
  expect(decode(columns, bytes, 'never')).toEqual(generated)
  expect(decode(columns, bytes, 'always', cuts)).toEqual(generated)
  return generated
}

const cutsWithin = (length: number): fc.Arbitrary<number[]> =>
  fc.uniqueArray(fc.nat(length), { maxLength: 8 }).map((cuts) => cuts.sort((a, b) => a - b))

describe('bytes that were changed', () => {
  it('one bit anywhere: an error or another value, never another kind of failure', () => {
    const whole = decode(GOLDEN_COLUMNS, GOLDEN_BYTES, 'always')
    const unnoticed = new Set<number>()
    let errors = 0
    let otherValues = 0
    for (let at = 0; at < GOLDEN_BYTES.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = Uint8Array.from(GOLDEN_BYTES)
        bytes[at]! ^= 1 << bit
        const outcome = decode(GOLDEN_COLUMNS, bytes, bit % 2 === 0 ? 'always' : 'never')
        if ('code' in outcome) errors++
        else if (equal(outcome, whole)) unnoticed.add(at)
        else otherValues++
      }
    }
    expect(errors).toBeGreaterThan(1000)
    expect(otherValues).toBeGreaterThan(1000)
    // All that changes nothing is what means nothing: uncritical flags, and how many decimals a numeric would show.
    const meaningless = new Set([13, 14, ...displayScaleOffsets()])
    expect([...unnoticed].filter((at) => !meaningless.has(at))).toEqual([])
  })

  it('several bytes changed, left out or put in: both decoders come to the same end', () => {
    const edit = fc.record({
      at: fc.nat(GOLDEN_BYTES.length - 1),
      remove: fc.nat(4),
      insert: fc.uint8Array({ maxLength: 4 }),
    })
    fc.assert(
      fc.property(
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        cutsWithin(GOLDEN_BYTES.length),
        (edits, cuts) => {
          let bytes = Buffer.from(GOLDEN_BYTES)
          for (const { at, remove, insert } of edits) {
            bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
          }
          decodeBothWays(
            GOLDEN_COLUMNS,
            bytes,
            cuts.filter((cut) => cut <= bytes.length),
          )
        },
      ),
      { numRuns: 1500 },
    )
  })

  it('the bytes of any value, of any length: both decoders come to the same end', () => {
    const field: fc.Arbitrary<RawField> = fc.oneof(
      fc.constant(null),
      fc.uint8Array({ maxLength: 40 }),
      fc.record({ length: fc.integer(), bytes: fc.uint8Array({ maxLength: 20 }) }),
    )
    for (const { wire, type } of GOLDEN_COLUMNS) {
      const columns = [
        decoderColumn('text'),
        decoderColumn(wire, { type, unrepresentable: 'null' }),
        decoderColumn('int4'),
      ]
      const text = Buffer.from('text')
      fc.assert(
        fc.property(field, cutsWithin(80), (value, cuts) => {
          const good = encodeRow([text, null, null])
          const row = encodeRow([text, value, Buffer.alloc(4)])
          const bytes = Buffer.concat([HEADER, good, row, good, TRAILER])
          decodeBothWays(
            columns,
            bytes,
            cuts.filter((cut) => cut <= bytes.length),
          )
        }),
        { numRuns: 150 },
      )
    }
  })
})

describe('the bytes of an array', () => {
  it('of any head and any elements: both decoders come to the same end, whatever pieces they come in', () => {
    const part: fc.Arbitrary<Uint8Array> = fc.oneof(
      { weight: 4, arbitrary: fc.constant(int32(-1)) },
      {
        weight: 4,
        arbitrary: fc
          .uint8Array({ maxLength: 20 })
          .map((bytes) => Buffer.concat([int32(bytes.length), bytes])),
      },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 9 }) },
      { weight: 1, arbitrary: fc.integer().map(int32) },
    )
    const field: fc.Arbitrary<RawField> = fc
      .record({
        dimensions: fc.oneof({ weight: 6, arbitrary: fc.constant(1) }, fc.integer({ min: -1, max: 8 })),
        flags: fc.oneof({ weight: 6, arbitrary: fc.nat(1) }, fc.integer()),
        parts: fc.array(part, { maxLength: 6 }),
        count: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.integer(), fc.nat(8)),
        cut: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(30)),
      })
      .map(({ dimensions, flags, parts, count, cut }) => {
        const head = [dimensions, flags, 25, ...(dimensions === 0 ? [] : [count ?? parts.length, 1])]
        const bytes = Buffer.concat([...head.map(int32), ...parts])
        return bytes.subarray(0, Math.max(0, bytes.length - cut))
      })
    let refused = 0
    let taken = 0
    for (const column of GOLDEN_COLUMNS) {
      const columns = [
        decoderColumn('text'),
        { ...listOf(column), unrepresentable: 'null' as const },
        listOf(decoderColumn('int4')),
      ]
      const text = Buffer.from('text')
      const numbers = encodeArray([int32(1), null])
      fc.assert(
        fc.property(field, cutsWithin(150), (value, cuts) => {
          const good = encodeRow([text, null, numbers])
          const row = encodeRow([text, value, numbers])
          const bytes = Buffer.concat([HEADER, good, row, good, TRAILER])
          const outcome = decodeBothWays(
            columns,
            bytes,
            cuts.filter((cut) => cut <= bytes.length),
          )
          if ('code' in outcome) refused++
          else taken++
        }),
        { numRuns: 150 },
      )
    }
    expect(refused).toBeGreaterThan(100)
    expect(taken).toBeGreaterThan(100)
  })
})

describe('well-formed bytes', () => {
  it('of any columns and values, in any pieces and batches, are decoded alike both ways', () => {
    const value = (column: DecoderColumn): fc.Arbitrary<Uint8Array> => {
      const bytesOf = (length: number): fc.Arbitrary<Uint8Array> =>
        fc.uint8Array({ minLength: length, maxLength: length })
      switch (column.wire) {
        case 'bool':
          return fc.constantFrom(Uint8Array.of(0), Uint8Array.of(1))
        case 'int2':
          return bytesOf(2)
        case 'int4':
        case 'oid':
        case 'float4':
        case 'date':
          return bytesOf(4)
        case 'int8':
        case 'float8':
        case 'timestamp':
          return bytesOf(8)
        case 'time':
          return bytesOf(4).map((low) => Buffer.concat([Buffer.from([0, 0, 0, 19]), low]))
        case 'interval':
        case 'uuid':
          return bytesOf(16)
        case 'numeric':
          return fc
            .record({
              weight: fc.integer({ min: -3, max: 3 }),
              digits: fc.array(fc.nat(9999), { maxLength: 4 }),
              negative: fc.boolean(),
            })
            .map(({ negative, ...parts }) => numeric({ ...parts, sign: negative ? 0x4000 : 0 }))
        case 'bytea':
          return fc.uint8Array({ maxLength: 300 })
        case 'text':
          return fc.string({ unit: 'binary', maxLength: 150 }).map((text) => Buffer.from(text))
        case 'jsonb':
          return fc.json().map((text) => Buffer.from(`\x01${text}`))
        case 'array': {
          const { name, type } = column
          if (type.kind !== 'list' || column.elementWire === undefined) throw new Error(`${name} is no list`)
          const element = value({ ...column, type: type.element, wire: column.elementWire })
          return fc
            .array(fc.option(element, { freq: 4 }), { maxLength: 12 })
            .map((elements) => encodeArray(elements))
        }
      }
    }
    const table = fc
      .uniqueArray(fc.nat(2 * GOLDEN_COLUMNS.length - 1), { minLength: 1, maxLength: 6 })
      .map((picked) =>
        picked.map((index): DecoderColumn => {
          const column = GOLDEN_COLUMNS[index % GOLDEN_COLUMNS.length]!
          return {
            ...(index < GOLDEN_COLUMNS.length ? column : listOf(column)),
            unrepresentable: 'null',
          }
        }),
      )
      .chain((columns) =>
        fc.record({
          columns: fc.constant(columns),
          rows: fc.array(fc.tuple(...columns.map((column) => fc.option(value(column), { freq: 4 }))), {
            maxLength: 250,
          }),
        }),
      )
    fc.assert(
      fc.property(table, fc.array(fc.nat(60_000), { maxLength: 10 }), ({ columns, rows }, cuts) => {
        const bytes = encodeCopy(rows)
        const outcome = decodeBothWays(
          columns,
          bytes,
          cuts.filter((cut) => cut <= bytes.length).sort((a, b) => a - b),
        )
        expect(outcome).toBeInstanceOf(Array)
        const texts = textsOf(outcome as Batch[])
        expect(texts).toHaveLength(rows.length)
        texts.forEach((row, r) => {
          row.forEach((text, c) => {
            if (rows[r]![c] === null) expect(text).toBeNull()
            else if (columns[c]!.wire === 'text') expect(text).toBe(Buffer.from(rows[r]![c]!).toString())
            else if (columns[c]!.wire === 'bytea')
              expect(text).toBe(`\\x${Buffer.from(rows[r]![c]!).toString('hex')}`)
          })
        })
      }),
      { numRuns: 150 },
    )
  })
})

function equal(left: Outcome, right: Outcome): boolean {
  const bytesOf = (outcome: Outcome): string =>
    'code' in outcome
      ? outcome.message
      : outcome.map((batch) => Buffer.from(batch.buffer).toString('hex')).join()
  return bytesOf(left) === bytesOf(right)
}

/** Where the golden bytes have the dscale of a numeric. */
function displayScaleOffsets(): number[] {
  const view = new DataView(GOLDEN_BYTES.buffer)
  const offsets: number[] = []
  let at = 19
  while (view.getInt16(at) !== -1) {
    at += 2
    for (const { wire } of GOLDEN_COLUMNS) {
      const length = view.getInt32(at)
      at += 4
      if (wire === 'numeric' && length > 0) offsets.push(at + 6, at + 7)
      at += Math.max(length, 0)
    }
  }
  return offsets
}
