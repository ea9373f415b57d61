/** The words of the connector with adaptive processing for what is wrong with its configuration; what a run meets is logged. */
import type { TrunklineError } from '../../model/error.js'
import { isConnectionFailure } from './error-facts.js'
import type { ProfileWords } from './profile.js'

export const ADAPTIVE_TEXTS = {
  missing: (key: string) => `Missing required configuration value: ${key}`,
} as const

export function describeAdaptiveError(error: TrunklineError): ProfileWords | null {
  if (error.area === 'config') return { className: 'ValueError', text: error.message }
  return isConnectionFailure(error) ? { className: 'ConnectionError', text: error.message } : null
}
