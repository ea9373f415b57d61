import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readValue } from '../../src/batch/rows.js'
import { decodeAll } from './capture.js'
import { captureError } from './capture-error.js'
import { decoderColumn, encodeCopy, numeric } from './encode-copy.js'

const shape = fc
  .integer({ min: 1, max: 38 })
  .chain((precision) =>
    fc.record({ precision: fc.constant(precision), scale: fc.integer({ min: 0, max: precision }) }),
  )

const parts = fc.record({
  weight: fc.oneof(fc.integer({ min: -11, max: 11 }), fc.integer({ min: -32768, max: 32767 })),
  digits: fc.array(fc.oneof(fc.constant(0), fc.nat(9999), fc.constantFrom(1, 10, 100, 1000, 9999)), {
    maxLength: 12,
  }),
  negative: fc.boolean(),
})

/** The plain way: everything as one fraction of bigints. Null where it does not fit. */
function expected(
  { weight, digits, negative }: { weight: number; digits: number[]; negative: boolean },
  { precision, scale }: { precision: number; scale: number },
): bigint | null {
  let value = 0n
  for (const digit of digits) value = value * 10000n + BigInt(digit)
  if (value === 0n) return 0n
  const exponent = 4 * (weight - digits.length + 1) + scale
  if (exponent >= 0) {
    if (exponent > 100) return null
    value *= 10n ** BigInt(exponent)
  } else {
    if (exponent < -200) return null
    const divisor = 10n ** BigInt(-exponent)
    if (value % divisor !== 0n) return null
    value /= divisor
  }
  return value < 10n ** BigInt(precision) ? (negative ? -value : value) : null
}

describe.each(['always', 'never'] as const)('numeric (code generation %s)', (codeGeneration) => {
  it('is exact at every precision and scale, or does not fit', () => {
    let landed = 0
    let refused = 0
    fc.assert(
      fc.property(shape, parts, (type, value) => {
        const field = numeric({
          weight: value.weight,
          digits: value.digits,
          sign: value.negative ? 0x4000 : 0,
        })
        const columns = [decoderColumn('numeric', { type: { kind: 'decimal', ...type } })]
        const decode = (): unknown =>
          readValue(decodeAll(columns, encodeCopy([[field]]), { codeGeneration })[0]!, 0, 0)
        const unscaled = expected(value, type)
        if (unscaled === null) {
          refused++
          expect(captureError(decode).code).toBe('VALUE_UNREPRESENTABLE')
        } else {
          landed++
          const text = decode() as string
          expect(BigInt(text.replace('.', ''))).toBe(unscaled)
          expect(text.split('.')[1]?.length ?? 0).toBe(type.scale)
        }
      }),
      { numRuns: 4000 },
    )
    expect(Math.min(landed, refused)).toBeGreaterThan(300)
  })
})
