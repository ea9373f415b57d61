/** What counts of the source and of the destination can come to, as errors. */
import { TrunklineError } from '../model/error.js'
import type { StreamPlan } from './plan.js'

export function countMismatch(plan: StreamPlan, what: string): TrunklineError {
  return new TrunklineError('COUNT_MISMATCH', `${plan.stream.name}: ${what}.`, {
    hint: 'Nothing of it was landed. If it stays, the key may not be unique, or an index of the source is damaged.',
    context: { stream: plan.stream.name },
  })
}

export function isCountMismatch(error: unknown): error is TrunklineError {
  return error instanceof TrunklineError && error.code === 'COUNT_MISMATCH'
}

export function massDelete(plan: StreamPlan, deleted: number, live: number): TrunklineError {
  return new TrunklineError(
    'MASS_DELETE',
    `${plan.stream.name}: ${deleted} of ${live} rows are gone at the source, more than may be deleted at once.`,
    {
      hint: 'Check that the source is the right one and complete; if it is, run again with --allow-mass-delete.',
      context: { stream: plan.stream.name },
    },
  )
}
