/**
 * The elements of a list column while its batch is in the making: a column of their own that grows, as nobody knows beforehand
 * how many come.
 */
import { fixedWidth, type ElementType } from '../model/column-type.js'
import type { ArenaColumn } from './batch-arena.js'

const FIRST_ELEMENTS = 64
const FIRST_TEXT_BYTES = 1024

const NO_BYTES = new Uint8Array(0)
const NO_HALVES = new Int16Array(0)
const NO_WORDS = new Int32Array(0)

/** Room for the first elements of a list column. */
export function createElements(name: string, type: ElementType): ArenaColumn {
  const width = fixedWidth(type)
  const bool = type.kind === 'bool'
  const variable = width === null && !bool
  const text = variable ? new Uint8Array(FIRST_TEXT_BYTES) : NO_BYTES
  const bitmapBytes = FIRST_ELEMENTS / 8
  return {
    field: { name, type, nullable: true },
    width,
    variable,
    validity: new Uint8Array(bitmapBytes).fill(0xff),
    hasNull: false,
    bits: bool ? new Uint8Array(bitmapBytes) : NO_BYTES,
    halves: width === 2 ? new Int16Array(FIRST_ELEMENTS) : NO_HALVES,
    words: width !== null && width >= 4 ? new Int32Array((width / 4) * FIRST_ELEMENTS) : NO_WORDS,
    offsets: variable ? new Int32Array(FIRST_ELEMENTS + 1) : NO_WORDS,
    text,
    textView: new DataView(text.buffer),
    textEnd: 0,
    pieces: null,
    piecesLength: 0,
    elements: null,
    elementCount: 0,
  }
}

/** The elements of the list column, with room for `count` more; what was handed out before is no longer theirs. */
export function roomForElements(list: ArenaColumn, count: number): ArenaColumn {
  const elements = list.elements!
  const needed = list.elementCount + count
  if (needed <= 8 * elements.validity.length) return elements
  const capacity = Math.ceil(Math.max(needed, 16 * elements.validity.length) / 8) * 8
  const { width, variable } = elements
  const validity = new Uint8Array(capacity / 8).fill(0xff)
  validity.set(elements.validity)
  const grown: ArenaColumn = {
    ...elements,
    validity,
    bits: width === null && !variable ? grow(elements.bits, new Uint8Array(capacity / 8)) : NO_BYTES,
    halves: width === 2 ? grow(elements.halves, new Int16Array(capacity)) : NO_HALVES,
    words:
      width !== null && width >= 4 ? grow(elements.words, new Int32Array((width / 4) * capacity)) : NO_WORDS,
    offsets: variable ? grow(elements.offsets, new Int32Array(capacity + 1)) : NO_WORDS,
  }
  list.elements = grown
  return grown
}

function grow<Values extends Uint8Array | Int16Array | Int32Array>(from: Values, to: Values): Values {
  to.set(from)
  return to
}

/** Bytes that the elements from `first` on take in a batch, a little over-estimated. */
export function elementBytes(list: ArenaColumn, first: number): number {
  const { width, variable, offsets, textEnd } = list.elements!
  const count = list.elementCount - first
  const bitmaps = (count >> 2) + 2
  return variable ? bitmaps + 4 * count + textEnd - offsets[first]! : bitmaps + count * (width ?? 0)
}

/** Takes back the elements from `count` on: those of a row that is not complete. */
export function dropElements(list: ArenaColumn, count: number): void {
  const elements = list.elements!
  list.elementCount = count
  if (elements.variable) elements.textEnd = elements.offsets[count]!
}

/** Leaves of the elements those from `first` on: all of them, or none, go to the next batch. */
export function keepElements(list: ArenaColumn, first: number): void {
  const elements = list.elements!
  const { validity, width, variable, bits, halves, words, offsets } = elements
  const count = list.elementCount - first
  const nulls = elements.hasNull ? Array.from({ length: count }, (_, k) => !bitAt(validity, first + k)) : []
  if (elements.hasNull) validity.fill(0xff, 0, (list.elementCount >> 3) + 1)
  elements.hasNull = nulls.includes(true)
  nulls.forEach((isNull, k) => {
    if (isNull) validity[k >> 3]! &= ~(1 << (k & 7))
  })
  if (variable) {
    const start = offsets[first]!
    elements.text.copyWithin(0, start, elements.textEnd)
    elements.textEnd -= start
    for (let k = 0; k <= count; k++) offsets[k] = offsets[first + k]! - start
  } else if (width === null) {
    for (let k = 0; k < count; k++) {
      const bit = 1 << (k & 7)
      if (bitAt(bits, first + k)) bits[k >> 3]! |= bit
      else bits[k >> 3]! &= ~bit
    }
  } else if (width === 2) {
    halves.copyWithin(0, first, list.elementCount)
  } else {
    words.copyWithin(0, (width / 4) * first, (width / 4) * list.elementCount)
  }
  list.elementCount = count
}

/** Bytes of memory that the elements hold. */
export function heldByElements(list: ArenaColumn): number {
  const { validity, bits, halves, words, offsets, text } = list.elements!
  return (
    validity.length + bits.length + halves.byteLength + words.byteLength + offsets.byteLength + text.length
  )
}

function bitAt(bits: Uint8Array, index: number): boolean {
  return ((bits[index >> 3]! >> (index & 7)) & 1) === 1
}
