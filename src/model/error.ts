/**
 * Every failure Trunkline reports: a stable code, a sentence that says what and where, and a hint that says what to do.
 *
 * `docs/reference/errors.md` documents each code; a test holds the table and the page together.
 */

/**
 * Whether the same attempt can succeed again. `never`: the configuration, the data or the privileges must change first.
 * `safe`: at once, on a new connection. `backoff`: after a pause, the server or the destination is busy.
 */
export type Retry = 'never' | 'safe' | 'backoff'

/** Which part of Trunkline an error comes from, and with it the exit code of the command line. */
export type ErrorArea = 'config' | 'source' | 'decode' | 'destination' | 'state' | 'run'

interface CodeEntry {
  readonly area: ErrorArea
  readonly retry: Retry
  readonly summary: string
}

const entry = (area: ErrorArea, retry: Retry, summary: string): CodeEntry => ({ area, retry, summary })

/** The one table of codes. Add here, document in the reference, test. */
export const ERROR_CODES = {
  CONFIG_INVALID: entry('config', 'never', 'A setting, flag or file does not say something valid.'),
  CONFIG_UNKNOWN_KEY: entry('config', 'never', 'A configuration key that does not exist.'),
  CONFIG_UNSUPPORTED: entry('config', 'never', 'Something that is known but not supported.'),
  CONFIG_UNSET_VARIABLE: entry(
    'config',
    'never',
    'A `${VAR}` names an environment variable that is not set.',
  ),
  SECRET_FILE_PERMISSIONS: entry('config', 'never', 'A password or key file can be read by others.'),
  MODULE_MISSING: entry('config', 'never', 'An optional package that this needs is not installed.'),
  HOOK_FAILED: entry(
    'config',
    'never',
    'A hook of your own cannot be loaded, or does not give what it should.',
  ),

  CONNECT_FAILED: entry('source', 'backoff', 'No connection to the server could be made.'),
  CONNECT_TIMEOUT: entry('source', 'backoff', 'The server did not answer in time.'),
  CONNECT_NO_SUITABLE_HOST: entry('source', 'backoff', 'No host satisfies target_session_attrs.'),
  AUTH_FAILED: entry('source', 'never', 'The server refused the user, password or certificate.'),
  AUTH_INSECURE: entry('source', 'never', 'The server asked for a password in a way that would reveal it.'),
  TLS_FAILED: entry('source', 'never', 'An encrypted connection could not be made or verified.'),
  SSH_HOST_KEY: entry('source', 'never', 'The key of the SSH server is unknown, or another one than before.'),
  DATABASE_MISSING: entry('source', 'never', 'The database does not exist.'),
  CONNECTION_LOST: entry('source', 'safe', 'The connection ended before the work was complete.'),
  CONNECTION_STALLED: entry('source', 'safe', 'The server sent nothing for too long.'),
  SERVER_RESTARTING: entry('source', 'backoff', 'The server is starting, stopping or recovering.'),
  SERVER_BUSY: entry('source', 'backoff', 'The server has no connection, memory or disk left for us.'),
  SERVER_UNSUPPORTED: entry('source', 'never', 'The server is of a version or kind that is not supported.'),
  QUERY_FAILED: entry('source', 'never', 'The server refused a statement.'),
  QUERY_CANCELED: entry('source', 'backoff', 'The server cancelled a statement.'),
  LOCK_TIMEOUT: entry('source', 'backoff', 'A table was locked by another session for too long.'),
  DEADLOCK: entry('source', 'safe', 'The server broke a deadlock by ending our transaction.'),
  RECOVERY_CONFLICT: entry('source', 'backoff', 'The standby had to choose between replay and our snapshot.'),
  PERMISSION_DENIED: entry('source', 'never', 'The role lacks a privilege.'),
  PRIVILEGED_ROLE: entry('source', 'never', 'Custom SQL is refused for a role that could do more than read.'),
  ROW_SECURITY: entry('source', 'never', 'Row security hides rows of this table from the role.'),
  STREAM_MISSING: entry('source', 'never', 'A named table, view or column does not exist.'),
  STREAM_CHANGED: entry('source', 'safe', 'The table changed while it was read.'),
  STREAM_UNSUPPORTED: entry('source', 'never', 'What was asked cannot be done with this kind of relation.'),
  SELECTION_EMPTY: entry('source', 'never', 'The selection matches nothing.'),
  KEY_MISSING: entry('source', 'never', 'The mode needs a key and the table has none.'),
  KEY_DUPLICATE: entry('source', 'never', 'Two rows have the same key.'),
  COUNT_MISMATCH: entry('source', 'safe', 'Fewer or more rows arrived than the snapshot holds.'),
  COPY_INCOMPLETE: entry('source', 'safe', 'A COPY stream ended before its end was complete.'),
  SNAPSHOT_LOST: entry('source', 'safe', 'The transaction that holds the snapshot ended.'),
  SNAPSHOT_TOO_OLD: entry('source', 'safe', 'The snapshot reached the age that limits allow.'),
  YIELDED_TO_DDL: entry('source', 'safe', 'A session waited for a lock of ours, so we let go.'),
  SOURCE_PRESSURE: entry('source', 'backoff', 'The source is under more pressure than limits allow.'),
  CIRCUIT_OPEN: entry('source', 'backoff', 'The source failed too often in a row and is left alone.'),
  CUSTOM_SQL_INVALID: entry('source', 'never', 'A custom query is not one plain SELECT.'),

  DECODE_FAILED: entry('decode', 'never', 'Bytes from the server are not what their type says.'),
  FIELD_TOO_LARGE: entry('decode', 'never', 'One value is larger than max_field_bytes.'),
  VALUE_UNREPRESENTABLE: entry('decode', 'never', 'A value does not fit the type it is to land as.'),

  DESTINATION_INVALID: entry('destination', 'never', 'The destination is not what it should be.'),
  DESTINATION_LOCKED: entry('destination', 'backoff', 'Another process holds the destination.'),
  DESTINATION_FULL: entry('destination', 'never', 'No space is left at the destination.'),
  DESTINATION_READ_ONLY: entry('destination', 'never', 'The destination cannot be written.'),
  DESTINATION_UNREACHABLE: entry(
    'destination',
    'backoff',
    'The server of the destination cannot be reached, is too busy, or does not answer in time.',
  ),
  DESTINATION_DENIED: entry(
    'destination',
    'never',
    'The destination refused the credentials, or they lack a right.',
  ),
  DESTINATION_FAILED: entry('destination', 'never', 'The destination refused a statement or a file.'),
  NAME_COLLISION: entry('destination', 'never', 'Two streams or columns would land under one name.'),
  TABLE_OWNED: entry(
    'destination',
    'never',
    'The destination table belongs to another sync or was not made by us.',
  ),
  SCHEMA_FROZEN: entry('destination', 'never', 'The source changed and on_schema_change is freeze.'),

  STATE_MALFORMED: entry('state', 'never', 'Saved state cannot be read.'),
  STATE_TOO_NEW: entry('state', 'never', 'Saved state was written by a newer Trunkline.'),
  FENCED: entry('state', 'never', 'Another run of this sync took over.'),
  SOURCE_CHANGED: entry('state', 'never', 'The source is not the one the state was saved from.'),
  SOURCE_REWOUND: entry('state', 'never', 'The source went back in time.'),
  MASS_DELETE: entry('state', 'never', 'More rows would be deleted than the guard allows.'),

  SOME_STREAMS_FAILED: entry('run', 'never', 'Some streams failed; the others are complete.'),
  ABORTED: entry('run', 'never', 'The run was interrupted.'),
  INTERNAL: entry('run', 'never', 'A defect in Trunkline.'),
} as const satisfies Record<string, CodeEntry>

export type ErrorCode = keyof typeof ERROR_CODES

/** What is known of where an error happened. Never holds a row's values or a secret. */
export interface ErrorContext {
  readonly stream?: string
  readonly field?: string
  /** Of the stream, where one that was asked for is not among them. */
  readonly columns?: readonly string[]
  /** Byte offset in the COPY stream. */
  readonly byteOffset?: number
  /** Of the read of the stream, counted from 1 in the order of arrival. */
  readonly rowNumber?: number
  readonly sqlstate?: string
  /** The constraint or unique index that the server names. */
  readonly constraint?: string
  readonly path?: string
  readonly host?: string
}

export interface ErrorOptions {
  readonly hint?: string
  readonly retry?: Retry
  readonly context?: ErrorContext
  readonly cause?: unknown
}

export class TrunklineError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly retry: Retry
  readonly context: ErrorContext

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'TrunklineError'
    this.code = code
    this.hint = options.hint
    this.retry = options.retry ?? ERROR_CODES[code].retry
    this.context = options.context ?? {}
  }

  get area(): ErrorArea {
    return ERROR_CODES[this.code].area
  }
}

/** Bytes that are not what their type says: `stream`, `field` and `byteOffset` are in the context. */
export class DecodeError extends TrunklineError {
  constructor(message: string, context: ErrorContext, options: Omit<ErrorOptions, 'context'> = {}) {
    super('DECODE_FAILED', message, {
      hint: 'The stream is damaged or the server is not PostgreSQL; nothing was landed from it. Run again, and report it if it stays.',
      ...options,
      context,
    })
    this.name = 'DecodeError'
  }
}

/** The plain data of an error, to pass between threads. */
export interface ErrorData {
  readonly code: ErrorCode
  readonly message: string
  readonly hint?: string
  readonly retry: Retry
  readonly context: ErrorContext
  readonly stack?: string
}

export function toErrorData(error: unknown): ErrorData {
  if (error instanceof TrunklineError) {
    return {
      code: error.code,
      message: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      retry: error.retry,
      context: error.context,
      ...(error.stack === undefined ? {} : { stack: error.stack }),
    }
  }
  const cause = error instanceof Error ? error : new Error(String(error))
  return {
    code: 'INTERNAL',
    message: cause.message,
    retry: 'never',
    context: {},
    ...(cause.stack === undefined ? {} : { stack: cause.stack }),
  }
}

export function fromErrorData(data: ErrorData): TrunklineError {
  const { hint, retry, context } = data
  const options = { retry, context, ...(hint === undefined ? {} : { hint }) }
  const error =
    data.code === 'DECODE_FAILED'
      ? new DecodeError(data.message, context, options)
      : new TrunklineError(data.code, data.message, options)
  if (data.stack !== undefined) error.stack = data.stack
  return error
}
