/** The words of the noesis PostgreSQL connector for what goes wrong. */
import type { TrunklineError } from '../../model/error.js'
import { isConnectionRefused } from './error-facts.js'
import type { ProfileWords } from './profile.js'

export const NOESIS_TEXTS = {
  missing: (key: string) => `invalid configuration: required field '${key}' is missing or empty`,
  invalid: (key: string, why: string) => `invalid configuration: field '${key}' ${why}`,
  refused: 'connection refused',
  authentication: 'authentication failed',
  tls: 'SSL connection failed',
  timeout: 'query timeout',
} as const

/** Statements are only ever cancelled by somebody, or by statement_timeout. */
const QUERY_CANCELED = 'QUERY_CANCELED'

export function describeNoesisError(error: TrunklineError): ProfileWords | null {
  const text = findText(error)
  return text === null ? null : { className: 'Error', text }
}

function findText(error: TrunklineError): string | null {
  if (error.area === 'config') return `invalid configuration: ${error.message}`
  if (isConnectionRefused(error)) return NOESIS_TEXTS.refused
  switch (error.code) {
    case 'AUTH_FAILED':
    case 'AUTH_INSECURE':
      return NOESIS_TEXTS.authentication
    case 'TLS_FAILED':
      return NOESIS_TEXTS.tls
    case QUERY_CANCELED:
      return NOESIS_TEXTS.timeout
    default:
      return null
  }
}
