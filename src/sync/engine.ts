/**
 * Drives one run of a sync: discovers, plans, reads each group of streams in one snapshot, lands them, tries again what can
 * be, and reports. One stream that fails never stops the others; an error of the destination as a whole does.
 *
 * Longer than other files: what becomes of a stream, from the first look at it to its report, is told in one place.
 */
import type { AdaptiveOptions } from '../model/adaptive-options.js'
import { TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { ProgressEvent, RunReport, SnapshotReport, StreamReport } from '../model/report.js'
import type { StreamOptions, SyncSpec } from '../model/sync-spec.js'
import { formatXid8 } from '../model/xid.js'
import type { CatalogStream } from '../model/catalog.js'
import type { Destination, PartialLoad, StreamState, SyncState, TableName } from '../destination/contract.js'
import type { Snapshot, Source } from '../source/contract.js'
import { describePlan, SizeOrder, sizeTables } from './adaptive-order.js'
import { systemClock, type Clock } from './clock.js'
import { systemMachine, type Machine } from './machine.js'
import { MeasuredReaders, mostReaders } from './measured-readers.js'
import { runMetadata, type MetadataRunInput } from './metadata-run.js'
import { METADATA_STREAMS } from './metadata-tables.js'
import { nameTables } from './naming.js'
import { mayBeBoundByActivity, resolveCursor } from './cursor-plan.js'
import { planStream, type StreamPlan } from './plan.js'
import { createProgress, type Progress } from './progress.js'
import { abortedError, reportEnd, reportResult, reportRun } from './report.js'
import { namedQueries } from './resolve-options.js'
import { ResourceMonitor } from './resource-monitor.js'
import { RunPressure } from './resource-pressure.js'
import { systemProbe, type ResourceProbe } from './resource-probe.js'
import { decideFirstContactRetry, decideRetry, stopsTheRun, type RetryDecision } from './retry.js'
import {
  runSnapshotStreams,
  type SnapshotStream,
  type SnapshotStreamsOptions,
  type WithinSnapshot,
} from './snapshot-streams.js'
import { runStream, type CommittedPart, type StreamResult } from './stream-run.js'
import { resolveWithHooks } from './stream-hooks.js'
import { takeTurns } from './take-turns.js'
import { UnchangedStreams } from './unchanged-streams.js'

/** Streams that are named where nothing else is selected. */
const LEFT_OUT_SHOWN = 3

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

/** A stream on its way through the run. */
interface Task {
  readonly stream: CatalogStream
  readonly options: StreamOptions
  readonly table: TableName
  state: StreamState | null
  /** What there is of a load of the next generation. */
  partial: PartialLoad | null
  plan: StreamPlan | null
  attempts: number
  /** The attempt that saved something last, 0 for none: what gets on is tried for as long as it takes. */
  savedAttempt: number
  startedAtMs: number | null
}

class SyncRun {
  readonly #options: RunSyncOptions
  readonly #spec: SyncSpec
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #progress: Progress
  readonly #startedAtMs: number
  readonly #runId: string
  readonly #reports = new Map<string, StreamReport>()
  /** Where each stream stands in the report. */
  readonly #order = new Map<string, number>()
  readonly #snapshots: SnapshotReport[] = []
  readonly #readers: MeasuredReaders
  readonly #pressure: RunPressure
  /** Readers as asked for, or as many as tables are read with by their size; null: as many as turn out to be best. */
  readonly #jobs: number | null
  /** Aborts streams under way when nothing else can be done at the destination. */
  readonly #stopped = new AbortController()
  /** An error after which nothing else can be done at the destination. */
  #fatal: TrunklineError | null = null
  /** Landed with the first snapshot. */
  #metadata: MetadataRunInput | null = null
  /** Of loads that were not over. */
  #saves = 0
  /** A snapshot grew too old over several streams: from then on one has all of it. */
  #oneByOne = false
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
    this.#startedAtMs = this.#clock.now()
    this.#runId = makeRunId(this.#clock)
    const { machine = systemMachine, probe = systemProbe } = options
    this.#jobs = this.#spec.jobs ?? mostBySize(adaptive)
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
      const tasks = await this.#prepare()
      await this.#runAll(tasks)
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
      streams: this.#reportsInOrder(),
      adaptations: this.#pressure.adaptations,
      warnings: this.#progress.runWarnings,
    })
    this.#progress.emit({ kind: 'run_finished', report })
    return report
  }

  /** As the catalog has them, whichever ended first. */
  #reportsInOrder(): StreamReport[] {
    const place = (report: StreamReport): number => this.#order.get(report.stream) ?? 0
    return [...this.#reports.values()].sort((one, other) => place(one) - place(other))
  }

  /** Everything before the first snapshot; streams that are settled already are reported here. */
  async #prepare(): Promise<Task[]> {
    const { source, destination } = this.#options
    const spec = this.#spec
    const checking = this.#firstContact(() => source.check({ signal: this.#signal }))
    destination.prepare?.()
    const check = await checking
    for (const warning of check.warnings) this.#progress.warn(null, warning)
    const catalog = await this.#firstContact(() =>
      source.discover(spec.selection, {
        signal: this.#signal,
        queries: namedQueries(spec),
        allowPrivilegedRole: spec.allowPrivilegedRole,
      }),
    )
    const resolved = await resolveWithHooks(catalog.streams, spec)
    if (resolved.streams.length === 0 && resolved.missing.length === 0) {
      throw new TrunklineError('SELECTION_EMPTY', 'Nothing is selected to be synced.', {
        hint: [
          ...resolved.leftOut.slice(0, LEFT_OUT_SHOWN),
          'Look at what there is with `trunkline discover`, and check `--select`, `--exclude` and `disabled`.',
        ].join(' '),
      })
    }
    const state = await destination.open({
      sync: spec.name,
      runId: this.#runId,
      startedAt: new Date(this.#startedAtMs),
      adopt: spec.adopt,
      signal: this.#signal,
    })
    const metadata: readonly string[] = spec.metadataTables ? METADATA_STREAMS : []
    const names = [...metadata, ...resolved.streams.map(({ stream }) => stream.name), ...resolved.missing]
    for (const name of names) this.#order.set(name, this.#order.size)
    this.#progress.emit({ kind: 'run_started', runId: this.#runId, sync: spec.name, streams: names.length })
    for (const reason of resolved.leftOut) this.#progress.warn(null, reason)
    const tasks = this.#makeTasks(resolved.streams, state)
    if (spec.metadataTables) {
      this.#metadata = {
        destination,
        streams: resolved.streams.map(({ stream }) => stream),
        state,
        targetSchema: spec.targetSchema,
        at: new Date(this.#startedAtMs),
        clock: this.#clock,
      }
    }
    for (const name of resolved.missing) {
      this.#settleUnplanned(name, spec.streams[name] ?? {}, state, missingStream(name))
    }
    return tasks
  }

  #makeTasks(
    streams: readonly { readonly stream: CatalogStream; readonly options: StreamOptions }[],
    state: SyncState,
  ): Task[] {
    const owned = new Map([...state.streams].map(([name, saved]) => [name, saved.table]))
    const naming = nameTables({
      streams: streams.map((entry) => entry.stream),
      spec: this.#spec,
      capabilities: this.#options.destination.capabilities,
      owned,
    })
    const tasks: Task[] = []
    for (const { stream, options } of streams) {
      const table = naming.tables.get(stream.name)
      if (table === undefined) {
        this.#settleUnplanned(stream.name, options, state, naming.errors.get(stream.name) ?? null)
        continue
      }
      const saved = state.streams.get(stream.name) ?? null
      const task: Task = {
        stream,
        options,
        table,
        state: saved,
        partial: saved?.partial ?? null,
        plan: null,
        attempts: 0,
        savedAttempt: 0,
        startedAtMs: null,
      }
      if (saved?.skipped === true || saved?.paused === true) {
        this.#settle(reportEnd(this.#facts(task), saved.skipped ? 'skipped' : 'paused', null))
      } else {
        tasks.push(task)
      }
    }
    return tasks
  }

  /** Rounds of snapshots until every stream is done or has failed for good. */
  async #runAll(tasks: readonly Task[]): Promise<void> {
    this.#tellSizes(tasks)
    let pending = [...tasks]
    let fruitless = 0
    while (pending.length > 0 && !this.#isStopped()) {
      const before = this.#reports.size + this.#saves
      const round = await this.#runRound(pending)
      pending = round.again
      fruitless = this.#reports.size + this.#saves > before ? 0 : fruitless + 1
      if (fruitless > this.#spec.limits.maxAttempts) {
        for (const task of pending) this.#fail(task, round.lastError)
        return
      }
      if (pending.length > 0 && !this.#isStopped()) {
        await this.#clock.sleep(round.delayMs, this.#signal).catch(() => undefined)
      }
    }
    for (const task of pending) {
      this.#fail(task, this.#signal.aborted ? abortedError(this.#signal.reason) : this.#fatal)
    }
  }

  #tellSizes(tasks: readonly Task[]): void {
    const { adaptive } = this.#spec
    if (adaptive.strategy !== 'table_size') return
    const tables = sizeTables(
      tasks.map(({ stream }) => stream),
      adaptive,
    )
    for (const text of describePlan(tables, adaptive)) this.#progress.say(null, { level: 'info', text })
  }

  /** One snapshot for each group; what has to be tried again comes back. */
  async #runRound(tasks: readonly Task[]): Promise<Round> {
    const round: Round = { again: [], delayMs: 0, lastError: null }
    let groups: readonly (readonly Task[])[]
    try {
      groups = await this.#formGroups(tasks)
    } catch (error) {
      if (this.#isStopped()) round.again.push(...tasks)
      else for (const task of tasks) this.#failOrRetry(task, error, round)
      return round
    }
    if (groups.length > 1) {
      this.#progress.warn(
        null,
        `The streams take more locks than one transaction should; they are read in ${groups.length} snapshots.`,
      )
    }
    for (const group of groups) {
      if (this.#isStopped()) {
        round.again.push(...group)
        continue
      }
      await this.#runGroup(group, round)
    }
    return round
  }

  async #formGroups(tasks: readonly Task[]): Promise<readonly (readonly Task[])[]> {
    const groups = await this.#options.source.formSnapshotGroups(tasks.map((task) => task.stream))
    const byStream = new Map(tasks.map((task) => [task.stream, task]))
    return groups.map((streams) => streams.flatMap((stream) => byStream.get(stream) ?? []))
  }

  async #runGroup(group: readonly Task[], round: Round): Promise<void> {
    let snapshot: Snapshot
    try {
      snapshot = await this.#openSnapshot(group)
    } catch (error) {
      if (this.#isStopped()) round.again.push(...group)
      else for (const task of group) this.#failOrRetry(task, error, round)
      return
    }
    const report = {
      id: snapshot.id,
      horizon: formatXid8(snapshot.horizon),
      horizonAgeSeconds: snapshot.horizonAgeSeconds,
      lsn: snapshot.position.lsn,
      streams: snapshot.streams.length,
      fenceMs: null as number | null,
      readers: 0,
      yielded: false,
    }
    try {
      for (const { stream, error } of snapshot.failed) {
        const task = group.find((candidate) => candidate.stream.name === stream)
        if (task !== undefined) this.#failOrRetry(task, error, round)
      }
      Object.assign(report, await this.#runStreams(snapshot, group, round))
    } finally {
      report.yielded = isYield(snapshot.signal.reason)
      this.#snapshots.push(report)
      await snapshot.close()
    }
  }

  #openSnapshot(group: readonly Task[]): Promise<Snapshot> {
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
  async #runStreams(
    snapshot: Snapshot,
    group: readonly Task[],
    round: Round,
  ): Promise<Pick<SnapshotReport, 'fenceMs' | 'readers'>> {
    const byName = new Map(group.map((task) => [task.stream.name, task]))
    const { adaptive } = this.#spec
    this.#pressure.enter(snapshot)
    await this.#landMetadata(snapshot)
    const { rest, ...use } = await runSnapshotStreams<Task>({
      snapshot,
      streams: snapshot.streams.flatMap((stream) => {
        const task = byName.get(stream.name)
        return task === undefined ? [] : [{ task, stream, bytes: stream.bytes, full: isReadInFull(task) }]
      }),
      readers: this.#readers,
      mostReaders: mostReaders(this.#spec.limits, this.#jobs),
      oneByOne: this.#oneByOne,
      ...(adaptive.strategy === 'table_size' ? { order: (some) => new SizeOrder(some, adaptive) } : {}),
      signal: AbortSignal.any([this.#signal, this.#stopped.signal, snapshot.signal]),
      run: (entry, within) => this.#runOne(entry, round, within),
      setAside: this.#setAside(snapshot, round),
    })
    if (rest.length > 0) {
      round.again.push(...rest)
      round.lastError ??= snapshotReason(snapshot)
    }
    return use
  }

  async #landMetadata({ position }: Snapshot): Promise<void> {
    const metadata = this.#metadata
    this.#metadata = null
    if (metadata === null || this.#isStopped()) return
    for (const report of await runMetadata(position, metadata)) this.#settle(report)
  }

  /** Settles the stream or puts it among those to be tried again; rejects only when the run cannot go on. */
  async #runOne(
    entry: SnapshotStream<Task>,
    round: Round,
    { alone, unchanged, ...within }: WithinSnapshot<Task>,
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
        this.#settleResult(task, result)
      } catch (error) {
        this.#afterFailure(task, error, round, { snapshot: within.snapshot, alone })
      } finally {
        this.#pressure.end(stream.name)
      }
    } catch (error) {
      this.#stopped.abort(error)
      throw error
    }
  }

  #settleResult(task: Task, result: StreamResult): void {
    for (const warning of result.warnings) this.#progress.warn(task.stream.name, warning)
    this.#settle(reportResult(this.#facts(task), result))
  }

  #afterFailure(
    task: Task,
    error: unknown,
    round: Round,
    { snapshot, alone }: Pick<WithinSnapshot<Task>, 'snapshot' | 'alone'>,
  ): void {
    if (this.#isStopped()) {
      round.again.push(task)
      return
    }
    // What fails because the snapshot is given up fails in many ways; the snapshot knows the one reason.
    const reason = snapshotReason(snapshot) ?? error
    const saved = task.savedAttempt === task.attempts
    const attempts = task.attempts - Math.max(0, task.savedAttempt - 1)
    this.#failOrRetry(task, this.#onTooOld(reason, alone && !saved), round, attempts)
  }

  #setAside(snapshot: Snapshot, round: Round): SnapshotStreamsOptions<Task>['setAside'] {
    const { destination } = this.#options
    if (this.#spec.verify || destination.confirmUnchanged === undefined) return null
    return (fence) =>
      new UnchangedStreams({
        snapshot,
        destination,
        fence,
        acceptNewSource: this.#spec.acceptNewSource,
        signal: AbortSignal.any([this.#signal, this.#stopped.signal, snapshot.signal]),
        clock: this.#clock,
        emit: (event) => {
          this.#progress.emit(event)
        },
        onConfirmed: ({ task }, result) => {
          this.#settleResult(task, result)
        },
        onRefused: ({ task }) => {
          task.attempts--
        },
        onFailed: ({ task }, error) => {
          this.#afterFailure(task, error, round, { snapshot, alone: false })
        },
      })
  }

  /** Another attempt goes on from it. */
  #noteCommitted(task: Task, plan: StreamPlan, part: CommittedPart): StreamState {
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

  #notePartial(task: Task, partial: PartialLoad | null): void {
    task.partial = partial
    if (partial === null) return
    task.savedAttempt = task.attempts
    this.#saves++
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

  async #plan(task: Task, stream: CatalogStream, batchRows: number | null): Promise<StreamPlan> {
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

  /** `attempts` is counted already where the stream itself was under way. */
  #failOrRetry(task: Task, error: unknown, round: Round, attempts = ++task.attempts): void {
    round.lastError = error
    if (stopsTheRun(error) && error instanceof TrunklineError) {
      this.#fatal ??= error
      this.#fail(task, error)
      this.#stopped.abort(error)
      return
    }
    const decision = this.#decide(decideRetry, error, attempts)
    if (!decision.again) {
      if (attempts >= this.#spec.limits.maxAttempts) this.#progress.gaveUp(task.stream.name, error)
      this.#fail(task, error)
      return
    }
    this.#progress.retrying(task.stream.name, attempts, decision.delayMs, error)
    round.delayMs = Math.max(round.delayMs, decision.delayMs)
    round.again.push(task)
  }

  #isStopped(): boolean {
    return this.#fatal !== null || this.#signal.aborted
  }

  async #firstContact<T>(call: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call()
      } catch (error) {
        this.#signal.throwIfAborted()
        const decision = this.#decide(decideFirstContactRetry, error, attempt)
        if (!decision.again) throw error
        this.#progress.retrying(null, attempt, decision.delayMs, error)
        await this.#clock.sleep(decision.delayMs, this.#signal)
      }
    }
  }

  #decide(decide: typeof decideRetry, error: unknown, attempt: number): RetryDecision {
    return decide({ error, attempt, limits: this.#spec.limits, random: () => this.#clock.random() })
  }

  #fail(task: Task, error: unknown): void {
    this.#settle(reportEnd(this.#facts(task), 'failed', error))
  }

  #settleUnplanned(stream: string, options: StreamOptions, state: SyncState, error: unknown): void {
    const saved = state.streams.get(stream) ?? null
    const facts = { stream, options, table: saved?.table ?? null, plan: null, state: saved }
    this.#settle(reportEnd({ ...facts, attempts: 0, seconds: 0 }, 'failed', error))
  }

  #settle(report: StreamReport): void {
    this.#reports.set(report.stream, report)
    this.#progress.emit({ kind: 'stream_finished', report })
  }

  #facts(task: Task): Parameters<typeof reportEnd>[0] {
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

interface Round {
  again: Task[]
  delayMs: number
  lastError: unknown
}

function mostBySize({ strategy, small, medium, large }: AdaptiveOptions): number | null {
  return strategy === 'table_size' ? Math.max(small.readers, medium.readers, large.readers) : null
}

/** Why the snapshot was given up; null while it stands. */
function snapshotReason(snapshot: Snapshot): unknown {
  return snapshot.signal.aborted ? snapshot.signal.reason : null
}

/** So far as is known before it is planned. */
function isReadInFull({ options, state }: Task): boolean {
  return options.mode === 'full_refresh' || (state?.checkpoint ?? null) === null
}

function isYield(reason: unknown): boolean {
  return reason instanceof TrunklineError && reason.code === 'YIELDED_TO_DDL'
}

function missingStream(name: string): TrunklineError {
  return new TrunklineError('STREAM_MISSING', `${name} has options and is not among the selected streams.`, {
    hint: 'Check its name with `trunkline discover`; `disabled: true` leaves it out without an error.',
    context: { stream: name },
  })
}

/** Sortable by time, and told apart from a run that began in the same second. */
function makeRunId(clock: Clock): string {
  const time = new Date(clock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const chance = Math.floor(clock.random() * 2 ** 48)
  return `${time}-${chance.toString(16).padStart(12, '0')}`
}
