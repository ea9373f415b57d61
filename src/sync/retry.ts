/** Whether and when to try again: decided by the error's own `retry`, never by its text. */
import { TrunklineError, type ErrorCode } from '../model/error.js'
import type { Limits } from '../model/sync-spec.js'

export type RetryDecision = { readonly again: false } | { readonly again: true; readonly delayMs: number }

/** Errors of the destination as a whole: no stream can go on after one. */
const STOPS_THE_RUN: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DESTINATION_LOCKED',
  'DESTINATION_FULL',
  'DESTINATION_READ_ONLY',
  'DESTINATION_INVALID',
  'DESTINATION_DENIED',
  'FENCED',
])

/** What a first contact waits for; a wrong host or port must be told at once instead. */
const WORTH_WAITING_FOR: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CONNECTION_LOST',
  'CONNECTION_STALLED',
  'SERVER_RESTARTING',
  'SERVER_BUSY',
  'DEADLOCK',
])

/** A statement that took longer than statement_timeout most likely does so again, each time for as long. */
const TIMED_OUT_ATTEMPTS = 2

type BackoffLimits = Pick<Limits, 'firstRetryDelayMs' | 'maxRetryDelayMs' | 'retryJitter'>
type RetryLimits = BackoffLimits & Pick<Limits, 'maxAttempts' | 'statementTimeoutMs'>

export interface RetryInput {
  readonly error: unknown
  /** Attempts made so far, this one included. */
  readonly attempt: number
  readonly limits: RetryLimits
  readonly random: () => number
}

export function decideRetry({ error, attempt, limits, random }: RetryInput): RetryDecision {
  if (!(error instanceof TrunklineError) || error.retry === 'never') return { again: false }
  const timedOut = error.code === 'QUERY_CANCELED' && limits.statementTimeoutMs > 0
  if (attempt >= (timedOut ? Math.min(limits.maxAttempts, TIMED_OUT_ATTEMPTS) : limits.maxAttempts))
    return { again: false }
  // After a yield the session that waited for us must get its turn first.
  if (error.retry === 'safe' && attempt === 1 && error.code !== 'YIELDED_TO_DDL')
    return { again: true, delayMs: 0 }
  return { again: true, delayMs: backoffDelay(attempt, limits, random) }
}

/** As {@link decideRetry}, for the calls that come before anything is known to work. */
export function decideFirstContactRetry(input: RetryInput): RetryDecision {
  const waits = input.error instanceof TrunklineError && WORTH_WAITING_FOR.has(input.error.code)
  return waits ? decideRetry(input) : { again: false }
}

export function stopsTheRun(error: unknown): boolean {
  return error instanceof TrunklineError && STOPS_THE_RUN.has(error.code)
}

/** Doubles up to the longest pause, a part of which is left to chance so that many syncs do not return together. */
export function backoffDelay(attempt: number, limits: BackoffLimits, random: () => number): number {
  const full = Math.min(limits.firstRetryDelayMs * 2 ** (attempt - 1), limits.maxRetryDelayMs)
  const [low, high] = limits.retryJitter
  return Math.round(full * (low + random() * (high - low)))
}
