/** Values of fixed width of one column chunk, as int32 words: 1 for up to 32 bits, 2 for 64, 4 for decimals of 16 bytes and uuids. */
import { deltaBinaryValues } from './delta-binary.js'
import type { Bounds, EncodedValues, ValueLane, ValueStore } from './page-values.js'
import type { Leaf } from './schema.js'
import type { TakeMemory } from './scratch.js'
import { ORDER_WORDS, WordBounds, type WordOrder } from './word-bounds.js'
import { WordDictionary } from './word-dictionary.js'
import { gatherWords, placeOf, type GatheredWords, type WordCount } from './word-gather.js'

export interface WordLaneOptions {
  readonly leaf: Leaf
  readonly delta: boolean
  readonly keptBytes: number
  readonly dictionaryBytes: number
}

export function createWordLane(options: WordLaneOptions): ValueLane<GatheredWords> {
  const { leaf } = options
  const place = placeOf(leaf)
  const store = new WordStore(options)
  return {
    store,
    dictionary: new WordDictionary(store, place.count, options.dictionaryBytes),
    gather: (rows, column, nullCount, takeMemory) => gatherWords(rows, column, nullCount, place, takeMemory),
  }
}

export class WordStore implements ValueStore<GatheredWords> {
  readonly #width: WordCount
  readonly #integers: boolean
  readonly #keptWords: number
  readonly #bounds: WordBounds | null
  readonly #toPlain: (words: Int32Array, count: number, takeMemory: TakeMemory) => Uint8Array
  #words = new Int32Array(0)
  #count = 0

  constructor({ leaf, delta, keptBytes }: WordLaneOptions) {
    const order = orderOf(leaf)
    this.#width = ORDER_WORDS[order]
    this.#integers = delta && (order === 'int32' || order === 'int64')
    this.#keptWords = keptBytes / 4
    // The parts of an interval say nothing about its length.
    this.#bounds = leaf.part === 'whole' ? new WordBounds(order) : null
    this.#toPlain = order === 'int128' ? bigEndian(leaf.length ?? 16) : plainWords(this.#width)
  }

  get bytes(): number {
    return 4 * this.#width * this.#count
  }

  append({ words }: GatheredWords, from: number, to: number): void {
    const width = this.#width
    this.#reserve(to - from)
    this.#words.set(words.subarray(from * width, to * width), this.#count * width)
    this.#count += to - from
  }

  /** Values by their places among `entries`. */
  appendAt(entries: Int32Array, places: Int32Array, count: number): void {
    const width = this.#width
    this.#reserve(count)
    const words = this.#words
    let to = this.#count * width
    for (let index = 0; index < count; index++) {
      const from = places[index]! * width
      for (let word = 0; word < width; word++) words[to++] = entries[from + word]!
    }
    this.#count += count
  }

  encode(takeMemory: TakeMemory): EncodedValues {
    const width = this.#width
    if (this.#integers && width !== 4) {
      const packed = deltaBinaryValues(this.#words, this.#count, width, takeMemory)
      if (packed !== null && packed.length < this.bytes) return { encoding: 'deltaBinary', pieces: [packed] }
    }
    return { encoding: 'plain', pieces: [this.#toPlain(this.#words, this.#count, takeMemory)] }
  }

  finishPage(): void {
    this.#bounds?.widen(this.#words, this.#count)
    this.clear()
  }

  widenBounds(words: Int32Array, count: number): void {
    this.#bounds?.widen(words, count)
  }

  /** In the form of a page. */
  toPlain(words: Int32Array, count: number, takeMemory: TakeMemory): Uint8Array {
    return this.#toPlain(words, count, takeMemory)
  }

  clear(): void {
    this.#count = 0
    if (this.#words.length > this.#keptWords) this.#words = new Int32Array(0)
  }

  takeBounds(): Bounds | null {
    return (
      this.#bounds?.take((words) => this.#toPlain(words, 1, (bytes) => new Uint8Array(bytes)).slice()) ?? null
    )
  }

  #reserve(values: number): void {
    const needed = (this.#count + values) * this.#width
    if (needed <= this.#words.length) return
    const grown = new Int32Array(Math.max(needed, 2 * this.#words.length, 64))
    grown.set(this.#words.subarray(0, this.#count * this.#width))
    this.#words = grown
  }
}

function orderOf({ physical, type }: Leaf): WordOrder {
  switch (physical) {
    case 'int32':
    case 'int64':
    case 'float':
    case 'double':
      return physical
    default:
      return type.kind === 'decimal' ? 'int128' : 'bytes16'
  }
}

function plainWords(
  width: WordCount,
): (words: Int32Array, count: number, takeMemory: TakeMemory) => Uint8Array {
  return (words, count) => new Uint8Array(words.buffer, words.byteOffset, 4 * width * count)
}

/** Decimals in so many bytes, the most significant first, of which the words have 16. */
function bigEndian(length: number): (words: Int32Array, count: number, takeMemory: TakeMemory) => Uint8Array {
  return (words, count, takeMemory) => {
    const source = new Uint8Array(words.buffer, words.byteOffset, 16 * count)
    const target = takeMemory(length * count)
    let to = 0
    for (let index = 0; index < count; index++) {
      const from = 16 * index + length - 1
      for (let byte = 0; byte < length; byte++) target[to++] = source[from - byte]!
    }
    return target
  }
}
