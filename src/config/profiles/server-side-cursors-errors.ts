/** The words of the connector with server-side cursors for what goes wrong. */
import type { TrunklineError } from '../../model/error.js'
import { isConnectionFailure } from './error-facts.js'
import type { ProfileWords } from './profile.js'

export type CursorMode = 'NAMED' | 'CLIENT'

export const SERVER_SIDE_CURSORS_TEXTS = {
  missing: (key: string) => `Missing required configuration parameter: ${key}`,
  sslmode: (value: string) => `Invalid sslmode value: ${value}`,
  cursorMode: (value: string) => `Unsupported cursor_mode: ${value}. Please use 'CLIENT' or 'NAMED'.`,
  connect: (cause: string) => `Failed to connect to database: ${cause}`,
  named: (cause: string) => `Failed during named cursor streaming: ${cause}`,
  fetch: (cause: string) => `Failed to fetch or upsert data: ${cause}`,
} as const

export function describeServerSideCursorsError(error: TrunklineError, cursorMode: CursorMode): ProfileWords {
  const { area, message } = error
  if (area === 'config') return { className: 'ValueError', text: message }
  const text = isConnectionFailure(error)
    ? SERVER_SIDE_CURSORS_TEXTS.connect(message)
    : cursorMode === 'NAMED' && (area === 'source' || area === 'decode')
      ? SERVER_SIDE_CURSORS_TEXTS.named(message)
      : SERVER_SIDE_CURSORS_TEXTS.fetch(message)
  return { className: 'RuntimeError', text }
}
