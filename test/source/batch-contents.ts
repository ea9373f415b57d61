/** Batches, to be compared byte for byte. */
import { createHash } from 'node:crypto'
import type { Batch, Span } from '../../src/batch/batch.js'

/** Bounds, and of each column how many values are null and a digest of what it holds. */
export function contentsOf(batch: Batch): unknown {
  const digest = (span: Span | null): string | null =>
    span === null
      ? null
      : createHash('sha1')
          .update(new Uint8Array(batch.buffer, span.offset, span.length))
          .digest('base64')
  return {
    rows: batch.rowCount,
    columns: batch.columns.map(({ nullCount, validity, offsets, values }, index) => [
      batch.fields[index]?.name,
      nullCount,
      digest(validity),
      digest(offsets),
      digest(values),
    ]),
  }
}
