/** Some consecutive rows of a batch, where they are: a cut without a copy. */
import { fixedWidth } from '../model/column-type.js'
import type { Batch, Column } from './batch.js'
import { elementBatch, offsetsOf } from './list-elements.js'

/** Rows [start, start + count). */
export interface RowRange {
  readonly batch: Batch
  readonly start: number
  readonly count: number
}

/** How many of the rows are null in a column of the batch. */
export function countNulls({ batch, start, count }: RowRange, column: Column): number {
  if (column.nullCount === 0 || column.validity === null) return 0
  if (start === 0 && count === batch.rowCount) return column.nullCount
  const bits = new Uint8Array(batch.buffer, column.validity.offset, (batch.rowCount + 7) >> 3)
  let nulls = 0
  for (let row = start; row < start + count; row++) nulls += 1 - ((bits[row >> 3]! >> (row & 7)) & 1)
  return nulls
}

/**
 * The bits of the rows from a bitmap at `offset` of the batch's buffer, the first row's lowest; over the batch's memory where
 * they begin at a byte. Bits after the last row are anything.
 */
export function bitsOf({ batch, start, count }: RowRange, offset: number): Uint8Array {
  const shift = start & 7
  const bytes = (count + 7) >> 3
  const source = new Uint8Array(batch.buffer, offset + (start >> 3), (shift + count + 7) >> 3)
  if (shift === 0) return source
  const target = new Uint8Array(bytes)
  for (let index = 0; index < bytes; index++) {
    target[index] = (source[index]! >> shift) | ((source[index + 1] ?? 0) << (8 - shift))
  }
  return target
}

/** Bytes of the values of the rows, without offsets and validity. */
export function valueBytes({ batch, start, count }: RowRange): number {
  let bytes = 0
  batch.columns.forEach(({ offsets }, index) => {
    const type = batch.fields[index]!.type
    if (offsets !== null) {
      const ends = offsetsOf(batch, index)
      const parts = ends[start + count]! - ends[start]!
      bytes +=
        type.kind === 'list'
          ? valueBytes({ batch: elementBatch(batch, index), start: ends[start]!, count: parts })
          : parts
      return
    }
    bytes += type.kind === 'bool' ? (count + 7) >> 3 : count * (fixedWidth(type) ?? 0)
  })
  return bytes
}
