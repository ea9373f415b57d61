/**
 * `npm run bench`: starts a server, builds the data sets once, runs every job beside its baseline, checks what landed and
 * prints tables. `--help` says what can be chosen.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { drainCommand } from './baselines.js'
import { type BuiltDataSet, buildDataSet } from './build-data-sets.js'
import { openPath } from './conditions.js'
import { type DataSet, type DataSetName, describeDataSets } from './data-sets.js'
import { GROUPS } from './groups.js'
import { measureImpact, probeImpact } from './impact.js'
import { type Job, NO_DATA_SET } from './job.js'
import { IMPACT_LOADS, JOBS } from './jobs.js'
import { describeCommit, describeMachine } from './machine.js'
import { type ServerUnderTest, measure } from './measure.js'
import { type BenchOptions, parseOptions, usage } from './options.js'
import { type Series, planSeries } from './plan-series.js'
import { summarizeProfiles } from './profile.js'
import { renderTerminal } from './render-table.js'
import type { AbsentJob, BenchResults, ImpactRow, Provenance, ResultRow } from './results.js'
import { type RunnableJob, runSeries } from './run-series.js'
import { mergeWithSaved, saveResults, writeResults } from './save-results.js'
import { type BenchServer, startBenchServer } from './server.js'

const project = fileURLToPath(new URL('..', import.meta.url))
const cacheFolder = join(project, '.bench')
const profileFolder = join(cacheFolder, 'profiles')
const ORDER = JOBS.map(({ group, name }) => `${group} ${name}`)
const say = (text: string): void => void process.stderr.write(`${text}\n`)

/** The table that is copied while pgbench runs. */
const IMPACT_TABLE: DataSetName = 'lineitem'
/** More rows are counted instead of read to warm them up. */
const MAX_DRAINED_ROWS = 10_000_000

/** One run of the program: what it was asked for and what it has found so far. */
interface Session {
  readonly options: BenchOptions
  readonly server: BenchServer
  readonly client: pg.Client
  readonly folder: string
  readonly provenance: Provenance
  readonly underTest: ServerUnderTest
  readonly sets: Map<DataSetName, BuiltDataSet>
  readonly rows: ResultRow[]
  readonly impact: ImpactRow[]
  readonly absent: AbsentJob[]
}

async function runBenchmark(options: BenchOptions): Promise<{ results: BenchResults; failed: boolean }> {
  const { runnable, absent } = await probeJobs(options.jobs)
  const planned = planSeries(runnable, options)
  const folder = await emptyFolder(join(cacheFolder, 'landed'))
  if (options.profile) await emptyFolder(profileFolder)
  const provenance = { measuredAt: new Date().toISOString(), commit: describeCommit(project) }
  await using server = await startBenchServer(options.major, cacheFolder, databaseName(options.scale))
  const client = await server.connect()
  try {
    const underTest = serverUnderTest(server, client)
    const sets = new Map<DataSetName, BuiltDataSet>([['none', NO_DATA_SET]])
    const found = { rows: [], impact: [], absent: [...absent] }
    const session: Session = { options, server, client, folder, provenance, underTest, sets, ...found }
    // Before hours of work, not after.
    let results = await describeResults(session)
    if (options.save) await mergeWithSaved(results, project, ORDER)
    const hasImpact = options.groups.has('impact') && (options.tables?.has(IMPACT_TABLE) ?? true)
    await prepareDataSets(session, [
      ...planned.flatMap(({ entries }) => entries.map(({ table }) => table)),
      ...(hasImpact ? [IMPACT_TABLE] : []),
    ])
    let failed = false
    for (const series of planned) {
      failed = (await runOneSeries(session, series)) || failed
      results = await keep(session)
    }
    if (hasImpact) {
      await runImpact(session)
      results = await keep(session)
    }
    return { results, failed }
  } finally {
    await client.end()
  }
}

/** After each series, so that a benchmark that is stopped has not run for nothing. */
async function keep(session: Session): Promise<BenchResults> {
  const results = await describeResults(session)
  const { save, out } = session.options
  if (save) await saveResults(await mergeWithSaved(results, project, ORDER), project)
  if (out !== null) await writeResults(results, out)
  return results
}

async function describeResults({ client, server, rows, impact, absent }: Session): Promise<BenchResults> {
  const { rows: found } = await client.query<{ server_version: string }>('SHOW server_version')
  return {
    format: 2,
    machine: describeMachine(),
    server: { version: found[0]?.server_version.split(' ')[0] ?? '', settings: server.settings },
    rows: [...rows],
    impact: [...impact],
    absent: [...absent],
  }
}

/** A database per size, so that a quick look at small tables does not cost the building of the large ones again. */
function databaseName(scale: number): string {
  return `bench_${String(scale).replaceAll(/[^0-9a-z]/g, '_')}`
}

async function probeJobs(
  jobs: readonly Job[],
): Promise<{ readonly runnable: readonly RunnableJob[]; readonly absent: readonly AbsentJob[] }> {
  const runnable: RunnableJob[] = []
  const absent: AbsentJob[] = []
  for (const job of jobs) {
    const candidate = await job.probe()
    const baseline = await job.baseline.probe()
    const reason = 'absent' in candidate ? candidate.absent : 'absent' in baseline ? baseline.absent : null
    const { group, name, title, task = null } = job
    if (reason !== null) absent.push({ group, job: name, title, task, dataSet: null, reason })
    if ('version' in candidate && 'version' in baseline) {
      runnable.push({ ...job, version: candidate.version, baselineVersion: baseline.version })
    }
  }
  return { runnable, absent }
}

/** Builds what is needed and reads each table once, so that the first run does not meet a cold cache. */
async function prepareDataSets(session: Session, needed: readonly DataSetName[]): Promise<void> {
  const { client, options, server, sets } = session
  await using path = await openPath('tcp', server)
  const copyBytes = async (set: DataSet): Promise<number> =>
    Number((await measure(drainCommand(set, path.connection), null)).output)
  for (const set of Object.values(describeDataSets(options.scale))) {
    if (!needed.includes(set.name)) continue
    sets.set(set.name, await buildDataSet(client, set, copyBytes, say))
    if (set.rows > MAX_DRAINED_ROWS) await client.query(`SELECT count(*) FROM ${set.name}`)
    else await copyBytes(set)
  }
}

/** Whether something failed that should not. */
async function runOneSeries(session: Session, series: Series<RunnableJob>): Promise<boolean> {
  const { options, server, client, folder, provenance, underTest, sets } = session
  const absentAll = (reason: string): void => {
    for (const { job, table } of series.entries) {
      const { group, name, title, task = null } = job
      session.absent.push({ group, job: name, title, task, dataSet: table, reason })
    }
  }
  let path
  try {
    path = await openPath(series.condition, server)
  } catch (error) {
    absentAll(`${series.condition}: ${error instanceof Error ? error.message : String(error)}`)
    return false
  }
  await using opened = path
  const { rows, failed } = await runSeries(series, {
    pairs: options.pairs ?? GROUPS[series.group].rounds,
    provenance,
    // On small tables start-up decides, which is not what is aimed at.
    aimed: options.scale >= 1,
    profileFolder: options.profile ? profileFolder : null,
    server: underTest,
    path: opened,
    sets,
    context: { client, folder },
    say,
  })
  session.rows.push(...rows)
  session.absent.push(...failed)
  const own = new Set(series.entries.filter(({ job }) => job.by !== 'peer').map(({ job }) => job.name))
  return failed.some(({ job }) => own.has(job))
}

async function runImpact(session: Session): Promise<void> {
  const { options, server, client, folder, provenance, sets } = session
  const set = sets.get(IMPACT_TABLE)
  const reason = probeImpact()
  if (set === undefined || reason !== null) {
    const title = 'pgbench beside a copy'
    session.absent.push({
      group: 'impact',
      job: 'impact',
      title,
      task: null,
      dataSet: null,
      reason: reason ?? 'no table',
    })
    return
  }
  await using path = await openPath('tcp', server)
  const { connection, url } = path
  const context = { set, connection, url, client, folder }
  const rounds = options.pairs ?? GROUPS.impact.rounds
  const { scale } = options
  session.impact.push(
    ...(await measureImpact({
      server,
      client,
      context,
      loads: IMPACT_LOADS,
      rounds,
      scale,
      provenance,
      say,
    })),
  )
}

async function emptyFolder(path: string): Promise<string> {
  await rm(path, { recursive: true, force: true })
  await mkdir(path, { recursive: true })
  return path
}

function serverUnderTest(server: BenchServer, client: pg.Client): ServerUnderTest {
  return {
    pid: server.pid,
    awaitIdle: async () => {
      for (;;) {
        const { rows } = await client.query<{ sessions: string }>(
          `SELECT count(*) AS sessions FROM pg_stat_activity
           WHERE backend_type IN ('client backend', 'parallel worker') AND pid <> pg_backend_pid()`,
        )
        if (rows[0]?.sessions === '0') return
        await sleep(10)
      }
    },
  }
}

try {
  const options = parseOptions(process.argv.slice(2), JOBS)
  if (options === null) {
    process.stdout.write(usage(JOBS))
  } else {
    const { results, failed } = await runBenchmark(options)
    process.stdout.write(`\n${renderTerminal(results)}`)
    if (options.profile) process.stdout.write(await summarizeProfiles(profileFolder))
    if (options.save) say('renewed bench/results, docs/performance.md and its chart')
    if (failed) process.exitCode = 1
  }
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
