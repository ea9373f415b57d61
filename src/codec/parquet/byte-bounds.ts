/**
 * The least and the greatest of texts or bytes: byte by byte, unsigned, as Parquet orders both.
 *
 * Long ones are cut, to texts that are still texts: what is left of the least is below it, and of the greatest the last character is
 * raised by one, so that it is above. Where no character can be raised there are no bounds.
 */
import { isUtf8 } from 'node:buffer'
import type { Bounds } from './page-values.js'

/** Bytes of a bound; readers compare the first ones, and every row group and column has two. */
const MOST_BYTES = 64
/** Of a longer value so many are looked at and kept: the rest decides nothing, since cutting keeps the order. */
const KEPT_BYTES = MOST_BYTES + 4

export class ByteBounds {
  readonly #isText: boolean
  #least: Uint8Array | null = null
  #most: Uint8Array | null = null

  constructor(isText: boolean) {
    this.#isText = isText
  }

  /** Value i of the first `count` is bytes [ends[i], ends[i + 1]). */
  widen(bytes: Uint8Array, ends: Int32Array, count: number): void {
    if (count === 0) return
    let least = 0
    let most = 0
    let leastStart = prefix(bytes, ends, 0)
    let mostStart = leastStart
    for (let index = 1; index < count; index++) {
      const start = prefix(bytes, ends, index)
      if (start <= leastStart && (start < leastStart || compare(bytes, ends, index, least) < 0)) {
        least = index
        leastStart = start
      }
      if (start >= mostStart && (start > mostStart || compare(bytes, ends, index, most) > 0)) {
        most = index
        mostStart = start
      }
    }
    const lowest = keptOf(bytes, ends, least)
    const highest = keptOf(bytes, ends, most)
    if (this.#least === null || Buffer.compare(lowest, this.#least) < 0) this.#least = lowest.slice()
    if (this.#most === null || Buffer.compare(highest, this.#most) > 0) this.#most = highest.slice()
  }

  take(): Bounds | null {
    const least = this.#least
    const most = this.#most
    this.#least = null
    this.#most = null
    if (least === null || most === null) return null
    const below = least.length <= MOST_BYTES ? least : cut(least, this.#isText)
    const above = most.length <= MOST_BYTES ? most : raise(cut(most, this.#isText), this.#isText)
    if (above === null) return null
    return { least: below, most: above, leastExact: below === least, mostExact: above === most }
  }
}

function keptOf(bytes: Uint8Array, ends: Int32Array, index: number): Uint8Array {
  const start = ends[index]!
  return bytes.subarray(start, Math.min(ends[index + 1]!, start + KEPT_BYTES))
}

/** The first four bytes as a number; what a shorter value lacks counts as 0, so equal prefixes have to be compared. */
function prefix(bytes: Uint8Array, ends: Int32Array, index: number): number {
  const start = ends[index]!
  const length = ends[index + 1]! - start
  if (length >= 4) {
    return (
      ((bytes[start]! << 24) | (bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!) >>> 0
    )
  }
  let number = 0
  for (let byte = 0; byte < 4; byte++) number = number * 256 + (byte < length ? bytes[start + byte]! : 0)
  return number
}

function compare(bytes: Uint8Array, ends: Int32Array, a: number, b: number): number {
  let left = ends[a]!
  let right = ends[b]!
  const leftEnd = Math.min(ends[a + 1]!, left + KEPT_BYTES)
  const rightEnd = Math.min(ends[b + 1]!, right + KEPT_BYTES)
  for (; left < leftEnd && right < rightEnd; left++, right++) {
    const difference = bytes[left]! - bytes[right]!
    if (difference !== 0) return difference
  }
  return leftEnd - left - (rightEnd - right)
}

function cut(value: Uint8Array, isText: boolean): Uint8Array {
  let end = MOST_BYTES
  // A byte of the form 10xxxxxx goes on with a character.
  if (isText) while (end > 0 && (value[end]! & 0xc0) === 0x80) end--
  return value.subarray(0, end)
}

/** Something greater than all that begins so; null where there is nothing, or where a text is none. */
function raise(value: Uint8Array, isText: boolean): Uint8Array | null {
  if (isText) return isUtf8(value) ? raiseText(utf8.decode(value)) : null
  let end = value.length
  while (end > 0 && value[end - 1] === 0xff) end--
  if (end === 0) return null
  const raised = value.slice(0, end)
  raised[end - 1]!++
  return raised
}

/** A byte order mark is a character like another: without it the text would be another one. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
const LAST_CODE_POINT = 0x10ffff
/** Code points that are no characters lie between these. */
const SURROGATES = { first: 0xd800, next: 0xe000 } as const

function raiseText(text: string): Uint8Array | null {
  const points = Array.from(text, (character) => character.codePointAt(0)!)
  while (points.at(-1) === LAST_CODE_POINT) points.pop()
  const last = points.pop()
  if (last === undefined) return null
  points.push(last + 1 === SURROGATES.first ? SURROGATES.next : last + 1)
  return new TextEncoder().encode(String.fromCodePoint(...points))
}
