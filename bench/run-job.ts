/** Runs one job on one data set beside its baseline: A B A B …, so that both meet the same phases of a noisy machine. */
import type { Job, JobContext } from './jobs.js'
import { type Command, type Measurement, type ServerUnderTest, measure } from './measure.js'
import type { ResultRow, Timed } from './results.js'
import { type Pair, pairedRatios, spreadOf, spreadOfKnown } from './statistics.js'

export interface JobRun {
  readonly job: Job
  readonly version: string
  readonly baselineVersion: string
  readonly pairs: number
  readonly target: number | null
  /** Where the job's CPU profiles go; null: none are made. */
  readonly profileFolder: string | null
  readonly server: ServerUnderTest
  readonly say: (text: string) => void
}

/** @throws Error when a command fails or what landed is not what the source holds. */
export async function runJob(run: JobRun, context: Omit<JobContext, 'run'>): Promise<ResultRow> {
  const { job, pairs, server } = run
  const baselines: Measurement[] = []
  const candidates: Measurement[] = []
  const pairsRun: Pair[] = []
  for (let index = 0; index < pairs; index += 1) {
    const each: JobContext = { ...context, run: index }
    await job.prepare?.(each)
    const baseline = await measure(job.baseline.command(each), server)
    const candidate = await measure(profiled(job.command(each), run.profileFolder), server)
    const wrong = (await job.check?.(each, candidate.output)) ?? null
    if (wrong !== null) throw new Error(`${job.name}: what landed is wrong: ${wrong}`)
    baselines.push(baseline)
    candidates.push(candidate)
    pairsRun.push({ baseline: baseline.wallSeconds, candidate: candidate.wallSeconds })
    run.say(progressLine(job, context.set.rows > 0 ? ` ${context.set.name}` : '', baseline, candidate))
  }
  const shown = { ...context, run: 0 }
  const { set } = context
  const reads = set.rows > 0
  return {
    job: job.name,
    title: job.title,
    version: run.version,
    commandLine: job.command(shown).shown,
    dataSet: reads ? set.name : null,
    rowCount: reads ? set.rows : null,
    copyBytes: reads ? set.copyBytes : null,
    ...timed(candidates),
    baseline: {
      commandLine: job.baseline.command(shown).shown,
      version: run.baselineVersion,
      ...timed(baselines),
    },
    ratio: pairedRatios(pairsRun),
    target: run.target,
    charted: job.charted?.includes(set.name) ?? false,
    checkedRuns: job.check === undefined ? null : candidates.length,
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

/** Node writes a profile per thread at its end; what is not node stays as it is. */
function profiled(command: Command, folder: string | null): Command {
  if (folder === null || command.file !== process.execPath) return command
  return { ...command, args: ['--cpu-prof', `--cpu-prof-dir=${folder}`, ...command.args] }
}

function progressLine(job: Job, table: string, baseline: Measurement, candidate: Measurement): string {
  const ratio = (candidate.wallSeconds / baseline.wallSeconds).toFixed(2)
  return `${job.name}${table}: ${candidate.wallSeconds.toFixed(2)} s, ${ratio} x ${job.baseline.title} (${baseline.wallSeconds.toFixed(2)} s)`
}
