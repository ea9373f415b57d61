/** What a configuration holds that has no effect, or less protection than its author may think. */
import { closestKey } from '../../model/closest-name.js'
import { isLocal } from '../connection-input.js'
import type { ProfileDocument } from './profile.js'

/** The tools that these configurations were written for ignore what they do not know; so do we, but we say it. */
export function warnOfUnknownKeys(document: ProfileDocument, known: readonly string[]): readonly string[] {
  return Object.keys(document.values)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const suggestion = closestKey(key, known)
      const advice = suggestion === null ? '' : ` Did you mean \`${suggestion}\`?`
      return `${document.placeOf(key)}: the key \`${key}\` has no effect.${advice}`
    })
}

/** @param sslmode the default that was taken because the configuration states none */
export function warnOfDefaultSslMode(
  document: ProfileDocument,
  host: string,
  sslmode: string,
): readonly string[] {
  if (isLocal(host)) return []
  const what =
    sslmode === 'disable'
      ? 'the connection is not encrypted'
      : 'the server is not verified, and without TLS on its side nothing is encrypted'
  return [
    `${document.file}: sslmode is not stated, and the default here is \`${sslmode}\`: ${what}. TRUNKLINE_REQUIRE_TLS=verify-full in the environment prevents it.`,
  ]
}
