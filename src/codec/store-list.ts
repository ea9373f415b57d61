/**
 * Stores the elements of one complete array, as array_send writes it:
 *
 *   int32 dimensions (0: empty), int32 flags (1: some are null), int32 oid of the element's type,
 *   per dimension int32 length and int32 lower bound, per element int32 length (−1 = null) and that many bytes
 *
 * https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/arrayfuncs.c
 */
import { growText, type ArenaColumn } from './batch-arena.js'
import type { DecoderColumn } from './decoder-column.js'
import { elementBytes, roomForElements } from './list-elements.js'
import { MAX_NUMERIC_BYTES, STORED } from './numeric.js'
import { storeField, storeNull } from './store-field.js'
import { WIRE_FORMATS } from './wire-format.js'

export const LIST_HEAD_BYTES = 12
export const DIMENSION_BYTES = 8
/** Bits of the flags that no server sends. */
export const UNKNOWN_FLAGS = ~1
/** Anything that is not ordinary: the caller leaves it to the row reader. */
export const NOT_STORED = -1

/** How the elements of an array arrive and what they become. */
export function elementDecoder(decoder: DecoderColumn): DecoderColumn | null {
  const { name, type, elementWire, unrepresentable } = decoder
  if (type.kind !== 'list' || elementWire === undefined) return null
  return { name, type: type.element, nullable: true, wire: elementWire, unrepresentable }
}

/**
 * Stores the array of `length` bytes at `pos`, which are there, as the list of `row`, and returns the bytes that it takes in a
 * batch; or {@link NOT_STORED}, and what it left behind is for the caller to drop.
 */
export function storeList(
  element: DecoderColumn,
  column: ArenaColumn,
  row: number,
  bytes: Uint8Array,
  view: DataView,
  pos: number,
  length: number,
): number {
  if (length < LIST_HEAD_BYTES || (view.getInt32(pos + 4) & UNKNOWN_FLAGS) !== 0) return NOT_STORED
  const first = column.elementCount
  const dimensions = view.getInt32(pos)
  if (dimensions !== 0) {
    const body = length - LIST_HEAD_BYTES - DIMENSION_BYTES
    if (dimensions !== 1 || body < 0) return NOT_STORED
    const count = view.getInt32(pos + LIST_HEAD_BYTES)
    if (count < 0 || count > body / 4) return NOT_STORED
    const end = pos + length
    let at = end - body
    const elements = roomForElements(column, count)
    for (let index = first; index < first + count; index++) {
      at = storeElement(element, elements, index, bytes, view, at, end)
      if (at === NOT_STORED) return NOT_STORED
    }
    if (at !== end) return NOT_STORED
    column.elementCount = first + count
  } else if (length !== LIST_HEAD_BYTES) return NOT_STORED
  column.offsets[row + 1] = column.elementCount
  return elementBytes(column, first)
}

/** Returns where the element ends. */
function storeElement(
  element: DecoderColumn,
  elements: ArenaColumn,
  index: number,
  bytes: Uint8Array,
  view: DataView,
  pos: number,
  end: number,
): number {
  if (end - pos < 4) return NOT_STORED
  let length = view.getInt32(pos)
  let at = pos + 4
  if (length === -1) {
    storeNull(elements, index)
  } else {
    if (length < 0 || length > end - at) return NOT_STORED
    if (elements.hasNull) elements.validity[index >> 3]! |= 1 << (index & 7)
    if (elements.variable) {
      if (element.wire === 'jsonb') {
        if (length < 2 || view.getUint8(at) !== 1) return NOT_STORED
        at++
        length--
      }
      growText(elements, length)
      elements.text.set(bytes.subarray(at, at + length), elements.textEnd)
      elements.textEnd += length
    } else {
      const expected = WIRE_FORMATS[element.wire].length
      if (expected === null ? length === 0 || length > MAX_NUMERIC_BYTES : length !== expected)
        return NOT_STORED
      if (storeField(element, elements, index, view, at, length) !== STORED) return NOT_STORED
    }
    at += length
  }
  if (elements.variable) elements.offsets[index + 1] = elements.textEnd
  return at
}
