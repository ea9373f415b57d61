/** How each stream of a run ended: told to whoever listens when it is known, and kept for the report of the run. */
import type { StreamReport } from '../model/report.js'
import type { StreamOptions } from '../model/sync-spec.js'
import type { SyncState } from '../destination/contract.js'
import type { Clock } from './clock.js'
import type { Progress } from './progress.js'
import { reportEnd, reportResult, type StreamFacts } from './report.js'
import type { StreamResult } from './stream-run.js'
import type { StreamTask } from './stream-task.js'

/** A stream with a report is settled: nothing more is done for it in this run. */
export class RunReports {
  readonly #clock: Pick<Clock, 'now'>
  readonly #progress: Progress
  readonly #reports = new Map<string, StreamReport>()
  /** Where each stream stands in the report. */
  readonly #order = new Map<string, number>()

  constructor({ clock, progress }: { readonly clock: Pick<Clock, 'now'>; readonly progress: Progress }) {
    this.#clock = clock
    this.#progress = progress
  }

  /** In this order they are listed. */
  expect(names: readonly string[]): void {
    for (const name of names) this.#order.set(name, this.#order.size)
  }

  /** Streams that are settled. */
  get size(): number {
    return this.#reports.size
  }

  /** As the catalog has them, whichever ended first. */
  inOrder(): StreamReport[] {
    const place = (report: StreamReport): number => this.#order.get(report.stream) ?? 0
    return [...this.#reports.values()].sort((one, other) => place(one) - place(other))
  }

  settle(report: StreamReport): void {
    this.#reports.set(report.stream, report)
    this.#progress.emit({ kind: 'stream_finished', report })
  }

  /** It came through. */
  settleResult(task: StreamTask, result: StreamResult): void {
    for (const warning of result.warnings) this.#progress.warn(task.stream.name, warning)
    this.settle(reportResult(this.#facts(task), result))
  }

  /** It is not read, as was wished earlier. */
  leaveAlone(task: StreamTask, outcome: 'skipped' | 'paused'): void {
    this.settle(reportEnd(this.#facts(task), outcome, null))
  }

  fail(task: StreamTask, error: unknown): void {
    this.settle(reportEnd(this.#facts(task), 'failed', error))
  }

  /** Of a stream that never became a task. */
  failUnplanned(stream: string, options: StreamOptions, state: SyncState, error: unknown): void {
    const saved = state.streams.get(stream) ?? null
    const facts = { stream, options, table: saved?.table ?? null, plan: null, state: saved }
    this.settle(reportEnd({ ...facts, attempts: 0, seconds: 0 }, 'failed', error))
  }

  #facts(task: StreamTask): StreamFacts {
    return {
      stream: task.stream.name,
      options: task.options,
      table: task.table,
      plan: task.plan,
      state: task.state,
      attempts: task.attempts,
      seconds: task.startedAtMs === null ? 0 : (this.#clock.now() - task.startedAtMs) / 1000,
    }
  }
}
