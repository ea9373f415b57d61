/** The elements of a list column, as a batch: so that whatever reads a column reads them. */
import type { Batch } from './batch.js'

/** The int32 offsets of a column that has them: rowCount + 1. @throws RangeError for one that has none. */
export function offsetsOf(batch: Batch, index: number): Int32Array {
  const offsets = batch.columns[index]?.offsets
  if (offsets === undefined || offsets === null) throw new RangeError(`Column ${index} has no offsets.`)
  return new Int32Array(batch.buffer, offsets.offset, batch.rowCount + 1)
}

/**
 * The elements of the list column as the one column of a batch over the same memory; the elements of row r are its rows
 * [offsets[r], offsets[r + 1]). @throws RangeError for a column that is no list.
 */
export function elementBatch(batch: Batch, index: number): Batch {
  const elements = batch.columns[index]?.elements
  const field = batch.fields[index]
  if (elements === undefined || field?.type.kind !== 'list') {
    throw new RangeError(`Column ${index} of the batch is no list.`)
  }
  return {
    fields: [{ name: field.name, type: field.type.element, nullable: true }],
    rowCount: offsetsOf(batch, index)[batch.rowCount]!,
    columns: [elements],
    buffer: batch.buffer,
  }
}
