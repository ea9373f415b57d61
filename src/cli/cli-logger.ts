/** The log on stderr: warnings always, the rest with -v. */
import type { LogFields, Logger } from '../model/log.js'
import { silentLogger } from '../model/log.js'
import type { Wording } from '../model/sync-spec.js'
import { escapeText } from './escape.js'
import type { Terminal } from './terminal.js'

interface Levels {
  readonly debug: string
  readonly info: string
  readonly warn: string
  readonly error: string
  /** What is merely told is shown without -v. */
  readonly tells: boolean
}

const LEVELS: Readonly<Record<Wording, Levels>> = {
  native: { debug: 'debug:', info: 'info:', warn: 'warning:', error: 'error:', tells: false },
  connector_sdk: { debug: 'FINE', info: 'INFO', warn: 'WARNING', error: 'SEVERE', tells: true },
}

/** @param write takes a finished line; the bars hand in theirs, which knows how to stand aside */
export function createCliLogger(
  terminal: Terminal,
  write: (line: string) => void,
  wording: Wording = 'native',
): Logger {
  const { style, verbose } = terminal
  const levels = LEVELS[wording]
  const log =
    (label: string) =>
    (fields: LogFields, message: string): void => {
      write(`${label} ${describe(fields, message)}${verbose ? formatFields(fields) : ''}`)
    }
  const warn = log(style.yellow(levels.warn))
  const warned = new Set<string>()
  return {
    debug: verbose ? log(style.dim(levels.debug)) : silentLogger.debug,
    info: verbose || (levels.tells && !terminal.quiet) ? log(style.dim(levels.info)) : silentLogger.info,
    // What a source says of itself, a run says again.
    warn: (fields, message) => {
      const line = describe(fields, message)
      if (warned.has(line)) return
      if (!('attempt' in fields)) warned.add(line)
      warn(fields, message)
    },
    error: log(style.red(levels.error)),
  }
}

function describe({ stream }: LogFields, message: string): string {
  const about = typeof stream === 'string' && !message.includes(stream) ? `${stream}: ` : ''
  return escapeText(about + message)
}

function formatFields(fields: LogFields): string {
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([key, value]) => `${key}=${escapeText(String(value))}`)
  return parts.length === 0 ? '' : ` (${parts.join(' ')})`
}
