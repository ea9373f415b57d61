/** Distinct texts or bytes, found by a hash of all their bytes and compared whole. */
import { plainBytes, type ByteStore, type GatheredBytes } from './byte-values.js'
import type { ValueDictionary } from './page-values.js'
import type { TakeMemory } from './scratch.js'

const FIRST_SLOTS = 256
const FIRST_BYTES = 4096
const GOLDEN = 0x9e3779b1 | 0
const OTHER = 0x85ebca6b | 0

export class ByteDictionary implements ValueDictionary<GatheredBytes> {
  readonly #store: ByteStore
  readonly #mostBytes: number
  #bytes = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
  #ends = new Int32Array(1)
  #hashes = new Int32Array(0)
  #size = 0
  /** Place of an entry + 1; 0 where there is none. */
  #slots = new Int32Array(0)

  /** @param mostBytes no value is added when its page has so many; a single value may be longer */
  constructor(store: ByteStore, mostBytes: number) {
    this.#store = store
    this.#mostBytes = mostBytes
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#ends[this.#size]! + 4 * this.#size
  }

  lookUp(
    { bytes, ends }: GatheredBytes,
    { from, to }: { readonly from: number; readonly to: number },
    indices: Int32Array,
    at: number,
  ): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const hashes = this.#hashes
    const slots = this.#slots
    const ownEnds = this.#ends
    const mask = slots.length - 1
    let own = this.#view
    let place = at
    for (let index = from; index < to; index++) {
      const start = ends[index]!
      const end = ends[index + 1]!
      const hash = hashOf(bytes, view, start, end)
      let slot = hash & mask
      let entry = mask < 0 ? 0 : slots[slot]!
      for (; entry !== 0; entry = slots[(slot = (slot + 1) & mask)]!) {
        if (hashes[entry - 1] !== hash) continue
        const first = ownEnds[entry - 1]!
        if (ownEnds[entry]! - first === end - start && isSame(own, first, view, start, end - start)) break
      }
      if (entry === 0) {
        if (this.bytes >= this.#mostBytes) return index
        if (2 * (this.#size + 1) > slots.length) {
          // Its memory is another now.
          this.#grow()
          return this.lookUp({ count: 0, bytes, ends }, { from: index, to }, indices, place)
        }
        this.#add(bytes, start, end, hash)
        own = this.#view
        entry = slots[slot] = this.#size
      }
      indices[place++] = entry - 1
    }
    return to
  }

  #add(bytes: Uint8Array, start: number, end: number, hash: number): void {
    const used = this.#ends[this.#size]!
    const needed = used + end - start
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length, FIRST_BYTES))
      grown.set(this.#bytes.subarray(0, used))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    for (let from = start, to = used; from < end; from++, to++) this.#bytes[to] = bytes[from]!
    this.#hashes[this.#size] = hash
    this.#ends[++this.#size] = needed
  }

  restore(indices: Int32Array, count: number): void {
    this.#store.appendAt(this.#bytes, this.#ends, indices, count)
  }

  encode(takeMemory: TakeMemory): readonly Uint8Array[] {
    return [plainBytes(this.#bytes, this.#ends.subarray(0, this.#size + 1), takeMemory)]
  }

  finish(): void {
    this.#store.widenBounds(this.#bytes, this.#ends, this.#size)
  }

  clear(): void {
    this.#size = 0
    this.#slots.fill(0)
    if (this.#bytes.length > 2 * this.#mostBytes) {
      this.#bytes = new Uint8Array(0)
      this.#view = new DataView(this.#bytes.buffer)
    }
  }

  #grow(): void {
    const length = Math.max(FIRST_SLOTS, 2 * this.#slots.length)
    const slots = new Int32Array(length)
    const hashes = new Int32Array(length >> 1)
    const ends = new Int32Array((length >> 1) + 1)
    hashes.set(this.#hashes.subarray(0, this.#size))
    ends.set(this.#ends.subarray(0, this.#size + 1))
    const mask = length - 1
    for (let place = 0; place < this.#size; place++) {
      let slot = hashes[place]! & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = place + 1
    }
    this.#slots = slots
    this.#hashes = hashes
    this.#ends = ends
  }
}

function isSame(a: DataView, aStart: number, b: DataView, bStart: number, length: number): boolean {
  if (length < 4) {
    for (let byte = 0; byte < length; byte++) {
      if (a.getUint8(aStart + byte) !== b.getUint8(bStart + byte)) return false
    }
    return true
  }
  const last = length - 4
  for (let byte = 0; byte < last; byte += 4) {
    if (a.getInt32(aStart + byte, true) !== b.getInt32(bStart + byte, true)) return false
  }
  return a.getInt32(aStart + last, true) === b.getInt32(bStart + last, true)
}

/** Four bytes at a time; the last four may overlap those before. */
function hashOf(bytes: Uint8Array, view: DataView, start: number, end: number): number {
  const length = end - start
  let hash = length
  if (length >= 4) {
    const last = end - 4
    for (let at = start; at < last; at += 4) {
      hash = (Math.imul(hash, GOLDEN) + view.getInt32(at, true)) | 0
    }
    hash = (Math.imul(hash, GOLDEN) + view.getInt32(last, true)) | 0
  } else if (length > 0) {
    const word = bytes[start]! | (bytes[start + (length >> 1)]! << 8) | (bytes[end - 1]! << 16)
    hash = Math.imul(hash ^ word, GOLDEN)
  }
  hash = Math.imul(hash ^ (hash >>> 15), OTHER)
  return hash ^ (hash >>> 13)
}
