/** What every destination refuses alike, in the same words. */
import { TrunklineError } from '../model/error.js'

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

export function nothingSaved(sync: string, stream: string): TrunklineError {
  return new TrunklineError(
    'STREAM_MISSING',
    `Nothing is saved for the stream ${stream} of the sync ${sync}.`,
    {
      hint: '`trunkline state show` lists the syncs and streams of a destination.',
      context: { stream },
    },
  )
}

/** Another run took the lease, or committed the stream. `how`: as a sentence. */
export function fenced(how: string): TrunklineError {
  return new TrunklineError('FENCED', `${how} Nothing of this run was committed for the stream.`, {
    hint: 'Let one run of a sync finish before the next starts; the next run continues from what is saved.',
  })
}

/** A writer is used after its end. */
export function writerClosed(stream: string): TrunklineError {
  return new TrunklineError('FENCED', `The writer of ${stream} is closed; its run no longer has the lease.`, {
    hint: 'Begin the stream again in a new run.',
    context: { stream },
  })
}

/** A destination is used before `open` or after `close`. */
export function notOpen(description: string): TrunklineError {
  return new TrunklineError('FENCED', `${description} is not open.`, { hint: 'Open it first.' })
}
