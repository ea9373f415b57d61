/** Columns of Arrow as apache-arrow and flechette lay them out, two libraries that share nothing, and their values in canonical form. */
import type { Batch as FlechetteBatch, Table as FlechetteTable } from '@uwdata/flechette'
import { DataType, makeVector, type Data, type Table } from 'apache-arrow'
import type { ColumnType, Field } from '../../src/model/column-type.js'
import { canonicalFloat, canonicalNanos, type Canonical } from './canonical-rows.js'

interface ArrowColumn {
  readonly length: number
  readonly isStruct: boolean
  isValid(row: number): boolean
  /** What the library makes of the value. */
  at(row: number): unknown
  /** Where values of fixed width lie, for those that the library would round. */
  readonly values: DataView
  readonly offsets: ArrayLike<number>
  child(index: number): ArrowColumn
}

export function rowsOfApache(table: Table, fields: readonly Field[]): Canonical[][] {
  return table.batches.flatMap((batch) =>
    rowsOf(
      fields,
      batch.data.children.map((data) => apacheColumn(data)),
    ),
  )
}

export function rowsOfFlechette(table: FlechetteTable, fields: readonly Field[]): Canonical[][] {
  const columns = fields.map((_, index) => table.getChildAt(index).data)
  return (columns[0] ?? []).flatMap((_, batch) =>
    rowsOf(
      fields,
      columns.map((data) => flechetteColumn(data[batch]!)),
    ),
  )
}

function rowsOf(fields: readonly Field[], columns: readonly ArrowColumn[]): Canonical[][] {
  return Array.from({ length: columns[0]?.length ?? 0 }, (_, row) =>
    columns.map((column, index) => canonicalOf(fields[index]!.type, column, row)),
  )
}

function canonicalOf(type: ColumnType, column: ArrowColumn, row: number): Canonical {
  if (!column.isValid(row)) return null
  const { values } = column
  switch (type.kind) {
    case 'list': {
      const start = column.offsets[row]!
      const elements = column.child(0)
      return Array.from({ length: column.offsets[row + 1]! - start }, (_, index) =>
        canonicalOf(type.element, elements, start + index),
      )
    }
    case 'bool':
      return column.at(row) as boolean
    case 'int':
      return String(column.at(row))
    case 'float':
      return canonicalFloat(column.at(row) as number)
    case 'decimal':
      return String((values.getBigInt64(16 * row + 8, true) << 64n) | values.getBigUint64(16 * row, true))
    case 'date':
      return String(values.getInt32(4 * row, true))
    case 'time':
      return String(values.getBigInt64(8 * row, true))
    case 'timestamp': {
      const stored = values.getBigInt64(8 * row, true)
      return type.unit === 'ns' ? canonicalNanos(stored) : String(stored)
    }
    case 'interval': {
      if (column.isStruct) {
        const [months, days, micros] = [0, 1, 2].map((part) => String(column.child(part).at(row)))
        return `${months}/${days}/${micros}`
      }
      const nanos = values.getBigInt64(16 * row + 8, true)
      return `${values.getInt32(16 * row, true)}/${values.getInt32(16 * row + 4, true)}/${nanos / 1000n}`
    }
    case 'text':
    case 'json':
      return Buffer.from(column.at(row) as string).toString('hex')
    case 'uuid':
    case 'binary':
      return Buffer.from(column.at(row) as Uint8Array).toString('hex')
  }
}

function apacheColumn(data: Data): ArrowColumn {
  const vector = makeVector(data)
  return {
    length: data.length,
    isStruct: DataType.isStruct(data.type),
    isValid: (row) => data.getValid(row),
    at: (row) => vector.get(row) as unknown,
    values: viewOf(data.values as ArrayBufferView | undefined),
    offsets: (data.valueOffsets as Int32Array | undefined) ?? [],
    child: (index) => apacheColumn(data.children[index]!),
  }
}

function flechetteColumn(batch: FlechetteBatch<unknown>): ArrowColumn {
  const { length, nullCount, validity, values, offsets, children, type } =
    batch as FlechetteBatch<unknown> & {
      readonly type: { readonly typeId: number }
      readonly validity: Uint8Array
      readonly values?: ArrayBufferView
      readonly offsets?: Int32Array
      readonly children?: readonly FlechetteBatch<unknown>[]
    }
  return {
    length,
    isStruct: type.typeId === FLECHETTE_STRUCT,
    // Asking for an interval fails where its nanoseconds are no double.
    isValid: (row) => nullCount === 0 || ((validity[row >> 3]! >> (row & 7)) & 1) === 1,
    at: (row) => batch.at(row),
    values: viewOf(values),
    offsets: offsets ?? [],
    child: (index) => flechetteColumn(children[index]!),
  }
}

const FLECHETTE_STRUCT = 13

function viewOf(values: ArrayBufferView | undefined): DataView {
  return values === undefined
    ? new DataView(new ArrayBuffer(0))
    : new DataView(values.buffer, values.byteOffset, values.byteLength)
}
