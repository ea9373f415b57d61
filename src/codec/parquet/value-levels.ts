/**
 * Which values of a page are there: definition levels, and for lists repetition levels.
 * https://github.com/apache/parquet-format/blob/master/README.md#nested-encoding
 *
 *   a column that cannot be null      no levels
 *   a column, or a group of columns   definition 0 null, 1 there
 *   a list                            repetition 0 first of a row, 1 further element; definition, from the highest down: an
 *                                     element, a null element, an empty list, and where lists can be null a null list
 */
import { validityReader } from '../../batch/column-reader.js'
import { elementBatch, offsetsOf } from '../../batch/list-elements.js'
import { bitsOf, type RowRange } from '../../batch/row-range.js'
import { BitBuffer } from './bit-buffer.js'
import { bitWidth, encodeBits, encodeHybrid, encodeRun } from './hybrid.js'
import type { TakeMemory } from './scratch.js'

export interface PageLevels {
  /** Levels in the page; the nulls among them have no value. */
  readonly count: number
  /** Bytes they take in the page, about. */
  readonly bytes: number
  /** Memory that they take until then. */
  readonly heldBytes: number
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

  get heldBytes(): number {
    return this.bytes
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

/** Of a list without lists in it. */
const MAX_REPETITION = 1

/** Of a list: a level for each element, and one for each list without any. */
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

  get heldBytes(): number {
    return this.#repetition.BYTES_PER_ELEMENT * 2 * this.#count
  }

  /** Of the lists in these rows of the batch's column `index`. Gives their elements, as rows of a batch of one column. */
  append({ batch, start, count }: RowRange, index: number): RowRange {
    const ends = offsetsOf(batch, index)
    const elements = elementBatch(batch, index)
    const isList = validityReader(batch, index)
    const isValue = validityReader(elements, 0)
    const there = this.#maxDefinition
    const firstElement = ends[start]!
    const elementCount = ends[start + count]! - firstElement
    this.#reserve(count + elementCount)
    const repetition = this.#repetition
    const definition = this.#definition
    let at = this.#count
    for (let row = start; row < start + count; row++) {
      const first = ends[row]!
      const end = ends[row + 1]!
      if (first === end) {
        repetition[at] = 0
        definition[at++] = isList(row) ? there - 2 : 0
        continue
      }
      for (let element = first; element < end; element++) {
        repetition[at] = element === first ? 0 : MAX_REPETITION
        definition[at++] = isValue(element) ? there : there - 1
      }
    }
    this.#count = at
    return { batch: elements, start: firstElement, count: elementCount }
  }

  encode(takeMemory: TakeMemory): readonly Uint8Array[] {
    const repetition = encodeHybrid(this.#repetition, this.#count, bitWidth(MAX_REPETITION), takeMemory)
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
