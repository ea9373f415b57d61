/** Tells whoever listens how the run goes: events to the face, warnings also to the log. */
import { toErrorData } from '../model/error.js'
import { silentLogger, type Logger } from '../model/log.js'
import type { ProgressEvent } from '../model/report.js'

export interface Progress {
  emit(event: ProgressEvent): void
  /** Reports it, logs it and remembers it for the run report. */
  warn(stream: string | null, message: string): void
  retrying(stream: string | null, attempt: number, delayMs: number, error: unknown): void
  readonly runWarnings: readonly string[]
}

export function createProgress(options: {
  readonly logger: Logger | undefined
  readonly onProgress: ((event: ProgressEvent) => void) | undefined
}): Progress {
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
    retrying(stream, attempt, delayMs, error) {
      const data = toErrorData(error)
      logger.warn({ stream, attempt, delayMs, code: data.code }, `Trying again: ${data.message}`)
      emit({ kind: 'retry', stream, attempt, delayMs, error: data })
    },
  }
}
