import { TrunklineError } from '../../src/model/error.js'

/** The TrunklineError that `action` throws. @throws what else it throws, and when it does not. */
export function captureError(action: () => unknown): TrunklineError {
  try {
    action()
  } catch (error) {
    if (error instanceof TrunklineError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
