/** Runs of configured syncs: started, followed, cancelled, and remembered for a while after their end. */
import { randomUUID } from 'node:crypto'
import type { ConfiguredSync } from '../config/find-configuration.js'
import type { Environment } from '../config/interpolate.js'
import { toSyncSpec } from '../config/sync-options.js'
import type { ConnectionObserver } from '../connectors.js'
import { openDestination, openSource, resolveSettings } from '../connectors.js'
import { closestKey } from '../model/closest-name.js'
import { type TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { ProgressEvent, RunReport } from '../model/report.js'
import { SERVICE_KEPT_RUNS } from '../model/thresholds.js'
import { runSync } from '../sync/engine.js'
import { KeptEvents } from './kept-events.js'
import type { Metrics } from './metrics.js'
import type { RunAnswer } from './request-schemas.js'
import { type DescribeError, ServiceError, toErrorBody } from './service-error.js'
import { assertOnlyReads } from './sources.js'

export interface RunsOptions {
  readonly syncs: ReadonlyMap<string, ConfiguredSync>
  /** Name of the source that a sync reads. */
  readonly sourceOf: (sync: ConfiguredSync, name: string) => string
  readonly env: Environment
  readonly maxRuns: number
  readonly allowPrivilegedRole: boolean
  readonly logger: Logger
  readonly metrics: Metrics
  readonly observe: (source: string) => ConnectionObserver
  readonly describeError: DescribeError
}

export class Run {
  readonly id = randomUUID()
  readonly sync: string
  readonly startedAt = new Date().toISOString()
  readonly events = new KeptEvents()
  readonly abort = new AbortController()
  state: RunAnswer['state'] = 'running'
  endedAt: string | null = null
  report: RunReport | null = null
  error: RunAnswer['error'] = null

  constructor(sync: string) {
    this.sync = sync
  }

  describe(): RunAnswer {
    const { id, sync, state, startedAt, endedAt, report, error } = this
    return {
      id,
      sync,
      state,
      startedAt,
      endedAt,
      report: report === null ? null : withoutStacks(report),
      error,
    }
  }
}

export class Runs {
  readonly #options: RunsOptions
  /** Oldest first. */
  readonly #runs = new Map<string, Run>()
  readonly #underWay = new Map<Run, Promise<void>>()

  constructor(options: RunsOptions) {
    this.#options = options
  }

  get syncs(): { name: string; source: string; running: boolean }[] {
    const { syncs, sourceOf } = this.#options
    return [...syncs].map(([name, sync]) => ({
      name,
      source: sourceOf(sync, name),
      running: this.#running(name) !== undefined,
    }))
  }

  /** Newest first. */
  list(): RunAnswer[] {
    return [...this.#runs.values()].reverse().map((run) => run.describe())
  }

  /** @throws ServiceError NOT_FOUND */
  get(id: string): Run {
    const run = this.#runs.get(id)
    if (run !== undefined) return run
    throw new ServiceError(
      'NOT_FOUND',
      'There is no such run, or it is forgotten.',
      `GET /runs lists the last ${SERVICE_KEPT_RUNS}.`,
    )
  }

  /** @throws ServiceError NOT_FOUND, RUN_IN_PROGRESS, BUSY */
  start(name: string): Run {
    const { syncs, maxRuns } = this.#options
    const sync = syncs.get(name)
    if (sync === undefined) {
      const suggestion = closestKey(name, syncs.keys())
      const known = `Syncs: ${[...syncs.keys()].join(', ') || 'none are configured'}.`
      const hint = suggestion === null ? known : `Did you mean \`${suggestion}\`?`
      throw new ServiceError('NOT_FOUND', `There is no sync ${JSON.stringify(name)}.`, hint)
    }
    const running = this.#running(name)
    if (running !== undefined) {
      const hint = `Follow it at /runs/${running.id}/events, or cancel it.`
      throw new ServiceError('RUN_IN_PROGRESS', `A run of ${name} is under way.`, hint)
    }
    if (this.#underWay.size >= maxRuns) {
      const hint = 'Try again when it has ended; service.max_runs says how many there may be.'
      throw new ServiceError('BUSY', `${this.#underWay.size} of ${maxRuns} runs are under way.`, hint)
    }
    const run = new Run(name)
    this.#runs.set(run.id, run)
    this.#forgetOld()
    const work = this.#perform(run, sync).finally(() => this.#underWay.delete(run))
    this.#underWay.set(run, work)
    return run
  }

  /** What is committed stays, and the next run goes on from there. */
  async stop(reason: TrunklineError): Promise<void> {
    for (const run of this.#underWay.keys()) run.abort.abort(reason)
    await Promise.all(this.#underWay.values())
  }

  #running(sync: string): Run | undefined {
    return [...this.#underWay.keys()].find((run) => run.sync === sync)
  }

  /** Never rejects: what goes wrong stands in the run. */
  async #perform(run: Run, sync: ConfiguredSync): Promise<void> {
    const { metrics, logger, describeError } = this.#options
    const metric = metrics.runStarted(run.sync)
    const log = withRun(logger, run)
    log.info({}, 'the run begins')
    try {
      run.report = await this.#runSync(run, sync, log)
      run.state = run.report.outcome
    } catch (error) {
      run.state = run.abort.signal.aborted ? 'aborted' : 'failed'
      run.error = toErrorBody(error, describeError).error
      log.error({ code: run.error.code }, error instanceof Error ? error.message : String(error))
    }
    run.endedAt = new Date().toISOString()
    run.events.end()
    metric.end(run.state, run.report)
    log.info({ outcome: run.state, rowsLanded: run.report?.rowsLanded }, 'the run has ended')
  }

  async #runSync(run: Run, sync: ConfiguredSync, logger: Logger): Promise<RunReport> {
    const { env, observe, metrics, sourceOf, allowPrivilegedRole } = this.#options
    const { signal } = run.abort
    const sourceName = sourceOf(sync, run.sync)
    const settings = await resolveSettings(sync.connection, env)
    const spec = toSyncSpec(sync.options, settings.database)
    await using destination = await openDestination(sync.destination, {
      logger,
      env,
      place: sync.destinationPlace,
    })
    await using source = await openSource(settings, {
      logger,
      limits: spec.limits,
      searchPath: sync.connection.searchPath,
      observer: observe(sourceName),
    })
    if (!allowPrivilegedRole && !spec.allowPrivilegedRole) assertOnlyReads(await source.check({ signal }))
    const countRows = rowCounter((rows) => {
      metrics.rowsRead(sourceName, rows)
    })
    // Awaited here: source and destination are closed on the way out.
    return await runSync({
      source,
      destination,
      spec,
      signal,
      logger,
      onProgress: (event) => {
        countRows(event)
        run.events.push(withoutStack(event))
      },
    })
  }

  #forgetOld(): void {
    for (const run of this.#runs.values()) {
      if (this.#runs.size <= SERVICE_KEPT_RUNS) return
      if (run.state !== 'running') this.#runs.delete(run.id)
    }
  }
}

/** Progress tells how many rows there are so far; what comes on top is told on. A stream that begins anew begins at zero. */
function rowCounter(add: (rows: number) => void): (event: ProgressEvent) => void {
  const counted = new Map<string, number>()
  const count = (stream: string, rows: number): void => {
    const before = counted.get(stream) ?? 0
    if (rows > before) add(rows - before)
    counted.set(stream, rows)
  }
  return (event) => {
    if (event.kind === 'stream_started') counted.delete(event.stream)
    if (event.kind === 'stream_progress') count(event.stream, event.rows)
    if (event.kind === 'stream_finished') count(event.report.stream, event.report.rowsRead)
  }
}

function withRun(logger: Logger, run: Run): Logger {
  const about = { run: run.id, sync: run.sync }
  return {
    debug: (fields, message) => {
      logger.debug({ ...about, ...fields }, message)
    },
    info: (fields, message) => {
      logger.info({ ...about, ...fields }, message)
    },
    warn: (fields, message) => {
      logger.warn({ ...about, ...fields }, message)
    },
    error: (fields, message) => {
      logger.error({ ...about, ...fields }, message)
    },
  }
}

/** Stacks name files of the machine. */
function withoutStack(event: ProgressEvent): ProgressEvent {
  switch (event.kind) {
    case 'stream_finished':
      return { ...event, report: withoutStackOf(event.report) }
    case 'retry':
      return { ...event, error: withoutStackIn(event.error) }
    case 'run_finished':
      return { ...event, report: withoutStacks(event.report) }
    default:
      return event
  }
}

function withoutStacks(report: RunReport): RunReport {
  return { ...report, streams: report.streams.map(withoutStackOf) }
}

function withoutStackOf<Report extends RunReport['streams'][number]>(report: Report): Report {
  return report.error === null ? report : { ...report, error: withoutStackIn(report.error) }
}

function withoutStackIn<Data extends { readonly stack?: string }>({
  stack: _,
  ...data
}: Data): Omit<Data, 'stack'> {
  return data
}
