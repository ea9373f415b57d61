/** Leaves a source alone that failed too often in a row, and tries it again with one contact after a while. */
import { TrunklineError, type ErrorCode } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { Limits } from '../model/sync-spec.js'

/**
 * The source could not be reached, or was not able to serve. What is wrong with a configuration, a privilege, a table or a value
 * says nothing of the source, nor does a wait that others end.
 */
const FAILURES: ReadonlySet<ErrorCode> = new Set([
  'CONNECT_FAILED',
  'CONNECT_TIMEOUT',
  'CONNECT_NO_SUITABLE_HOST',
  'CONNECTION_LOST',
  'CONNECTION_STALLED',
  'SERVER_RESTARTING',
  'SERVER_BUSY',
  'AUTH_FAILED',
  'QUERY_CANCELED',
])

export interface CircuitBreakerOptions {
  readonly limits: Pick<Limits, 'breakerFailures' | 'breakerPauseMs'>
  /** The source, without secrets. */
  readonly name: string
  readonly logger: Logger
}

/** @throws CIRCUIT_OPEN instead of doing the work, while the source is left alone */
export type CircuitBreaker = <Result>(work: () => Promise<Result>) => Promise<Result>

export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  if (options.limits.breakerFailures === 0) return (work) => work()
  let loaded: Promise<CircuitBreaker> | null = null
  return async (work) => {
    if (loaded !== null) return (await loaded)(work)
    try {
      return await work()
    } catch (error) {
      if (!isFailure(error)) throw error
      // What counts takes 30 ms to load; most runs have nothing to count.
      loaded ??= loadBreaker(options)
      return (await loaded)(() => Promise.reject(error as Error))
    }
  }
}

function isFailure(error: unknown): boolean {
  return error instanceof TrunklineError && FAILURES.has(error.code)
}

async function loadBreaker({ limits, name, logger }: CircuitBreakerOptions): Promise<CircuitBreaker> {
  const { BrokenCircuitError, ConsecutiveBreaker, circuitBreaker, handleWhen } = await import('cockatiel')
  const { breakerFailures, breakerPauseMs } = limits
  const policy = circuitBreaker(handleWhen(isFailure), {
    breaker: new ConsecutiveBreaker(breakerFailures),
    halfOpenAfter: breakerPauseMs,
  })
  let lastFailure: unknown = null
  policy.onFailure(({ reason, handled }) => {
    if (handled && 'error' in reason) lastFailure = reason.error
  })
  policy.onBreak(() => {
    const failures = { source: name, failures: breakerFailures, pauseMs: breakerPauseMs }
    logger.warn(failures, 'the source failed too often in a row and is left alone for a while')
  })
  policy.onHalfOpen(() => {
    logger.info({ source: name }, 'the source is tried again')
  })
  policy.onReset(() => {
    logger.info({ source: name }, 'the source serves again')
  })
  return async (work) => {
    try {
      return await policy.execute(work)
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) throw error
      throw new TrunklineError(
        'CIRCUIT_OPEN',
        `${name} failed ${breakerFailures} times in a row and is left alone for ${breakerPauseMs / 1000} seconds.`,
        {
          hint: 'It is tried again by itself. limits.breaker_failures and limits.breaker_pause say when; the cause is what went wrong last.',
          context: { host: name },
          cause: lastFailure,
        },
      )
    }
  }
}
