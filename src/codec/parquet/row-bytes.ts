/** How many bytes the values of a column come to, row by row: to end a page where it has enough. */
import type { Batch } from '../../batch/batch.js'
import { elementBatch, offsetsOf } from '../../batch/list-elements.js'
import { fixedWidth } from '../../model/column-type.js'
import type { Leaf } from './schema.js'

/** Bytes of the values before a row of the batch: rises with the row. */
export type BytesBefore = (row: number) => number

export function bytesOfRows(batch: Batch, leaf: Leaf): BytesBefore {
  if (!leaf.inList) return bytesOfValues(batch, leaf.fieldIndex, leaf)
  const ends = offsetsOf(batch, leaf.fieldIndex)
  const ofElements = bytesOfValues(elementBatch(batch, leaf.fieldIndex), 0, leaf)
  return (row) => ofElements(ends[row]!) + row / 8
}

function bytesOfValues(batch: Batch, index: number, { physical, part, type }: Leaf): BytesBefore {
  switch (physical) {
    case 'byteArray': {
      const ends = offsetsOf(batch, index)
      return (row) => ends[row]! + 4 * row
    }
    case 'boolean':
      return (row) => row / 8
    case 'int32':
    case 'float':
      return (row) => 4 * row
    case 'int64':
    case 'double':
      return (row) => 8 * row
    default: {
      const width = part === 'whole' ? (fixedWidth(type) ?? 0) : 8
      return (row) => width * row
    }
  }
}

/** The fewest rows of [start, end), at least one, that come to `room` bytes; all where they do not. */
export function rowsForBytes(bytesBefore: BytesBefore, start: number, end: number, room: number): number {
  const enough = bytesBefore(start) + room
  let low = start + 1
  let high = end
  if (bytesBefore(high) < enough) return end - start
  while (low < high) {
    const middle = (low + high) >> 1
    if (bytesBefore(middle) >= enough) high = middle
    else low = middle + 1
  }
  return low - start
}
