/**
 * One column of a row group in the making: pages are encoded and compressed as they fill, so that no batch is kept.
 *
 * Values go into a dictionary first. When it turns out that it does not pay, or when it is full, those that are in no page yet are
 * put back as they came, and the rest goes without: a chunk can begin with pages of indices and end with pages of values.
 */
import type { Column } from '../../batch/batch.js'
import { countNulls, type RowRange } from '../../batch/row-range.js'
import { TrunklineError } from '../../model/error.js'
import type { Compress } from '../compression/compressor.js'
import { createBitLane } from './bit-values.js'
import { createByteLane } from './byte-values.js'
import { chunkMetadata, dataPageHeader, dictionaryPageHeader, type ChunkFacts } from './chunk-metadata.js'
import { dictionaryPays, FIRST_QUESTION, NEXT_QUESTION } from './dictionary-policy.js'
import { bitWidth, encodeHybrid } from './hybrid.js'
import type { EncodedValues, Gathered, ValueEncoding, ValueLane } from './page-values.js'
import { bytesOfRows, rowsForBytes } from './row-bytes.js'
import type { Leaf } from './schema.js'
import type { Scratch } from './scratch.js'
import type { ThriftValue } from './thrift.js'
import { FlatLevels, ListLevels, type PageLevels } from './value-levels.js'
import { createWordLane } from './word-values.js'

/** The page of a dictionary comes to this much at most, or to one value: what fits in a processor's cache. */
const DICTIONARY_BYTES = 1024 * 1024
/** A column keeps memory for so many pages of values, and a page of indices stands for no more: they may have to be put back. */
const KEPT_PAGES = 4
/** A page stands for no more bytes of values, however large pages are to be: the places of its values have 32 bits. */
const MOST_VALUE_BYTES = 2 ** 30
/** A page has no more levels: the lengths of runs have 32 bits, here and in readers. */
const MOST_LEVELS = 2 ** 24

export interface ChunkOptions {
  readonly compress: Compress
  /** Number of the codec that `compress` is of. */
  readonly codec: number
  readonly pageBytes: number
  readonly rowGroupRows: number
  readonly dictionary: boolean
  /** DELTA_* encodings may be used. */
  readonly delta: boolean
  /** Released after each piece of rows. */
  readonly scratch: Scratch
}

export interface ColumnChunk {
  /** Takes the column's values of the rows; their memory is not used afterwards. */
  append(rows: RowRange): void
  /** Memory that it holds, in bytes. */
  readonly heldBytes: number
  /** Ends the chunk, which begins at `offset` of the file; the next `append` begins another. */
  finish(offset: number): FinishedChunk
}

export interface FinishedChunk {
  readonly pieces: readonly Uint8Array[]
  readonly bytes: number
  readonly uncompressedBytes: number
  readonly metadata: ThriftValue
}

export function createColumnChunk(leaf: Leaf, options: ChunkOptions): ColumnChunk {
  const { pageBytes, delta } = options
  const shared = { delta, keptBytes: KEPT_PAGES * pageBytes, dictionaryBytes: DICTIONARY_BYTES }
  switch (leaf.physical) {
    case 'boolean':
      return new Chunk(leaf, createBitLane(), options)
    case 'byteArray':
      return new Chunk(
        leaf,
        createByteLane({ ...shared, pageBytes, isText: leaf.type.kind !== 'binary' }),
        options,
      )
    default:
      return new Chunk(leaf, createWordLane({ ...shared, leaf }), options)
  }
}

class Chunk<G extends Gathered> implements ColumnChunk {
  readonly #leaf: Leaf
  readonly #lane: ValueLane<G>
  readonly #options: ChunkOptions
  readonly #flat: FlatLevels
  readonly #list: ListLevels
  /** Values are looked up, until that is given up for this chunk. */
  #lookingUp = false
  /** Of the values of the page in the making. */
  #indices = new Int32Array(0)
  #indexCount = 0
  #lookedUp = 0
  #nextQuestion = FIRST_QUESTION
  /** What a value takes without a dictionary; null before it was measured. */
  #directBytes: number | null = null
  #pages: Uint8Array[] = []
  #pageBytes = 0
  #uncompressedBytes = 0
  /** Of the values that the page in the making stands for, nulls included. */
  #valueBytes = 0
  #levels = 0
  #nulls = 0
  #encodings = new Map<ValueEncoding, number>()

  constructor(leaf: Leaf, lane: ValueLane<G>, options: ChunkOptions) {
    this.#leaf = leaf
    this.#lane = lane
    this.#options = options
    this.#flat = new FlatLevels(leaf.maxDefinition)
    this.#list = new ListLevels(leaf.maxDefinition)
    this.#begin()
  }

  get heldBytes(): number {
    const dictionaryBytes = this.#lane.dictionary?.bytes ?? 0
    return this.#pageBytes + this.#openValueBytes + this.#openLevels.heldBytes + dictionaryBytes
  }

  /** Of the page in the making, as far as it goes. */
  get #openBytes(): number {
    return this.#openValueBytes + this.#openLevels.bytes
  }

  get #openValueBytes(): number {
    return this.#lane.store.bytes + 4 * this.#indexCount
  }

  append(rows: RowRange): void {
    const bytes = bytesOfRows(rows.batch, this.#leaf)
    const end = rows.start + rows.count
    for (let start = rows.start; start < end;) {
      const room = Math.min(
        this.#options.pageBytes - this.#openBytes,
        this.#mostValueBytes - this.#valueBytes,
      )
      const count = rowsForBytes(bytes, start, end, room)
      const part = { batch: rows.batch, start, count }
      if (this.#leaf.inList) this.#appendLists(part)
      else this.#appendRows(part)
      this.#valueBytes += bytes(start + count) - bytes(start)
      if (this.#isPageFull) this.#finishPage()
      this.#options.scratch.release()
      start += count
    }
  }

  get #mostValueBytes(): number {
    return Math.min(KEPT_PAGES * this.#options.pageBytes, MOST_VALUE_BYTES)
  }

  get #isPageFull(): boolean {
    return (
      this.#openBytes >= this.#options.pageBytes ||
      this.#valueBytes >= this.#mostValueBytes ||
      this.#openLevels.count >= MOST_LEVELS
    )
  }

  get #openLevels(): PageLevels {
    return this.#leaf.inList ? this.#list : this.#flat
  }

  #appendRows(rows: RowRange): void {
    const column = rows.batch.columns[this.#leaf.fieldIndex]!
    const nullCount = countNulls(rows, column)
    if (nullCount > 0 && this.#leaf.maxDefinition === 0) throw this.#unexpectedNull()
    this.#flat.append(rows, nullCount, column.validity?.offset ?? 0)
    this.#levels += rows.count
    this.#nulls += nullCount
    this.#appendValues(rows, column, nullCount, rows.count)
  }

  #appendLists(rows: RowRange): void {
    const { fieldIndex, maxDefinition } = this.#leaf
    const column = rows.batch.columns[fieldIndex]!
    if (maxDefinition === 2 && countNulls(rows, column) > 0) throw this.#unexpectedNull()
    const before = this.#list.count
    const elements = this.#list.append(rows, fieldIndex)
    const levels = this.#list.count - before
    const values = elements.batch.columns[0]!
    const nullCount = countNulls(elements, values)
    this.#levels += levels
    this.#nulls += levels - elements.count + nullCount
    this.#appendValues(elements, values, nullCount, rows.count)
  }

  #unexpectedNull(): TrunklineError {
    return new TrunklineError('INTERNAL', `Column ${this.#leaf.path[0]} has a null and cannot have one.`)
  }

  /** `rowCount`: of the table's rows that these values are of. */
  #appendValues(values: RowRange, column: Column, nullCount: number, rowCount: number): void {
    const gathered = this.#lane.gather(values, column, nullCount, this.#options.scratch.take)
    let from = 0
    while (this.#lookingUp && from < gathered.count) {
      from = this.#lookUp(gathered, from)
      if (this.#lookedUp === this.#nextQuestion) {
        this.#nextQuestion *= NEXT_QUESTION
        const expected = (this.#options.rowGroupRows * gathered.count) / rowCount
        if (!this.#dictionaryPays(expected)) this.#giveUp()
      }
    }
    if (from < gathered.count) this.#lane.store.append(gathered, from, gathered.count)
  }

  /** Looks up values from `from` on, until a question is due, and gives the first that was not looked up. */
  #lookUp(gathered: G, from: number): number {
    const to = Math.min(gathered.count, from + this.#nextQuestion - this.#lookedUp)
    const needed = this.#indexCount + to - from
    if (needed > this.#indices.length) {
      const grown = new Int32Array(Math.max(needed, 2 * this.#indices.length))
      grown.set(this.#indices.subarray(0, this.#indexCount))
      this.#indices = grown
    }
    const next = this.#lane.dictionary!.lookUp(gathered, { from, to }, this.#indices, this.#indexCount)
    this.#indexCount += next - from
    this.#lookedUp += next - from
    if (next < to) this.#giveUp()
    return next
  }

  #dictionaryPays(expected: number): boolean {
    const { store, dictionary } = this.#lane
    const size = dictionary!.size
    if (this.#directBytes === null && this.#indexCount > 0) {
      dictionary!.restore(this.#indices, this.#indexCount)
      this.#directBytes = lengthOf(store.encode(this.#options.scratch.take).pieces) / this.#indexCount
      store.clear()
    }
    return dictionaryPays({
      seen: this.#lookedUp,
      distinct: size,
      dictionaryBytes: dictionary!.bytes,
      directBytes: this.#directBytes ?? dictionary!.bytes / size,
      expected: Math.max(this.#lookedUp, expected),
    })
  }

  #giveUp(): void {
    this.#lookingUp = false
    this.#lane.dictionary!.restore(this.#indices, this.#indexCount)
    this.#indexCount = 0
  }

  #finishPage(): void {
    const levels = this.#openLevels
    const { scratch, compress } = this.#options
    const { encoding, pieces } = this.#encodeValues()
    const content = [...levels.encode(scratch.take), ...pieces]
    const bytes = lengthOf(content)
    const body = compress(content)
    this.#addPage(dataPageHeader(levels.count, encoding, bytes, body.length), body, bytes)
    this.#encodings.set(encoding, (this.#encodings.get(encoding) ?? 0) + 1)
    levels.clear()
    this.#valueBytes = 0
    this.#indexCount = 0
    this.#lane.store.finishPage()
  }

  #encodeValues(): EncodedValues {
    if (this.#indexCount === 0) return this.#lane.store.encode(this.#options.scratch.take)
    // Some readers do not take 0 bits.
    const width = Math.max(1, bitWidth(this.#lane.dictionary!.size - 1))
    const indices = encodeHybrid(this.#indices, this.#indexCount, width, this.#options.scratch.take)
    return { encoding: 'dictionary', pieces: [Uint8Array.of(width), indices] }
  }

  #addPage(header: Uint8Array, body: Uint8Array, uncompressedBytes: number): void {
    this.#pages.push(header, body)
    this.#pageBytes += header.length + body.length
    this.#uncompressedBytes += header.length + uncompressedBytes
  }

  finish(offset: number): FinishedChunk {
    const { dictionary, store } = this.#lane
    // Now it is known how many values there are. What is in pages cannot be taken back.
    if (this.#lookingUp && !this.#encodings.has('dictionary') && !this.#dictionaryPays(0)) this.#giveUp()
    if (this.#openLevels.count > 0) this.#finishPage()
    const dataPages = this.#pages
    const hasDictionary = this.#encodings.has('dictionary')
    let distinctCount: number | null = null
    let dictionaryBytes = 0
    if (hasDictionary) {
      this.#pages = []
      dictionaryBytes = this.#addDictionary()
      // Of floats a dictionary has bit patterns, of which two can be one number.
      const isExact = this.#leaf.type.kind !== 'float'
      if (isExact && this.#encodings.size === 1) distinctCount = dictionary!.size
      this.#pages.push(...dataPages)
    }
    const facts: ChunkFacts = {
      leaf: this.#leaf,
      codec: this.#options.codec,
      encodings: this.#encodings,
      values: this.#levels,
      nulls: this.#nulls,
      distinctCount,
      bounds: store.takeBounds(),
      bytes: this.#pageBytes,
      uncompressedBytes: this.#uncompressedBytes,
      dictionaryOffset: hasDictionary ? offset : null,
      dataOffset: offset + dictionaryBytes,
    }
    const finished = {
      pieces: this.#pages,
      bytes: this.#pageBytes,
      uncompressedBytes: this.#uncompressedBytes,
      metadata: chunkMetadata(facts),
    }
    this.#options.scratch.release()
    this.#begin()
    return finished
  }

  /** Gives the bytes of its page. */
  #addDictionary(): number {
    const dictionary = this.#lane.dictionary!
    const content = dictionary.encode(this.#options.scratch.take)
    const bytes = lengthOf(content)
    const body = this.#options.compress(content)
    const header = dictionaryPageHeader(dictionary.size, bytes, body.length)
    this.#addPage(header, body, bytes)
    dictionary.finish()
    return header.length + body.length
  }

  #begin(): void {
    this.#lookingUp = this.#options.dictionary && this.#lane.dictionary !== null
    this.#lane.dictionary?.clear()
    this.#lookedUp = 0
    this.#nextQuestion = FIRST_QUESTION
    this.#directBytes = null
    this.#pages = []
    this.#pageBytes = 0
    this.#uncompressedBytes = 0
    this.#levels = 0
    this.#nulls = 0
    this.#encodings = new Map()
  }
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0)
}
