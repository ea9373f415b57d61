/** The log on stderr: warnings always, the rest with -v. */
import type { LogFields, Logger } from '../model/log.js'
import { silentLogger } from '../model/log.js'
import { escapeText } from './escape.js'
import type { Terminal } from './terminal.js'

/** @param write takes a finished line; the bars hand in theirs, which knows how to stand aside */
export function createCliLogger(terminal: Terminal, write: (line: string) => void): Logger {
  const { style } = terminal
  const log =
    (label: string) =>
    (fields: LogFields, message: string): void => {
      write(`${label} ${describe(fields, message)}${terminal.verbose ? formatFields(fields) : ''}`)
    }
  const warn = log(style.yellow('warning:'))
  const warned = new Set<string>()
  return {
    debug: terminal.verbose ? log(style.dim('debug:')) : silentLogger.debug,
    info: terminal.verbose ? log(style.dim('info:')) : silentLogger.info,
    // What a source says of itself, a run says again.
    warn: (fields, message) => {
      const line = describe(fields, message)
      if (warned.has(line)) return
      if (!('attempt' in fields)) warned.add(line)
      warn(fields, message)
    },
    error: log(style.red('error:')),
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
