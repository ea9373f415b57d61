/**
 * Runs a series: rounds of baseline, job, job, …, so that all meet the same phases of a noisy machine and the ratios are of
 * neighbours.
 */
import type { BuiltDataSet } from './build-data-sets.js'
import type { Path } from './conditions.js'
import type { DataSetName } from './data-sets.js'
import type { Job, JobContext } from './job.js'
import { type Command, type Measurement, type ServerUnderTest, measure } from './measure.js'
import { type Series, type SeriesEntry, sizeFamily } from './plan-series.js'
import type { AbsentJob, Against, Provenance, ResultRow, Timed } from './results.js'
import { pairedRatios, spreadOf, spreadOfKnown } from './statistics.js'

export interface RunnableJob extends Job {
  readonly version: string
  readonly baselineVersion: string
}

export interface SeriesRun {
  readonly pairs: number
  readonly provenance: Provenance
  /** Whether the tables have the size that the aims are meant for. */
  readonly aimed: boolean
  /** Where the jobs' CPU profiles go; null: none are made. */
  readonly profileFolder: string | null
  readonly server: ServerUnderTest
  readonly path: Path
  readonly sets: ReadonlyMap<DataSetName, BuiltDataSet>
  readonly context: Pick<JobContext, 'client' | 'folder'>
  readonly say: (text: string) => void
}

export interface SeriesOutcome {
  readonly rows: readonly ResultRow[]
  readonly failed: readonly AbsentJob[]
}

/** What one entry took, round by round. */
interface Runs {
  readonly entry: SeriesEntry<RunnableJob>
  readonly context: Omit<JobContext, 'run'>
  readonly baselines: Measurement[]
  readonly candidates: Measurement[]
  failure: string | null
}

/** In a round of many programs it is run again after so long: the machine will have changed. */
const MAX_BASELINE_AGE_MS = 60_000

/** A job that fails, or whose rows are wrong, is left out of what follows and said so; the others go on. */
export async function runSeries(series: Series<RunnableJob>, run: SeriesRun): Promise<SeriesOutcome> {
  const all: readonly Runs[] = series.entries.map((entry) => ({
    entry,
    context: contextOf(entry, run),
    baselines: [],
    candidates: [],
    failure: null,
  }))
  for (let round = 0; round < run.pairs; round += 1) {
    const latest = { baseline: null as Measurement | null, of: '', endedAt: 0 }
    for (const each of all.filter(({ failure }) => failure === null)) {
      const { job, table } = each.entry
      const context: JobContext = { ...each.context, run: round }
      try {
        await job.prepare?.(context)
        const of = `${table} ${job.baseline.title}`
        const old = performance.now() - latest.endedAt > MAX_BASELINE_AGE_MS
        if (latest.baseline === null || latest.of !== of || old) {
          latest.baseline = await measure(job.baseline.command(context), run.server)
          latest.of = of
          latest.endedAt = performance.now()
        }
        const { baseline } = latest
        const candidate = await measure(profiled(job.command(context), run.profileFolder), run.server)
        const wrong = (await job.check?.(context, candidate.output)) ?? null
        if (wrong !== null) throw new Error(`what landed is wrong: ${wrong}`)
        each.baselines.push(baseline)
        each.candidates.push(candidate)
        run.say(progressLine(each.entry, run.path, baseline, candidate))
      } catch (error) {
        each.failure = error instanceof Error ? error.message : String(error)
        run.say(`${job.name} failed on ${table}: ${each.failure}`)
        // An interrupted run must not leave its work to the next one.
        await run.server.awaitIdle()
      }
    }
  }
  const completed = all.filter(({ failure }) => failure === null)
  return {
    rows: completed.map((each) => toRow(each, referenceOf(each, completed), run)),
    failed: all.flatMap(({ entry, failure }) => (failure === null ? [] : [toFailed(entry, failure)])),
  }
}

function contextOf({ table }: SeriesEntry, { path, sets, context }: SeriesRun): Omit<JobContext, 'run'> {
  const set = sets.get(table)
  if (set === undefined) throw new Error(`The table ${table} was not built.`)
  return { ...context, set, connection: path.connection, url: path.url }
}

/** For scaling the smallest size of the same job, else the job that it names; for another program ours. */
function referenceOf(of: Runs, all: readonly Runs[]): Runs | null {
  const { job, table } = of.entry
  const reference = all.find(({ entry }) => {
    if (job.group === 'scaling') {
      return entry.job.name === job.name && sizeFamily(entry.table).family === sizeFamily(table).family
    }
    if (job.reference === undefined && job.by === 'peer') return entry.job.by === 'trunkline'
    return entry.job.name === job.reference && entry.table === table
  })
  return reference === undefined || reference === of ? null : reference
}

function toRow(each: Runs, reference: Runs | null, run: SeriesRun): ResultRow {
  const { job } = each.entry
  const shown = { ...each.context, run: 0 }
  const { set } = each.context
  const reads = set.rows > 0
  return {
    group: job.group,
    job: job.name,
    by: job.by,
    task: job.task ?? null,
    title: job.title,
    version: job.version,
    commandLine: job.command(shown).shown,
    dataSet: reads ? set.name : null,
    rowCount: reads ? set.rows : null,
    copyBytes: reads ? set.copyBytes : null,
    path: run.path.taken,
    ...timed(each.candidates),
    baseline: {
      title: job.baseline.title,
      commandLine: job.baseline.command(shown).shown,
      version: job.baselineVersion,
      ...timed(each.baselines),
    },
    ratio: pairedRatios(
      each.candidates.map(({ wallSeconds }, round) => ({
        baseline: each.baselines[round]?.wallSeconds ?? NaN,
        candidate: wallSeconds,
      })),
    ),
    against: reference === null ? null : compare(each, reference),
    target: run.aimed ? (job.on[set.name] ?? null) : null,
    charted: job.charted?.includes(set.name) ?? false,
    checkedRuns: job.check === undefined ? null : each.candidates.length,
    checkedAs: job.checkedAs ?? null,
    ...run.provenance,
  }
}

function compare(each: Runs, reference: Runs): Against {
  const pairs = each.candidates.flatMap((candidate, round) => {
    const other = reference.candidates[round]
    return other === undefined ? [] : [{ candidate, other }]
  })
  const rows = Math.max(1, each.context.set.rows) / Math.max(1, reference.context.set.rows)
  const peaks = pairs.map(({ candidate, other }) =>
    candidate.peakRssBytes === null || other.peakRssBytes === null
      ? null
      : candidate.peakRssBytes / other.peakRssBytes,
  )
  return {
    title: each.entry.job === reference.entry.job ? reference.context.set.name : reference.entry.job.title,
    timePerRow: pairedRatios(
      pairs.map(({ candidate, other }) => ({
        baseline: other.wallSeconds * rows,
        candidate: candidate.wallSeconds,
      })),
    ),
    peakRss: spreadOfKnown(peaks),
  }
}

function timed(runs: readonly Measurement[]): Timed {
  return {
    wallSeconds: spreadOf(runs.map(({ wallSeconds }) => wallSeconds)),
    clientCpuSeconds: spreadOfKnown(runs.map(({ clientCpuSeconds }) => clientCpuSeconds)),
    serverCpuSeconds: spreadOfKnown(runs.map(({ serverCpuSeconds }) => serverCpuSeconds)),
    peakRssBytes: spreadOfKnown(runs.map(({ peakRssBytes }) => peakRssBytes)),
  }
}

function toFailed({ job, table }: SeriesEntry, failure: string): AbsentJob {
  // After the line with the command and its status comes what the program said itself.
  const [first = '', said = first] = failure.split('\n').filter((line) => line.trim() !== '')
  const { group, name, title, task = null } = job
  return {
    group,
    job: name,
    title,
    task,
    dataSet: table,
    reason: `failed: ${said.trim().slice(0, 200).replace(/[.:]$/, '')}`,
  }
}

/** Node writes a profile per thread at its end; what is not node stays as it is. */
function profiled(command: Command, folder: string | null): Command {
  if (folder === null || command.file !== process.execPath) return command
  return { ...command, args: ['--cpu-prof', `--cpu-prof-dir=${folder}`, ...command.args] }
}

function progressLine(
  { job, table }: SeriesEntry,
  path: Path,
  baseline: Measurement,
  candidate: Measurement,
): string {
  const ratio = (candidate.wallSeconds / baseline.wallSeconds).toFixed(2)
  const where = table === 'none' ? '' : ` ${table}`
  const over = path.taken.name === 'tcp' ? '' : ` over ${path.taken.name}`
  return `${job.name}${where}${over}: ${candidate.wallSeconds.toFixed(2)} s, ${ratio} x ${job.baseline.title} (${baseline.wallSeconds.toFixed(2)} s)`
}
