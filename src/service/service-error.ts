/** What the service answers when it does not do what was asked: a status, and the error as JSON. */
import type { ErrorCode, ErrorData } from '../model/error.js'
import { TrunklineError, toErrorData } from '../model/error.js'

/** Codes that only HTTP has; the others are Trunkline's own. */
export type ServiceErrorCode =
  | 'UNAUTHORIZED'
  | 'HOST_REFUSED'
  | 'REQUEST_INVALID'
  | 'NOT_FOUND'
  | 'STREAM_WITHHELD'
  | 'RUN_IN_PROGRESS'
  | 'BUSY'
  | 'STOPPING'

const STATUS: Readonly<Record<ServiceErrorCode, number>> = {
  UNAUTHORIZED: 401,
  HOST_REFUSED: 403,
  REQUEST_INVALID: 400,
  NOT_FOUND: 404,
  STREAM_WITHHELD: 403,
  RUN_IN_PROGRESS: 409,
  BUSY: 429,
  STOPPING: 503,
}

/** Seconds after which it may be tried again. */
const RETRY_AFTER_S = 2

export class ServiceError extends Error {
  readonly code: ServiceErrorCode
  readonly hint: string
  /** Instead of the code's own. */
  readonly status: number

  constructor(code: ServiceErrorCode, message: string, hint: string, status?: number) {
    super(message)
    this.name = 'ServiceError'
    this.code = code
    this.hint = hint
    this.status = status ?? STATUS[code]
  }
}

export interface ErrorBody {
  readonly error: {
    readonly code: ErrorCode | ServiceErrorCode
    readonly message: string
    readonly hint?: string
    readonly retry: ErrorData['retry']
    readonly context?: ErrorData['context']
    /** As the profile's document words it, where the configuration is of one. */
    readonly text?: string
  }
}

export interface ErrorAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: ErrorBody
}

/** Words an error as the document of a profile does; null where that has no words for it. */
export type DescribeError = (error: TrunklineError) => string | null

export function toErrorAnswer(error: unknown, describe: DescribeError = () => null): ErrorAnswer {
  if (error instanceof ServiceError) {
    const { code, message, hint, status } = error
    const retry = status === 429 || status === 503 ? 'backoff' : 'never'
    return { status, headers: headersOf(status), body: { error: { code, message, hint, retry } } }
  }
  const status = statusOf(error)
  return { status, headers: headersOf(status), body: toErrorBody(error, describe) }
}

/** Never with a stack, and nothing of an error that nobody expected: it may quote anything. */
export function toErrorBody(error: unknown, describe: DescribeError = () => null): ErrorBody {
  if (!(error instanceof TrunklineError)) {
    const message = 'Something went wrong inside the service; its log says what.'
    return { error: { code: 'INTERNAL', message, retry: 'never' } }
  }
  const { stack: _, ...data } = toErrorData(error)
  const text = describe(error)
  return { error: { ...data, ...(text === null ? {} : { text }) } }
}

/** Where the area and the way to retry do not say it. */
const STATUS_OF_CODE: Partial<Record<ErrorCode, number>> = {
  STREAM_MISSING: 404,
  SELECTION_EMPTY: 404,
  DATABASE_MISSING: 502,
  PERMISSION_DENIED: 403,
  PRIVILEGED_ROLE: 403,
  ROW_SECURITY: 403,
  STREAM_UNSUPPORTED: 422,
  CUSTOM_SQL_INVALID: 422,
  QUERY_FAILED: 422,
  VALUE_UNREPRESENTABLE: 422,
  FIELD_TOO_LARGE: 422,
  MODULE_MISSING: 501,
  INTERNAL: 500,
}

function statusOf(error: unknown): number {
  if (!(error instanceof TrunklineError)) return 500
  const own = STATUS_OF_CODE[error.code]
  if (own !== undefined) return own
  if (error.area === 'config') return 400
  return error.retry === 'never' ? 502 : 503
}

function headersOf(status: number): Record<string, string> {
  if (status === 401) return { 'www-authenticate': 'Bearer' }
  return status === 429 || status === 503 ? { 'retry-after': String(RETRY_AFTER_S) } : {}
}
