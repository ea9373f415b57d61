/** What an error's causes say: facts by code, never by message. */
import { TrunklineError } from '../../model/error.js'

function* chainOf(error: unknown): Generator<Error, void, undefined> {
  for (let cause = error; cause instanceof Error; cause = cause.cause) yield cause
}

/** Nothing listens at the address. */
export function isConnectionRefused(error: unknown): boolean {
  return [...chainOf(error)].some((cause) => (cause as NodeJS.ErrnoException).code === 'ECONNREFUSED')
}

/** Of the server's own error, where it was one. */
export function sqlstateOf(error: unknown): string | null {
  for (const cause of chainOf(error)) {
    if (cause instanceof TrunklineError && cause.context.sqlstate !== undefined) return cause.context.sqlstate
  }
  return null
}

/** A session could not be opened at all. */
export function isConnectionFailure({ code }: TrunklineError): boolean {
  return CONNECTION_CODES.has(code)
}

const CONNECTION_CODES: ReadonlySet<string> = new Set([
  'CONNECT_FAILED',
  'CONNECT_TIMEOUT',
  'CONNECT_NO_SUITABLE_HOST',
  'AUTH_FAILED',
  'AUTH_INSECURE',
  'TLS_FAILED',
  'DATABASE_MISSING',
  'SERVER_RESTARTING',
  'SERVER_UNSUPPORTED',
])
