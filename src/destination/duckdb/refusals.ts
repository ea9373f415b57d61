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
