/**
 * Arrow's messages (Schema.fbs, Message.fbs, File.fbs of https://github.com/apache/arrow/tree/main/format), encapsulated:
 *
 *   -1 as i32, i32 bytes of the metadata with what fills it up, the metadata (a flatbuffer), to a multiple of 8; the body
 *
 * The body is the buffers of the columns, depth first, each filled up to a multiple of 8.
 */
import type { RowRange } from '../../batch/row-range.js'
import { unreachable } from '../../model/column-type.js'
import type { Compress } from '../compression/compressor.js'
import { toArrowColumn, type ArrowColumn } from './column.js'
import type { ArrowField, ArrowType } from './field.js'
import {
  encodeFlatbuffer,
  i16,
  i32,
  i64,
  structs,
  table,
  tables,
  text,
  u8,
  type FlatTable,
  type FlatValue,
} from './flatbuffer.js'

type Metadata = Readonly<Record<string, string>>

/** V5, of Arrow 1.0. */
const VERSION = i16(4)
export const HEADER = { schema: 1, recordBatch: 3 } as const
export const CONTINUATION = -1
export const PREFIX_BYTES = 8

/** Where a record batch is in a file. */
export interface Block {
  readonly offset: number
  /** Of the prefix and the metadata. */
  readonly metadataBytes: number
  readonly bodyBytes: number
}

export interface RecordBatchMessage extends Omit<Block, 'offset'> {
  readonly pieces: readonly Uint8Array[]
}

export function schemaTable(fields: readonly ArrowField[], metadata: Metadata): FlatTable {
  return table(null, tables(fields.map(fieldTable)), keyValues(metadata))
}

export function encodeSchemaMessage(schema: FlatTable): Uint8Array {
  return encapsulate(table(VERSION, u8(HEADER.schema), schema))
}

/** The last message of a stream, and before the footer of a file. */
export function encodeEndOfStream(): Uint8Array {
  return prefix(0)
}

/** @throws what {@link toArrowColumn} throws */
export function encodeRecordBatch(rows: RowRange, compress: Compress | null): RecordBatchMessage {
  const nodes: number[] = []
  const places: number[] = []
  const body = new Body()
  const addBuffer = (plain: Uint8Array | null): void => {
    const bytes = plain === null || compress === null ? plain : compressed(plain, compress)
    places.push(body.bytes, bytes?.length ?? 0)
    if (bytes !== null) body.add(bytes)
  }
  const addColumn = ({ length, nullCount, validity, offsets, values, children }: ArrowColumn): void => {
    nodes.push(length, nullCount)
    addBuffer(validity)
    if (offsets !== null) addBuffer(offsets)
    if (values !== null) addBuffer(values)
    children.forEach(addColumn)
  }
  rows.batch.columns.forEach((_, index) => {
    addColumn(toArrowColumn(rows, index))
  })
  const compression = compress === null ? null : table(u8(ZSTD))
  const header = table(i64(rows.count), structs(2, nodes), structs(2, places), compression)
  const metadata = encapsulate(table(VERSION, u8(HEADER.recordBatch), header, i64(body.bytes)))
  return {
    pieces: [metadata, ...body.finish()],
    metadataBytes: metadata.length,
    bodyBytes: body.bytes,
  }
}

/** Of the enum CompressionType. */
export const ZSTD = 1
export const LENGTH_BYTES = 8

/** i64 bytes of the buffer, then its frame; an empty buffer stays empty. */
function compressed(bytes: Uint8Array, compress: Compress): Uint8Array {
  if (bytes.length === 0) return bytes
  const frame = compress([bytes])
  const target = new Uint8Array(LENGTH_BYTES + frame.length)
  new DataView(target.buffer).setBigInt64(0, BigInt(bytes.length), true)
  target.set(frame, LENGTH_BYTES)
  return target
}

/** The flatbuffer at the end of a file, which lists its record batches. */
export function encodeFooter(schema: FlatTable, blocks: readonly Block[]): Uint8Array {
  const places = blocks.flatMap(({ offset, metadataBytes, bodyBytes }) => [offset, metadataBytes, bodyBytes])
  return encodeFlatbuffer(table(VERSION, schema, structs(3, []), structs(3, places)))
}

/** Buffers one after the other, small ones joined: a wide table has thousands of them. */
class Body {
  readonly #pieces: Uint8Array[] = []
  #joined: Uint8Array[] = []
  bytes = 0

  add(buffer: Uint8Array): void {
    const filler = -buffer.length & 7
    this.bytes += buffer.length + filler
    if (buffer.length > SMALL_BYTES) {
      this.#join()
      this.#pieces.push(buffer)
    } else this.#joined.push(buffer)
    if (filler > 0) this.#joined.push(ZEROS.subarray(0, filler))
  }

  finish(): readonly Uint8Array[] {
    this.#join()
    return this.#pieces
  }

  #join(): void {
    if (this.#joined.length === 0) return
    this.#pieces.push(this.#joined.length === 1 ? this.#joined[0]! : Buffer.concat(this.#joined))
    this.#joined = []
  }
}

const SMALL_BYTES = 4096
const ZEROS = new Uint8Array(8)

function encapsulate(message: FlatTable): Uint8Array {
  const metadata = encodeFlatbuffer(message)
  const bytes = new Uint8Array(PREFIX_BYTES + metadata.length)
  bytes.set(prefix(metadata.length))
  bytes.set(metadata, PREFIX_BYTES)
  return bytes
}

function prefix(metadataBytes: number): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTES)
  const view = new DataView(bytes.buffer)
  view.setInt32(0, CONTINUATION, true)
  view.setInt32(4, metadataBytes, true)
  return bytes
}

function fieldTable({ name, type, metadata }: ArrowField): FlatTable {
  const children = type.kind === 'list' ? [fieldTable(type.element)] : []
  return table(
    text(name),
    u8(1),
    u8(TYPE_TAG[type.kind]),
    typeParameters(type),
    null,
    tables(children),
    keyValues(metadata),
  )
}

/** Of the union Type. */
export const TYPE_TAG = {
  int: 2,
  float: 3,
  binary: 4,
  utf8: 5,
  bool: 6,
  decimal: 7,
  date: 8,
  time: 9,
  timestamp: 10,
  interval: 11,
  list: 12,
  fixed: 15,
} as const satisfies Record<ArrowType['kind'], number>

/** What tells a type from others of its tag. */
function typeParameters(type: ArrowType): FlatTable {
  switch (type.kind) {
    case 'int':
      return table(i32(type.bits), u8(1))
    case 'float':
      return table(i16(type.bits === 32 ? 1 : 2))
    case 'binary':
    case 'utf8':
    case 'bool':
    case 'list':
      return table()
    case 'decimal':
      return table(i32(type.precision), i32(type.scale), i32(128))
    case 'date':
      return table(i16(DAYS))
    case 'time':
      return table(i16(TIME_UNIT.us), i32(64))
    case 'timestamp':
      return table(i16(TIME_UNIT[type.unit]), type.zone === null ? null : text(type.zone))
    case 'interval':
      return table(i16(MONTH_DAY_NANO))
    case 'fixed':
      return table(i32(type.bytes))
    default:
      return unreachable(type)
  }
}

const DAYS = 0
export const TIME_UNIT = { us: 2, ns: 3 } as const
const MONTH_DAY_NANO = 2

function keyValues(metadata: Metadata): FlatValue | null {
  const entries = Object.entries(metadata)
  return entries.length === 0 ? null : tables(entries.map(([key, value]) => table(text(key), text(value))))
}
