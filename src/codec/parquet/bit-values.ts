/** Truth values of one column chunk: PLAIN, one bit each from the lowest on. */
import type { Column } from '../../batch/batch.js'
import { bitsOf, type RowRange } from '../../batch/row-range.js'
import { BitBuffer } from './bit-buffer.js'
import type { Bounds, EncodedValues, Gathered, ValueLane, ValueStore } from './page-values.js'
import type { TakeMemory } from './scratch.js'

export interface GatheredBits extends Gathered {
  /** Bits after the last are anything. */
  readonly bits: Uint8Array
}

export function createBitLane(): ValueLane<GatheredBits> {
  return { store: new BitStore(), dictionary: null, gather: gatherBits }
}

function gatherBits(rows: RowRange, column: Column, nullCount: number, takeMemory: TakeMemory): GatheredBits {
  const bits = bitsOf(rows, column.values.offset)
  const count = rows.count - nullCount
  if (nullCount === 0) return { count, bits }
  const validity = bitsOf(rows, column.validity!.offset)
  const kept = takeMemory((count + 7) >> 3).fill(0)
  let to = 0
  for (let row = 0; row < rows.count; row++) {
    if (((validity[row >> 3]! >> (row & 7)) & 1) === 0) continue
    kept[to >> 3]! |= ((bits[row >> 3]! >> (row & 7)) & 1) << (to & 7)
    to++
  }
  return { count, bits: kept }
}

class BitStore implements ValueStore<GatheredBits> {
  readonly #bits = new BitBuffer()
  #anyTrue = false
  #anyFalse = false

  get bytes(): number {
    return (this.#bits.count + 7) >> 3
  }

  append({ bits }: GatheredBits, from: number, to: number): void {
    this.#bits.append(bits, from, to - from)
  }

  encode(): EncodedValues {
    return { encoding: 'plain', pieces: [this.#bits.bytes()] }
  }

  finishPage(): void {
    const ones = this.#bits.countOnes()
    if (ones > 0) this.#anyTrue = true
    if (ones < this.#bits.count) this.#anyFalse = true
    this.clear()
  }

  clear(): void {
    this.#bits.clear()
  }

  takeBounds(): Bounds | null {
    const least = Uint8Array.of(this.#anyFalse ? 0 : 1)
    const most = Uint8Array.of(this.#anyTrue ? 1 : 0)
    const known = this.#anyTrue || this.#anyFalse
    this.#anyTrue = false
    this.#anyFalse = false
    return known ? { least, most, leastExact: true, mostExact: true } : null
  }
}
