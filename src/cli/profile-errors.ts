/**
 * Errors of a configuration that was written for another tool, in that tool's words: `ValueError: …`, `ConnectorError: …`. What
 * went wrong in our own words, what to do and the code go along below.
 */
import type { ConfiguredProfile } from '../config/profiles/profile.js'
import { ProfileError } from '../config/profiles/profile.js'
import type { ErrorData } from '../model/error.js'
import { TrunklineError, fromErrorData } from '../model/error.js'
import { reportDetails } from './error-report.js'
import { escapeText } from './escape.js'
import type { Terminal } from './terminal.js'

/** Runs what belongs to a profile; an error that the profile has words for is thrown with them, the original as its cause. */
export async function inProfileWords<T>(
  profile: ConfiguredProfile | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (profile === undefined || !(error instanceof TrunklineError)) throw error
    // Interrupted is interrupted in any words.
    if (error instanceof ProfileError || error.code === 'ABORTED') throw error
    const words = profile.describeError(error)
    throw words === null ? error : new ProfileError(words, error)
  }
}

/** False where the error has no words but ours: nothing was reported then. */
export function reportInWords(terminal: Terminal, error: unknown): boolean {
  if (!(error instanceof ProfileError)) return false
  const { className, text } = error.words
  terminal.note(`${terminal.style.red(`${className}:`)} ${escapeText(text)}`)
  if (!text.includes(error.message)) terminal.note(`  ${escapeText(error.message)}`)
  reportDetails(terminal, error)
  return true
}

/** One line for a stream that failed, where the profile has words for it. */
export function describeStreamFailure(profile: ConfiguredProfile, error: ErrorData): string | null {
  const words = profile.describeError(fromErrorData(error))
  return words === null ? null : escapeText(`${words.className}: ${words.text}`)
}
