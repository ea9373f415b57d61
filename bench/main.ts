/**
 * `npm run bench`: starts a server, builds the data sets once, runs every job beside its baseline, checks what landed and
 * prints a table. `--help` says what can be chosen.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { type BuiltDataSet, buildDataSet } from './build-data-sets.js'
import { type DataSetName, describeDataSets } from './data-sets.js'
import { type Job, NO_DATA_SET, drainCommand } from './jobs.js'
import { describeCommit, describeMachine } from './machine.js'
import { type ServerUnderTest, measure } from './measure.js'
import { type BenchOptions, USAGE, parseOptions } from './options.js'
import { summarizeProfiles } from './profile.js'
import { renderTerminal } from './render-table.js'
import type { BenchResults, ResultRow } from './results.js'
import { runJob } from './run-job.js'
import { saveResults } from './save-results.js'
import { type BenchServer, READER, startBenchServer } from './server.js'

const project = fileURLToPath(new URL('..', import.meta.url))
const cacheFolder = join(project, '.bench')
const profileFolder = join(cacheFolder, 'profiles')
const say = (text: string): void => void process.stderr.write(`${text}\n`)

interface RunnableJob {
  readonly job: Job
  readonly version: string
  readonly baselineVersion: string
}

async function runBenchmark(options: BenchOptions): Promise<BenchResults> {
  const { runnable, absent } = await probeJobs(options.jobs)
  const folder = await emptyFolder(join(cacheFolder, 'landed'))
  if (options.profile) await emptyFolder(profileFolder)
  const startedAt = new Date().toISOString()
  await using server = await startBenchServer(options.major, cacheFolder, databaseName(options.scale))
  const client = await server.connect()
  try {
    const connection = {
      PGHOST: server.host,
      PGPORT: String(server.port),
      PGUSER: READER,
      PGDATABASE: server.database,
    }
    const url = `postgresql://${READER}@${server.host}:${String(server.port)}/${server.database}`
    const underTest = serverUnderTest(server, client)
    const sets = await prepareDataSets(client, options, connection)
    const rows: ResultRow[] = []
    for (const { job, version, baselineVersion } of runnable) {
      for (const set of sets) {
        const aim = job.on[set.name]
        if (aim === undefined) continue
        // On small tables start-up decides, which is not what is aimed at.
        const target = options.scale >= 1 ? aim : null
        rows.push(
          await runJob(
            {
              job,
              version,
              baselineVersion,
              target,
              pairs: options.pairs,
              profileFolder: options.profile ? profileFolder : null,
              server: underTest,
              say,
            },
            { set, connection, url, client, folder },
          ),
        )
      }
    }
    const { rows: found } = await client.query<{ server_version: string }>('SHOW server_version')
    return {
      format: 1,
      startedAt,
      commit: describeCommit(project),
      machine: describeMachine(),
      server: { version: found[0]?.server_version.split(' ')[0] ?? '', settings: server.settings },
      rows,
      absent,
    }
  } finally {
    await client.end()
  }
}

/** A database per size, so that a quick look at small tables does not cost the building of the large ones again. */
function databaseName(scale: number): string {
  return `bench_${String(scale).replaceAll(/[^0-9a-z]/g, '_')}`
}

async function probeJobs(
  jobs: readonly Job[],
): Promise<{ readonly runnable: readonly RunnableJob[]; readonly absent: BenchResults['absent'] }> {
  const runnable: RunnableJob[] = []
  const absent: BenchResults['absent'][number][] = []
  for (const job of jobs) {
    const candidate = await job.probe()
    const baseline = await job.baseline.probe()
    if ('absent' in candidate) absent.push({ job: job.name, reason: candidate.absent })
    else if ('absent' in baseline) absent.push({ job: job.name, reason: baseline.absent })
    else runnable.push({ job, version: candidate.version, baselineVersion: baseline.version })
  }
  return { runnable, absent }
}

/** Builds what the jobs need and reads each table once, so that the first run does not meet a cold cache. */
async function prepareDataSets(
  client: pg.Client,
  { jobs, tables, scale }: BenchOptions,
  connection: Readonly<Record<string, string>>,
): Promise<readonly BuiltDataSet[]> {
  const described = Object.values(describeDataSets(scale)).filter(
    ({ name }) => jobs.some((job) => job.on[name] !== undefined) && (tables?.has(name) ?? true),
  )
  const copyBytes = async (table: DataSetName): Promise<number> =>
    Number((await measure(drainCommand(table, connection), null)).output)
  const built: BuiltDataSet[] = []
  for (const set of described) {
    built.push(await buildDataSet(client, set, copyBytes, say))
    await copyBytes(set.name)
  }
  return tables === null ? [...built, NO_DATA_SET] : built
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
  const options = parseOptions(process.argv.slice(2))
  if (options === null) {
    process.stdout.write(USAGE)
  } else {
    const results = await runBenchmark(options)
    process.stdout.write(`\n${renderTerminal(results)}`)
    if (options.profile) process.stdout.write(await summarizeProfiles(profileFolder))
    if (options.save) for (const path of await saveResults(results, project)) say(`wrote ${path}`)
  }
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
