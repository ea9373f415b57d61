/**
 * Streams that need not be read to know that nothing changed: the source gives them a mark that is equal in two runs only where
 * nothing was changed between them. What is landed of such a stream is still what it holds, as long as nothing else that decides
 * about it is different. Pure.
 */
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from '../model/checkpoint.js'
import type { SourcePosition } from '../model/checkpoint.js'
import { comparePositions, fingerprintOf } from './fingerprint.js'
import type { StreamPlan } from './plan.js'

/** The source says whether the stream changes. */
export function hasMark({ stream }: StreamPlan): boolean {
  return (stream.greenplum?.changeMark ?? null) !== null
}

/** With the mark of the stream, where it has one. `live`: rows at the destination; null where they are not counted. */
export function withMark<Saved extends Checkpoint>(
  checkpoint: Saved,
  plan: StreamPlan,
  live: number | null,
): Saved {
  const content = plan.stream.greenplum?.changeMark ?? null
  if (content === null || live === null) return checkpoint
  return { ...checkpoint, mark: { content, rows: live } }
}

export interface MarkedInput {
  readonly plan: StreamPlan
  readonly position: SourcePosition
  readonly saved: Checkpoint | null
}

/** The checkpoint of a stream that was not changed since, with the rows it has at the destination; null where it has to be looked at. */
export function findMarkedUnchanged({
  plan,
  position,
  saved,
}: MarkedInput): { readonly checkpoint: Checkpoint; readonly rows: number } | null {
  const mark = saved?.mark
  if (saved === null || mark === undefined || mark.content !== plan.stream.greenplum?.changeMark) return null
  // A condition can depend on the day, a hook on anything; copies are made whether or not anything changed.
  if (plan.landing === 'append' || plan.dated || plan.where !== null || plan.transform.hook !== null)
    return null
  if ((saved.kind === 'cursor') !== (plan.mode === 'incremental')) return null
  if (comparePositions(saved, position).kind !== 'forward') return null
  const now: Checkpoint = { ...saved, source: position, stream: fingerprintOf(plan, plan.columns) }
  return streamText(now) === streamText(saved) ? { checkpoint: now, rows: mark.rows } : null
}

/** Keys in the order of the shape, whoever wrote them. */
function streamText(checkpoint: Checkpoint): string {
  return JSON.stringify(parseCheckpoint(formatCheckpoint(checkpoint)).stream)
}
