/** Rows of a dated copy: a batch with one more column, the same instant in every row. */
import type { Batch } from '../../batch/batch.js'
import type { Field } from '../../model/column-type.js'
import { RUN_AT } from '../duckdb/table-columns.js'

export const RUN_AT_FIELD: Field = {
  name: RUN_AT,
  type: { kind: 'timestamp', utc: true },
  nullable: false,
}

/** In a buffer of its own. */
export function addInstant(batch: Batch, instant: Date): Batch {
  const offset = (batch.buffer.byteLength + 7) & ~7
  const length = 8 * batch.rowCount
  const buffer = new ArrayBuffer(offset + length)
  new Uint8Array(buffer).set(new Uint8Array(batch.buffer))
  new BigInt64Array(buffer, offset, batch.rowCount).fill(BigInt(instant.getTime()) * 1000n)
  const column = { nullCount: 0, validity: null, offsets: null, values: { offset, length } }
  return {
    fields: [...batch.fields, RUN_AT_FIELD],
    rowCount: batch.rowCount,
    columns: [...batch.columns, column],
    buffer,
  }
}
