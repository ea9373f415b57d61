/** Statements that may fail without taking the transaction, its locks and its snapshot with them. */
import { TrunklineError } from '../model/error.js'
import type { Connection, RowsOfEach } from '../postgres/connection.js'

const SAVEPOINT = 'trunkline_guard'

/** Statements on their way with those of the savepoint; a failure takes back what `before` did. */
export interface Around {
  readonly before: string
  readonly after: string
}

/** Runs `work` under a savepoint and goes back to it when it fails; the failure is passed on. */
export async function guarded<Result>(
  connection: Connection,
  work: () => Promise<Result>,
  around: Around | null = null,
): Promise<Result> {
  await connection.execute(`SAVEPOINT ${SAVEPOINT}${around === null ? '' : `; ${around.before}`}`)
  let result: Result
  try {
    result = await work()
  } catch (error) {
    await rollBack(connection)
    throw error
  }
  await connection.execute(`${around === null ? '' : `${around.after}; `}RELEASE SAVEPOINT ${SAVEPOINT}`)
  return result
}

/**
 * Statements of our own with their savepoint in one round trip; `first` come before it. The failure is passed on, and the
 * transaction stands as after `first`; where one of those fails, it is lost with its connection.
 */
export async function queryGuarded<Rows extends readonly object[]>(
  connection: Connection,
  statements: readonly string[],
  first: readonly string[] = [],
): Promise<RowsOfEach<Rows>> {
  try {
    return await connection.queryAll<Rows>([
      ...first,
      `SAVEPOINT ${SAVEPOINT}`,
      ...statements,
      `RELEASE SAVEPOINT ${SAVEPOINT}`,
    ])
  } catch (error) {
    await rollBack(connection)
    throw error
  }
}

/** Does nothing on a connection that is gone. A cancel that came late may hit the first attempt. */
async function rollBack(connection: Connection): Promise<void> {
  const sql = `ROLLBACK TO SAVEPOINT ${SAVEPOINT}; RELEASE SAVEPOINT ${SAVEPOINT}`
  try {
    await connection.execute(sql)
  } catch (error) {
    if (connection.lost.aborted) return
    if (error instanceof TrunklineError && error.code === 'QUERY_CANCELED') {
      await connection.execute(sql).catch(() => connection.destroy())
    } else {
      connection.destroy()
    }
  }
}

/** The result, or null where the server does not know or allow what was asked. */
export async function ifAllowed<Result>(
  connection: Connection,
  work: () => Promise<Result>,
): Promise<Result | null> {
  try {
    return await guarded(connection, work)
  } catch (error) {
    if (isRefusal(error)) return null
    throw error
  }
}

/** The server does not know or allow what was asked. */
export function isRefusal(error: unknown): boolean {
  return error instanceof TrunklineError && REFUSALS.has(error.context.sqlstate ?? '')
}

/** Privilege, undefined function, table or column, feature not supported, wrong state (recovery), wrong kind of object. */
const REFUSALS: ReadonlySet<string> = new Set(['42501', '42883', '42P01', '42703', '0A000', '55000', '42809'])
