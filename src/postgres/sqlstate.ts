/**
 * What a SQLSTATE means for us: which error code it becomes, and whether to try again.
 *
 * Classification is by the five characters alone, never by message text, which is translated and changes.
 * Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import { TrunklineError } from '../model/error.js'
import type { ErrorCode, ErrorContext, Retry } from '../model/error.js'
import { printable } from './redact.js'

export interface SqlStateClass {
  readonly code: ErrorCode
  readonly retry: Retry
  readonly hint?: string
}

/** Exact codes; what is absent falls to its class of two characters, then to {@link UNKNOWN}. */
export const SQLSTATE_CODES: Readonly<Record<string, SqlStateClass>> = {
  // 08 connection exceptions
  '08001': { code: 'CONNECT_FAILED', retry: 'backoff' },
  '08004': { code: 'CONNECT_FAILED', retry: 'backoff' },
  // Poolers answer with protocol_violation for everything of their own: an unknown database, a full pool, a server that is away.
  '08P01': {
    code: 'CONNECT_FAILED',
    retry: 'backoff',
    hint: 'A pooler answers so when it cannot serve: check the database name and its pool in the configuration of the pooler.',
  },
  // 22 data
  '22003': {
    code: 'QUERY_FAILED',
    retry: 'never',
    hint: 'A number is larger than the type that it is cast to: choose another one under `types` or `type_profile`, or cast it otherwise in a `sql` stream.',
  },
  // 25 transaction state
  '25P03': {
    code: 'SNAPSHOT_LOST',
    retry: 'safe',
    hint: 'idle_in_transaction_session_timeout ended the session; a pooler or a role setting enforces it.',
  },
  '25P04': { code: 'SNAPSHOT_LOST', retry: 'safe', hint: 'transaction_timeout ended the transaction.' },
  // 28 authorization
  '28000': {
    code: 'AUTH_FAILED',
    retry: 'never',
    hint: 'The role does not exist, may not log in, or pg_hba.conf has no line for this user, database, address and encryption: ask who runs the server, or try another sslmode.',
  },
  '28P01': {
    code: 'AUTH_FAILED',
    retry: 'never',
    hint: 'Check the user name and the password (URL, PGPASSWORD, ~/.pgpass or password_command).',
  },
  '3D000': {
    code: 'DATABASE_MISSING',
    retry: 'never',
    hint: 'Check the database name; without one, the name of the user is taken.',
  },
  '3F000': { code: 'STREAM_MISSING', retry: 'never' },
  // 40 rollback. A read-only REPEATABLE READ transaction cannot fail to serialize: 40001 is a standby's recovery conflict.
  '40001': {
    code: 'RECOVERY_CONFLICT',
    retry: 'backoff',
    hint: 'On a standby, set hot_standby_feedback = on or raise max_standby_streaming_delay; or read from the primary.',
  },
  '40P01': { code: 'DEADLOCK', retry: 'safe' },
  // 42 access rule
  '42501': {
    code: 'PERMISSION_DENIED',
    retry: 'never',
    hint: 'GRANT SELECT on the table and USAGE on its schema to this role.',
  },
  '42P01': { code: 'STREAM_MISSING', retry: 'never' },
  '42703': { code: 'STREAM_MISSING', retry: 'never' },
  // 53 resources
  '53100': { code: 'SERVER_BUSY', retry: 'backoff', hint: 'The disk of the server is full.' },
  '53200': { code: 'SERVER_BUSY', retry: 'backoff', hint: 'The server is out of memory.' },
  '53300': {
    code: 'SERVER_BUSY',
    retry: 'backoff',
    hint: 'All connections of the server or of the role are taken: lower limits.max_connections, or read through a pooler.',
  },
  // 55 state
  '55006': { code: 'SERVER_BUSY', retry: 'backoff' },
  '55P03': {
    code: 'LOCK_TIMEOUT',
    retry: 'backoff',
    hint: 'Another session holds or waits for a strong lock on the table (ALTER, VACUUM FULL, an idle transaction).',
  },
  // 57 operator
  '57014': {
    code: 'QUERY_CANCELED',
    retry: 'backoff',
    hint: 'Somebody cancelled the statement, or statement_timeout did, or a standby resolved a conflict with recovery.',
  },
  '57P01': {
    code: 'CONNECTION_LOST',
    retry: 'safe',
    hint: 'An administrator or a shutdown ended the session.',
  },
  '57P02': { code: 'SERVER_RESTARTING', retry: 'backoff' },
  '57P03': { code: 'SERVER_RESTARTING', retry: 'backoff' },
  '57P04': { code: 'DATABASE_MISSING', retry: 'never', hint: 'The database was dropped.' },
  '57P05': { code: 'CONNECTION_LOST', retry: 'safe', hint: 'idle_session_timeout ended the session.' },
  // 58 system, XX internal
  '58030': { code: 'SERVER_BUSY', retry: 'backoff', hint: 'The server cannot read or write its disk.' },
  // Greenplum: an interconnect or a process of a segment broke off; the next statement works as soon as the segment is back.
  '58M01': {
    code: 'SERVER_RESTARTING',
    retry: 'backoff',
    hint: 'A segment of the cluster lost a process or restarts.',
  },
  '72000': {
    code: 'SNAPSHOT_LOST',
    retry: 'safe',
    hint: 'old_snapshot_threshold removed rows of the snapshot.',
  },
  // elog(ERROR) without a code: among them "cache lookup failed", when a table is dropped under a query.
  XX000: { code: 'QUERY_FAILED', retry: 'backoff' },
}

/** By the first two characters. */
export const SQLSTATE_CLASSES: Readonly<Record<string, SqlStateClass>> = {
  '08': { code: 'CONNECTION_LOST', retry: 'safe' },
  '28': { code: 'AUTH_FAILED', retry: 'never' },
  '40': { code: 'QUERY_FAILED', retry: 'safe' },
  '53': { code: 'SERVER_BUSY', retry: 'backoff' },
  '57': { code: 'QUERY_CANCELED', retry: 'backoff' },
  '58': { code: 'QUERY_FAILED', retry: 'backoff' },
  // Foreign data wrappers: the other server may be away.
  HV: { code: 'QUERY_FAILED', retry: 'backoff' },
}

const UNKNOWN: SqlStateClass = { code: 'QUERY_FAILED', retry: 'never' }

export function classifySqlState(sqlstate: string): SqlStateClass {
  return SQLSTATE_CODES[sqlstate] ?? SQLSTATE_CLASSES[sqlstate.slice(0, 2)] ?? UNKNOWN
}

/** An ErrorResponse or NoticeResponse; `detail` and `where` are not kept, they quote rows. */
export interface ServerMessage {
  readonly severity: string
  readonly sqlstate: string
  readonly message: string
  readonly hint: string | null
}

/** Whether the server ends the session after this message. */
export function isFatal(message: ServerMessage): boolean {
  return message.severity === 'FATAL' || message.severity === 'PANIC'
}

export interface FailureContext extends ErrorContext {
  /** What was being done, as the start of the message: `reading public.orders`. */
  readonly doing?: string
}

/** Turns what the server said, or what `pg` threw, into the error that is reported. A TrunklineError passes as it is. */
export function toTrunklineError(error: unknown, context: FailureContext = {}): TrunklineError {
  if (error instanceof TrunklineError) return error
  const { doing, ...where } = context
  const prefix = doing === undefined ? '' : `${doing}: `
  const message = serverMessageOf(error)
  if (message !== null) {
    const { code, retry, hint } = classifySqlState(message.sqlstate)
    const advice = hint ?? (message.hint === null ? undefined : printable(message.hint))
    return new TrunklineError(code, prefix + describeServerMessage(message), {
      retry,
      ...(advice === undefined ? {} : { hint: advice }),
      context: { ...where, sqlstate: message.sqlstate, ...constraintOf(error) },
    })
  }
  const text = error instanceof Error ? error.message : String(error)
  return new TrunklineError(
    'CONNECTION_LOST',
    `${prefix}the connection to the server ended: ${printable(text)}`,
    {
      hint: 'The server or the network went away; a retry makes a new connection.',
      context: where,
    },
  )
}

/** Classes whose messages quote the offending value: data exceptions and constraint violations. */
const QUOTES_VALUES = new Set(['22', '23', '44'])

/** Greenplum says where a segment failed, with its host, port and process: `(seg1 slice1 10.0.0.7:6001 pid=42)`. */
const SEGMENT = /\((seg-?\d+|entry db)\b[^()]*\)/g

function describeServerMessage(message: ServerMessage): string {
  const text = printable(message.message.replace(SEGMENT, '($1)'))
  if (!QUOTES_VALUES.has(message.sqlstate.slice(0, 2))) return `${text} (${message.sqlstate})`
  const safe = text.replace(/[:(]?\s*["'«„“].*$/s, '').trim()
  // `"1e400" is out of range for type double precision`: nothing is left before the value.
  return `${safe === '' ? 'a value does not fit its type' : safe} (${message.sqlstate})`
}

/** As `pg` gives it. */
function constraintOf(error: unknown): Pick<ErrorContext, 'constraint'> {
  const { constraint } = error as { readonly constraint?: unknown }
  return typeof constraint === 'string' ? { constraint } : {}
}

function serverMessageOf(error: unknown): ServerMessage | null {
  if (typeof error !== 'object' || error === null) return null
  const { code, sqlstate, severity, message, hint } = error as Record<string, unknown>
  const state = typeof sqlstate === 'string' ? sqlstate : code
  if (typeof state !== 'string' || !/^[0-9A-Z]{5}$/.test(state) || typeof message !== 'string') return null
  // A system error of Node (EPIPE) has five letters, too, but no severity.
  if (typeof severity !== 'string') return null
  return { severity, sqlstate: state, message, hint: typeof hint === 'string' ? hint : null }
}
