/**
 * The least and the greatest of values of fixed width, in the order that Parquet states for their type.
 * https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (ColumnOrder)
 *
 * A column of floats with a NaN has no bounds: readers that take NaN for the greatest number, as PostgreSQL does, would look for it
 * in vain. Zero is −0 as a least value and +0 as a greatest, since readers differ in whether these are one.
 */
import type { Bounds } from './page-values.js'
import type { WordCount } from './word-gather.js'

export type WordOrder = 'int32' | 'int64' | 'float' | 'double' | 'int128' | 'bytes16'

export const ORDER_WORDS: Readonly<Record<WordOrder, WordCount>> = {
  int32: 1,
  int64: 2,
  float: 1,
  double: 2,
  int128: 4,
  bytes16: 4,
}

export class WordBounds {
  readonly #order: WordOrder
  readonly #width: WordCount
  /** Both null until there is a value. */
  #least: Int32Array | null = null
  #most: Int32Array | null = null
  #unordered = false

  constructor(order: WordOrder) {
    this.#order = order
    this.#width = ORDER_WORDS[order]
  }

  /** The first `count` values. */
  widen(words: Int32Array, count: number): void {
    if (count === 0 || this.#unordered) return
    const extremes = findExtremes(this.#order, words, count)
    if (extremes === null) {
      this.#unordered = true
      return
    }
    const width = this.#width
    const least = words.slice(extremes[0] * width, (extremes[0] + 1) * width)
    const most = words.slice(extremes[1] * width, (extremes[1] + 1) * width)
    if (this.#least === null || less(this.#order, least, this.#least)) this.#least = least
    if (this.#most === null || less(this.#order, this.#most, most)) this.#most = most
  }

  /** @param toPlain bytes of one value as a page has it */
  take(toPlain: (words: Int32Array) => Uint8Array): Bounds | null {
    const least = this.#least
    const most = this.#most
    const known = !this.#unordered && least !== null && most !== null
    this.#least = null
    this.#most = null
    this.#unordered = false
    if (!known) return null
    if (this.#order === 'float' || this.#order === 'double') {
      setZero(least, true)
      setZero(most, false)
    }
    return { least: toPlain(least), most: toPlain(most), leastExact: true, mostExact: true }
  }
}

const SIGN = -2147483648

/** The upper word has the sign; all else is 0 in both zeros. */
function setZero(words: Int32Array, negative: boolean): void {
  const top = words.length - 1
  if ((words[top]! & ~SIGN) === 0 && (top === 0 || words[0] === 0)) words[top] = negative ? SIGN : 0
}

function less(order: WordOrder, a: Int32Array, b: Int32Array): boolean {
  const both = new Int32Array(2 * a.length)
  both.set(a)
  both.set(b, a.length)
  const extremes = findExtremes(order, both, 2)
  return extremes !== null && extremes[0] === 0 && extremes[1] === 1
}

/** Places of the least and the greatest value; null where there is a NaN. */
function findExtremes(order: WordOrder, words: Int32Array, count: number): readonly [number, number] | null {
  switch (order) {
    case 'int32':
      return ofNumbers(words, count)
    case 'float':
      return ofNumbers(new Float32Array(words.buffer, words.byteOffset, count), count)
    case 'double':
      return ofNumbers(new Float64Array(words.buffer, words.byteOffset, count), count)
    case 'int64':
      return ofPairs(words, count)
    default:
      return ofQuads(words, count, order === 'int128')
  }
}

function ofNumbers(
  numbers: Int32Array | Float32Array | Float64Array,
  count: number,
): readonly [number, number] | null {
  let least = 0
  let most = 0
  let leastNumber = numbers[0]!
  let mostNumber = leastNumber
  for (let index = 0; index < count; index++) {
    const number = numbers[index]!
    if (number < leastNumber) {
      leastNumber = number
      least = index
    } else if (number > mostNumber) {
      mostNumber = number
      most = index
    } else if (number !== number) return null
  }
  return [least, most]
}

function ofPairs(words: Int32Array, count: number): readonly [number, number] {
  let least = 0
  let most = 0
  let leastLow = words[0]! >>> 0
  let leastHigh = words[1]!
  let mostLow = leastLow
  let mostHigh = leastHigh
  for (let index = 1; index < count; index++) {
    const low = words[2 * index]! >>> 0
    const high = words[2 * index + 1]!
    if (high < leastHigh || (high === leastHigh && low < leastLow)) {
      least = index
      leastLow = low
      leastHigh = high
    } else if (high > mostHigh || (high === mostHigh && low > mostLow)) {
      most = index
      mostLow = low
      mostHigh = high
    }
  }
  return [least, most]
}

/** @param signed least significant word first, the top one signed; else bytes in their order */
function ofQuads(words: Int32Array, count: number, signed: boolean): readonly [number, number] {
  let least = 0
  let most = 0
  for (let index = 1; index < count; index++) {
    if (compareQuads(words, index, least, signed) < 0) least = index
    else if (compareQuads(words, index, most, signed) > 0) most = index
  }
  return [least, most]
}

function compareQuads(words: Int32Array, a: number, b: number, signed: boolean): number {
  for (let step = 0; step < 4; step++) {
    const word = signed ? 3 - step : step
    const left = words[4 * a + word]!
    const right = words[4 * b + word]!
    if (left === right) continue
    if (signed) return step === 0 ? left - right : (left >>> 0) - (right >>> 0)
    return swapBytes(left) - swapBytes(right)
  }
  return 0
}

/** As a number of which the first byte in memory is the most significant. */
function swapBytes(word: number): number {
  return (((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0
}
