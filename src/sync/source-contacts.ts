/** What stands between a run and its source: a rate that is kept to, and a breaker that opens when the source keeps failing. */
import type { Logger } from '../model/log.js'
import type { Limits } from '../model/sync-spec.js'
import type { Contact } from '../source/contract.js'
import { createCircuitBreaker } from './circuit-breaker.js'
import { systemClock, type Clock } from './clock.js'
import { createRateLimit } from './rate-limit.js'

export interface SourceContactsOptions {
  readonly limits: Limits
  /** The source, without secrets. */
  readonly name: string
  readonly logger: Logger
  readonly clock?: Clock
}

/** A contact is a check, a discovery, a snapshot: a use of a connection from its beginning. Lives as long as the source. */
export function createContact({ limits, name, logger, clock = systemClock }: SourceContactsOptions): Contact {
  const waitForTurn = createRateLimit({ limits, clock })
  const breaker = createCircuitBreaker({ limits, name, logger })
  return async (work, signal) => {
    await waitForTurn(signal)
    return breaker(work)
  }
}
