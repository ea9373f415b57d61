/**
 * Batches as Apache Arrow record batches. The only file that needs `apache-arrow`, an optional peer: `npm install apache-arrow`.
 *
 * Over the batch's own memory: bool, int, float, decimal of more than 18 digits, date, time, timestamp, interval, text, json and
 * binary. Copied, because Arrow has them otherwise: decimals of up to 18 digits (64 bits here, 128 there, as many consumers
 * know no other width) and uuid (to text). An interval's microseconds become nanoseconds, so it is copied too.
 *
 * The record batch is valid as long as the batch: once the buffer is transferred or written to a destination, it is empty.
 */
import {
  Binary,
  Bool,
  DateDay,
  Decimal,
  Field as ArrowField,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  IntervalMonthDayNano,
  List,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  TimeMicrosecond,
  Timestamp,
  TimeUnit,
  Utf8,
  type Data,
  type DataType,
} from 'apache-arrow'
import type { Batch, Column } from './batch/batch.js'
import { validityReader } from './batch/column-reader.js'
import { elementBatch } from './batch/list-elements.js'
import { formatUuid } from './batch/format-value.js'
import { unreachable, type ColumnType, type Field, type ListType } from './model/column-type.js'
import { TrunklineError } from './model/error.js'

const UUID_TEXT_BYTES = 36
const NANOS_PER_MICRO = 1000n
/** Arrow's canonical extension type for JSON text. */
const JSON_METADATA = new Map([
  ['ARROW:extension:name', 'arrow.json'],
  ['ARROW:extension:metadata', ''],
])

/**
 * The batch as an Arrow record batch. ±infinity of dates and timestamps are the ends of their integers' range.
 *
 * @throws VALUE_UNREPRESENTABLE for an interval of more than 292 years in microseconds, which nanoseconds cannot hold.
 */
export function toArrow(batch: Batch): RecordBatch {
  const schema = toArrowSchema(batch.fields)
  const children = batch.fields.map((field, index) => arrowData(batch, index, field))
  return new RecordBatch(
    schema,
    makeData({ type: new Struct(schema.fields), length: batch.rowCount, nullCount: 0, children }),
  )
}

/** Batches of the same fields as an Arrow IPC stream, in pieces that belong one after the other. */
export interface ArrowStream {
  /** The schema: the first piece. */
  begin(): Uint8Array
  /** Copies the batch, which is the caller's again. */
  write(batch: Batch): Uint8Array
  /** The end-of-stream marker: without it a reader knows that the stream was cut. */
  end(): Uint8Array
}

/** @throws what {@link toArrow} throws, from `write` */
export function createArrowStream(fields: readonly Field[]): ArrowStream {
  const writer = new PieceWriter()
  return {
    begin: () => writer.take(() => writer.reset(undefined, new Schema(fields.map(arrowField)))),
    write: (batch) =>
      writer.take(() => {
        writer.write(toArrow(batch))
      }),
    end: () => writer.take(() => writer.finish()),
  }
}

/** Hands out what is written instead of queueing it. */
class PieceWriter extends RecordBatchStreamWriter {
  #pieces: Uint8Array[] = []

  take(work: () => unknown): Uint8Array {
    work()
    const pieces = this.#pieces
    this.#pieces = []
    return Buffer.concat(pieces)
  }

  protected override _write(chunk: ArrayBufferView | ArrayBufferLike | null | undefined): this {
    if (this._started && chunk) this.#pieces.push(bytesOf(chunk))
    return this
  }
}

function bytesOf(chunk: ArrayBufferView | ArrayBufferLike): Uint8Array {
  return ArrayBuffer.isView(chunk)
    ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    : new Uint8Array(chunk)
}

/** The schema that record batches of these fields have, before any row is read: of `snapshot.fields(stream)`, for one. */
export function toArrowSchema(fields: readonly Field[]): Schema {
  return new Schema(fields.map(arrowField))
}

function arrowField(field: Field): ArrowField {
  const metadata = field.type.kind === 'json' ? JSON_METADATA : null
  // Not what the source declares but what is: a column that may not be null can still have been read as null.
  return new ArrowField(field.name, arrowType(field.type), true, metadata)
}

function arrowType(type: ColumnType): DataType {
  switch (type.kind) {
    case 'bool':
      return new Bool()
    case 'int':
      return { 16: new Int16(), 32: new Int32(), 64: new Int64() }[type.bits]
    case 'float':
      return type.bits === 32 ? new Float32() : new Float64()
    case 'decimal':
      return new Decimal(type.scale, type.precision, 128)
    case 'date':
      return new DateDay()
    case 'time':
      return new TimeMicrosecond()
    case 'timestamp':
      return arrowTimestamp(type)
    case 'interval':
      return new IntervalMonthDayNano()
    case 'text':
    case 'json':
    case 'uuid':
      return new Utf8()
    case 'binary':
      return new Binary()
    case 'list':
      return arrowList(type)
    default:
      return unreachable(type)
  }
}

/** The name that Arrow gives the elements of a list. */
function arrowList({ element }: ListType): List {
  return new List(arrowField({ name: 'item', type: element, nullable: true }))
}

function arrowTimestamp({ utc, unit }: Extract<ColumnType, { kind: 'timestamp' }>): Timestamp {
  return new Timestamp(unit === 'ns' ? TimeUnit.NANOSECOND : TimeUnit.MICROSECOND, utc ? 'UTC' : null)
}

function arrowData(batch: Batch, index: number, field: Field): Data {
  const { type } = field
  const column = batch.columns[index]!
  const { buffer, rowCount } = batch
  const { offset, length } = column.values
  const shared = {
    length: rowCount,
    nullCount: column.nullCount,
    nullBitmap:
      column.validity === null
        ? null
        : new Uint8Array(buffer, column.validity.offset, column.validity.length),
  }
  switch (type.kind) {
    case 'bool':
      return makeData({ ...shared, type: new Bool(), data: new Uint8Array(buffer, offset, length) })
    case 'int':
      if (type.bits === 16)
        return makeData({ ...shared, type: new Int16(), data: new Int16Array(buffer, offset, rowCount) })
      if (type.bits === 32)
        return makeData({ ...shared, type: new Int32(), data: new Int32Array(buffer, offset, rowCount) })
      return makeData({ ...shared, type: new Int64(), data: new BigInt64Array(buffer, offset, rowCount) })
    case 'float':
      return type.bits === 32
        ? makeData({ ...shared, type: new Float32(), data: new Float32Array(buffer, offset, rowCount) })
        : makeData({ ...shared, type: new Float64(), data: new Float64Array(buffer, offset, rowCount) })
    case 'decimal': {
      const data =
        type.precision <= 18 ? widenDecimals(batch, column) : new Uint32Array(buffer, offset, 4 * rowCount)
      return makeData({ ...shared, type: new Decimal(type.scale, type.precision, 128), data })
    }
    case 'date':
      return makeData({ ...shared, type: new DateDay(), data: new Int32Array(buffer, offset, rowCount) })
    case 'time':
      return makeData({
        ...shared,
        type: new TimeMicrosecond(),
        data: new BigInt64Array(buffer, offset, rowCount),
      })
    case 'timestamp':
      return makeData({
        ...shared,
        type: arrowTimestamp(type),
        data: new BigInt64Array(buffer, offset, rowCount),
      })
    case 'interval':
      return makeData({
        ...shared,
        type: new IntervalMonthDayNano(),
        data: toNanoseconds(batch, column, field),
      })
    case 'text':
    case 'json':
      return makeData({
        ...shared,
        type: new Utf8(),
        valueOffsets: new Int32Array(buffer, column.offsets!.offset, rowCount + 1),
        data: new Uint8Array(buffer, offset, length),
      })
    case 'uuid':
      return makeData({ ...shared, type: new Utf8(), ...uuidTexts(batch, index) })
    case 'binary':
      return makeData({
        ...shared,
        type: new Binary(),
        valueOffsets: new Int32Array(buffer, column.offsets!.offset, rowCount + 1),
        data: new Uint8Array(buffer, offset, length),
      })
    case 'list': {
      const elements = elementBatch(batch, index)
      return makeData({
        ...shared,
        type: arrowList(type),
        valueOffsets: new Int32Array(buffer, column.offsets!.offset, rowCount + 1),
        child: arrowData(elements, 0, elements.fields[0]!),
      })
    }
    default:
      return unreachable(type)
  }
}

/** 64-bit integers to 128 bits, the sign carried on. */
function widenDecimals(batch: Batch, column: Column): Uint32Array {
  const source = new Int32Array(batch.buffer, column.values.offset, 2 * batch.rowCount)
  const target = new Int32Array(4 * batch.rowCount)
  for (let row = 0; row < batch.rowCount; row++) {
    const high = source[2 * row + 1]!
    target[4 * row] = source[2 * row]!
    target[4 * row + 1] = high
    target[4 * row + 2] = target[4 * row + 3] = high >> 31
  }
  return new Uint32Array(target.buffer)
}

function toNanoseconds(batch: Batch, column: Column, field: Field): Int32Array {
  const { offset, length } = column.values
  const target = new Int32Array(batch.buffer.slice(offset, offset + length))
  const wide = new BigInt64Array(target.buffer)
  for (let row = 0; row < batch.rowCount; row++) {
    const nanos = wide[2 * row + 1]! * NANOS_PER_MICRO
    if (BigInt.asIntN(64, nanos) !== nanos) {
      throw new TrunklineError(
        'VALUE_UNREPRESENTABLE',
        `Field ${field.name}, value ${row + 1} of the batch: the interval has more nanoseconds than Arrow can hold.`,
        {
          hint: 'Land the column as text, or use the batch itself, which has microseconds.',
          context: { field: field.name },
        },
      )
    }
    wide[2 * row + 1] = nanos
  }
  return target
}

function uuidTexts(batch: Batch, index: number): { valueOffsets: Int32Array; data: Uint8Array } {
  const { values, nullCount } = batch.columns[index]!
  const isValid = validityReader(batch, index)
  const source = new Uint8Array(batch.buffer, values.offset, values.length)
  const valueOffsets = new Int32Array(batch.rowCount + 1)
  const data = Buffer.alloc(UUID_TEXT_BYTES * (batch.rowCount - nullCount))
  let end = 0
  for (let row = 0; row < batch.rowCount; row++) {
    if (isValid(row)) end += data.write(formatUuid(source.subarray(16 * row, 16 * row + 16)), end, 'latin1')
    valueOffsets[row + 1] = end
  }
  return { valueOffsets, data }
}
