/**
 * What a failure leads to: another attempt at the stream, the end of the stream, or, when nothing else can be done at the
 * destination, the end of the run. Which errors may be tried again, and when, is decided in `retry.ts`.
 */
import { TrunklineError } from '../model/error.js'
import type { Limits } from '../model/sync-spec.js'
import type { Snapshot } from '../source/contract.js'
import type { Clock } from './clock.js'
import type { Progress } from './progress.js'
import { abortedError } from './report.js'
import { decideRetry, stopsTheRun } from './retry.js'
import type { RunReports } from './run-reports.js'
import type { WithinSnapshot } from './snapshot-streams.js'
import type { StreamTask } from './stream-task.js'

/** One snapshot for each group of streams, and what it leaves to the next round. */
export interface Round {
  /** Streams that are to be tried again, or were not begun. */
  again: StreamTask[]
  /** The longest pause that one of them asks for. */
  delayMs: number
  lastError: unknown
}

export function beginRound(): Round {
  return { again: [], delayMs: 0, lastError: null }
}

export interface RunFailuresOptions {
  readonly limits: Limits
  readonly clock: Clock
  readonly progress: Progress
  readonly reports: RunReports
  /** Aborts when the run is interrupted. */
  readonly signal: AbortSignal
}

export class RunFailures {
  readonly #options: RunFailuresOptions
  /** Aborts streams under way when nothing else can be done at the destination. */
  readonly #stopped = new AbortController()
  /** An error after which nothing else can be done at the destination. */
  #fatal: TrunklineError | null = null
  /** A snapshot grew too old over several streams: from then on one has all of it. */
  #oneByOne = false

  constructor(options: RunFailuresOptions) {
    this.#options = options
  }

  /** The run is to come to its end, for a failure or because it was interrupted. */
  isStopped(): boolean {
    return this.#fatal !== null || this.#options.signal.aborted
  }

  /** Aborts when no stream can go on; not when the run is interrupted. */
  get stopped(): AbortSignal {
    return this.#stopped.signal
  }

  /** Each stream is to have a snapshot to itself. */
  get oneByOne(): boolean {
    return this.#oneByOne
  }

  /** Of streams that are still to be done when the run is stopped. */
  get endError(): TrunklineError | null {
    const { signal } = this.#options
    return signal.aborted ? abortedError(signal.reason) : this.#fatal
  }

  /** Streams under way are given up, for an error that is no stream's own. */
  stop(error: unknown): void {
    this.#stopped.abort(error)
  }

  /** Nothing could be begun with any of them. */
  judgeAll(tasks: readonly StreamTask[], error: unknown, round: Round): void {
    if (this.isStopped()) round.again.push(...tasks)
    else for (const task of tasks) this.judge(task, error, round)
  }

  /** An attempt that was under way, and is counted already. */
  judgeAttempt(
    task: StreamTask,
    error: unknown,
    round: Round,
    { snapshot, alone }: Pick<WithinSnapshot<StreamTask>, 'snapshot' | 'alone'>,
  ): void {
    if (this.isStopped()) {
      round.again.push(task)
      return
    }
    // What fails because the snapshot is given up fails in many ways; the snapshot knows the one reason.
    const reason = snapshotReason(snapshot) ?? error
    const saved = task.savedAttempt === task.attempts
    const attempts = task.attempts - Math.max(0, task.savedAttempt - 1)
    this.judge(task, this.#onTooOld(reason, alone && !saved), round, attempts)
  }

  /** `attempts` is counted already where the stream itself was under way. */
  judge(task: StreamTask, error: unknown, round: Round, attempts = ++task.attempts): void {
    const { limits, clock, progress, reports } = this.#options
    round.lastError = error
    if (stopsTheRun(error) && error instanceof TrunklineError) {
      this.#fatal ??= error
      reports.fail(task, error)
      this.#stopped.abort(error)
      return
    }
    const decision = decideRetry({ error, attempt: attempts, limits, random: () => clock.random() })
    if (!decision.again) {
      if (attempts >= limits.maxAttempts) progress.gaveUp(task.stream.name, error)
      reports.fail(task, error)
      return
    }
    progress.retrying(task.stream.name, attempts, decision.delayMs, error)
    round.delayMs = Math.max(round.delayMs, decision.delayMs)
    round.again.push(task)
  }

  /** A stream that used up a whole snapshot by itself would do so again; several get one to themselves, each. */
  #onTooOld(reason: unknown, alone: boolean): unknown {
    if (!(reason instanceof TrunklineError) || reason.code !== 'SNAPSHOT_TOO_OLD') return reason
    this.#oneByOne = true
    if (!alone) return reason
    return new TrunklineError('SNAPSHOT_TOO_OLD', reason.message, {
      retry: 'never',
      hint: 'This stream alone takes longer than `max_snapshot_age`: raise it, or read with more `jobs`.',
      context: reason.context,
      cause: reason,
    })
  }
}

/** Why the snapshot was given up; null while it stands. */
export function snapshotReason(snapshot: Snapshot): unknown {
  return snapshot.signal.aborted ? snapshot.signal.reason : null
}
