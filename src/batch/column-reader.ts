/** Reads the stored form of single values out of a column: the one place that turns spans back into numbers. */
import { TIMESTAMP_INFINITY, unreachable } from '../model/column-type.js'
import type { Batch } from './batch.js'
import { elementBatch, offsetsOf } from './list-elements.js'

/** Of a timestamp[ns]. */
export const NANOS_PER_MICRO = 1000n

/** A value as it is stored: numbers unscaled and uninterpreted. */
export type StoredValue =
  | boolean
  | number
  | bigint
  | Uint8Array
  | { readonly months: number; readonly days: number; readonly micros: bigint }
  | readonly (StoredValue | null)[]

/**
 * A function that gives the stored value of a row, or null: int64, decimal, time and timestamp (in microseconds, whatever its
 * unit) as bigint; text, json, uuid and binary as bytes over the batch's memory, not copied; a list as an array of what its
 * elements are.
 */
export function columnReader(batch: Batch, index: number): (row: number) => StoredValue | null {
  const isValid = validityReader(batch, index)
  const read = valueReader(batch, index)
  return (row) => (isValid(row) ? read(row) : null)
}

/** A function that says whether a row's value is not null. */
export function validityReader(batch: Batch, index: number): (row: number) => boolean {
  const { validity } = columnOf(batch, index)
  if (validity === null) return () => true
  const bits = new Uint8Array(batch.buffer, validity.offset, validity.length)
  return (row) => ((bits[row >> 3]! >> (row & 7)) & 1) === 1
}

function valueReader(batch: Batch, index: number): (row: number) => StoredValue {
  const { type } = batch.fields[index]!
  const { values, offsets } = columnOf(batch, index)
  const bytes = new Uint8Array(batch.buffer, values.offset, values.length)
  const view = new DataView(batch.buffer, values.offset, values.length)
  switch (type.kind) {
    case 'bool':
      return (row) => ((bytes[row >> 3]! >> (row & 7)) & 1) === 1
    case 'int':
      if (type.bits === 16) return (row) => view.getInt16(2 * row, true)
      if (type.bits === 32) return (row) => view.getInt32(4 * row, true)
      return (row) => view.getBigInt64(8 * row, true)
    case 'float':
      return type.bits === 32
        ? (row) => view.getFloat32(4 * row, true)
        : (row) => view.getFloat64(8 * row, true)
    case 'decimal':
      return type.precision <= 18
        ? (row) => view.getBigInt64(8 * row, true)
        : (row) => (view.getBigInt64(16 * row + 8, true) << 64n) | view.getBigUint64(16 * row, true)
    case 'date':
      return (row) => view.getInt32(4 * row, true)
    case 'time':
      return (row) => view.getBigInt64(8 * row, true)
    case 'timestamp':
      return type.unit === 'ns'
        ? (row) => toMicros(view.getBigInt64(8 * row, true))
        : (row) => view.getBigInt64(8 * row, true)
    case 'interval':
      return (row) => ({
        months: view.getInt32(16 * row, true),
        days: view.getInt32(16 * row + 4, true),
        micros: view.getBigInt64(16 * row + 8, true),
      })
    case 'uuid':
      return (row) => bytes.subarray(16 * row, 16 * row + 16)
    case 'text':
    case 'json':
    case 'binary': {
      const ends = new Int32Array(batch.buffer, offsets!.offset, batch.rowCount + 1)
      return (row) => bytes.subarray(ends[row], ends[row + 1])
    }
    case 'list': {
      const ends = offsetsOf(batch, index)
      const read = columnReader(elementBatch(batch, index), 0)
      return (row) => {
        const start = ends[row]!
        return Array.from({ length: ends[row + 1]! - start }, (_, element) => read(start + element))
      }
    }
    default:
      return unreachable(type)
  }
}

/** What PostgreSQL has are microseconds: of nanoseconds that came from there nothing is cut off. */
function toMicros(nanos: bigint): bigint {
  const infinite = nanos === TIMESTAMP_INFINITY || nanos === -TIMESTAMP_INFINITY
  return infinite ? nanos : nanos / NANOS_PER_MICRO
}

function columnOf(batch: Batch, index: number): Batch['columns'][number] {
  const column = batch.columns[index]
  if (column === undefined) throw new RangeError(`The batch has no column ${index}.`)
  return column
}
