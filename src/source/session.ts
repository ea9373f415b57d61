/** A reader's transaction: pinned like every other, and in the snapshot that the leader exported. */
import type { Connection } from '../postgres/connection.js'
import { beginReading } from '../postgres/session.js'

export async function beginInSnapshot(
  connection: Connection,
  options: { readonly lockTimeoutMs: number; readonly exportedId: string },
): Promise<void> {
  await beginReading(connection, { lockTimeoutMs: options.lockTimeoutMs })
  await connection.execute(`SET TRANSACTION SNAPSHOT '${assertSnapshotId(options.exportedId)}'`)
}

function assertSnapshotId(id: string): string {
  if (!/^[0-9A-Fa-f]+(-[0-9A-Fa-f]+)*$/.test(id)) throw new Error(`not a snapshot id: ${JSON.stringify(id)}`)
  return id
}
