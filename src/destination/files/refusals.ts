/** What a destination of files refuses, and what to do about it. */
import { TrunklineError } from '../../model/error.js'
import type { StreamLanding } from '../contract.js'
import { describeRun, type RunNote } from '../run-note.js'

export function ownedByOther(
  landing: Pick<StreamLanding, 'stream' | 'table'>,
  owner: { readonly sync: string; readonly stream: string } | null,
): TrunklineError {
  const table = `${landing.table.schema}.${landing.table.name}`
  const message =
    owner === null
      ? `In the folder of the table ${table} are files that Trunkline did not make.`
      : `The table ${table} belongs to the stream ${owner.stream} of the sync ${owner.sync}.`
  return new TrunklineError('TABLE_OWNED', message, {
    hint: 'Land under another name with --name-template (for example {schema}_{table}), or take the table over with --adopt.',
    context: { stream: landing.stream },
  })
}

export function foreignRoot(description: string): TrunklineError {
  return new TrunklineError(
    'TABLE_OWNED',
    `${description} is not empty, and what is there was not made by Trunkline.`,
    {
      hint: 'Name a place of its own, or land beside what is there with --adopt, which touches none of it but latest.sql and latest.json.',
      context: { path: description },
    },
  )
}

export function otherFiles(description: string, files: string): TrunklineError {
  const [name = files, options] = files.split('?')
  const stated = options === undefined ? '' : `, and ?${options} behind it`
  return new TrunklineError(
    'DESTINATION_INVALID',
    `${description} already holds files of another form: ${files}.`,
    {
      hint: `Write ${name}: in front of the place${stated}, or name another place.`,
      context: { path: description },
    },
  )
}

export function begunMeanwhile(description: string): TrunklineError {
  return new TrunklineError(
    'DESTINATION_LOCKED',
    `A run of the sync has begun at ${description} meanwhile.`,
    {
      hint: 'Wait until it is done, then do it again.',
      context: { path: description },
    },
  )
}

export function heldBy(description: string, run: RunNote): TrunklineError {
  return new TrunklineError(
    'DESTINATION_LOCKED',
    `${description} is held by another run: ${describeRun(run)}.`,
    {
      hint: 'Wait until it is done, or end it; then run again. A run that ended without a word is waited for two minutes.',
      context: { path: description },
    },
  )
}
