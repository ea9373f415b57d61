/** A reader's transaction: pinned like every other, and in the snapshot that the leader exported. */
import { TrunklineError } from '../model/error.js'
import type { Connection } from '../postgres/connection.js'
import { beginReading } from '../postgres/session.js'
import type { SnapshotTicket } from './reader-protocol.js'

/** @throws SNAPSHOT_LOST when the transaction that exported it has ended */
export async function beginInSnapshot(
  connection: Connection,
  options: Pick<SnapshotTicket, 'exportedId' | 'lockTimeoutMs' | 'statementTimeoutMs'>,
): Promise<void> {
  const { lockTimeoutMs, statementTimeoutMs } = options
  await beginReading(connection, { lockTimeoutMs, statementTimeoutMs })
  try {
    await connection.execute(`SET TRANSACTION SNAPSHOT '${assertSnapshotId(options.exportedId)}'`)
  } catch (error) {
    if (!(error instanceof TrunklineError) || !GONE.has(error.context.sqlstate ?? '')) throw error
    throw new TrunklineError(
      'SNAPSHOT_LOST',
      'The session that holds the snapshot ended before a reader had joined it.',
      {
        hint: 'A retry goes on in a new snapshot.',
        cause: error,
      },
    )
  }
}

/** Its file is gone (22023, from PostgreSQL 17 on 42704), or its transaction (55000). */
const GONE: ReadonlySet<string> = new Set(['22023', '42704', '55000'])

function assertSnapshotId(id: string): string {
  if (!/^[0-9A-Fa-f]+(-[0-9A-Fa-f]+)*$/.test(id)) throw new Error(`not a snapshot id: ${JSON.stringify(id)}`)
  return id
}
