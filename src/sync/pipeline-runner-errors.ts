/** What goes wrong with a source while a pipeline runs, in the words of the language's own documents, with the place in the file. */
import { TrunklineError, type ErrorContext } from '../model/error.js'
import { failure, PipelineError } from '../pipeline/pipeline-error.js'
import type { PipelineSource } from '../pipeline/pipeline.js'
import type { Span } from '../pipeline/source-text.js'

/** An error of ours with the place of the statement that it is about; anything else stays as it is. */
export function placeError(error: unknown, span: Span, source: PipelineSource | null): unknown {
  if (!(error instanceof TrunklineError) || error instanceof PipelineError || error.code === 'ABORTED')
    return error
  const message = (source === null ? null : describeSourceError(error, source)) ?? error.message
  return failure(span, message, {
    code: error.code,
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  })
}

/** Null where the documents have no words for it. */
function describeSourceError(error: TrunklineError, source: PipelineSource): string | null {
  const { reads, schema } = source
  if (error.code === 'STREAM_MISSING' && reads?.kind === 'table') {
    return `ConnectorError: Table not found: ${reads.table} in schema ${schema}`
  }
  if (systemCodeOf(error) === 'ECONNREFUSED') {
    return 'ConnectorError: Failed to create connection pool: could not connect to server: Connection refused'
  }
  const { user } = source.options
  if (sqlstateOf(error) === '28P01' && user !== undefined) {
    return `ConnectorError: FATAL: password authentication failed for user "${user}"`
  }
  return null
}

/** @param columns of what the source reads */
export function missingCursorField(
  span: Span,
  cursorField: string,
  columns: readonly string[],
): PipelineError {
  const list = columns.map((column) => `'${column}'`).join(', ')
  return failure(
    span,
    `IncrementalError: Cursor field '${cursorField}' not found in data chunk columns: [${list}]`,
    { code: 'STREAM_MISSING', hint: 'Name a column that the table has, or that the query gives.' },
  )
}

/** Codes of a source that cannot be reached at all. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  ...['CONNECT_FAILED', 'CONNECT_TIMEOUT', 'CONNECT_NO_SUITABLE_HOST', 'AUTH_FAILED', 'AUTH_INSECURE'],
  ...['TLS_FAILED', 'DATABASE_MISSING'],
])

export function isUnreachable(error: unknown): boolean {
  return error instanceof TrunklineError && UNREACHABLE.has(error.code)
}

function systemCodeOf(error: unknown): unknown {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ECONNREFUSED') return code
  }
  return null
}

function sqlstateOf(error: unknown): ErrorContext['sqlstate'] {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof TrunklineError && cause.context.sqlstate !== undefined) return cause.context.sqlstate
  }
  return undefined
}
