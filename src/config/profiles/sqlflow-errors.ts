/** The words of SQLFlow's PostgreSQL connector for what goes wrong. */
import type { TrunklineError } from '../../model/error.js'
import { isConnectionFailure, isConnectionRefused, sqlstateOf } from './error-facts.js'
import type { ProfileWords } from './profile.js'

export const SQLFLOW_TEXTS = {
  missing: (names: readonly string[]) => `Missing required parameters: {${quoteAll(names)}}`,
  database: "Either 'database' or 'dbname' parameter is required",
  username: "Either 'username' or 'user' parameter is required",
  integer: (name: string) => `Parameter '${name}' must be an integer`,
  syncMode: (value: string) => `Invalid sync_mode '${value}'. Must be one of: cdc, full_refresh, incremental`,
  cursorRequired: 'cursor_field is required for incremental sync_mode',
  cursorMissing: (field: string, columns: readonly string[]) =>
    `Cursor field '${field}' not found in data chunk columns: [${quoteAll(columns)}]`,
  pool: (cause: string) => `Failed to create connection pool: ${cause}`,
  refused: 'could not connect to server: Connection refused',
  authentication: (user: string) => `FATAL: password authentication failed for user "${user}"`,
  circuit: (name: string) =>
    `Circuit breaker is OPEN for ${name}. Failing fast to prevent cascading failures.`,
  tableMissing: (table: string, schema: string) => `Table not found: ${table} in schema ${schema}`,
} as const

const INVALID_PASSWORD = '28P01'

export interface SqlflowFacts {
  readonly user: string
  readonly schema: string
  /** Null where a query or every table is read. */
  readonly table: string | null
  readonly cursorField: string | null
}

export function describeSqlflowError(error: TrunklineError, facts: SqlflowFacts): ProfileWords {
  const { area, code, message, context } = error
  if (area === 'config') return { className: 'ParameterError', text: message }
  if (code === 'STREAM_MISSING') {
    if (context.columns !== undefined && facts.cursorField !== null) {
      const text = SQLFLOW_TEXTS.cursorMissing(facts.cursorField, context.columns)
      return { className: 'IncrementalError', text }
    }
    if (facts.table !== null && context.field === undefined) {
      return { className: 'ConnectorError', text: SQLFLOW_TEXTS.tableMissing(facts.table, facts.schema) }
    }
  }
  if (code === 'CIRCUIT_OPEN') {
    return { className: 'ConnectorError', text: SQLFLOW_TEXTS.circuit(context.host ?? 'the source') }
  }
  return { className: 'ConnectorError', text: connectionText(error, facts) ?? message }
}

function connectionText(error: TrunklineError, { user }: SqlflowFacts): string | null {
  if (sqlstateOf(error) === INVALID_PASSWORD) return SQLFLOW_TEXTS.authentication(user)
  if (isConnectionRefused(error)) return SQLFLOW_TEXTS.pool(SQLFLOW_TEXTS.refused)
  return isConnectionFailure(error) ? SQLFLOW_TEXTS.pool(error.message) : null
}

function quoteAll(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ')
}
