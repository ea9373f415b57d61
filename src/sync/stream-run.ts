/**
 * One stream in one snapshot: decides which load the plan comes to, and which one instead where the first one fails.
 *
 * Everything before `commit` can be thrown away; an error anywhere leaves the destination as the last commit made it. What a load has to
 * pass before it is in `stream-attempt.ts`.
 */
import type { Checkpoint } from '../model/checkpoint.js'
import { TrunklineError } from '../model/error.js'
import type { StreamPhases, VerifyResult } from '../model/report.js'
import type { Destination, PartialLoad, StreamState } from '../destination/contract.js'
import type { Snapshot, StreamCount } from '../source/contract.js'
import type { Clock } from './clock.js'
import { isCountMismatch } from './count-errors.js'
import type { CursorLoad } from './cursor-load.js'
import { decideLoad, type Load } from './fingerprint.js'
import { decideContinuation, type Continuation } from './first-load.js'
import type { MeasuredReaders } from './measured-readers.js'
import type { StreamPlan } from './plan.js'
import type { Progress } from './progress.js'
import type { RunPressure } from './resource-pressure.js'
import { StreamAttempt } from './stream-attempt.js'

export interface StreamRunInput {
  readonly snapshot: Snapshot
  readonly destination: Destination
  readonly plan: StreamPlan
  /** Null for a stream that was never committed. */
  readonly state: StreamState | null
  /** The count of the load that the plan comes to, where it is known already. */
  readonly counted: StreamCount | null
  /** What there is of a load of the next generation. */
  readonly partial: PartialLoad | null
  /** Told whenever there is more of it, or nothing any more. */
  readonly onPartial: (partial: PartialLoad | null) => void
  /** Told after each commit but the last one, from which another attempt would go on. */
  readonly onCommitted: (part: CommittedPart) => StreamState
  readonly saveEveryMs: number
  /** Rows between two saves of a load; null: only by time. */
  readonly saveEveryRows: number | null
  readonly pressure: RunPressure
  readonly runAt: Date
  readonly readers: MeasuredReaders
  /** Waits until the server has on its disk what the snapshot saw; asked once for all streams of the snapshot. */
  readonly fence: () => Promise<{ readonly durable: boolean; readonly waitedMs: number }>
  /** Calls when no other stream of the snapshot still has to be begun: until then the leader has better things to count. */
  readonly whenAllBegun: (call: () => void) => void
  /**
   * Sorting out what was landed is for one stream at a time: the destination may need all the memory it has to match or compare
   * rows, which it does not to take them in.
   */
  readonly inTurn: <Result>(work: () => Promise<Result>) => Promise<Result>
  readonly clock: Clock
  readonly verify: boolean
  readonly allowMassDelete: boolean
  readonly acceptNewSource: boolean
  /** Aborts with the reason why this stream must stop: the run's own or the snapshot's. */
  readonly signal: AbortSignal
  readonly progress: Progress
}

/** What a stream's state is after a part of a run. */
export interface CommittedPart {
  readonly generation: number
  readonly runSeq: number
  readonly checkpoint: Checkpoint
}

export interface StreamResult {
  readonly outcome: 'done' | 'unchanged'
  readonly fullLoadReason: string | null
  readonly generation: number
  readonly runSeq: number
  readonly rowsRead: number
  readonly rowsLanded: number
  readonly rowsDeleted: number
  readonly bytesRead: number
  readonly sourceCount: number | null
  readonly destinationCount: number | null
  readonly verified: VerifyResult | null
  readonly fenceMs: number | null
  readonly phases: StreamPhases
  readonly warnings: readonly string[]
}

/** @throws TrunklineError; nothing of this attempt is at the destination then but what it says was committed. */
export async function runStream(given: StreamRunInput): Promise<StreamResult> {
  const { plan, snapshot, state } = given
  let committed = state
  const input: StreamRunInput = {
    ...given,
    onCommitted: (part) => {
      committed = given.onCommitted(part)
      return committed
    },
  }
  const load = decideLoad({
    plan,
    position: snapshot.position,
    saved: state?.checkpoint ?? null,
    acceptNewSource: input.acceptNewSource,
  })
  const continuation = decideGoingOn(input, load)
  try {
    return await new StreamAttempt(input, load, continuation).run()
  } catch (error) {
    if (continuation.kind === 'resume' && isCountMismatch(error)) {
      input.progress.warn(plan.stream.name, `${error.message} Loading it from the start.`)
      return await new StreamAttempt(input, load, {
        kind: 'start',
        dropped: 'The counts did not agree.',
      }).run()
    }
    if (load.kind === 'cursor' && plan.landing === 'upsert' && isReadRefused(error)) {
      return await readAllInstead({ ...input, state: committed }, load, error)
    }
    const again = load.kind === 'since' && plan.landing === 'upsert' && isCountMismatch(error)
    if (!again) throw error
    input.progress.warn(plan.stream.name, `${error.message} Loading it anew.`)
    const reason = 'The counts of the last load did not agree.'
    const anew: Load =
      plan.deletes === 'hard'
        ? { kind: 'new_generation', reason, columns: load.change.columns }
        : { kind: 'full_upsert', reason, change: load.change }
    return await new StreamAttempt(input, anew, { kind: 'start', dropped: null }).run()
  }
}

/** Only where rows land by key: what is landed again changes nothing then. */
async function readAllInstead(
  input: StreamRunInput,
  load: CursorLoad,
  error: TrunklineError,
): Promise<StreamResult> {
  const { plan, progress } = input
  progress.warn(
    plan.stream.name,
    `Reading by "${plan.cursor?.column.name ?? ''}" failed: ${error.message} Reading everything instead.`,
  )
  const reason = `Reading by its cursor failed: ${error.message}`
  const { columns } = load.change
  const anew: Load =
    load.fresh === null
      ? { kind: 'full_upsert', reason, change: load.change }
      : { kind: 'new_generation', reason, columns }
  return new StreamAttempt(input, anew, { kind: 'start', dropped: null }).run()
}

/** The server does not take the condition or a value of it, or gave other rows than it counted. */
function isReadRefused(error: unknown): error is TrunklineError {
  if (!(error instanceof TrunklineError)) return false
  const { sqlstate = '' } = error.context
  return isCountMismatch(error) || (/^(22|42)/.test(sqlstate) && sqlstate !== '42501')
}

function decideGoingOn(
  { plan, snapshot, state, partial, destination }: StreamRunInput,
  load: Load,
): Continuation {
  if (load.kind !== 'new_generation') return { kind: 'start', dropped: null }
  return decideContinuation({
    plan,
    columns: load.columns,
    position: snapshot.position,
    capabilities: destination.capabilities,
    generation: (state?.generation ?? 0) + 1,
    partial,
  })
}
