/**
 * Drives one run of a sync, from its preparation to its report: rounds of snapshots, and in each of them the streams side by
 * side, planned under the lock, landed, and left to another round where they can be tried again. One stream that fails never
 * stops the others; an error of the destination as a whole does.
 */
import type { Logger } from '../model/log.js'
import type { ProgressEvent, RunReport, SnapshotReport } from '../model/report.js'
import type { SyncSpec } from '../model/sync-spec.js'
import type { CatalogStream } from '../model/catalog.js'
import type { Destination, PartialLoad, StreamState } from '../destination/contract.js'
import type { Snapshot, Source } from '../source/contract.js'
import { describePlan, mostReadersBySize, SizeOrder, sizeTables } from './adaptive-order.js'
import { systemClock, type Clock } from './clock.js'
import { systemMachine, type Machine } from './machine.js'
import { MeasuredReaders, mostReaders } from './measured-readers.js'
import { runMetadata, type MetadataRunInput } from './metadata-run.js'
import { mayBeBoundByActivity, resolveCursor } from './cursor-plan.js'
import { planStream, type StreamPlan } from './plan.js'
import { prepareRun } from './prepare-run.js'
import { createProgress, type Progress } from './progress.js'
import { reportRun, reportSnapshot, type SnapshotUse } from './report.js'
import { ResourceMonitor } from './resource-monitor.js'
import { RunPressure } from './resource-pressure.js'
import { systemProbe, type ResourceProbe } from './resource-probe.js'
import { beginRound, RunFailures, snapshotReason, type Round } from './run-failures.js'
import { makeRunId } from './run-id.js'
import { RunReports } from './run-reports.js'
import {
  runSnapshotStreams,
  type SnapshotStream,
  type SnapshotStreamsOptions,
  type WithinSnapshot,
} from './snapshot-streams.js'
import { runStream, type CommittedPart } from './stream-run.js'
import { isReadInFull, type StreamTask } from './stream-task.js'
import { takeTurns } from './take-turns.js'
import { UnchangedStreams } from './unchanged-streams.js'

export interface RunSyncOptions {
  readonly source: Source
  readonly destination: Destination
  readonly spec: SyncSpec
  readonly signal?: AbortSignal
  readonly logger?: Logger
  readonly onProgress?: (event: ProgressEvent) => void
  readonly clock?: Clock
  readonly machine?: Machine
  /** What the system says of memory, processors and disk. */
  readonly probe?: ResourceProbe
  /** How often a load of a new generation is saved. */
  readonly saveEveryMs?: number
}

/**
 * Runs a sync once. Resolves with a report even when streams failed or the run was interrupted; the destination is left open
 * for its owner to close.
 *
 * @throws TrunklineError when nothing could be started: SELECTION_EMPTY, STREAM_MISSING, CONNECT_FAILED, DESTINATION_LOCKED, …
 */
export async function runSync(options: RunSyncOptions): Promise<RunReport> {
  return new SyncRun(options).run()
}

class SyncRun {
  readonly #options: RunSyncOptions
  readonly #spec: SyncSpec
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #progress: Progress
  readonly #startedAtMs: number
  readonly #runId: string
  readonly #reports: RunReports
  readonly #failures: RunFailures
  readonly #snapshots: SnapshotReport[] = []
  readonly #readers: MeasuredReaders
  readonly #pressure: RunPressure
  /** Readers as asked for, or as many as tables are read with by their size; null: as many as turn out to be best. */
  readonly #jobs: number | null
  /** Landed with the first snapshot. */
  #metadata: MetadataRunInput | null = null
  /** Of loads that were not over. */
  #saves = 0
  /** Conditions are checked one after another: each check may take a connection. */
  readonly #checkInTurn = takeTurns()
  readonly #settleInTurn = takeTurns()

  constructor(options: RunSyncOptions) {
    this.#options = options
    this.#spec = options.spec
    this.#clock = options.clock ?? systemClock
    this.#signal = options.signal ?? new AbortController().signal
    const { logger, onProgress } = options
    const { wording, adaptive, limits } = options.spec
    this.#progress = createProgress({ logger, onProgress, wording, maxAttempts: limits.maxAttempts })
    this.#reports = new RunReports({ clock: this.#clock, progress: this.#progress })
    this.#failures = new RunFailures({
      limits,
      clock: this.#clock,
      progress: this.#progress,
      reports: this.#reports,
      signal: this.#signal,
    })
    this.#startedAtMs = this.#clock.now()
    this.#runId = makeRunId(this.#clock)
    const { machine = systemMachine, probe = systemProbe } = options
    this.#jobs = this.#spec.jobs ?? mostReadersBySize(adaptive)
    this.#readers = new MeasuredReaders({ jobs: this.#jobs, clock: this.#clock, machine })
    const folder = options.destination.folder ?? null
    this.#pressure = new RunPressure({
      options: adaptive,
      monitor: new ResourceMonitor({ thresholds: adaptive, probe, clock: this.#clock, folder }),
      readers: this.#readers,
      clock: this.#clock,
      progress: this.#progress,
    })
  }

  async run(): Promise<RunReport> {
    try {
      await this.#runAll(await this.#prepare())
    } catch (error) {
      if (!this.#signal.aborted) throw error
    }
    const report = reportRun({
      sync: this.#spec.name,
      runId: this.#runId,
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#clock.now(),
      aborted: this.#signal.aborted,
      snapshots: this.#snapshots,
      streams: this.#reports.inOrder(),
      adaptations: this.#pressure.adaptations,
      warnings: this.#progress.runWarnings,
    })
    this.#progress.emit({ kind: 'run_finished', report })
    return report
  }

  /** Streams that are settled already are not among the tasks. */
  async #prepare(): Promise<readonly StreamTask[]> {
    const { source, destination } = this.#options
    const { tasks, metadata } = await prepareRun({
      source,
      destination,
      spec: this.#spec,
      runId: this.#runId,
      startedAt: new Date(this.#startedAtMs),
      signal: this.#signal,
      clock: this.#clock,
      progress: this.#progress,
      reports: this.#reports,
    })
    this.#metadata = metadata
    return tasks
  }

  /** Rounds of snapshots until every stream is done or has failed for good. */
  async #runAll(tasks: readonly StreamTask[]): Promise<void> {
    this.#tellSizes(tasks)
    let pending = [...tasks]
    let fruitless = 0
    while (pending.length > 0 && !this.#failures.isStopped()) {
      const before = this.#reports.size + this.#saves
      const round = await this.#runRound(pending)
      pending = round.again
      fruitless = this.#reports.size + this.#saves > before ? 0 : fruitless + 1
      if (fruitless > this.#spec.limits.maxAttempts) {
        for (const task of pending) this.#reports.fail(task, round.lastError)
        return
      }
      if (pending.length > 0 && !this.#failures.isStopped()) {
        await this.#clock.sleep(round.delayMs, this.#signal).catch(() => undefined)
      }
    }
    for (const task of pending) this.#reports.fail(task, this.#failures.endError)
  }

  #tellSizes(tasks: readonly StreamTask[]): void {
    const { adaptive } = this.#spec
    if (adaptive.strategy !== 'table_size') return
    const tables = sizeTables(
      tasks.map(({ stream }) => stream),
      adaptive,
    )
    for (const text of describePlan(tables, adaptive)) this.#progress.say(null, { level: 'info', text })
  }

  /** One snapshot for each group; what has to be tried again comes back. */
  async #runRound(tasks: readonly StreamTask[]): Promise<Round> {
    const round = beginRound()
    let groups: readonly (readonly StreamTask[])[]
    try {
      groups = await this.#formGroups(tasks)
    } catch (error) {
      this.#failures.judgeAll(tasks, error, round)
      return round
    }
    if (groups.length > 1) {
      this.#progress.warn(
        null,
        `The streams take more locks than one transaction should; they are read in ${groups.length} snapshots.`,
      )
    }
    for (const group of groups) {
      if (this.#failures.isStopped()) {
        round.again.push(...group)
        continue
      }
      await this.#runGroup(group, round)
    }
    return round
  }

  async #formGroups(tasks: readonly StreamTask[]): Promise<readonly (readonly StreamTask[])[]> {
    const groups = await this.#options.source.formSnapshotGroups(tasks.map((task) => task.stream))
    const byStream = new Map(tasks.map((task) => [task.stream, task]))
    return groups.map((streams) => streams.flatMap((stream) => byStream.get(stream) ?? []))
  }

  async #runGroup(group: readonly StreamTask[], round: Round): Promise<void> {
    let snapshot: Snapshot
    try {
      snapshot = await this.#openSnapshot(group)
    } catch (error) {
      this.#failures.judgeAll(group, error, round)
      return
    }
    let use: SnapshotUse = { fenceMs: null, readers: 0 }
    try {
      for (const { stream, error } of snapshot.failed) {
        const task = group.find((candidate) => candidate.stream.name === stream)
        if (task !== undefined) this.#failures.judge(task, error, round)
      }
      use = await this.#runStreams(snapshot, group, round)
    } finally {
      this.#snapshots.push(reportSnapshot(snapshot, use))
      await snapshot.close()
    }
  }

  #openSnapshot(group: readonly StreamTask[]): Promise<Snapshot> {
    const rowSecurityOn = group.filter((task) => task.options.rowSecurity === 'on')
    return this.#options.source.openSnapshot(
      group.map((task) => task.stream),
      {
        limits: this.#spec.limits,
        readers: mostReaders(this.#spec.limits, this.#jobs),
        signal: this.#signal,
        observeActivity: group.some(({ options }) => mayBeBoundByActivity(options)),
        rowSecurityOn: new Set(rowSecurityOn.map((task) => task.stream.name)),
        ...(this.#spec.allowUnverifiedSnapshot === true ? { allowUnverifiedSnapshot: true } : {}),
      },
    )
  }

  /** What the report says of how the snapshot was used. */
  async #runStreams(snapshot: Snapshot, group: readonly StreamTask[], round: Round): Promise<SnapshotUse> {
    const byName = new Map(group.map((task) => [task.stream.name, task]))
    const { adaptive } = this.#spec
    this.#pressure.enter(snapshot)
    await this.#landMetadata(snapshot)
    const { rest, ...use } = await runSnapshotStreams<StreamTask>({
      snapshot,
      streams: snapshot.streams.flatMap((stream) => {
        const task = byName.get(stream.name)
        return task === undefined ? [] : [{ task, stream, bytes: stream.bytes, full: isReadInFull(task) }]
      }),
      readers: this.#readers,
      mostReaders: mostReaders(this.#spec.limits, this.#jobs),
      oneByOne: this.#failures.oneByOne,
      ...(adaptive.strategy === 'table_size' ? { order: (some) => new SizeOrder(some, adaptive) } : {}),
      signal: this.#whileGoingOn(snapshot),
      run: (entry, within) => this.#runOne(entry, round, within),
      setAside: this.#setAside(snapshot, round),
    })
    if (rest.length > 0) {
      round.again.push(...rest)
      round.lastError ??= snapshotReason(snapshot)
    }
    return use
  }

  /** Aborts when the snapshot or the run is given up: no stream of it can go on then. */
  #whileGoingOn(snapshot: Snapshot): AbortSignal {
    return AbortSignal.any([this.#signal, this.#failures.stopped, snapshot.signal])
  }

  async #landMetadata({ position }: Snapshot): Promise<void> {
    const metadata = this.#metadata
    this.#metadata = null
    if (metadata === null || this.#failures.isStopped()) return
    for (const report of await runMetadata(position, metadata)) this.#reports.settle(report)
  }

  /** Settles the stream or puts it among those to be tried again; rejects only when the run cannot go on. */
  async #runOne(
    entry: SnapshotStream<StreamTask>,
    round: Round,
    { alone, unchanged, ...within }: WithinSnapshot<StreamTask>,
  ): Promise<void> {
    const { task, stream } = entry
    task.startedAtMs ??= this.#clock.now()
    task.attempts++
    try {
      try {
        const sized = await this.#pressure.begin(stream)
        const plan = await this.#plan(task, stream, sized?.batchRows ?? null)
        task.plan = plan
        await this.#checkWhere(plan)
        // A load that goes on has a window of its own.
        const look = task.partial === null ? await unchanged?.look({ entry, plan, state: task.state }) : null
        if (look?.kind === 'set_aside') return
        const result = await runStream({
          ...within,
          destination: this.#options.destination,
          plan,
          state: task.state,
          counted: look?.counted ?? null,
          partial: task.partial,
          onPartial: (partial) => {
            this.#notePartial(task, partial)
          },
          onCommitted: (part) => this.#noteCommitted(task, plan, part),
          saveEveryMs: this.#options.saveEveryMs ?? this.#spec.limits.saveEveryMs,
          saveEveryRows: sized?.checkpointRows ?? this.#spec.limits.saveEveryRows,
          pressure: this.#pressure,
          runAt: new Date(this.#startedAtMs),
          verify: this.#spec.verify,
          allowMassDelete: this.#spec.allowMassDelete,
          acceptNewSource: this.#spec.acceptNewSource,
          progress: this.#progress,
          inTurn: this.#settleInTurn,
          clock: this.#clock,
        })
        this.#reports.settleResult(task, result)
      } catch (error) {
        this.#failures.judgeAttempt(task, error, round, { snapshot: within.snapshot, alone })
      } finally {
        this.#pressure.end(stream.name)
      }
    } catch (error) {
      this.#failures.stop(error)
      throw error
    }
  }

  #setAside(snapshot: Snapshot, round: Round): SnapshotStreamsOptions<StreamTask>['setAside'] {
    const { destination } = this.#options
    if (this.#spec.verify || destination.confirmUnchanged === undefined) return null
    return (fence) =>
      new UnchangedStreams({
        snapshot,
        destination,
        fence,
        acceptNewSource: this.#spec.acceptNewSource,
        signal: this.#whileGoingOn(snapshot),
        clock: this.#clock,
        emit: (event) => {
          this.#progress.emit(event)
        },
        onConfirmed: ({ task }, result) => {
          this.#reports.settleResult(task, result)
        },
        onRefused: ({ task }) => {
          task.attempts--
        },
        onFailed: ({ task }, error) => {
          this.#failures.judgeAttempt(task, error, round, { snapshot, alone: false })
        },
      })
  }

  /** Another attempt goes on from it. */
  #noteCommitted(task: StreamTask, plan: StreamPlan, part: CommittedPart): StreamState {
    const state: StreamState = {
      stream: task.stream.name,
      table: plan.table,
      runId: this.#runId,
      committedAt: new Date(this.#clock.now()),
      paused: false,
      skipped: false,
      partial: null,
      ...part,
    }
    task.state = state
    task.savedAttempt = task.attempts
    this.#saves++
    return state
  }

  #notePartial(task: StreamTask, partial: PartialLoad | null): void {
    task.partial = partial
    if (partial === null) return
    task.savedAttempt = task.attempts
    this.#saves++
  }

  async #plan(task: StreamTask, stream: CatalogStream, batchRows: number | null): Promise<StreamPlan> {
    const { destination, source } = this.#options
    const { limits } = this.#spec
    return planStream({
      cursor: await resolveCursor(source, stream, task.options),
      stream,
      options: task.options,
      table: task.table,
      savedKey: task.state?.checkpoint?.stream.key ?? null,
      capabilities: destination.capabilities,
      mapColumns: (of, types) => source.mapColumns(of, types),
      limits: batchRows === null ? limits : { ...limits, batchRows: Math.min(batchRows, limits.batchRows) },
    })
  }

  async #checkWhere(plan: StreamPlan): Promise<void> {
    if (plan.where === null) return
    const stable = plan.mode !== 'full_refresh'
    const { source } = this.#options
    const { stream, where } = plan
    await this.#checkInTurn(() => source.checkWhere(stream, where, { stable }))
  }
}
