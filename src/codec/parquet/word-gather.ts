/** Values of fixed width, without those that are null, as int32 words: over the batch's memory where nothing is left out. */
import type { Column } from '../../batch/batch.js'
import { bitsOf, type RowRange } from '../../batch/row-range.js'
import { fixedWidth } from '../../model/column-type.js'
import type { Leaf } from './schema.js'
import type { Gathered } from './page-values.js'
import type { TakeMemory } from './scratch.js'

export type WordCount = 1 | 2 | 4

export interface GatheredWords extends Gathered {
  readonly words: Int32Array
}

/** Which words of the stored value a leaf's values are. */
interface WordPlace {
  /** Words of a stored value; a half is an int16. */
  readonly stored: 0.5 | WordCount
  readonly first: number
  readonly count: WordCount
}

export function placeOf(leaf: Leaf): WordPlace {
  const stored = ((fixedWidth(leaf.type) ?? 0) / 4) as WordPlace['stored']
  switch (leaf.part) {
    case 'months':
      return { stored, first: 0, count: 1 }
    case 'days':
      return { stored, first: 1, count: 1 }
    case 'micros':
      return { stored, first: 2, count: 2 }
    default:
      // A decimal of up to 9 digits is the lower word of the 8 bytes that a batch has.
      if (leaf.physical === 'int32' || leaf.physical === 'float') return { stored, first: 0, count: 1 }
      return { stored, first: 0, count: stored as WordCount }
  }
}

export function gatherWords(
  rows: RowRange,
  column: Column,
  nullCount: number,
  place: WordPlace,
  takeMemory: TakeMemory,
): GatheredWords {
  const { stored, first, count } = place
  const { buffer } = rows.batch
  const at = column.values.offset + 4 * stored * rows.start
  const kept = rows.count - nullCount
  if (nullCount === 0 && count === stored) {
    return { count: kept, words: new Int32Array(buffer, at, count * rows.count) }
  }
  // One more than is kept: where a null is, a value is written that the next one overwrites.
  const memory = takeMemory(4 * count * (kept + 1))
  const target = new Int32Array(memory.buffer, memory.byteOffset, memory.length / 4)
  const gathered = { count: kept, words: target.subarray(0, count * kept) }
  const bits = nullCount === 0 ? null : bitsOf(rows, column.validity!.offset)
  const source =
    stored === 0.5 ? new Int16Array(buffer, at, rows.count) : new Int32Array(buffer, at, stored * rows.count)
  const step = stored === 0.5 ? 1 : stored
  if (bits === null) {
    if (count === 1)
      for (let row = 0, from = first; row < kept; row++, from += step) target[row] = source[from]!
    else copyPairs(source, step, first, target, kept)
    return gathered
  }
  let to = 0
  if (count === 1) {
    for (let row = 0, from = first; row < rows.count; row++, from += step) {
      target[to] = source[from]!
      to += (bits[row >> 3]! >> (row & 7)) & 1
    }
    return gathered
  }
  for (let row = 0, from = first; row < rows.count; row++, from += step) {
    target[to] = source[from]!
    target[to + 1] = source[from + 1]!
    if (count === 4) {
      target[to + 2] = source[from + 2]!
      target[to + 3] = source[from + 3]!
    }
    to += count & -((bits[row >> 3]! >> (row & 7)) & 1)
  }
  return gathered
}

function copyPairs(
  source: Int32Array | Int16Array,
  step: number,
  first: number,
  target: Int32Array,
  count: number,
): void {
  for (let row = 0, from = first; row < count; row++, from += step) {
    target[2 * row] = source[from]!
    target[2 * row + 1] = source[from + 1]!
  }
}
