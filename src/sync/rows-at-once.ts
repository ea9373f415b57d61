/** How many rows a read takes in one piece. */
import type { Limits, ReadMethod } from '../model/sync-spec.js'
import { FETCH_ROWS } from '../model/thresholds.js'

/** Most rows of a batch, and the rows of one FETCH of a cursor. What is stated holds for every method. */
export function rowsAtOnce(method: ReadMethod, batchSize: number | undefined, limits: Limits): number {
  return batchSize ?? (method === 'copy' ? limits.batchRows : Math.min(limits.batchRows, FETCH_ROWS))
}
