/**
 * The resource queue: on Greenplum every SELECT and COPY of an ordinary role takes a slot of its queue, twenty for all roles
 * together unless an administrator said otherwise. Without a free one a statement waits and no error ever comes; BEGIN, SET, SHOW
 * and LOCK TABLE need none. So what takes no time by itself is sent with a limit of time.
 */
import { TrunklineError } from '../../model/error.js'
import type { Limits } from '../../model/sync-spec.js'
import type { Connection } from '../../postgres/connection.js'
import { guarded } from '../guarded.js'

export type QueueLimits = Pick<Limits, 'stallTimeoutMs' | 'statementTimeoutMs'>

/** Inside a transaction that a failure may end. @throws SOURCE_PRESSURE when the statements of `work` are not begun in time */
export async function withinQueueLimit<Result>(
  connection: Connection,
  limits: QueueLimits,
  work: () => Promise<Result>,
): Promise<Result> {
  await connection.execute(timeoutSql(limits.stallTimeoutMs))
  const result = await explainingStall(limits, work)
  await connection.execute(timeoutSql(limits.statementTimeoutMs))
  return result
}

/** Inside a transaction that goes on whatever happens. @throws SOURCE_PRESSURE */
export async function guardedByQueueLimit<Result>(
  connection: Connection,
  limits: QueueLimits,
  work: () => Promise<Result>,
): Promise<Result> {
  const around = {
    before: timeoutSql(limits.stallTimeoutMs),
    after: timeoutSql(limits.statementTimeoutMs),
  }
  return guarded(connection, () => explainingStall(limits, work), around)
}

/** Waits for a slot before what may take long, which must have no limit of time. @throws SOURCE_PRESSURE */
export async function awaitSlot(connection: Connection, limits: QueueLimits): Promise<void> {
  await guardedByQueueLimit(connection, limits, () => connection.query('SELECT 1 AS slot'))
}

/** @throws SOURCE_PRESSURE in place of a cancelled statement */
export async function explainingStall<Result>(
  limits: QueueLimits,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof TrunklineError) || error.context.sqlstate !== QUERY_CANCELED) throw error
    throw queueIsFull(limits, error)
  }
}

const QUERY_CANCELED = '57014'

/** A read of which nothing came, though the connection stands. */
export function explainStall(error: unknown, limits: QueueLimits): unknown {
  const stalled = error instanceof TrunklineError && error.code === 'CONNECTION_STALLED'
  return stalled ? queueIsFull(limits, error) : error
}

function queueIsFull({ stallTimeoutMs }: QueueLimits, cause: TrunklineError): TrunklineError {
  const seconds = Math.max(1, Math.round(stallTimeoutMs / 1000))
  return new TrunklineError(
    'SOURCE_PRESSURE',
    `The cluster did not begin a query within ${seconds} s, as happens where the resource queue of the role has no free slot.`,
    {
      hint: 'Look at rsqcountlimit, rsqcountvalue and rsqwaiters in gp_toolkit.gp_resqueue_status. Lower limits.max_connections, give the role a queue of its own, or run when there is less to do.',
      context: cause.context,
      cause,
    },
  )
}

/** Not in one message with what it is to limit: the time of a message counts from its beginning. */
function timeoutSql(milliseconds: number): string {
  return `SET LOCAL statement_timeout = ${Math.max(0, Math.round(milliseconds))}`
}
