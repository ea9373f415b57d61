/**
 * Batches as Apache Arrow record batches. The only file that needs `apache-arrow`, an optional peer: `npm install apache-arrow`.
 * Types and buffers are those of Arrow files (`codec/arrow`), so that the two cannot differ.
 *
 * Over the batch's own memory: everything but decimals of up to 18 digits (64 bits here, 128 there, as many consumers know no other
 * width) and intervals (microseconds here, nanoseconds there), which are copied.
 *
 * The record batch is valid as long as the batch: once the buffer is transferred or written to a destination, it is empty.
 */
import {
  Binary,
  Bool,
  Data,
  DateDay,
  Decimal,
  Field as ArrowField,
  FixedSizeBinary,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  IntervalMonthDayNano,
  List,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  TimeMicrosecond,
  Timestamp,
  TimeUnit,
  Utf8,
  type DataType,
} from 'apache-arrow'
import type { Batch } from './batch/batch.js'
import { toArrowColumn, type ArrowColumn } from './codec/arrow/column.js'
import { toArrowField, type ArrowField as FieldDescription, type ArrowType } from './codec/arrow/field.js'
import { unreachable, type Field } from './model/column-type.js'

/**
 * The batch as an Arrow record batch. ±infinity of dates and timestamps are the ends of their integers' range.
 *
 * @throws VALUE_UNREPRESENTABLE for an interval of more than 292 years in microseconds, which nanoseconds cannot hold.
 */
export function toArrow(batch: Batch): RecordBatch {
  const schema = toArrowSchema(batch.fields)
  const rows = { batch, start: 0, count: batch.rowCount }
  const children = schema.fields.map((field, index) =>
    toData(field.type as DataType, toArrowColumn(rows, index)),
  )
  return new RecordBatch(
    schema,
    makeData({ type: new Struct(schema.fields), length: batch.rowCount, nullCount: 0, children }),
  )
}

/** The schema that record batches of these fields have, before any row is read: of `snapshot.fields(stream)`, for one. */
export function toArrowSchema(fields: readonly Field[]): Schema {
  return new Schema(fields.map((field) => toField(toArrowField(field))))
}

function toField({ name, type, metadata }: FieldDescription): ArrowField {
  return new ArrowField(name, toType(type), true, new Map(Object.entries(metadata)))
}

function toType(type: ArrowType): DataType {
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
      return new Timestamp(type.unit === 'ns' ? TimeUnit.NANOSECOND : TimeUnit.MICROSECOND, type.zone)
    case 'interval':
      return new IntervalMonthDayNano()
    case 'utf8':
      return new Utf8()
    case 'binary':
      return new Binary()
    case 'fixed':
      return new FixedSizeBinary(type.bytes)
    case 'list':
      return new List(toField(type.element))
    default:
      return unreachable(type)
  }
}

function toData(type: DataType, column: ArrowColumn): Data {
  const { length, nullCount, validity, offsets, values } = column
  const children = column.children.map((child, index) =>
    toData(type.children[index]!.type as DataType, child),
  )
  const buffers = [offsets && int32sOf(offsets), values && valuesOf(type, values), validity ?? undefined]
  return new Data(type, 0, length, nullCount, buffers as unknown as [Int32Array], children)
}

function int32sOf({ buffer, byteOffset, byteLength }: Uint8Array): Int32Array {
  return new Int32Array(buffer, byteOffset, byteLength / 4)
}

/** In the array that the type's accessors read. */
function valuesOf({ ArrayType }: DataType, { buffer, byteOffset, byteLength }: Uint8Array): ArrayBufferView {
  const TypedArray = ArrayType as Uint8ArrayConstructor
  return new TypedArray(buffer, byteOffset, byteLength / TypedArray.BYTES_PER_ELEMENT)
}
