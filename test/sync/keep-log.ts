/** A logger that keeps what it is told: `info The text.` */
import type { LogFields, Logger } from '../../src/model/log.js'

export function keepLog(): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = []
  const keep =
    (level: string) =>
    (_fields: LogFields, message: string): void => {
      lines.push(`${level} ${message}`)
    }
  return {
    lines,
    logger: { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') },
  }
}
