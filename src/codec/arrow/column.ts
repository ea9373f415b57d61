/**
 * The buffers of a column as Arrow has them, over the batch's own memory wherever that has the same layout.
 * https://arrow.apache.org/docs/format/Columnar.html
 *
 * Rewritten are decimals of up to 18 digits (64 bits here, 128 there), intervals (microseconds here, nanoseconds there), and,
 * of rows that do not begin where their batch does, offsets and bits.
 */
import type { Column } from '../../batch/batch.js'
import { NANOS_PER_MICRO } from '../../batch/column-reader.js'
import { elementBatch, offsetsOf } from '../../batch/list-elements.js'
import { bitsOf, countNulls, type RowRange } from '../../batch/row-range.js'
import { fixedWidth, type ColumnType, type Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'

export interface ArrowColumn {
  readonly length: number
  readonly nullCount: number
  /** Null where no value is null. */
  readonly validity: Uint8Array | null
  /** int32s, one more than there are values, from 0 on; null for fixed widths. */
  readonly offsets: Uint8Array | null
  /** Null for a list. */
  readonly values: Uint8Array | null
  /** The elements of a list. */
  readonly children: readonly ArrowColumn[]
}

/** @throws VALUE_UNREPRESENTABLE for an interval of more than 292 years in microseconds, which nanoseconds cannot hold */
export function toArrowColumn(rows: RowRange, index: number): ArrowColumn {
  const { batch, start, count } = rows
  const column = batch.columns[index]!
  const field = batch.fields[index]!
  const nullCount = countNulls(rows, column)
  const validity = nullCount === 0 ? null : packedBits(rows, column.validity!.offset)
  const shared = { length: count, nullCount, validity }
  if (column.offsets === null) {
    return { ...shared, offsets: null, values: fixedValues(rows, field, column), children: [] }
  }
  const ends = offsetsOf(batch, index)
  const first = ends[start]!
  const last = ends[start + count]!
  const offsets =
    first === 0 ? ends.subarray(start, start + count + 1) : rebased(ends, first, { start, count })
  const ofOffsets = { ...shared, offsets: bytesOf(offsets) }
  if (field.type.kind === 'list') {
    const elements = { batch: elementBatch(batch, index), start: first, count: last - first }
    return { ...ofOffsets, values: null, children: [toArrowColumn(elements, 0)] }
  }
  const values = new Uint8Array(batch.buffer, column.values.offset + first, last - first)
  return { ...ofOffsets, values, children: [] }
}

function fixedValues(rows: RowRange, field: Field, column: Column): Uint8Array {
  const { batch, start, count } = rows
  const { type } = field
  if (type.kind === 'bool') return packedBits(rows, column.values.offset)
  if (isNarrowDecimal(type)) return widened(rows, column)
  if (type.kind === 'interval') return withNanoseconds(rows, column, field)
  const width = fixedWidth(type)!
  return new Uint8Array(batch.buffer, column.values.offset + width * start, width * count)
}

function isNarrowDecimal(type: ColumnType): boolean {
  return type.kind === 'decimal' && fixedWidth(type) === 8
}

function packedBits(rows: RowRange, offset: number): Uint8Array {
  return bitsOf(rows, offset).subarray(0, (rows.count + 7) >> 3)
}

function rebased(ends: Int32Array, first: number, { start, count }: Omit<RowRange, 'batch'>): Int32Array {
  const target = new Int32Array(count + 1)
  for (let row = 0; row <= count; row++) target[row] = ends[start + row]! - first
  return target
}

/** 64-bit integers to 128 bits, the sign carried on. */
function widened({ batch, start, count }: RowRange, column: Column): Uint8Array {
  const source = new Int32Array(batch.buffer, column.values.offset + 8 * start, 2 * count)
  const target = new Int32Array(4 * count)
  for (let from = 0, to = 0; from < source.length; from += 2, to += 4) {
    const high = source[from + 1]!
    target[to] = source[from]!
    target[to + 1] = high
    target[to + 2] = target[to + 3] = high >> 31
  }
  return bytesOf(target)
}

function withNanoseconds({ batch, start, count }: RowRange, column: Column, field: Field): Uint8Array {
  const from = column.values.offset + 16 * start
  const wide = new BigInt64Array(batch.buffer.slice(from, from + 16 * count))
  for (let row = 0; row < count; row++) {
    const nanos = wide[2 * row + 1]! * NANOS_PER_MICRO
    if (BigInt.asIntN(64, nanos) !== nanos) {
      throw new TrunklineError(
        'VALUE_UNREPRESENTABLE',
        `Field ${field.name}: an interval has more nanoseconds than Arrow can hold.`,
        {
          hint: 'Land the column as text, or read it in another format: only Arrow counts nanoseconds.',
          context: { field: field.name },
        },
      )
    }
    wide[2 * row + 1] = nanos
  }
  return bytesOf(wide)
}

function bytesOf(values: Int32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
