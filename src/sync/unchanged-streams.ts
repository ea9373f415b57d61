/**
 * Streams of which no row is new: set aside when their count shows it, and given their checkpoints together.
 *
 * One by one, each would have the destination begin, count and commit, a dozen statements for nothing. The rules are the same as
 * for the others: the fence, the partitions after the last read, and as many live rows as the snapshot holds; whatever does not
 * agree goes the way of the others.
 */
import type { Checkpoint } from '../model/checkpoint.js'
import { unreachable } from '../model/column-type.js'
import type { ProgressEvent } from '../model/report.js'
import { CONFIRMED_AT_ONCE } from '../model/thresholds.js'
import type { Destination, StreamState } from '../destination/contract.js'
import type { Snapshot, StreamCount } from '../source/contract.js'
import { findMarkedUnchanged } from './change-mark.js'
import type { Clock } from './clock.js'
import { questionOf } from './cursor-load.js'
import { decideLoad, type Load } from './fingerprint.js'
import type { StreamPlan } from './plan.js'
import type { SnapshotFence } from './snapshot-fence.js'
import { cursorCheckpoint, describeLanding, horizonCheckpoint } from './stream-landing.js'
import type { StreamResult } from './stream-run.js'

export interface UnchangedStreamsOptions<Entry> {
  readonly snapshot: Snapshot
  readonly destination: Pick<Destination, 'confirmUnchanged'>
  readonly fence: SnapshotFence
  readonly acceptNewSource: boolean
  /** Nothing is confirmed after it aborts. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly emit: (event: ProgressEvent) => void
  readonly onConfirmed: (entry: Entry, result: StreamResult) => void
  readonly onFailed: (entry: Entry, error: unknown) => void
  /** It was begun for nothing: its turn comes again, or not in this snapshot. */
  readonly onRefused: (entry: Entry) => void
}

/** A stream that came to its turn. */
export interface LookedAt<Entry> {
  readonly entry: Entry
  readonly plan: StreamPlan
  readonly state: StreamState | null
}

type Since = Extract<Load, { readonly kind: 'since' }>

/** The source says that nothing of it changed, and this is its checkpoint then. */
interface Marked {
  readonly kind: 'marked'
  readonly checkpoint: Checkpoint
  readonly warnings: readonly string[]
}

interface Candidate<Entry> extends LookedAt<Entry> {
  readonly state: StreamState
  readonly load: Since | Marked
  readonly counted: StreamCount
  readonly countMs: number
}

export type Look =
  { readonly kind: 'set_aside' } | { readonly kind: 'go_on'; readonly counted: StreamCount | null }

export class UnchangedStreams<Entry> {
  readonly #options: UnchangedStreamsOptions<Entry>
  #candidates: Candidate<Entry>[] = []
  /** With what was counted. */
  readonly #refused = new Map<Entry, StreamCount | null>()
  /** From then on nothing is set aside any more. */
  #isOver = false

  constructor(options: UnchangedStreamsOptions<Entry>) {
    this.#options = options
  }

  /**
   * Counts the stream if it may turn out not to have changed; sets it aside if so. Otherwise it goes on with the count, if there
   * is one. @throws what deciding about a load and counting can meet
   */
  async look({ entry, plan, state }: LookedAt<Entry>): Promise<Look> {
    if (this.#isOver) return { kind: 'go_on', counted: this.#refused.get(entry) ?? null }
    const { snapshot, acceptNewSource, signal, clock } = this.#options
    if (state === null || state.partial !== null) return { kind: 'go_on', counted: null }
    const saved = state.checkpoint
    const marked = findMarkedUnchanged({ plan, position: snapshot.position, saved })
    if (marked !== null) {
      const { checkpoint, rows } = marked
      const unread: Marked = { kind: 'marked', checkpoint, warnings: [] }
      await this.#setAside({
        entry,
        plan,
        state,
        load: unread,
        counted: { total: rows, inWindow: 0 },
        countMs: 0,
      })
      return { kind: 'set_aside' }
    }
    const load = decideLoad({ plan, position: snapshot.position, saved, acceptNewSource })
    if (!mayBeUnchanged(plan, load)) return { kind: 'go_on', counted: null }
    const before = clock.now()
    const { cursor } = plan
    const counted = await snapshot.count(plan.stream, {
      where: plan.where,
      window: load.window,
      signal,
      ...(cursor === null ? {} : { cursor: questionOf(plan, cursor, load, { snapshot, saved }) }),
    })
    if (counted.inWindow !== 0) return { kind: 'go_on', counted }
    await this.#setAside({ entry, plan, state, load, counted, countMs: clock.now() - before })
    return { kind: 'set_aside' }
  }

  async #setAside(candidate: Candidate<Entry>): Promise<void> {
    const { stream, mode } = candidate.plan
    this.#options.emit({ kind: 'stream_started', stream: stream.name, mode, expectedRows: 0, full: false })
    this.#candidates.push(candidate)
    if (this.#candidates.length >= CONFIRMED_AT_ONCE) await this.#confirm()
  }

  /** Confirms what is set aside; returns what was not confirmed, to be gone through as any other stream. */
  async finish(): Promise<readonly Entry[]> {
    await this.#confirm()
    this.#isOver = true
    return [...this.#refused.keys()]
  }

  async #confirm(): Promise<void> {
    const candidates = this.#candidates
    this.#candidates = []
    const open = new Set(candidates)
    try {
      await this.#confirmAll(candidates, open)
    } catch {
      // Each of them meets it again on the other way, and there it is told for the stream that it concerns.
    }
    for (const { entry, counted, load } of open) {
      // What was not counted has to be.
      this.#refused.set(entry, load.kind === 'marked' ? null : counted)
      this.#options.onRefused(entry)
    }
  }

  /** Takes out of `open` what is settled. */
  async #confirmAll(candidates: readonly Candidate<Entry>[], open: Set<Candidate<Entry>>): Promise<void> {
    const { snapshot, destination, fence, signal, clock, onConfirmed, onFailed } = this.#options
    const before = clock.now()
    if (candidates.length === 0 || destination.confirmUnchanged === undefined) return
    if (!(await fence.pass()).durable) return
    for (const candidate of candidates) {
      try {
        await snapshot.assertUnchanged(candidate.plan.stream)
      } catch (error) {
        signal.throwIfAborted()
        open.delete(candidate)
        onFailed(candidate.entry, error)
      }
    }
    signal.throwIfAborted()
    const stated = [...open].map((candidate) => this.#state(candidate))
    const confirmed = await destination.confirmUnchanged(stated)
    const finishMs = (clock.now() - before) / candidates.length
    for (const candidate of [...open]) {
      if (!confirmed.has(candidate.plan.stream.name)) continue
      open.delete(candidate)
      onConfirmed(candidate.entry, resultOf(candidate, fence.waitedMs, finishMs))
    }
  }

  #state({ plan, state, load, counted }: Candidate<Entry>) {
    const columns = load.kind === 'marked' ? plan.columns : load.change.columns
    return {
      ...describeLanding(plan, columns, this.#options.snapshot.position),
      generation: state.generation,
      expectedRunSeq: state.runSeq,
      live: counted.total,
      checkpoint: load.kind === 'marked' ? load.checkpoint : this.#checkpoint(plan, load, counted),
    }
  }

  #checkpoint(plan: StreamPlan, load: Since, { cursor }: StreamCount): Checkpoint {
    const { snapshot, clock } = this.#options
    const { columns } = load.change
    if (plan.cursor === null) return horizonCheckpoint(plan, columns, snapshot)
    return cursorCheckpoint(plan, plan.cursor, columns, {
      snapshot,
      position: { value: cursor?.value ?? null, low: cursor?.low ?? null },
      complete: { atMs: clock.now() },
      before: { horizon: null, audited: null, isRun: true },
    })
  }
}

function mayBeUnchanged(plan: StreamPlan, load: Load): load is Since {
  switch (load.kind) {
    case 'new_generation':
    case 'full_upsert':
    case 'dated_copy':
    case 'cursor':
      return false
    case 'since':
      return plan.landing === 'upsert' && load.change.added.length === 0 && !load.reconcile
    default:
      return unreachable(load)
  }
}

function resultOf<Entry>(
  { plan, state, load, counted, countMs }: Candidate<Entry>,
  fenceMs: number | null,
  finishMs: number,
): StreamResult {
  return {
    outcome: 'unchanged',
    fullLoadReason: null,
    generation: state.generation,
    runSeq: state.runSeq + 1,
    rowsRead: 0,
    rowsLanded: 0,
    rowsDeleted: 0,
    bytesRead: 0,
    sourceCount: counted.total,
    destinationCount: counted.total,
    verified: null,
    fenceMs,
    phases: { count: countMs / 1000, read: 0, land: 0, finish: finishMs / 1000 },
    warnings: [...plan.warnings, ...load.warnings],
  }
}
