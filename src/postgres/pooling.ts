/** Whether a pooler in transaction or statement mode stands between: what a session remembers is then not ours to keep. */
import type { Connection } from './connection.js'

/** How often the backend is asked; a pooler with one idle server connection can give the same one twice. */
const ASKS = 3

/**
 * True when two statements outside a transaction ran in different backends, or in another one than the login was told.
 * False proves nothing: a pooler with a single server connection looks like a server. Must be called outside a transaction.
 */
export async function detectPooling(connection: Connection): Promise<boolean> {
  const pids = new Set<number>([connection.backendPid])
  for (let ask = 0; ask < ASKS; ask += 1) {
    const [row] = await connection.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
    if (row !== undefined) pids.add(row.pid)
  }
  return pids.size > 1
}
