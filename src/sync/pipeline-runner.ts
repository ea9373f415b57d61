/**
 * Runs a compiled pipeline: first everything is checked, against the sources and by trying the SQL on empty tables, and only when nothing
 * is wrong are the steps done, one after another, in the order of the file.
 *
 * A LOAD is a run of the engine; the SQL runs in sessions between them. Steps that were done stay done when a later one fails.
 */
import type { CatalogStream } from '../model/catalog.js'
import type { Field } from '../model/column-type.js'
import { fromErrorData, TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { ProgressEvent, RunReport } from '../model/report.js'
import type { Limits } from '../model/sync-spec.js'
import type { Destination } from '../destination/contract.js'
import type { SqlRehearsal, SqlSession, SqlStatement } from '../destination/sql-session.js'
import type {
  CreateStep,
  ExportStep,
  LoadStep,
  Pipeline,
  PipelineSource,
  Step,
} from '../pipeline/pipeline.js'
import { failure, ProblemList } from '../pipeline/pipeline-error.js'
import { formatPlace } from '../pipeline/source-text.js'
import { placeInFile } from '../pipeline/sql-text.js'
import type { Source } from '../source/contract.js'
import { systemClock, type Clock } from './clock.js'
import { runSync } from './engine.js'
import { isUnreachable, missingCursorField, placeError } from './pipeline-runner-errors.js'
import { planSync, type PlannedStream } from './plan-report.js'
import { abortedError } from './report.js'
import { namedQueries } from './resolve-options.js'

/** What a pipeline works with, opened when it is needed. */
export interface PipelineConnections {
  openSource(source: PipelineSource, limits: Limits): Promise<Source>
  openDestination(): Promise<Destination>
  openSession(): Promise<SqlSession>
  openRehearsal(): Promise<SqlRehearsal>
}

export interface RunPipelineOptions {
  readonly pipeline: Pipeline
  readonly connections: PipelineConnections
  readonly signal?: AbortSignal
  readonly logger?: Logger
  /** Events of the engine, of one LOAD after another. */
  readonly onProgress?: (event: ProgressEvent) => void
  readonly onStepStarted?: (step: Step, index: number) => void
  readonly onStepFinished?: (report: StepReport) => void | Promise<void>
  readonly clock?: Clock
}

export interface StepReport {
  readonly index: number
  /** `orders.sf:3:1` */
  readonly place: string
  readonly kind: Step['kind']
  readonly mode: LoadStep['mode'] | null
  /** The table that was made, or the file. */
  readonly target: string
  /** Landed, made or written. */
  readonly rows: number
  readonly seconds: number
  /** Of a LOAD. */
  readonly run: RunReport | null
}

export interface PipelineReport {
  readonly pipeline: string
  readonly seconds: number
  readonly steps: readonly StepReport[]
}

export interface PlannedStep {
  readonly index: number
  readonly place: string
  readonly kind: Step['kind']
  readonly mode: LoadStep['mode'] | null
  readonly target: string
  /** Of a LOAD: `user@host:port/database`. */
  readonly source: string | null
  /** Of a LOAD: what the engine would do. */
  readonly stream: Extract<PlannedStream, { kind: 'planned' }> | null
  /** Of SQL: as it would run. */
  readonly sql: string | null
}

/**
 * Checks everything and changes nothing.
 * @throws PipelineError with all that is wrong; what keeps the destination from being read
 */
export async function planPipeline(options: RunPipelineOptions): Promise<readonly PlannedStep[]> {
  await using run = new PipelineRun(options)
  return await run.check()
}

/**
 * Checks everything, then does it.
 * @throws PipelineError with the place of the step that failed; ABORTED
 */
export async function runPipeline(options: RunPipelineOptions): Promise<PipelineReport> {
  await using run = new PipelineRun(options)
  await run.check()
  return await run.execute()
}

class PipelineRun implements AsyncDisposable {
  readonly #options: RunPipelineOptions
  readonly #clock: Clock
  readonly #sources = new Map<string, Promise<Source>>()

  constructor(options: RunPipelineOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  async check(): Promise<readonly PlannedStep[]> {
    const { pipeline, connections, signal } = this.#options
    const problems = new ProblemList()
    const planned: PlannedStep[] = []
    /** After a LOAD that cannot be done the SQL that follows cannot be judged. */
    let complete = true
    const unreachable = new Set<string>()
    await using rehearsal = await connections.openRehearsal()
    await using destination = await connections.openDestination()
    for (const [index, step] of pipeline.steps.entries()) {
      signal?.throwIfAborted()
      // Said once, for the first LOAD from it.
      if (step.kind === 'load' && unreachable.has(step.source.name)) continue
      try {
        if (step.kind === 'load') {
          planned.push({
            ...describeStep(step, index),
            ...(await this.#checkLoad(step, rehearsal, destination)),
          })
        } else if (complete) {
          await attempt(step, rehearsal)
          planned.push(describeStep(step, index))
        }
      } catch (error) {
        signal?.throwIfAborted()
        complete &&= step.kind !== 'load'
        if (step.kind === 'load' && isUnreachable(error)) unreachable.add(step.source.name)
        problems.add(placeError(error, step.span, step.kind === 'load' ? step.source : null))
      }
    }
    problems.assertNone()
    return planned
  }

  async #checkLoad(
    step: LoadStep,
    rehearsal: SqlRehearsal,
    destination: Destination,
  ): Promise<Pick<PlannedStep, 'source' | 'stream'>> {
    const { spec } = step
    const { signal } = this.#options
    const waiting = signal === undefined ? {} : { signal }
    const source = await this.#sourceOf(step)
    const catalog = await source.discover(spec.selection, {
      ...waiting,
      queries: namedQueries(spec),
      allowPrivilegedRole: spec.allowPrivilegedRole,
    })
    const [stream] = catalog.streams
    if (stream === undefined) throw new TrunklineError('INTERNAL', `${step.table} reads no stream.`)
    await assertCursorField(step, source, stream)
    const plan = await planSync({ source, destination, spec, ...waiting })
    const [entry] = plan.streams
    if (entry?.kind === 'refused') throw fromErrorData(entry.error)
    if (entry === undefined) throw new TrunklineError('INTERNAL', `${step.table} has no plan.`)
    const [{ typeProfile = 'exact' } = {}] = Object.values(spec.streams)
    const columns = source.mapColumns(stream, {
      typeProfile,
      types: {},
      specialNumeric: 'error',
      specialTemporal: 'error',
      invalidUtf8: 'error',
    })
    const dated = entry.mode === 'full_refresh' && entry.landing === 'append'
    const fields = columns.map((column) => column.field)
    await rehearsal.declare(step.table, dated ? [...fields, RUN_AT] : fields)
    return { source: plan.source, stream: entry }
  }

  async execute(): Promise<PipelineReport> {
    const { pipeline, onStepStarted, onStepFinished } = this.#options
    const startedAtMs = this.#clock.now()
    const steps: StepReport[] = []
    for (const [index, step] of pipeline.steps.entries()) {
      onStepStarted?.(step, index)
      const report = await this.#execute(step, index)
      steps.push(report)
      await onStepFinished?.(report)
    }
    return { pipeline: pipeline.name, seconds: (this.#clock.now() - startedAtMs) / 1000, steps }
  }

  async #execute(step: Step, index: number): Promise<StepReport> {
    const { signal } = this.#options
    const startedAtMs = this.#clock.now()
    try {
      if (signal?.aborted === true) throw abortedError(signal.reason)
      const result = step.kind === 'load' ? await this.#load(step) : await this.#runSql(step)
      const { place, kind, mode, target } = describeStep(step, index)
      return {
        index,
        place,
        kind,
        mode,
        target,
        ...result,
        seconds: (this.#clock.now() - startedAtMs) / 1000,
      }
    } catch (error) {
      if (signal?.aborted === true) throw abortedError(signal.reason)
      throw placeError(error, step.span, step.kind === 'load' ? step.source : null)
    }
  }

  async #load(step: LoadStep): Promise<Pick<StepReport, 'rows' | 'run'>> {
    const { connections, signal, logger, onProgress } = this.#options
    await using destination = await connections.openDestination()
    const run = await runSync({
      source: await this.#sourceOf(step),
      destination,
      spec: step.spec,
      ...(signal === undefined ? {} : { signal }),
      ...(logger === undefined ? {} : { logger }),
      ...(onProgress === undefined ? {} : { onProgress }),
    })
    const failed = run.streams.find((report) => report.error !== null)?.error
    if (failed !== undefined && failed !== null) throw fromErrorData(failed)
    if (run.outcome !== 'done')
      throw new TrunklineError('INTERNAL', `Loading ${step.table} ended as ${run.outcome}.`)
    return { rows: run.rowsLanded, run }
  }

  async #runSql(step: CreateStep | ExportStep): Promise<Pick<StepReport, 'rows' | 'run'>> {
    const { connections, signal } = this.#options
    await using session = await connections.openSession()
    const { rows } = await session.run(toStatement(step), signal === undefined ? {} : { signal })
    return { rows, run: null }
  }

  #sourceOf({ source, spec }: LoadStep): Promise<Source> {
    const open = this.#sources.get(source.name) ?? this.#options.connections.openSource(source, spec.limits)
    this.#sources.set(source.name, open)
    return open
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opening of this.#sources.values()) {
      const source = await opening.catch(() => null)
      await source?.close()
    }
  }
}

/** What a dated copy adds to each row. */
const RUN_AT: Field = {
  name: '_trunkline_run_at',
  type: { kind: 'timestamp', utc: true },
  nullable: true,
}

async function attempt(step: CreateStep | ExportStep, rehearsal: SqlRehearsal): Promise<void> {
  const problem = await rehearsal.attempt(toStatement(step))
  if (problem === null) return
  throw failure(
    problem.offset === null ? step.sql.span : placeInFile(step.sql, problem.offset),
    problem.message,
    {
      hint: 'This is how DuckDB, which runs the SQL, sees it.',
    },
  )
}

/** Also where everything is read: a mistake in it should not wait for another mode. */
async function assertCursorField(
  { source: { cursorField, syncMode }, span }: LoadStep,
  source: Source,
  stream: CatalogStream,
): Promise<void> {
  if (cursorField === null || syncMode !== 'incremental') return
  const resolved = await source.resolveCursor(stream, { field: cursorField, start: null })
  if (resolved !== null) return
  const columns = stream.columns.map((column) => column.name)
  throw missingCursorField(span, cursorField, columns)
}

function toStatement(step: CreateStep | ExportStep): SqlStatement {
  const query = step.sql.text
  if (step.kind === 'export') {
    return { kind: 'export', query, path: step.path, format: step.format, options: step.options }
  }
  return { kind: 'create', query, table: step.table, mode: step.mode, keys: step.keys }
}

function describeStep(step: Step, index: number): PlannedStep {
  return {
    index,
    place: formatPlace(step.span),
    kind: step.kind,
    mode: step.kind === 'export' ? null : step.mode,
    target: step.kind === 'export' ? step.path : step.table,
    source: null,
    stream: null,
    sql: step.kind === 'load' ? null : step.sql.text,
  }
}
