/** Whether a pooler in transaction or statement mode stands between: what a session remembers is then not ours to keep. */
import type { Connection } from './connection.js'

/**
 * How often the backend is asked beyond `known`. The login tells nearly all: a pooler has to give out cancel keys of its own, which
 * name no backend. Each ask is a round trip.
 */
const ASKS = 1

/**
 * True when two statements outside a transaction ran in different backends, or in another one than the login was told.
 * False proves nothing: a pooler with a single server connection looks like a server. Must be called outside a transaction.
 * @param known the backend that another statement ran in, outside a transaction as well
 */
export async function detectPooling(connection: Connection, known: number): Promise<boolean> {
  const pids = new Set<number>([connection.backendPid, known])
  for (let ask = 0; ask < ASKS && pids.size === 1; ask += 1) {
    const [row] = await connection.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
    if (row !== undefined) pids.add(row.pid)
  }
  return pids.size > 1
}
