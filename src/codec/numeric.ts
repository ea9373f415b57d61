/**
 * PostgreSQL's binary numeric (`numeric_send`, src/backend/utils/adt/numeric.c) to an unscaled two's complement integer.
 *
 *   int16 ndigits, int16 weight, uint16 sign, uint16 dscale, then ndigits int16 digits of base 10000.
 *   value = ± Σ digit[i] × 10000^(weight − i)
 *   sign: 0x0000 +, 0x4000 −, 0xC000 NaN, 0xD000 +Infinity, 0xF000 −Infinity (PostgreSQL ≥ 14)
 *
 * `dscale` is only how many decimals to show: what must fit is the digits themselves, so a value with more non-zero
 * decimals than the landing scale is unrepresentable and never rounded.
 */

/** What became of a value: stored, outside the landing type, or bytes that are not of its type. */
export type Stored = 0 | 1 | 2
export const STORED = 0
export const UNREPRESENTABLE = 1
export const MALFORMED = 2

const HEADER_BYTES = 8
const NEGATIVE = 0x4000
const NAN = 0xc000
const POSITIVE_INFINITY = 0xd000
const NEGATIVE_INFINITY = 0xf000
/** NUMERIC_DSCALE_MASK. */
const MAX_DSCALE = 0x3fff
const TWO_32 = 4294967296

/** ndigits is a signed 16-bit count. */
export const MAX_NUMERIC_BYTES = HEADER_BYTES + 2 * 32767

/** Unscaled values below 10^15 are exact in a double, and so is every step on the way to one. */
export const MAX_DOUBLE_PRECISION = 15
/** Powers of ten that a double holds exactly. */
const POWERS = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`))
/** The same as integers, for divisions of one digit group. */
const GROUP_POWERS = Int32Array.of(1, 10, 100, 1000, 10000)

/**
 * Stores the value at `out[index]…` as little-endian words: 2 up to precision 18, 4 above.
 *
 * The caller has checked that `length` bytes from `pos` are there. Nothing is stored unless the result is STORED.
 */
export function storeNumeric(
  view: DataView,
  pos: number,
  length: number,
  precision: number,
  scale: number,
  out: Int32Array,
  index: number,
): Stored {
  if (length < HEADER_BYTES) return MALFORMED
  const digitCount = view.getInt16(pos)
  if (digitCount < 0 || length !== HEADER_BYTES + 2 * digitCount) return MALFORMED
  const sign = view.getUint16(pos + 4)
  if (view.getUint16(pos + 6) > MAX_DSCALE) return MALFORMED
  if (sign !== 0 && sign !== NEGATIVE) {
    const special = sign === NAN || sign === POSITIVE_INFINITY || sign === NEGATIVE_INFINITY
    return special && digitCount === 0 ? UNREPRESENTABLE : MALFORMED
  }
  const weight = view.getInt16(pos + 2)
  return precision <= MAX_DOUBLE_PRECISION
    ? storeSmall(
        view,
        pos + HEADER_BYTES,
        digitCount,
        weight,
        sign === NEGATIVE,
        precision,
        scale,
        out,
        index,
      )
    : storeLarge(
        view,
        pos + HEADER_BYTES,
        digitCount,
        weight,
        sign === NEGATIVE,
        precision,
        scale,
        out,
        index,
      )
}

function storeSmall(
  view: DataView,
  pos: number,
  digitCount: number,
  weight: number,
  negative: boolean,
  precision: number,
  scale: number,
  out: Int32Array,
  index: number,
): Stored {
  let value = 0
  /** Power of ten of the unscaled value that one unit of the present digit stands for. */
  let exponent = 4 * weight + scale
  let stored: Stored = STORED
  for (let i = 0; i < digitCount; i++) {
    const digit = view.getUint16(pos + 2 * i)
    if (digit > 9999) return MALFORMED
    if (exponent >= 0) {
      value = value * 10000 + digit
    } else if (exponent > -4) {
      const divisor = GROUP_POWERS[-exponent]!
      const part = (digit / divisor) | 0
      if (part * divisor !== digit) stored = UNREPRESENTABLE
      value = value * POWERS[4 + exponent]! + part
    } else if (digit !== 0) {
      stored = UNREPRESENTABLE
    }
    exponent -= 4
  }
  exponent += 4
  if (stored !== STORED) return stored
  if (exponent > 0 && value !== 0) {
    if (exponent >= POWERS.length) return UNREPRESENTABLE
    value *= POWERS[exponent]!
  }
  if (value >= POWERS[precision]!) return UNREPRESENTABLE
  if (negative) value = -value
  const high = Math.floor(value / TWO_32)
  out[index] = value - high * TWO_32
  out[index + 1] = high
  return STORED
}

function storeLarge(
  view: DataView,
  pos: number,
  digitCount: number,
  weight: number,
  negative: boolean,
  precision: number,
  scale: number,
  out: Int32Array,
  index: number,
): Stored {
  for (let i = 0; i < digitCount; i++) {
    if (view.getUint16(pos + 2 * i) > 9999) return MALFORMED
  }
  let first = 0
  while (first < digitCount && view.getUint16(pos + 2 * first) === 0) first++
  if (first < digitCount) {
    const leading = view.getUint16(pos + 2 * first)
    const leadingDigits = leading >= 1000 ? 4 : leading >= 100 ? 3 : leading >= 10 ? 2 : 1
    // Decimal digits of the unscaled value: with at most `precision` of them, no step below passes 128 bits.
    if (leadingDigits + 4 * (weight - first) + scale > precision) return UNREPRESENTABLE
  }

  let l0 = 0
  let l1 = 0
  let l2 = 0
  let l3 = 0
  let exponent = 4 * (weight - first) + scale
  for (let i = first; i < digitCount; i++) {
    const digit = view.getUint16(pos + 2 * i)
    let factor = 10000
    let addend = digit
    if (exponent < 0) {
      if (exponent <= -4) {
        if (digit !== 0) return UNREPRESENTABLE
        exponent -= 4
        continue
      }
      const divisor = GROUP_POWERS[-exponent]!
      factor = GROUP_POWERS[4 + exponent]!
      addend = (digit / divisor) | 0
      if (addend * divisor !== digit) return UNREPRESENTABLE
    }
    let x = l0 * factor + addend
    l0 = x >>> 0
    x = l1 * factor + (x - l0) / TWO_32
    l1 = x >>> 0
    x = l2 * factor + (x - l1) / TWO_32
    l2 = x >>> 0
    l3 = l3 * factor + (x - l2) / TWO_32
    exponent -= 4
  }
  exponent += 4
  if (first === digitCount) exponent = 0
  while (exponent > 0) {
    const factor = GROUP_POWERS[exponent >= 4 ? 4 : exponent]!
    let x = l0 * factor
    l0 = x >>> 0
    x = l1 * factor + (x - l0) / TWO_32
    l1 = x >>> 0
    x = l2 * factor + (x - l1) / TWO_32
    l2 = x >>> 0
    l3 = l3 * factor + (x - l2) / TWO_32
    exponent -= 4
  }

  if (negative) {
    l0 = (TWO_32 - l0) % TWO_32
    l1 = (TWO_32 - 1 - l1 + (l0 === 0 ? 1 : 0)) % TWO_32
    l2 = (TWO_32 - 1 - l2 + (l0 === 0 && l1 === 0 ? 1 : 0)) % TWO_32
    l3 = (TWO_32 - 1 - l3 + (l0 === 0 && l1 === 0 && l2 === 0 ? 1 : 0)) % TWO_32
  }
  out[index] = l0
  out[index + 1] = l1
  if (precision > 18) {
    out[index + 2] = l2
    out[index + 3] = l3
  }
  return STORED
}
