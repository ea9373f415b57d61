/** What the values of a column chunk are kept in while it is made, the same for every physical type. */
import type { RowRange } from '../../batch/row-range.js'
import type { Column } from '../../batch/batch.js'
import type { TakeMemory } from './scratch.js'

/** `dictionary` are indices into the chunk's dictionary page. */
export const VALUE_ENCODING = { plain: 0, deltaBinary: 5, deltaLength: 6, dictionary: 8 } as const
export type ValueEncoding = keyof typeof VALUE_ENCODING

export interface EncodedValues {
  readonly encoding: ValueEncoding
  readonly pieces: readonly Uint8Array[]
}

/** The least and the greatest value of a chunk as PLAIN has them, without the length of texts and bytes. */
export interface Bounds {
  readonly least: Uint8Array
  readonly most: Uint8Array
  /** False where they are shorter than the values, but still below and above them. */
  readonly leastExact: boolean
  readonly mostExact: boolean
}

/** Values that are not null, taken out of a batch: good until the scratch memory is released or the batch changes. */
export interface Gathered {
  readonly count: number
}

export interface ValueStore<G extends Gathered> {
  /** Takes values [from, to). */
  append(values: G, from: number, to: number): void
  /** Bytes that the values in it take. */
  readonly bytes: number
  encode(takeMemory: TakeMemory): EncodedValues
  /** The values go, after their bounds are known. */
  finishPage(): void
  /** The values go as if they had never come. */
  clear(): void
  /** Of the pages since the last call, and of what the dictionary said; null where none can be given. */
  takeBounds(): Bounds | null
}

/** Distinct values in the order of their coming. */
export interface ValueDictionary<G extends Gathered> {
  readonly size: number
  /** Bytes of its page. */
  readonly bytes: number
  /**
   * Puts the indices of values [from, to) into `indices`, the first at `at`. Gives the first value not taken: `to`, unless
   * the dictionary is full.
   */
  lookUp(
    values: G,
    range: { readonly from: number; readonly to: number },
    indices: Int32Array,
    at: number,
  ): number
  /** Puts back what was looked up. */
  restore(indices: Int32Array, count: number): void
  encode(takeMemory: TakeMemory): readonly Uint8Array[]
  /** Tells the store's bounds of its values. */
  finish(): void
  clear(): void
}

export interface ValueLane<G extends Gathered> {
  gather(rows: RowRange, column: Column, nullCount: number, takeMemory: TakeMemory): G
  readonly store: ValueStore<G>
  /** Null where a dictionary could not pay. */
  readonly dictionary: ValueDictionary<G> | null
}
