/** Tells whoever listens how the run goes: events to the face, warnings also to the log. */
import { toErrorData } from '../model/error.js'
import { silentLogger, type Logger } from '../model/log.js'
import type { ProgressEvent } from '../model/report.js'
import type { Wording } from '../model/sync-spec.js'
import type { Remark } from './adaptive.js'
import { LOG_WORDS } from './wording.js'

export interface Progress {
  emit(event: ProgressEvent): void
  /** Reports it, logs it and remembers it for the run report. */
  warn(stream: string | null, message: string): void
  /** Only logs it. */
  say(stream: string | null, remark: Remark): void
  /** Logs it as a warning. */
  retrying(stream: string | null, attempt: number, delayMs: number, error: unknown): void
  /** As many attempts were made as may be. */
  gaveUp(stream: string, error: unknown): void
  readonly runWarnings: readonly string[]
}

export function createProgress(options: {
  readonly logger: Logger | undefined
  readonly onProgress: ((event: ProgressEvent) => void) | undefined
  readonly wording: Wording
  readonly maxAttempts: number
}): Progress {
  const { maxAttempts } = options
  const words = LOG_WORDS[options.wording]
  const logger = options.logger ?? silentLogger
  const runWarnings: string[] = []
  const emit = (event: ProgressEvent): void => options.onProgress?.(event)
  return {
    emit,
    runWarnings,
    warn(stream, message) {
      if (stream === null) runWarnings.push(message)
      logger.warn({ stream }, message)
      emit({ kind: 'warning', stream, message })
    },
    say(stream, { level, text }) {
      logger[level]({ stream }, text)
    },
    retrying(stream, attempt, delayMs, error) {
      const data = toErrorData(error)
      const message = words.retrying({ stream, attempt, maxAttempts, delayMs, error: data })
      logger.warn({ stream, attempt, delayMs, code: data.code }, message)
      emit({ kind: 'retry', stream, attempt, delayMs, error: data })
    },
    gaveUp(stream, error) {
      const data = toErrorData(error)
      const message = words.gaveUp(stream, data)
      if (message !== null) logger.error({ stream, code: data.code }, message)
    },
  }
}
