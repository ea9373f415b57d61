/** Every number that decides something, in one place; each can be overridden in the configuration. */
import type { Limits } from './sync-spec.js'

const MIB = 1024 * 1024

export const DEFAULT_LIMITS: Limits = {
  maxConnections: 4,
  maxSnapshotAgeMs: 2 * 60 * 60 * 1000,
  maxReplicaLagMs: null,
  maxReadBytesPerSecond: null,
  yieldToDdlMs: 3000,
  lockTimeoutMs: 10_000,
  stallTimeoutMs: 120_000,
  maxFieldBytes: 256 * MIB,
  /** Large enough that per-batch costs vanish, small enough that a handful in flight stays far under the memory promise. */
  batchBytes: 8 * MIB,
  batchRows: 122_880,
  maxAttempts: 5,
  firstRetryDelayMs: 1000,
}

/** A run that would delete a larger share of a destination table stops and asks. */
export const MASS_DELETE_SHARE = 0.2
/** Below this many rows a table is too small for a share to mean anything. */
export const MASS_DELETE_MIN_ROWS = 1000
/** A first load estimated larger than this shows the plan and asks. */
export const CONFIRM_BYTES = 10 * 1024 * MIB
/** Heap size above which `plan` proposes an indexed cursor with an audit. */
export const LARGE_HEAP_BYTES = 2 * 1024 * MIB
/** Longest wait for the write-ahead log to be flushed before the old horizon is kept. */
export const DURABILITY_FENCE_MS = 20_000
/** At a page boundary the insert position may stay this far ahead of what is flushed: one page header. */
export const WAL_PAGE_HEADER_BYTES = 40n
/** Transaction ids remembered by an append without a key. */
export const MAX_SEEN_XIDS = 1_000_000
/** How often the side connection asks whether a session waits on us. */
export const WAITER_POLL_MS = 1000
