/**
 * The fence before a horizon is saved: everything that the snapshot saw must be on the server's disk.
 *
 * After a crash a server without synchronous commits gives out transaction ids again that a snapshot has already seen as
 * ended. Once the log is flushed up to a position read after the snapshot, ids start above everything it saw.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { DURABILITY_FENCE_MS, WAL_PAGE_HEADER_BYTES } from '../model/thresholds.js'
import { parseLsn, type Lsn } from '../model/xid.js'

const POLL_MS = 20

export interface FenceOptions {
  readonly target: Lsn
  /** The position up to which the log is flushed; null where the server does not say. */
  readonly readFlushed: () => Promise<string | null>
  readonly signal?: AbortSignal
}

/** `durable: false`: not within the time or unknown, and the horizon must not move. */
export async function awaitFlushed(
  options: FenceOptions,
): Promise<{ readonly durable: boolean; readonly waitedMs: number }> {
  const startedAt = performance.now()
  for (;;) {
    options.signal?.throwIfAborted()
    const flushed = await options.readFlushed()
    const waitedMs = performance.now() - startedAt
    if (flushed === null) return { durable: false, waitedMs }
    if (options.target - parseLsn(flushed) <= WAL_PAGE_HEADER_BYTES) return { durable: true, waitedMs }
    if (waitedMs >= DURABILITY_FENCE_MS) return { durable: false, waitedMs }
    await sleep(POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal })
  }
}
