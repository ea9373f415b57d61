/** What the log says of attempts, in the words that were asked for. Pure. */
import type { ErrorData } from '../model/error.js'
import type { Wording } from '../model/sync-spec.js'

interface Retry {
  /** Null: the source as a whole. */
  readonly stream: string | null
  /** Attempts made so far. */
  readonly attempt: number
  readonly maxAttempts: number
  readonly delayMs: number
  readonly error: ErrorData
}

interface LogWords {
  readonly retrying: (retry: Retry) => string
  /** Nothing is tried again; null: the report says so. */
  readonly gaveUp: (stream: string, error: ErrorData) => string | null
}

export const LOG_WORDS: Readonly<Record<Wording, LogWords>> = {
  native: {
    retrying: ({ error }) => `Trying again: ${error.message}`,
    gaveUp: () => null,
  },
  connector_sdk: {
    retrying: ({ stream, attempt, maxAttempts, delayMs }) =>
      `Retrying ${stream ?? 'the connection'} after backoff ${(delayMs / 1000).toFixed(2)}s (attempt ${attempt}/${maxAttempts})`,
    gaveUp: (stream, error) => `Max retries exceeded for table ${stream}: ${error.message}`,
  },
}
