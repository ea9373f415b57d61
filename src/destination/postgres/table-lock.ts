/** Locks that keep readers out, taken without ever standing in their way for long. */
import { setTimeout as sleep } from 'node:timers/promises'
import { TrunklineError } from '../../model/error.js'
import type { Connection } from '../../postgres/connection.js'
import type { TableName } from '../contract.js'
import { quoteTable } from './state-layout.js'
import { LOCK_TIMEOUT_MS } from './write-session.js'

/** Whoever comes after us waits behind us at most as long, and gets through before we ask again. */
const SHORT_TIMEOUT_MS = 1000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000
/** All attempts together. */
const GIVE_UP_AFTER_MS = 60_000

/** ACCESS EXCLUSIVE to the end of the transaction. @throws LOCK_TIMEOUT */
export function lockExclusively(
  connection: Connection,
  table: TableName,
  signal?: AbortSignal,
): Promise<void> {
  const sql = `LOCK TABLE ONLY ${quoteTable(table)} IN ACCESS EXCLUSIVE MODE`
  return executeWithShortWaits(connection, sql, signal)
}

/**
 * For a statement that waits for whoever uses a table: the wait is short, and repeated, so that sessions that only read are not
 * stopped behind one that holds the table for long. @throws LOCK_TIMEOUT, the signal's reason
 */
export async function executeWithShortWaits(
  connection: Connection,
  sql: string,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + GIVE_UP_AFTER_MS
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    await connection.execute(`SAVEPOINT waiting; SET LOCAL lock_timeout = ${SHORT_TIMEOUT_MS}`)
    try {
      await connection.execute(sql)
      await connection.execute(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}; RELEASE waiting`)
      return
    } catch (error) {
      const timedOut = error instanceof TrunklineError && error.context.sqlstate === '55P03'
      if (!timedOut || performance.now() >= deadline) throw error
      await connection.execute('ROLLBACK TO waiting; RELEASE waiting')
      await sleep(pauseMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
      signal?.throwIfAborted()
    }
  }
}
