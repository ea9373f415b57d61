/** Brings rows that were staged into the table that they are for. */
import { TrunklineError } from '../../model/error.js'
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import { keyDuplicate } from '../refusals.js'
import {
  DELETED_AT,
  formatDeleteByKey,
  formatDuplicates,
  formatInsert,
  formatUpsert,
  type OwnColumn,
} from './landing-sql.js'
import { executeForTriggers } from './write-session.js'

export interface StagedRows {
  readonly stream: string
  /** As SQL names it. */
  readonly from: string
  readonly into: string
  /** The rows of the target alone, as SQL. */
  readonly rows: string
  readonly columns: readonly string[]
  readonly own: readonly OwnColumn[]
}

/** Beside those that are there. */
export function insertRows(connection: Connection, { from, into, columns, own }: StagedRows): Promise<void> {
  return executeForTriggers(connection, formatInsert({ into, from, columns, own }))
}

/**
 * In the place of those that have their keys. `findsConflicts`: the target has a unique index over the key.
 * @throws KEY_DUPLICATE
 */
export async function replaceRows(
  connection: Connection,
  staged: StagedRows,
  { key, findsConflicts }: { readonly key: readonly string[]; readonly findsConflicts: boolean },
): Promise<void> {
  const { stream, from, into, rows, columns, own } = staged
  if (findsConflicts) {
    try {
      await executeForTriggers(connection, formatUpsert({ into, from, columns, own, key }))
    } catch (error) {
      // cardinality_violation: a row was to be replaced twice.
      if (error instanceof TrunklineError && error.context.sqlstate === '21000')
        throw keyDuplicate(stream, key)
      throw error
    }
    return
  }
  const found = await connection.query(formatDuplicates(from, key))
  if (found.length > 0) throw keyDuplicate(stream, key)
  await connection.execute(`ANALYZE ${from}`)
  await executeForTriggers(connection, formatDeleteByKey(rows, from, key))
  await insertRows(connection, staged)
}

/** Rows that are gone at the source: `isGone` tells them, of `t`. */
export function removeRows(
  connection: Connection,
  { rows, isGone, soft }: { readonly rows: string; readonly isGone: string; readonly soft: boolean },
): Promise<void> {
  const mark = `UPDATE ${rows} AS t SET ${quoteIdent(DELETED_AT)} = pg_catalog.clock_timestamp()`
  return executeForTriggers(connection, `${soft ? mark : `DELETE FROM ${rows} AS t`} WHERE ${isGone}`)
}
