/** Masks as a configuration states them: what stands in a column instead of the values themselves. */
import { TrunklineError } from './error.js'

export type Mask =
  /** HMAC-SHA-256 of the value's text under a secret: equal values stay equal, also across tables, and nobody can guess them. */
  | { readonly kind: 'hmac'; readonly key: string }
  /** SHA-256 of the value's text: whoever can list the possible values can find each one. */
  | { readonly kind: 'hash' }
  /** The same word for every value. */
  | { readonly kind: 'redact' }
  /** The last characters, the others as stars. */
  | { readonly kind: 'partial'; readonly keep: number }
  /** No value. */
  | { readonly kind: 'null' }

const DEFAULT_KEPT = 4
/** Below this a secret can be tried out. */
const MIN_KEY_CHARACTERS = 16

/**
 * `hmac:SECRET`, `hash`, `redact`, `partial`, `partial:4`, `null`.
 * @param place where it stands, for errors, which never hold the secret
 * @throws CONFIG_INVALID
 */
export function parseMask(text: string, place: string): Mask {
  const parsed = readMask(text)
  if (typeof parsed !== 'string') return parsed
  throw new TrunklineError('CONFIG_INVALID', `${place}: ${parsed}.`, {
    hint: 'For example `mask: { email: "hmac:${MASK_KEY}", phone: partial, notes: redact }`.',
  })
}

/** The mask, or what is wrong with it, without the secret. */
export function readMask(text: string): Mask | string {
  const separator = text.indexOf(':')
  const kind = separator < 0 ? text : text.slice(0, separator)
  const argument = separator < 0 ? null : text.slice(separator + 1)
  if (kind === 'hmac') {
    if (argument !== null && argument.length >= MIN_KEY_CHARACTERS) return { kind, key: argument }
    return `hmac takes a secret of at least ${MIN_KEY_CHARACTERS} characters`
  }
  if (kind === 'partial') {
    const keep = argument === null ? DEFAULT_KEPT : Number(argument)
    if (Number.isSafeInteger(keep) && keep >= 0 && argument !== '') return { kind, keep }
    return 'partial takes the number of characters to keep'
  }
  if ((kind === 'hash' || kind === 'redact' || kind === 'null') && argument === null) return { kind }
  return 'the mask is none of hmac:SECRET, hash, redact, partial, partial:N, null'
}

/** Equal values are told apart from different ones afterwards, and by nobody else. */
export function keepsIdentity(mask: Mask): boolean {
  return mask.kind === 'hmac'
}
