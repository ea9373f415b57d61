/** What happens to connections, told as it happens: for metrics. */
import type { ErrorCode } from '../model/error.js'
import { TrunklineError } from '../model/error.js'

/** Plain data, so that reader threads can pass it on. */
export type ConnectionEvent =
  /** Logged in. `seconds`: from the first attempt, over all hosts and fallbacks. */
  | { readonly kind: 'opened'; readonly seconds: number }
  /** No connection came about. */
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  /** Follows every `opened` once, however the connection ended. */
  | { readonly kind: 'closed' }
  | StatementEvent

/** A statement, or one message of several, has ended. The time of a `copy` includes what the taker of its rows made it wait. */
export interface StatementEvent {
  readonly kind: 'statement'
  readonly protocol: 'query' | 'copy'
  readonly seconds: number
  readonly outcome: 'done' | 'cancelled' | 'failed'
  /** What the server said; null where it said nothing, as when the connection was lost. */
  readonly sqlstate: string | null
}

/** Called at once and often: it must be cheap and must not throw. */
export type ConnectionObserver = (event: ConnectionEvent) => void

export interface StatementWatch {
  /** Null after success. Only the first call counts. */
  ended(failure: unknown): void
}

const QUERY_CANCELED = '57014'
const UNWATCHED: StatementWatch = { ended: () => undefined }

/** @param cancelled - whether we asked the server to cancel what runs on the connection */
export function watchStatement(
  observer: ConnectionObserver | undefined,
  protocol: 'query' | 'copy',
  cancelled: () => boolean,
): StatementWatch {
  if (observer === undefined) return UNWATCHED
  const startedAtMs = performance.now()
  let over = false
  return {
    ended: (failure) => {
      if (over) return
      over = true
      const sqlstate = failure instanceof TrunklineError ? (failure.context.sqlstate ?? null) : null
      const left = failure instanceof TrunklineError && failure.code === 'ABORTED'
      const stopped = left || (cancelled() && (sqlstate === QUERY_CANCELED || sqlstate === null))
      const outcome = failure === null ? 'done' : stopped ? 'cancelled' : 'failed'
      const seconds = (performance.now() - startedAtMs) / 1000
      observer({ kind: 'statement', protocol, seconds, outcome, sqlstate })
    },
  }
}
