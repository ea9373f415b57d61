/**
 * Loads of a new generation that go on where an earlier run, or an earlier snapshot of the same run, left them. Pure.
 *
 * A load is divided into ranges of the storage. What is read of it is saved from time to time, with the ranges that remain. A
 * later snapshot reads those, and then makes good whatever happened between the first snapshot and itself: rows that later
 * transactions wrote are read again and replaced by key, and keys that are gone are deleted.
 *
 * Why the result is what the last snapshot sees: a row version that it sees was written either below the horizon of the first
 * snapshot or not. If it was, it was there all the time, in one place as long as the storage is not rewritten, and so came with
 * its range, alone with its key. If not, it is read again. Whatever else has come is the row of a key that is gone.
 */
import type { PartialLoad, DestinationCapabilities } from '../destination/contract.js'
import type { Checkpoint, LoadProgress, SourcePosition, StreamFingerprint } from '../model/checkpoint.js'
import { DEFAULT_LIMITS, SAVE_SHARE } from '../model/thresholds.js'
import { formatXid8, isWindowUsable, parseXid8, type Xid8 } from '../model/xid.js'
import type { SplitRange } from '../model/split-range.js'
import type { ReadColumn, RowWindow } from '../source/contract.js'
import { behind, comparePositions, fingerprintOf } from './fingerprint.js'
import { horizonObstacle, type StreamPlan } from './plan.js'
import { printTable } from './naming.js'
import { compareColumns, describeChanges, transformsChanged } from './schema-change.js'

/** Why nothing of such a load can be saved; null where it can. */
export function savingObstacle(
  plan: StreamPlan,
  capabilities: Pick<DestinationCapabilities, 'resume'>,
): string | null {
  if (!capabilities.resume) return 'the destination keeps no load that is not over'
  if (plan.key === null || plan.dated) return 'it has no key by which rows could be matched'
  const obstacle = horizonObstacle(plan.stream)
  if (obstacle !== null) return obstacle
  if (plan.stream.rowSecurity) return 'row security hides rows, and which ones may change'
  if (plan.mayDrop) return 'a row hook may leave rows out'
  // Only elsewhere is a condition known to depend on nothing but the row.
  if (plan.mode === 'full_refresh' && plan.where !== null) return 'it is read under a condition'
  if (plan.stream.leaves.length === 0 || plan.stream.leaves.some((leaf) => leaf.filenode === null)) {
    return 'its storage is not known'
  }
  return null
}

/** What a load is made of, from its first snapshot to its last. */
export interface LoadParts {
  /** Of the first snapshot. */
  readonly horizon: Xid8
  /** As in the first snapshot, with the leaves that have been there, as they were then, in every snapshot since. */
  readonly stream: StreamFingerprint
  readonly parts: number
  /** Rows that are there from earlier snapshots. */
  readonly rowsBefore: number
}

export type Continuation =
  | {
      readonly kind: 'start'
      /** Why what is there of the load is of no use, as a sentence; null where nothing is there. */
      readonly dropped: string | null
    }
  | {
      readonly kind: 'resume'
      readonly load: LoadParts
      readonly remaining: readonly SplitRange[]
      /** What is read again and replaced by key at the end. */
      readonly window: RowWindow
      /** Compare keys even if the counts agree. */
      readonly reconcile: boolean
    }

export interface ContinuationInput {
  readonly plan: StreamPlan
  /** The columns that the load lands. */
  readonly columns: readonly ReadColumn[]
  readonly position: SourcePosition
  readonly capabilities: Pick<DestinationCapabilities, 'resume'>
  /** The generation that is to be loaded. */
  readonly generation: number
  readonly partial: PartialLoad | null
}

/** @throws SOURCE_PRESSURE where a standby has yet to replay what is there already. */
export function decideContinuation(input: ContinuationInput): Continuation {
  const { plan, columns, position, partial } = input
  if (partial === null) return { kind: 'start', dropped: null }
  const { progress } = partial
  const obstacle = savingObstacle(plan, input.capabilities)
  if (obstacle !== null) return drop(`It cannot be gone on with: ${obstacle}.`)
  if (partial.generation !== input.generation) return drop('It is of another generation.')
  if (printTable(partial.table) !== printTable(plan.table)) return drop('It lands under another name now.')
  const time = comparePositions(lastSnapshotOf(progress), position)
  if (time.kind === 'behind') throw behind(plan)
  if (time.kind === 'other_source') return drop(`The source is another one (${time.what}).`)
  if (time.kind === 'rewound') return drop(`The source went back in time (${time.what}).`)

  const now = fingerprintOf(plan, columns)
  const changed = compareShapes(progress.stream, now)
  if (changed !== null) return drop(changed)
  const horizon = parseXid8(progress.horizon)
  const xmax = parseXid8(position.xmax)
  if (!isWindowUsable(horizon, xmax)) {
    return drop('More than 2^31 transactions have passed since it began, so row ages are ambiguous.')
  }
  const kept = progress.stream.leaves.filter((leaf) =>
    now.leaves.some(({ oid, filenode }) => oid === leaf.oid && filenode === leaf.filenode),
  )
  if (keptShare(plan, kept) < LEAST_KEPT_SHARE) return drop('The table was emptied or rewritten.')
  const whole = now.leaves.filter(({ oid }) => !kept.some((leaf) => leaf.oid === oid))
  return {
    kind: 'resume',
    load: {
      horizon,
      stream: { ...progress.stream, leaves: kept },
      parts: progress.parts,
      rowsBefore: progress.rows,
    },
    remaining: progress.remaining,
    window: { horizon, xmax, wholeLeaves: whole.map(({ oid }) => oid) },
    reconcile: kept.length < progress.stream.leaves.length,
  }
}

/** Where less of the table is as it was, reading it anew is less work than making good what changed. */
const LEAST_KEPT_SHARE = 0.5

function keptShare(plan: StreamPlan, kept: StreamFingerprint['leaves']): number {
  const { leaves } = plan.stream
  const isKept = (oid: number): boolean => kept.some((leaf) => leaf.oid === oid)
  const total = leaves.reduce((sum, leaf) => sum + leaf.bytes, 0)
  if (total === 0) return kept.length / leaves.length
  return leaves.reduce((sum, leaf) => (isKept(leaf.oid) ? sum + leaf.bytes : sum), 0) / total
}

function drop(dropped: string): Continuation {
  return { kind: 'start', dropped }
}

/** Rows are as of the newest snapshot, so nothing before it will do; transaction ids need only reach the oldest. */
function lastSnapshotOf({ source, stream, horizon }: LoadProgress): Checkpoint {
  return { format: 1, kind: 'horizon', source, stream, horizon }
}

/** What a change of shape means for rows that are there cannot be told from their transaction ids. */
function compareShapes(then: StreamFingerprint, now: StreamFingerprint): string | null {
  if (then.oid !== now.oid) return 'The table was dropped and created again.'
  const changes = compareColumns(then.columns, now.columns)
  if (changes.length > 0) return describeChanges(changes)
  if (JSON.stringify(then.columns) !== JSON.stringify(now.columns)) return 'Its columns changed.'
  if (JSON.stringify(then.key) !== JSON.stringify(now.key)) return 'The key changed.'
  if (then.where !== now.where) return 'The condition `where` changed.'
  return transformsChanged(then, now)
}

/** The parts of a load that begins; null where it cannot be divided, and so not be saved. */
export function beginParts(
  ranges: readonly SplitRange[],
  first: { readonly horizon: Xid8; readonly stream: StreamFingerprint },
): LoadParts | null {
  if (ranges.length < 2 || ranges.some((range) => range.kind === 'all')) return null
  return { ...first, parts: ranges.length, rowsBefore: 0 }
}

export function formatProgress(
  load: LoadParts,
  now: {
    /** Of the snapshot that is read. */
    readonly position: SourcePosition
    readonly rows: number
    readonly remaining: readonly SplitRange[]
  },
): LoadProgress {
  return {
    format: 1,
    kind: 'partial',
    source: now.position,
    stream: load.stream,
    horizon: formatXid8(load.horizon),
    rows: now.rows,
    parts: load.parts,
    remaining: [...now.remaining],
  }
}

/** `37 of 64 parts` */
export function describeParts(progress: {
  readonly parts: number
  readonly remaining: readonly SplitRange[]
}): string {
  return `${progress.parts - progress.remaining.length} of ${progress.parts} parts`
}

/** When a load is saved: what is short never is, and saving takes a small share of the time however slow it is. */
export class SaveSchedule {
  readonly #everyMs: number
  #dueMs: number

  constructor(startedMs: number, everyMs = DEFAULT_LIMITS.saveEveryMs) {
    this.#everyMs = everyMs
    this.#dueMs = startedMs + everyMs
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#dueMs
  }

  saved(beganMs: number, endedMs: number): void {
    this.#dueMs = endedMs + Math.max(this.#everyMs, (endedMs - beganMs) / SAVE_SHARE)
  }
}

/** What the report says of a load that goes on, or could not, behind its reason; empty where there was none before. */
export function describeContinuation(from: Continuation): string {
  if (from.kind === 'start') {
    return from.dropped === null ? '' : ` What an earlier load had left was of no use: ${from.dropped}`
  }
  return ` Gone on with: ${describeParts({ ...from.load, ...from })} were there.`
}
