/** Texts and bytes of one column chunk: DELTA_LENGTH_BYTE_ARRAY, or PLAIN, which is int32 length and bytes in turn. */
import type { Column } from '../../batch/batch.js'
import type { RowRange } from '../../batch/row-range.js'
import { ByteBounds } from './byte-bounds.js'
import { ByteDictionary } from './byte-dictionary.js'
import { endsOfValid, packLengths } from './delta-length.js'
import type { Bounds, EncodedValues, Gathered, ValueLane, ValueStore } from './page-values.js'
import type { TakeMemory } from './scratch.js'

export interface GatheredBytes extends Gathered {
  readonly bytes: Uint8Array
  /** Value i is bytes [ends[i], ends[i + 1]). */
  readonly ends: Int32Array
}

export interface ByteLaneOptions {
  readonly isText: boolean
  readonly delta: boolean
  /** A page has so many bytes at least when it is encoded, unless it is the last. */
  readonly pageBytes: number
  readonly keptBytes: number
  readonly dictionaryBytes: number
}

export function createByteLane(options: ByteLaneOptions): ValueLane<GatheredBytes> {
  const store = new ByteStore(options)
  return { store, dictionary: new ByteDictionary(store, options.dictionaryBytes), gather: gatherBytes }
}

function gatherBytes(
  { batch, start, count }: RowRange,
  column: Column,
  nullCount: number,
  takeMemory: TakeMemory,
): GatheredBytes {
  const offsets = new Int32Array(batch.buffer, column.offsets!.offset + 4 * start, count + 1)
  return {
    count: count - nullCount,
    bytes: new Uint8Array(batch.buffer, column.values.offset, column.values.length),
    ends:
      nullCount === 0 ? offsets : endsOfValid(batch.buffer, column, offsets, start, nullCount, takeMemory),
  }
}

export class ByteStore implements ValueStore<GatheredBytes> {
  readonly #delta: boolean
  readonly #pageBytes: number
  readonly #keptBytes: number
  readonly #bounds: ByteBounds
  #bytes: Uint8Array = new Uint8Array(0)
  #used = 0
  /** Ends of the values, the first of which begins at 0. */
  #ends = new Int32Array(1)
  #count = 0
  /** The values are one piece of a batch, enough for a page: they are encoded from there, at once. */
  #borrowed = false

  constructor({ isText, delta, pageBytes, keptBytes }: ByteLaneOptions) {
    this.#delta = delta
    this.#pageBytes = pageBytes
    this.#keptBytes = keptBytes
    this.#bounds = new ByteBounds(isText)
  }

  get bytes(): number {
    return this.#used + 4 * this.#count
  }

  append({ bytes, ends }: GatheredBytes, from: number, to: number): void {
    const first = ends[from]!
    const size = ends[to]! - first
    const count = to - from
    this.#reserveEnds(count)
    const own = this.#ends
    const shift = this.#used - first
    for (let index = 1, at = this.#count; index <= count; index++)
      own[at + index] = ends[from + index]! + shift
    if (this.#count === 0 && size >= this.#pageBytes) {
      this.#bytes = bytes.subarray(first, first + size)
      this.#borrowed = true
    } else {
      this.#reserveBytes(size)
      this.#bytes.set(bytes.subarray(first, first + size), this.#used)
    }
    this.#used += size
    this.#count += count
  }

  /** Values by their places in the dictionary. */
  appendAt(bytes: Uint8Array, ends: Int32Array, places: Int32Array, count: number): void {
    this.#reserveEnds(count)
    let size = 0
    for (let index = 0; index < count; index++) {
      const place = places[index]!
      size += ends[place + 1]! - ends[place]!
      this.#ends[this.#count + index + 1] = this.#used + size
    }
    this.#reserveBytes(size)
    const own = this.#bytes
    let to = this.#used
    for (let index = 0; index < count; index++) {
      const place = places[index]!
      const end = ends[place + 1]!
      for (let at = ends[place]!; at < end; at++) own[to++] = bytes[at]!
    }
    this.#used += size
    this.#count += count
  }

  encode(takeMemory: TakeMemory): EncodedValues {
    const ends = this.#ends.subarray(0, this.#count + 1)
    if (!this.#delta) return { encoding: 'plain', pieces: [plainBytes(this.#bytes, ends, takeMemory)] }
    return {
      encoding: 'deltaLength',
      pieces: [...packLengths(ends, takeMemory), this.#bytes.subarray(0, this.#used)],
    }
  }

  finishPage(): void {
    this.widenBounds(this.#bytes, this.#ends, this.#count)
    this.clear()
  }

  widenBounds(bytes: Uint8Array, ends: Int32Array, count: number): void {
    this.#bounds.widen(bytes, ends, count)
  }

  clear(): void {
    this.#count = 0
    this.#used = 0
    if (this.#borrowed || this.#bytes.length > this.#keptBytes) this.#bytes = new Uint8Array(0)
    if (4 * this.#ends.length > this.#keptBytes) this.#ends = new Int32Array(1)
    this.#borrowed = false
  }

  takeBounds(): Bounds | null {
    return this.#bounds.take()
  }

  #reserveBytes(size: number): void {
    const needed = this.#used + size
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, Math.min(2 * this.#bytes.length, 2 * this.#pageBytes), 256))
    grown.set(this.#bytes.subarray(0, this.#used))
    this.#bytes = grown
  }

  #reserveEnds(values: number): void {
    const needed = this.#count + values + 1
    if (needed <= this.#ends.length) return
    const grown = new Int32Array(Math.max(needed, 2 * this.#ends.length, 64))
    grown.set(this.#ends.subarray(0, this.#count + 1))
    this.#ends = grown
  }
}

/** Value i is bytes [ends[i], ends[i + 1]). */
export function plainBytes(bytes: Uint8Array, ends: Int32Array, takeMemory: TakeMemory): Uint8Array {
  const count = ends.length - 1
  const memory = takeMemory(4 * count + ends[count]! - ends[0]!)
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length)
  const source = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 0
  for (let index = 0; index < count; index++) {
    const end = ends[index + 1]!
    let from = ends[index]!
    view.setInt32(at, end - from, true)
    at += 4
    if (end - from > LONG) {
      memory.set(bytes.subarray(from, end), at)
      at += end - from
      continue
    }
    for (const words = end - 4; from <= words; from += 4, at += 4)
      view.setInt32(at, source.getInt32(from, true), true)
    for (; from < end; from++, at++) memory[at] = bytes[from]!
  }
  return memory
}

/** Longer values are copied by the platform. */
const LONG = 96
