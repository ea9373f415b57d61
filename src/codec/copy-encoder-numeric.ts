/**
 * Unscaled integers and decimal text to PostgreSQL's binary numeric, whose layout `numeric.ts` states.
 *
 * A stored numeric has neither leading nor trailing groups of zeros, so what `numeric_send` gives for a value of a column is what
 * is made here, to the byte; `dscale` is the number of decimals to show.
 */
import { MAX_DOUBLE_PRECISION } from './numeric.js'

const NEGATIVE = 0x4000
const NAN = 0xc000
const POSITIVE_INFINITY = 0xd000
const NEGATIVE_INFINITY = 0xf000
const HEADER_BYTES = 8
const TWO_32 = 4294967296
const GROUP = 10_000
const TWO_GROUPS = 100_000_000
const GROUP_DIGITS = 4
const POWERS = Int32Array.of(1, 10, 100, 1000)
/** Groups of 128 bits and of up to three digits more. */
const MOST_GROUPS = 11

/** Most bytes of a decimal of at most 38 digits: room for each in a row of slots. */
export const DECIMAL_SLOT_BYTES = HEADER_BYTES + 2 * MOST_GROUPS + 2

/** Groups of the value in the making, the lowest first. */
const groups = new Int32Array(MOST_GROUPS)
const limbs = new Float64Array(5)

/**
 * Writes the decimal whose little-endian words begin at `words[index]`, 2 up to precision 18, else 4, and returns how many bytes
 * that are, at most {@link DECIMAL_SLOT_BYTES}.
 */
export function writeDecimal(
  words: Int32Array,
  index: number,
  precision: number,
  scale: number,
  out: DataView,
  at: number,
): number {
  const padding = (GROUP_DIGITS - (scale % GROUP_DIGITS)) % GROUP_DIGITS
  const factor = POWERS[padding]!
  if (precision <= MAX_DOUBLE_PRECISION) {
    const value = words[index + 1]! * TWO_32 + (words[index]! >>> 0)
    return writeGroups(splitSmall(Math.abs(value), factor), scale, value < 0, out, at)
  }
  const count = precision <= 18 ? 2 : 4
  const negative = words[index + count - 1]! < 0
  let carry = negative ? 1 : 0
  for (let i = 0; i < count; i++) {
    const word = (negative ? ~words[index + i]! : words[index + i]!) >>> 0
    limbs[i] = word + carry
    carry = limbs[i] === TWO_32 ? 1 : 0
    if (carry === 1) limbs[i] = 0
  }
  return writeGroups(splitLarge(count, factor), scale, negative, out, at)
}

/** Below 10^15 and with a factor below 10^4 every step is exact in a double. Returns the number of groups. */
function splitSmall(value: number, factor: number): number {
  const upper = Math.floor(value / TWO_GROUPS)
  const lowest = (value - upper * TWO_GROUPS) * factor
  const carry = Math.floor(lowest / TWO_GROUPS)
  const low = lowest - carry * TWO_GROUPS
  const middle = upper * factor + carry
  const high = Math.floor(middle / TWO_GROUPS)
  const mid = middle - high * TWO_GROUPS
  const lowQuotient = (low / GROUP) | 0
  const midQuotient = (mid / GROUP) | 0
  groups[0] = low - lowQuotient * GROUP
  groups[1] = lowQuotient
  groups[2] = mid - midQuotient * GROUP
  groups[3] = midQuotient
  groups[4] = high
  return high > 0 ? 5 : midQuotient > 0 ? 4 : groups[2] > 0 ? 3 : lowQuotient > 0 ? 2 : groups[0] > 0 ? 1 : 0
}

/** Multiplies the limbs and divides them by 10^4 until nothing is left. */
function splitLarge(count: number, factor: number): number {
  let carry = 0
  for (let i = 0; i < count; i++) {
    const product = limbs[i]! * factor + carry
    carry = Math.floor(product / TWO_32)
    limbs[i] = product - carry * TWO_32
  }
  limbs[count] = carry
  let top = count
  let made = 0
  for (;;) {
    while (top >= 0 && limbs[top] === 0) top--
    if (top < 0) return made
    let remainder = 0
    for (let i = top; i >= 0; i--) {
      // Below 10^4 · 2^32, where a double has bits to spare for the quotient's first decimals.
      const part = remainder * TWO_32 + limbs[i]!
      const quotient = Math.floor(part / GROUP)
      limbs[i] = quotient
      remainder = part - quotient * GROUP
    }
    groups[made++] = remainder
  }
}

/** `count`: groups that are there, the highest of them not zero. */
function writeGroups(count: number, scale: number, negative: boolean, out: DataView, at: number): number {
  let lowest = 0
  while (lowest < count && groups[lowest] === 0) lowest++
  const kept = count - lowest
  const fractionGroups = Math.ceil(scale / GROUP_DIGITS)
  out.setInt16(at, kept)
  out.setInt16(at + 2, kept === 0 ? 0 : count - fractionGroups - 1)
  out.setUint16(at + 4, negative && kept > 0 ? NEGATIVE : 0)
  out.setUint16(at + 6, scale)
  let to = at + HEADER_BYTES
  for (let i = count - 1; i >= lowest; i--) {
    out.setInt16(to, groups[i]!)
    to += 2
  }
  return to - at
}

/** Bytes that the numeric of a decimal text of so many bytes has at most. */
export function mostNumericBytes(textBytes: number): number {
  return HEADER_BYTES + 2 * (Math.ceil(textBytes / GROUP_DIGITS) + 2)
}

const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39

/**
 * Writes the numeric that the server prints as text[from, to), of any length: sign, digits, decimals, or NaN and the infinities.
 * Returns how many bytes that are, at most {@link mostNumericBytes}; −1 for other text.
 */
export function writeNumericText(
  text: Uint8Array,
  from: number,
  to: number,
  out: DataView,
  at: number,
): number {
  const special = specialSign(text, from, to)
  if (special !== 0) {
    out.setInt32(at, 0)
    out.setUint16(at + 4, special)
    out.setUint16(at + 6, 0)
    return HEADER_BYTES
  }
  let pos = from
  const negative = text[pos] === MINUS
  if (negative || text[pos] === PLUS) pos++
  const start = pos
  let point = -1
  for (; pos < to; pos++) {
    const byte = text[pos]!
    if (byte === POINT && point === -1) point = pos
    else if (byte < ZERO || byte > NINE) return -1
  }
  const wholeEnd = point === -1 ? to : point
  const whole = wholeEnd - start
  const scale = point === -1 ? 0 : to - point - 1
  if (whole + scale === 0) return -1
  const wholeGroups = Math.ceil(whole / GROUP_DIGITS)
  /** Of the place before the first digit of a group; the first whole group may begin before the text does. */
  const groupAt = (index: number): number => {
    let group = 0
    const first = (index - wholeGroups) * GROUP_DIGITS
    for (let digit = first; digit < first + GROUP_DIGITS; digit++) {
      const place = digit < 0 ? wholeEnd + digit : point + 1 + digit
      const there = digit < 0 ? place >= start : digit < scale
      group = group * 10 + (there ? text[place]! - ZERO : 0)
    }
    return group
  }
  let end = wholeGroups + Math.ceil(scale / GROUP_DIGITS)
  let first = 0
  while (first < end && groupAt(first) === 0) first++
  while (end > first && groupAt(end - 1) === 0) end--
  const kept = end - first
  out.setInt16(at, kept)
  out.setInt16(at + 2, kept === 0 ? 0 : wholeGroups - 1 - first)
  out.setUint16(at + 4, negative && kept > 0 ? NEGATIVE : 0)
  out.setUint16(at + 6, scale)
  let position = at + HEADER_BYTES
  for (let index = first; index < end; index++) {
    out.setInt16(position, groupAt(index))
    position += 2
  }
  return position - at
}

/** As `numeric_out` prints them. */
const SPECIALS: readonly (readonly [string, number])[] = [
  ['NaN', NAN],
  ['Infinity', POSITIVE_INFINITY],
  ['-Infinity', NEGATIVE_INFINITY],
]

function specialSign(text: Uint8Array, from: number, to: number): number {
  const last = text[to - 1] ?? 0
  if (to - from < 3 || (last >= ZERO && last <= NINE) || last === POINT) return 0
  const word = String.fromCharCode(...text.subarray(from, Math.min(to, from + 10)))
  return SPECIALS.find(([name]) => name === word)?.[1] ?? 0
}
