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
      write(`${label} ${escapeText(message)}${terminal.verbose ? formatFields(fields) : ''}`)
    }
  const detail = terminal.verbose ? log(style.dim('debug:')) : silentLogger.debug
  return {
    debug: detail,
    info: terminal.verbose ? log(style.dim('info:')) : silentLogger.info,
    warn: log(style.yellow('warning:')),
    error: log(style.red('error:')),
  }
}

function formatFields(fields: LogFields): string {
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${escapeText(String(value))}`)
  return parts.length === 0 ? '' : ` (${parts.join(' ')})`
}
