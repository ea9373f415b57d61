/**
 * Numbers as ASCII digits, straight into bytes: no string in between. Every function writes from `at` on and gives where it ended.
 */
const ZERO = 0x30
const MINUS = 0x2d
const POINT = 0x2e
const CHUNK = 100_000_000
const CHUNK_DIGITS = 8

/** A whole number of at most 53 bits. */
export function writeInteger(target: Uint8Array, at: number, value: number): number {
  if (value < 0) {
    target[at++] = MINUS
    value = -value
  }
  if (value < CHUNK) return writeSmall(target, at, value | 0)
  const quotient = divide(value, CHUNK)
  at = writeInteger(target, at, quotient)
  return writePadded(target, at, value - quotient * CHUNK, CHUNK_DIGITS)
}

/** `unscaled`, a whole number of at most 53 bits, with its last `scale` digits behind the point; `power` is 10 ** scale. */
export function writeScaled(
  target: Uint8Array,
  at: number,
  unscaled: number,
  { scale, power }: { readonly scale: number; readonly power: number },
): number {
  if (unscaled < 0) {
    target[at++] = MINUS
    unscaled = -unscaled
  }
  const whole = divide(unscaled, power)
  at = writeInteger(target, at, whole)
  if (scale === 0) return at
  target[at++] = POINT
  return writePadded(target, at, unscaled - whole * power, scale)
}

/** With zeros before it, in `width` digits: those that it has and more. */
export function writePadded(target: Uint8Array, at: number, value: number, width: number): number {
  if (width > CHUNK_DIGITS) {
    const quotient = divide(value, CHUNK)
    at = writePadded(target, at, quotient, width - CHUNK_DIGITS)
    return writePadded(target, at, value - quotient * CHUNK, CHUNK_DIGITS)
  }
  let left = value | 0
  const end = at + width
  for (let to = end - 1; to >= at; to--) {
    const tens = (left / 10) | 0
    target[to] = ZERO + left - 10 * tens
    left = tens
  }
  return end
}

/** Microseconds of a second as `.5`, without zeros at the end; nothing where there are none. */
export function writeFraction(target: Uint8Array, at: number, micros: number): number {
  if (micros === 0) return at
  target[at++] = POINT
  let end = writePadded(target, at, micros, 6)
  while (target[end - 1] === ZERO) end--
  return end
}

/** Text of ASCII characters. */
export function writeAscii(target: Uint8Array, at: number, text: string): number {
  for (let index = 0; index < text.length; index++) target[at++] = text.charCodeAt(index)
  return at
}

/** The whole quotient; `%` of doubles is many times slower than this. */
function divide(value: number, divisor: number): number {
  const quotient = Math.floor(value / divisor)
  // The division may have been rounded up to the next whole number.
  return quotient * divisor > value ? quotient - 1 : quotient
}

function writeSmall(target: Uint8Array, at: number, value: number): number {
  let width = 1
  for (let power = 10; width < CHUNK_DIGITS && value >= power; power *= 10) width++
  return writePadded(target, at, value, width)
}
