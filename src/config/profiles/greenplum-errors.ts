/** The words of the Greenplum connector for what goes wrong. */
import type { TrunklineError } from '../../model/error.js'
import { isConnectionFailure } from './error-facts.js'
import type { ProfileWords } from './profile.js'

export const GREENPLUM_TEXTS = {
  missing: (key: string) => `Missing required configuration: ${key}`,
  connect: (cause: string) => `Error connecting to Greenplum database: ${cause}`,
} as const

export function describeGreenplumError(error: TrunklineError): ProfileWords | null {
  if (error.area === 'config') return { className: 'ValueError', text: error.message }
  if (!isConnectionFailure(error)) return null
  return { className: 'ConnectionError', text: GREENPLUM_TEXTS.connect(error.message) }
}
