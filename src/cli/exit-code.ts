/** What the shell is told. Documented in docs/reference/cli.md. */
import type { ErrorCode } from '../model/error.js'
import { TrunklineError } from '../model/error.js'
import type { RunReport } from '../model/report.js'

export const EXIT = {
  done: 0,
  failed: 1,
  configuration: 2,
  someFailed: 3,
  different: 4,
  tryLater: 75,
  interrupted: 130,
} as const

/** Nothing is wrong with what was asked: the same command can succeed in a while. */
const TRY_LATER: ReadonlySet<ErrorCode> = new Set([
  'DESTINATION_LOCKED',
  'DESTINATION_UNREACHABLE',
  'SOURCE_PRESSURE',
  'SERVER_BUSY',
  'SERVER_RESTARTING',
  'LOCK_TIMEOUT',
  'YIELDED_TO_DDL',
  'RECOVERY_CONFLICT',
  'CIRCUIT_OPEN',
])

export function exitCodeOfError(error: unknown): number {
  if (!(error instanceof TrunklineError)) return EXIT.failed
  if (error.code === 'ABORTED') return EXIT.interrupted
  return exitCodeOf(error.code, error.area === 'config')
}

function exitCodeOf(code: ErrorCode, configuration: boolean): number {
  if (TRY_LATER.has(code)) return EXIT.tryLater
  if (code === 'SOME_STREAMS_FAILED') return EXIT.someFailed
  return configuration ? EXIT.configuration : EXIT.failed
}

export function exitCodeOfRun(report: RunReport): number {
  switch (report.outcome) {
    case 'aborted':
      return EXIT.interrupted
    case 'some_failed':
      return EXIT.someFailed
    case 'failed': {
      const codes = report.streams.flatMap(({ error }) => (error === null ? [] : [error.code]))
      const allLater = codes.length > 0 && codes.every((code) => TRY_LATER.has(code))
      return allLater ? EXIT.tryLater : EXIT.failed
    }
    case 'done':
      return report.streams.some(({ verified }) => verified?.equal === false) ? EXIT.different : EXIT.done
  }
}
