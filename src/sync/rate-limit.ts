/** Spreads contacts over time: so many in a minute, of which so many may come at once. Whoever comes too early waits. */
import type { Limits } from '../model/sync-spec.js'
import type { Clock } from './clock.js'

export interface RateLimitOptions {
  readonly limits: Pick<Limits, 'maxRequestsPerMinute' | 'requestBurst'>
  readonly clock: Pick<Clock, 'now' | 'sleep'>
}

/** Resolves when it is the caller's turn, in the order of the calls; rejects with the signal's reason. */
export type RateLimit = (signal?: AbortSignal) => Promise<void>

const MINUTE_MS = 60_000

/** As a bucket of `requestBurst` tokens, full at the beginning, into which one falls again and again. */
export function createRateLimit({ limits, clock }: RateLimitOptions): RateLimit {
  const { maxRequestsPerMinute, requestBurst } = limits
  if (maxRequestsPerMinute === null) return () => Promise.resolve()
  const intervalMs = MINUTE_MS / maxRequestsPerMinute
  /** When the bucket would be full again. */
  let fullAt = clock.now()
  return async (signal) => {
    signal?.throwIfAborted()
    const now = clock.now()
    fullAt = Math.max(fullAt, now) + intervalMs
    const waitMs = fullAt - now - requestBurst * intervalMs
    if (waitMs <= 0) return
    try {
      await clock.sleep(waitMs, signal)
    } catch (error) {
      // The turn was not taken.
      fullAt -= intervalMs
      throw error
    }
  }
}
