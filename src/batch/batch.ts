/**
 * A batch: columns in Arrow layout with a row count, as plain data over one transferable ArrayBuffer.
 *
 * Spans start at multiples of 8 bytes. `validity` is a bitmap, least significant bit first, 1 = not null, absent when no
 * value is null. `offsets` (text, json, binary) is rowCount + 1 int32s into `values`, starting at 0. Value bytes under a
 * null are zero for fixed widths and absent for variable ones. {@link ColumnType} says how each kind is stored.
 * A list has no bytes in `values`: its `offsets` count values of `elements`, a column as any other of as many values as the
 * last offset says; a null list has none.
 * What lies between and after the spans is anything: a buffer may be larger than its batch.
 */
import type { Field } from '../model/column-type.js'

/** A part of a batch's buffer, in bytes. */
export interface Span {
  readonly offset: number
  readonly length: number
}

export interface Column {
  readonly nullCount: number
  readonly validity: Span | null
  readonly offsets: Span | null
  readonly values: Span
  /** Of a list, and of nothing else. */
  readonly elements?: Column
}

/** Structured-cloneable; `buffer` may be transferred, after which only the receiver may use the batch. */
export interface Batch {
  readonly fields: readonly Field[]
  readonly rowCount: number
  readonly columns: readonly Column[]
  readonly buffer: ArrayBuffer
  /**
   * Rows that were not decoded: as COPY BINARY has them, one after the other, without header and trailer. There are no columns then,
   * and `fields` only names what each row has. Nobody is given such a batch who did not ask for it.
   */
  readonly tuples?: Span
}

/** Bytes that the batch has, which are at most those of its buffer. */
export function batchBytes({ columns, tuples }: Batch): number {
  return columns.reduce((bytes, column) => bytes + columnBytes(column), tuples?.length ?? 0)
}

function columnBytes({ validity, offsets, values, elements }: Column): number {
  const own = (validity?.length ?? 0) + (offsets?.length ?? 0) + values.length
  return elements === undefined ? own : own + columnBytes(elements)
}
