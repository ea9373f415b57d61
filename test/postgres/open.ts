/** Connections as the tests of this folder make them: nothing of this machine's environment or home takes part. */
import { connect } from '../../src/postgres/connect.js'
import type { ConnectOptions } from '../../src/postgres/connect.js'
import type { ConnectionSettings } from '../../src/postgres/connection-settings.js'
import type { Connection, RowStream } from '../../src/postgres/connection.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'

/** Far beyond what any step of a test takes. */
export const STALL_MS = 60_000

export function settingsFor(url: string, options: Record<string, string> = {}): Promise<ConnectionSettings> {
  return resolveConnection({ url, options, env: {}, homeDir: '', userName: 'nobody' })
}

export async function open(
  url: string,
  options: Record<string, string> = {},
  connectOptions: ConnectOptions = {},
): Promise<Connection> {
  return connect(await settingsFor(url, options), connectOptions)
}

/** The whole payload. */
export async function drain(copy: RowStream): Promise<Buffer> {
  const pieces: Buffer[] = []
  while (await copy.next((bytes, start, end) => pieces.push(Buffer.from(bytes.subarray(start, end))))) {
    // `visit` keeps the pieces.
  }
  return Buffer.concat(pieces)
}

export interface CopyResult {
  readonly rows: number | null
  readonly payload: Buffer
}

/** Connects, copies once, and closes. */
export async function copyOnce(url: string, sql: string): Promise<CopyResult> {
  await using connection = await open(url)
  const copy = await connection.copyOut(sql, { stallTimeoutMs: STALL_MS })
  const payload = await drain(copy)
  return { rows: copy.rows, payload }
}
