/**
 * Which values of a page are there: definition levels, and for lists repetition levels.
 * https://github.com/apache/parquet-format/blob/master/README.md#nested-encoding
 *
 *   a column that cannot be null      no levels
 *   a column, or a group of columns   definition 0 null, 1 there
 *   a list                            repetition 0 first of a row, 1 further element; definition, from the highest down: an
 *                                     element, a null element, an empty list, and where lists can be null a null list
 */
import { bitsOf, type RowRange } from '../../batch/row-range.js'
import { BitBuffer } from './bit-buffer.js'
import { bitWidth, encodeBits, encodeHybrid, encodeRun } from './hybrid.js'
import type { TakeMemory } from './scratch.js'

export interface PageLevels {
  /** Levels in the page; the nulls among them have no value. */
  readonly count: number
  /** Bytes they take, about. */
  readonly bytes: number
  /** What a page begins with: each kind of levels with its length in front. */
  encode(takeMemory: TakeMemory): readonly Uint8Array[]
  clear(): void
}

/** Of a column without lists. `maxDefinition` 0: it has none. */
export class FlatLevels implements PageLevels {
  readonly #optional: boolean
  readonly #bits = new BitBuffer()
  #count = 0
  #nulls = 0

  constructor(maxDefinition: number) {
    this.#optional = maxDefinition > 0
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#optional ? this.#count >> 3 : 0
  }

  /** @param validityAt offset of the bitmap in the batch's buffer; read only where there are nulls */
  append(rows: RowRange, nullCount: number, validityAt: number): void {
    if (nullCount > 0) {
      // Until there is a null, only the number of rows is known.
      if (this.#nulls === 0) this.#bits.appendOnes(this.#count)
      this.#bits.append(bitsOf(rows, validityAt), 0, rows.count)
    } else if (this.#nulls > 0) this.#bits.appendOnes(rows.count)
    this.#count += rows.count
    this.#nulls += nullCount
  }

  encode(takeMemory: TakeMemory): readonly Uint8Array[] {
    if (!this.#optional) return []
    const levels =
      this.#nulls === 0
        ? encodeRun(1, this.#count, takeMemory)
        : encodeBits(this.#bits.bytes(), this.#count, takeMemory)
    return [lengthOf(levels), levels]
  }

  clear(): void {
    this.#bits.clear()
    this.#count = 0
    this.#nulls = 0
  }
}

export class ListLevels implements PageLevels {
  readonly #maxDefinition: number
  #repetition = new Int32Array(0)
  #definition = new Int32Array(0)
  #count = 0

  constructor(maxDefinition: number) {
    this.#maxDefinition = maxDefinition
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#count >> 1
  }

  /** @param ends offsets of all lists of the batch; `isNull` and `isNullElement` by place in the batch. Gives the levels added. */
  append(
    { start, count }: RowRange,
    ends: Int32Array,
    isNull: (row: number) => boolean,
    isNullElement: (element: number) => boolean,
  ): number {
    const there = this.#maxDefinition
    const before = this.#count
    this.#reserve(count + ends[start + count]! - ends[start]!)
    const repetition = this.#repetition
    const definition = this.#definition
    let at = before
    for (let row = start; row < start + count; row++) {
      const first = ends[row]!
      const end = ends[row + 1]!
      if (first === end) {
        repetition[at] = 0
        definition[at++] = isNull(row) ? 0 : there - 2
        continue
      }
      for (let element = first; element < end; element++) {
        repetition[at] = element === first ? 0 : 1
        definition[at++] = isNullElement(element) ? there - 1 : there
      }
    }
    this.#count = at
    return at - before
  }

  encode(takeMemory: TakeMemory): readonly Uint8Array[] {
    const repetition = encodeHybrid(this.#repetition, this.#count, 1, takeMemory)
    const definition = encodeHybrid(this.#definition, this.#count, bitWidth(this.#maxDefinition), takeMemory)
    return [lengthOf(repetition), repetition, lengthOf(definition), definition]
  }

  clear(): void {
    this.#count = 0
  }

  #reserve(levels: number): void {
    const needed = this.#count + levels
    if (needed <= this.#repetition.length) return
    const length = Math.max(needed, 2 * this.#repetition.length, 64)
    const repetition = new Int32Array(length)
    const definition = new Int32Array(length)
    repetition.set(this.#repetition.subarray(0, this.#count))
    definition.set(this.#definition.subarray(0, this.#count))
    this.#repetition = repetition
    this.#definition = definition
  }
}

function lengthOf(levels: Uint8Array): Uint8Array {
  const length = new Uint8Array(4)
  new DataView(length.buffer).setInt32(0, levels.length, true)
  return length
}
