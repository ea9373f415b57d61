/**
 * Distinct values of fixed width, found by a hash table of their words with open addressing.
 *
 * Values are compared as bits: −0 and 0 are two of them, and so are two kinds of NaN.
 */
import type { ValueDictionary } from './page-values.js'
import type { TakeMemory } from './scratch.js'
import type { GatheredWords, WordCount } from './word-gather.js'
import type { WordStore } from './word-values.js'

const FIRST_SLOTS = 256
/** Multipliers that spread neighbours: 2^32 over the golden ratio, and another odd number without a pattern. */
const GOLDEN = 0x9e3779b1 | 0
const OTHER = 0x85ebca6b | 0

export class WordDictionary implements ValueDictionary<GatheredWords> {
  readonly #store: WordStore
  readonly #width: WordCount
  readonly #mostEntries: number
  #entries = new Int32Array(0)
  #size = 0
  /** Place of an entry + 1; 0 where there is none. */
  #slots = new Int32Array(0)

  constructor(store: WordStore, width: WordCount, mostBytes: number) {
    this.#store = store
    this.#width = width
    this.#mostEntries = Math.max(1, Math.floor(mostBytes / (4 * width)))
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return 4 * this.#width * this.#size
  }

  lookUp(
    { words }: GatheredWords,
    { from, to }: { readonly from: number; readonly to: number },
    indices: Int32Array,
    at: number,
  ): number {
    let next = from
    while (next < to) {
      if (2 * (this.#size + 1) > this.#slots.length) this.#grow()
      // The loops end at a new value when the table is half full.
      const room = Math.min(this.#slots.length >> 1, this.#mostEntries)
      const place = at + next - from
      switch (this.#width) {
        case 1:
          next = this.#lookUpSingles(words, next, to, indices, place, room)
          break
        case 2:
          next = this.#lookUpPairs(words, next, to, indices, place, room)
          break
        default:
          next = this.#lookUpQuads(words, next, to, indices, place, room)
      }
      if (next < to && this.#size === this.#mostEntries) break
    }
    return next
  }

  #lookUpSingles(
    words: Int32Array,
    from: number,
    to: number,
    indices: Int32Array,
    at: number,
    room: number,
  ): number {
    const slots = this.#slots
    const entries = this.#entries
    const mask = slots.length - 1
    const shift = Math.clz32(mask)
    let size = this.#size
    let place = at
    let index = from
    for (; index < to; index++) {
      const word = words[index]!
      let slot = Math.imul(word, GOLDEN) >>> shift
      let entry = slots[slot]!
      while (entry !== 0 && entries[entry - 1] !== word) entry = slots[(slot = (slot + 1) & mask)]!
      if (entry === 0) {
        if (size === room) break
        entries[size] = word
        entry = slots[slot] = ++size
      }
      indices[place++] = entry - 1
    }
    this.#size = size
    return index
  }

  #lookUpPairs(
    words: Int32Array,
    from: number,
    to: number,
    indices: Int32Array,
    at: number,
    room: number,
  ): number {
    const slots = this.#slots
    const entries = this.#entries
    const mask = slots.length - 1
    const shift = Math.clz32(mask)
    let size = this.#size
    let place = at
    let index = from
    for (; index < to; index++) {
      const low = words[2 * index]!
      const high = words[2 * index + 1]!
      let slot = Math.imul(Math.imul(high, OTHER) ^ low ^ (low >>> 15), GOLDEN) >>> shift
      let entry = slots[slot]!
      while (entry !== 0 && (entries[2 * entry - 2] !== low || entries[2 * entry - 1] !== high)) {
        entry = slots[(slot = (slot + 1) & mask)]!
      }
      if (entry === 0) {
        if (size === room) break
        entries[2 * size] = low
        entries[2 * size + 1] = high
        entry = slots[slot] = ++size
      }
      indices[place++] = entry - 1
    }
    this.#size = size
    return index
  }

  #lookUpQuads(
    words: Int32Array,
    from: number,
    to: number,
    indices: Int32Array,
    at: number,
    room: number,
  ): number {
    const slots = this.#slots
    const entries = this.#entries
    const mask = slots.length - 1
    const shift = Math.clz32(mask)
    let size = this.#size
    let place = at
    let index = from
    for (; index < to; index++) {
      const word = 4 * index
      const a = words[word]!
      const b = words[word + 1]!
      const c = words[word + 2]!
      const d = words[word + 3]!
      let slot =
        Math.imul(
          Math.imul(a ^ Math.imul(b, OTHER), GOLDEN) ^ Math.imul(c ^ (d >>> 7) ^ d, OTHER),
          GOLDEN,
        ) >>> shift
      let entry = slots[slot]!
      while (entry !== 0) {
        const other = 4 * entry - 4
        if (
          entries[other] === a &&
          entries[other + 1] === b &&
          entries[other + 2] === c &&
          entries[other + 3] === d
        ) {
          break
        }
        entry = slots[(slot = (slot + 1) & mask)]!
      }
      if (entry === 0) {
        if (size === room) break
        const target = 4 * size
        entries[target] = a
        entries[target + 1] = b
        entries[target + 2] = c
        entries[target + 3] = d
        entry = slots[slot] = ++size
      }
      indices[place++] = entry - 1
    }
    this.#size = size
    return index
  }

  restore(indices: Int32Array, count: number): void {
    this.#store.appendAt(this.#entries, indices, count)
  }

  encode(takeMemory: TakeMemory): readonly Uint8Array[] {
    return [this.#store.toPlain(this.#entries, this.#size, takeMemory)]
  }

  finish(): void {
    this.#store.widenBounds(this.#entries, this.#size)
  }

  clear(): void {
    this.#size = 0
    this.#slots.fill(0)
  }

  #grow(): void {
    const length = Math.max(FIRST_SLOTS, 2 * this.#slots.length)
    const entries = new Int32Array((length >> 1) * this.#width)
    entries.set(this.#entries.subarray(0, this.#size * this.#width))
    // Found again one by one, in their order: each gets the place that it has.
    const present = this.#size
    this.#entries = entries
    this.#slots = new Int32Array(length)
    this.#size = 0
    const places = new Int32Array(present)
    const range = { from: 0, to: present }
    if (present > 0)
      this.lookUp({ count: present, words: entries.slice(0, present * this.#width) }, range, places, 0)
  }
}
