/** Options that Trunkline knows of and this version cannot do: refused, never ignored. */
import { TrunklineError } from '../model/error.js'

const NOT_YET: Readonly<Record<string, string>> = {
  deletes_every: 'Deletes are found in every run.',
  schedule: 'Run `trunkline sync` from cron, systemd or your orchestrator.',
}

/** Takes the key in snake case. */
export function isUnsupportedKey(key: string): boolean {
  return Object.hasOwn(NOT_YET, key)
}

/** @param spelled the key as it was written: deletes_every, deletesEvery */
export function unsupportedKey(place: string, spelled: string, key: string): TrunklineError {
  return new TrunklineError(
    'CONFIG_UNSUPPORTED',
    `${place}: \`${spelled}\` is not available in this version.`,
    {
      hint: NOT_YET[key] ?? 'Leave it out.',
    },
  )
}
