/** What a landing is refused for, and what to do about it. */
import { TrunklineError } from '../../model/error.js'
import type { StreamLanding } from '../contract.js'
import { formatTable } from './quote.js'

export function ownedByOther(
  landing: StreamLanding,
  owner: { readonly sync: string; readonly stream: string } | null,
): TrunklineError {
  const table = formatTable(landing.table)
  const message =
    owner === null
      ? `The table ${table} is already there and was not made by Trunkline.`
      : `The table ${table} belongs to the stream ${owner.stream} of the sync ${owner.sync}.`
  return new TrunklineError('TABLE_OWNED', message, {
    hint: 'Land under another name with --name-template (for example {schema}_{table}), or take the table over with --adopt.',
    context: { stream: landing.stream },
  })
}

export function massDelete(stream: string, gone: number, allowed: number): TrunklineError {
  return new TrunklineError(
    'MASS_DELETE',
    `${stream}: ${gone} rows at the destination are no longer at the source, more than the ${allowed} that may be deleted at once.`,
    {
      hint: 'Check that the source is the right one and complete; if it is, run again with --allow-mass-delete.',
      context: { stream },
    },
  )
}

export function keyDuplicate(stream: string, key: readonly string[]): TrunklineError {
  return new TrunklineError('KEY_DUPLICATE', `${stream}: two rows have the same ${key.join(', ')}.`, {
    hint: 'The declared key is not unique at the source, or its index is damaged. Choose another key with --primary-key, or use --mode full_refresh.',
    context: { stream },
  })
}
