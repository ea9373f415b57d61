/**
 * Everything of a run that comes before its first snapshot: the source is checked and discovered, options are resolved, the
 * destination is opened, and each stream gets its table.
 */
import { TrunklineError } from '../model/error.js'
import type { SyncSpec } from '../model/sync-spec.js'
import type { Destination, SyncState } from '../destination/contract.js'
import type { Source } from '../source/contract.js'
import type { Clock } from './clock.js'
import type { MetadataRunInput } from './metadata-run.js'
import { METADATA_STREAMS } from './metadata-tables.js'
import { nameTables } from './naming.js'
import type { Progress } from './progress.js'
import { namedQueries, type ResolvedStream, type ResolvedStreams } from './resolve-options.js'
import { decideFirstContactRetry } from './retry.js'
import type { RunReports } from './run-reports.js'
import { resolveWithHooks } from './stream-hooks.js'
import { makeTask, type StreamTask } from './stream-task.js'

/** Streams that are named where nothing else is selected. */
const LEFT_OUT_SHOWN = 3

export interface PrepareRunOptions {
  readonly source: Source
  readonly destination: Destination
  readonly spec: SyncSpec
  readonly runId: string
  readonly startedAt: Date
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly progress: Progress
  /** Of streams that are settled already. */
  readonly reports: RunReports
}

export interface PreparedRun {
  /** Streams that are to be read, in the catalog's order. */
  readonly tasks: readonly StreamTask[]
  /** Landed with the first snapshot; null where it is not asked for. */
  readonly metadata: MetadataRunInput | null
}

/** @throws TrunklineError when nothing can be started: SELECTION_EMPTY, CONNECT_FAILED, DESTINATION_LOCKED, … */
export async function prepareRun(options: PrepareRunOptions): Promise<PreparedRun> {
  const { source, destination, spec, runId, startedAt, signal, clock, progress, reports } = options
  const checking = firstContact(() => source.check({ signal }), options)
  destination.prepare?.()
  const check = await checking
  for (const warning of check.warnings) progress.warn(null, warning)
  const catalog = await firstContact(
    () =>
      source.discover(spec.selection, {
        signal,
        queries: namedQueries(spec),
        allowPrivilegedRole: spec.allowPrivilegedRole,
      }),
    options,
  )
  const resolved = await resolveWithHooks(catalog.streams, spec)
  if (resolved.streams.length === 0 && resolved.missing.length === 0) throw nothingSelected(resolved)
  const state = await destination.open({ sync: spec.name, runId, startedAt, adopt: spec.adopt, signal })
  const streams = resolved.streams.map(({ stream }) => stream)
  const names = [
    ...(spec.metadataTables ? METADATA_STREAMS : []),
    ...streams.map(({ name }) => name),
    ...resolved.missing,
  ]
  reports.expect(names)
  progress.emit({ kind: 'run_started', runId, sync: spec.name, streams: names.length })
  for (const reason of resolved.leftOut) progress.warn(null, reason)
  const tasks = makeTasks(resolved.streams, state, options)
  for (const name of resolved.missing) {
    reports.failUnplanned(name, spec.streams[name] ?? {}, state, missingStream(name))
  }
  const { targetSchema } = spec
  const metadata = spec.metadataTables
    ? { destination, streams, state, targetSchema, at: startedAt, clock }
    : null
  return { tasks, metadata }
}

/** Tries again what may pass by itself, a restarting server say, and nothing else: a wrong host is told at once. */
async function firstContact<T>(
  call: () => Promise<T>,
  { spec, signal, clock, progress }: Pick<PrepareRunOptions, 'spec' | 'signal' | 'clock' | 'progress'>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      signal.throwIfAborted()
      const { limits } = spec
      const decision = decideFirstContactRetry({ error, attempt, limits, random: () => clock.random() })
      if (!decision.again) throw error
      progress.retrying(null, attempt, decision.delayMs, error)
      await clock.sleep(decision.delayMs, signal)
    }
  }
}

/** Streams without a table of their own, and those that are skipped or paused, are settled here. */
function makeTasks(
  streams: readonly ResolvedStream[],
  state: SyncState,
  { spec, destination, reports }: Pick<PrepareRunOptions, 'spec' | 'destination' | 'reports'>,
): StreamTask[] {
  const owned = new Map([...state.streams].map(([name, saved]) => [name, saved.table]))
  const naming = nameTables({
    streams: streams.map((entry) => entry.stream),
    spec,
    capabilities: destination.capabilities,
    owned,
  })
  const tasks: StreamTask[] = []
  for (const entry of streams) {
    const { name } = entry.stream
    const table = naming.tables.get(name)
    if (table === undefined) {
      reports.failUnplanned(name, entry.options, state, naming.errors.get(name) ?? null)
      continue
    }
    const saved = state.streams.get(name) ?? null
    const task = makeTask(entry, table, saved)
    if (saved?.skipped === true || saved?.paused === true) {
      reports.leaveAlone(task, saved.skipped ? 'skipped' : 'paused')
    } else {
      tasks.push(task)
    }
  }
  return tasks
}

function nothingSelected({ leftOut }: Pick<ResolvedStreams, 'leftOut'>): TrunklineError {
  return new TrunklineError('SELECTION_EMPTY', 'Nothing is selected to be synced.', {
    hint: [
      ...leftOut.slice(0, LEFT_OUT_SHOWN),
      'Look at what there is with `trunkline discover`, and check `--select`, `--exclude` and `disabled`.',
    ].join(' '),
  })
}

function missingStream(name: string): TrunklineError {
  return new TrunklineError('STREAM_MISSING', `${name} has options and is not among the selected streams.`, {
    hint: 'Check its name with `trunkline discover`; `disabled: true` leaves it out without an error.',
    context: { stream: name },
  })
}
