/**
 * The pace of all reads of a snapshot: however many threads take bytes from the server, together they take no more than the
 * limit. What they share is the time up to which bytes are paid for.
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** One int64: microseconds of the clock of process.hrtime, which is one for all threads of the process. */
export type ReadPace = SharedArrayBuffer

/** Time that was lost may be made up for this far back: a timer wakes late, and a reader may wait for whoever takes its rows. */
const CREDIT_US = 200_000n

export function createPace(): ReadPace {
  return new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)
}

export interface PaceClock {
  /** The same for all threads. */
  nowUs(): bigint
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

const systemClock: PaceClock = {
  nowUs: () => process.hrtime.bigint() / 1000n,
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
}

/** Pays for `bytes` more, and waits until they are due. Rejects with an AbortError. */
export type Throttle = (bytes: number, signal: AbortSignal) => Promise<void>

export function createThrottle(
  pace: ReadPace,
  bytesPerSecond: number | null,
  clock: PaceClock = systemClock,
): Throttle {
  if (bytesPerSecond === null) return () => Promise.resolve()
  const paidUntil = new BigInt64Array(pace)
  return async (bytes, signal) => {
    const cost = BigInt(Math.round((bytes / bytesPerSecond) * 1e6))
    const now = clock.nowUs()
    for (;;) {
      const before = Atomics.load(paidUntil, 0)
      const due = (before > now - CREDIT_US ? before : now - CREDIT_US) + cost
      if (Atomics.compareExchange(paidUntil, 0, before, due) !== before) continue
      const aheadMs = Number(due - now) / 1000
      if (aheadMs > 1) await clock.sleep(aheadMs, signal)
      return
    }
  }
}
