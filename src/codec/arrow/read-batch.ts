/**
 * A record batch as a batch of ours: the inverse of `column.ts`. Its buffers are put into one; there decimals of up to 18 digits and
 * intervals are made ours where they lie. A batch whose parts contradict each other is malformed, never another batch.
 */
import { isUtf8 } from 'node:buffer'
import type { Batch, Column, Span } from '../../batch/batch.js'
import { NANOS_PER_MICRO } from '../../batch/column-reader.js'
import { fixedWidth, type ColumnType, type ElementType, type Field } from '../../model/column-type.js'
import type { Expand } from '../compression/join-pieces.js'
import type { ArrowType } from './field.js'
import { LENGTH_BYTES } from './message.js'
import { MalformedArrow } from './read-flatbuffer.js'
import type { RecordBatchHeader } from './read-message.js'

/** What a column of the batch is made from: a column of the file by its index, which no other has, or null where the file has none. */
export interface WantedColumn {
  readonly field: Field
  readonly index: number | null
}

/** Buffers as they were before they were compressed, and zeros behind them. */
interface PlainBody {
  readonly buffer: ArrayBuffer
  readonly spans: readonly Span[]
  /** Where the zeros begin. */
  readonly zeros: number
}

export interface RecordBatchParts {
  readonly header: RecordBatchHeader
  readonly body: Uint8Array
  /** Of all columns that the file has. */
  readonly types: readonly ArrowType[]
  readonly wanted: readonly WantedColumn[]
  /** Null: buffers that are compressed are an error. */
  readonly expand: Expand | null
}

/** @throws MalformedArrow */
export function toBatch({ header, body, types, wanted, expand }: RecordBatchParts): Batch {
  const { rowCount } = header
  const lacking = wanted.some(({ index }) => index === null)
  const plain = toPlain(header, { body, expand, room: lacking ? zeroBytes(rowCount) : 0 })
  const places = placeColumns(types)
  const last = places.at(-1)
  if (plain.spans.length !== (last?.nextBuffer ?? 0) || header.nodes.length !== 2 * (last?.nextNode ?? 0)) {
    throw new MalformedArrow('a record batch has not the columns of its schema')
  }
  const reader = new ColumnReader(header.nodes, plain)
  const columns = wanted.map(({ field, index }) =>
    index === null
      ? nullColumn(field.type, rowCount, plain.zeros)
      : reader.read(field, places[index]!, rowCount),
  )
  return { fields: wanted.map(({ field }) => field), rowCount, columns, buffer: plain.buffer }
}

/** Where a column begins among the nodes and buffers, and where the next one does. */
interface Place {
  readonly node: number
  readonly buffer: number
  readonly nextNode: number
  readonly nextBuffer: number
}

function placeColumns(types: readonly ArrowType[]): readonly Place[] {
  let node = 0
  let buffer = 0
  return types.map((type) => {
    const place = { node, buffer }
    const element = type.kind === 'list' ? type.element.type : null
    node += element === null ? 1 : 2
    buffer += element === null ? bufferCount(type) : 2 + bufferCount(element)
    return { ...place, nextNode: node, nextBuffer: buffer }
  })
}

/** Of a type that is no list. */
function bufferCount({ kind }: ArrowType): number {
  return kind === 'utf8' || kind === 'binary' ? 3 : 2
}

function toPlain(
  header: RecordBatchHeader,
  {
    body,
    expand,
    room,
  }: { readonly body: Uint8Array; readonly expand: Expand | null; readonly room: number },
): PlainBody {
  const pieces: Uint8Array[] = []
  let end = 0
  for (let at = 0; at < header.buffers.length; at += 2) {
    const [offset, length] = [header.buffers[at]!, header.buffers[at + 1]!]
    if (offset < end || length < 0 || offset + length > body.length) {
      throw new MalformedArrow('a buffer lies outside of its record batch')
    }
    end = offset + length
    const bytes = body.subarray(offset, end)
    pieces.push(header.compressed ? expanded(bytes, expand) : bytes)
  }
  const spans: Span[] = []
  let total = 0
  for (const { length } of pieces) {
    spans.push({ offset: total, length })
    total += 8 * Math.ceil(length / 8)
  }
  // Each column has a bit for each row, so that no number of rows asks for memory that the file does not have.
  if (header.rowCount > Math.min(8 * total, MOST_ROWS))
    throw new MalformedArrow('a record batch has fewer values than rows')
  const buffer = new ArrayBuffer(total + room)
  const target = new Uint8Array(buffer)
  pieces.forEach((piece, index) => {
    target.set(piece, spans[index]!.offset)
  })
  return { buffer, spans, zeros: total }
}

/** i64 bytes of the content, then its frame. */
function expanded(bytes: Uint8Array, expand: Expand | null): Uint8Array {
  if (bytes.length === 0) return bytes
  if (bytes.length > LENGTH_BYTES && expand !== null) {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true)
    const content =
      length >= 0n && length <= MOST_BYTES ? expand(bytes.subarray(LENGTH_BYTES), Number(length)) : null
    if (content !== null) return content
  }
  throw new MalformedArrow('a compressed buffer cannot be expanded')
}

/** What offsets of 32 bits reach, and no column needs more for each row. */
const MOST_BYTES = 2n ** 31n - 1n
/** With room for a row more, and to round up. */
const MOST_ROWS = 2 ** 31 - 16

class ColumnReader {
  readonly #nodes: readonly number[]
  readonly #plain: PlainBody

  constructor(nodes: readonly number[], plain: PlainBody) {
    this.#nodes = nodes
    this.#plain = plain
  }

  read({ name, type }: Field, place: Place, count: number): Column {
    const { node, buffer } = place
    if (type.kind !== 'list') return this.#readElements(name, type, place, count)
    const own = this.#readValidity(name, place, count)
    const offsets = this.#readOffsets(name, buffer + 1, count, own)
    const elements = this.#readElements(
      name,
      type.element,
      { node: node + 1, buffer: buffer + 2 },
      offsets.end,
    )
    return { ...own, offsets: offsets.span, values: { offset: offsets.span.offset, length: 0 }, elements }
  }

  #readElements(
    name: string,
    type: ElementType,
    place: Pick<Place, 'node' | 'buffer'>,
    count: number,
  ): Column {
    const own = this.#readValidity(name, place, count)
    const { buffer } = place
    const width = fixedWidth(type)
    if (type.kind === 'bool') {
      return { ...own, offsets: null, values: this.#span(name, buffer + 1, (count + 7) >> 3) }
    }
    if (width === null) {
      const { span, end } = this.#readOffsets(name, buffer + 1, count, own)
      const values = this.#span(name, buffer + 2, end)
      if (type.kind !== 'binary') this.#assertText(name, { offsets: span, values, count })
      return { ...own, offsets: span, values }
    }
    if (type.kind === 'decimal' && width === 8) {
      return { ...own, offsets: null, values: this.#narrow(name, buffer + 1, count) }
    }
    const values = this.#span(name, buffer + 1, width * count)
    if (type.kind === 'interval') this.#toMicros(name, values)
    return { ...own, offsets: null, values }
  }

  /** So many bytes of a buffer, which may be longer. */
  #span(name: string, index: number, length: number): Span {
    const span = this.#plain.spans[index]!
    if (span.length < length) throw new MalformedArrow(`column ${name} has fewer values than rows`)
    return { offset: span.offset, length }
  }

  #readValidity(
    name: string,
    { node, buffer }: Pick<Place, 'node' | 'buffer'>,
    count: number,
  ): Pick<Column, 'nullCount' | 'validity'> {
    const nullCount = this.#nodes[2 * node + 1]!
    if (this.#nodes[2 * node] !== count)
      throw new MalformedArrow(`column ${name} has not a value for each row`)
    if (nullCount === 0) return { nullCount, validity: null }
    const validity = this.#span(name, buffer, (count + 7) >> 3)
    const bits = new Uint8Array(this.#plain.buffer, validity.offset, validity.length)
    let nulls = 0
    for (let row = 0; row < count; row++) nulls += 1 - ((bits[row >> 3]! >> (row & 7)) & 1)
    if (nulls !== nullCount)
      throw new MalformedArrow(`column ${name} has another number of nulls than it says`)
    return { nullCount, validity }
  }

  #readOffsets(
    name: string,
    index: number,
    count: number,
    { validity }: Pick<Column, 'validity'>,
  ): { readonly span: Span; readonly end: number } {
    const span = this.#span(name, index, 4 * (count + 1))
    const ends = new Int32Array(this.#plain.buffer, span.offset, count + 1)
    const bits = validity && new Uint8Array(this.#plain.buffer, validity.offset, validity.length)
    let end = 0
    let sound = ends[0] === 0
    for (let row = 0; row < count; row++) {
      const next = ends[row + 1]!
      const isNull = bits !== null && ((bits[row >> 3]! >> (row & 7)) & 1) === 0
      sound &&= isNull ? next === end : next >= end
      end = next
    }
    if (!sound) throw new MalformedArrow(`column ${name} has values that do not follow each other`)
    return { span, end }
  }

  /** No character is cut where a value ends. */
  #assertText(
    name: string,
    { offsets, values, count }: { readonly offsets: Span; readonly values: Span; readonly count: number },
  ): void {
    const bytes = new Uint8Array(this.#plain.buffer, values.offset, values.length)
    const ends = new Int32Array(this.#plain.buffer, offsets.offset, count + 1)
    let sound = isUtf8(bytes)
    for (let row = 0; row < count && sound; row++) sound = (bytes[ends[row]!] ?? 0) >> 6 !== CONTINUED
    if (!sound) throw new MalformedArrow(`column ${name} has text that is not UTF-8`)
  }

  /** 128-bit integers to 64 bits, over themselves. */
  #narrow(name: string, index: number, count: number): Span {
    const wide = this.#span(name, index, 16 * count)
    const words = new Int32Array(this.#plain.buffer, wide.offset, 4 * count)
    for (let from = 0, to = 0; from < words.length; from += 4, to += 2) {
      const high = words[from + 1]!
      if (words[from + 2] !== high >> 31 || words[from + 3] !== high >> 31) {
        throw new MalformedArrow(`column ${name} has a decimal of more digits than its type`)
      }
      words[to] = words[from]!
      words[to + 1] = high
    }
    return { offset: wide.offset, length: 8 * count }
  }

  /** Nanoseconds to microseconds, where they lie. */
  #toMicros(name: string, { offset, length }: Span): void {
    const words = new BigInt64Array(this.#plain.buffer, offset, length / 8)
    for (let at = 1; at < words.length; at += 2) {
      const nanos = words[at]!
      if (nanos % NANOS_PER_MICRO !== 0n) {
        throw new MalformedArrow(`column ${name} has an interval with a part of a microsecond`)
      }
      words[at] = nanos / NANOS_PER_MICRO
    }
  }
}

/** The upper two bits of a byte that goes on with a character. */
const CONTINUED = 0b10

/** Zeros that are enough for a column of nulls of any type. */
function zeroBytes(rowCount: number): number {
  return 16 * rowCount + 8
}

/** Validity, offsets and values are all zero, so they lie one over the other. */
function nullColumn(type: ColumnType, count: number, zeros: number): Column {
  const span = (length: number): Span => ({ offset: zeros, length })
  const own = { nullCount: count, validity: count === 0 ? null : span((count + 7) >> 3) }
  if (type.kind === 'list') {
    const elements = nullColumn(type.element, 0, zeros)
    return { ...own, offsets: span(4 * (count + 1)), values: span(0), elements }
  }
  if (type.kind === 'bool') return { ...own, offsets: null, values: span((count + 7) >> 3) }
  const width = fixedWidth(type)
  return width === null
    ? { ...own, offsets: span(4 * (count + 1)), values: span(0) }
    : { ...own, offsets: null, values: span(width * count) }
}
