/**
 * What an application feels while its tables are copied: pgbench at a fixed rate, alone and beside each load, in turns. Latency
 * counts from when a transaction was due, so that one that had to wait for another is not counted as fast.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { probeProgram } from './baselines.js'
import type { JobContext } from './job.js'
import { percentile, readLatencies } from './latency.js'
import type { Command } from './measure.js'
import type { ImpactRow, Provenance } from './results.js'
import type { BenchServer } from './server.js'
import { pairedRatios, spreadOf } from './statistics.js'

/** A command that is run again and again while pgbench runs. */
export interface Load {
  readonly name: string
  readonly title: string
  readonly prepare?: (context: JobContext) => Promise<void>
  readonly command: (context: JobContext) => Command
}

export interface ImpactRun {
  readonly server: BenchServer
  readonly client: pg.Client
  readonly context: Omit<JobContext, 'run'>
  readonly loads: readonly Load[]
  readonly rounds: number
  /** Multiplies the published window and the size of pgbench's tables. */
  readonly scale: number
  readonly provenance: Provenance
  readonly say: (text: string) => void
}

/** 100,000 accounts for each. */
const PGBENCH_SCALE = 10
const RATE = 200
const CLIENTS = 4
const WINDOW_SECONDS = 15
/** Long enough for the load to be in the midst of its work. */
const WARMUP_MS = 1000

const ALONE = { name: 'none', title: 'pgbench alone' }

interface Window {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly transactions: number
  readonly rowsPerSecond: number | null
}

/** What is missing for it, or null. */
export function probeImpact(): string | null {
  const found = probeProgram('pgbench')
  return 'absent' in found ? found.absent : null
}

export async function measureImpact(run: ImpactRun): Promise<readonly ImpactRow[]> {
  const { loads, rounds, say } = run
  const windowSeconds = Math.max(2, Math.round(WINDOW_SECONDS * Math.min(1, run.scale)))
  await initializePgbench(run)
  const windows = new Map<string, Window[]>([ALONE, ...loads].map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const load of [null, ...loads]) {
      const { name } = load ?? ALONE
      const window = await measureWindow(run, load, windowSeconds, round)
      windows.get(name)?.push(window)
      say(`pgbench beside ${name}: p50 ${window.p50Ms.toFixed(2)} ms, p99 ${window.p99Ms.toFixed(2)} ms`)
    }
  }
  const alone = windows.get(ALONE.name) ?? []
  return [ALONE, ...loads].map((load): ImpactRow => {
    const own = windows.get(load.name) ?? []
    const ratio = (value: (window: Window) => number): ImpactRow['p99Ratio'] =>
      load === ALONE
        ? null
        : pairedRatios(
            own.map((window, round) => {
              const other = alone[round]
              return { baseline: other === undefined ? NaN : value(other), candidate: value(window) }
            }),
          )
    const rates = own.map(({ rowsPerSecond }) => rowsPerSecond).filter((rate) => rate !== null)
    return {
      load: load.name,
      title: load.title,
      commandLine: 'command' in load ? load.command({ ...run.context, run: 0 }).shown : null,
      p50Ms: spreadOf(own.map(({ p50Ms }) => p50Ms)),
      p99Ms: spreadOf(own.map(({ p99Ms }) => p99Ms)),
      p50Ratio: ratio(({ p50Ms }) => p50Ms),
      p99Ratio: ratio(({ p99Ms }) => p99Ms),
      transactions: own.reduce((sum, { transactions }) => sum + transactions, 0),
      perSecond: RATE,
      windowSeconds,
      rowsPerSecond: rates.length === 0 ? null : spreadOf(rates).median,
      ...run.provenance,
    }
  })
}

/** As superuser by the socket: the role that reads may not write. Beside the tables that are read, so that a snapshot holds up its cleaning. */
function pgbenchEnvironment({ server }: ImpactRun): Readonly<Record<string, string>> {
  return {
    PGHOST: server.socketDir,
    PGPORT: String(server.port),
    PGUSER: 'postgres',
    PGDATABASE: server.database,
    PGOPTIONS: '-c search_path=pgbench',
  }
}

async function initializePgbench(run: ImpactRun): Promise<void> {
  await run.client.query('CREATE SCHEMA IF NOT EXISTS pgbench')
  const scale = String(Math.max(1, Math.round(PGBENCH_SCALE * run.scale)))
  const made = spawnSync('pgbench', ['--initialize', '--quiet', `--scale=${scale}`], {
    env: { ...process.env, ...pgbenchEnvironment(run) },
    encoding: 'utf8',
  })
  if (made.status !== 0) throw new Error(`pgbench --initialize failed:\n${made.stderr}`)
}

async function measureWindow(
  run: ImpactRun,
  load: Load | null,
  seconds: number,
  round: number,
): Promise<Window> {
  await run.client.query(
    'VACUUM pgbench.pgbench_accounts, pgbench.pgbench_branches, pgbench.pgbench_tellers, pgbench.pgbench_history',
  )
  const folder = join(run.context.folder, 'pgbench')
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const loop = load === null ? null : startLoop(load, { ...run.context, run: round })
  if (loop !== null) await sleep(WARMUP_MS)
  try {
    const args = ['--no-vacuum', `--client=${String(CLIENTS)}`, `--rate=${String(RATE)}`]
    args.push(`--time=${String(seconds)}`, '--log', `--log-prefix=${join(folder, 'log')}`)
    const child = spawn('pgbench', args, {
      env: { ...process.env, ...pgbenchEnvironment(run) },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4000)))
    const [status] = (await once(child, 'close')) as [number | null]
    if (status !== 0) throw new Error(`pgbench ended with ${String(status)}:\n${errors}`)
  } finally {
    await loop?.stop()
  }
  const logs = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')))
  const latencies = logs.flatMap((log) => readLatencies(log))
  return {
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
    transactions: latencies.length,
    rowsPerSecond: loop?.rowsPerSecond() ?? null,
  }
}

interface Loop {
  /** Ends the run that is under way. @throws Error when one failed before. */
  stop(): Promise<void>
  /** Over the runs that ended by themselves; null: none did. */
  rowsPerSecond(): number | null
}

function startLoop(load: Load, context: JobContext): Loop {
  const state = { ending: false, child: null as ChildProcess | null, runs: 0, seconds: 0 }
  const work = (async (): Promise<void> => {
    while (!state.ending) {
      await load.prepare?.(context)
      const { file, args, env } = load.command(context)
      const started = performance.now()
      const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: 'ignore' })
      state.child = child
      const [status] = (await once(child, 'exit')) as [number | null]
      if (state.ending) return
      if (status !== 0) throw new Error(`${load.name} ended with ${String(status)} beside pgbench.`)
      state.runs += 1
      state.seconds += (performance.now() - started) / 1000
    }
  })()
  // Heard when it is stopped.
  work.catch(() => undefined)
  return {
    stop: async () => {
      state.ending = true
      state.child?.kill('SIGTERM')
      await work
    },
    rowsPerSecond: () => (state.runs === 0 ? null : (state.runs * context.set.rows) / state.seconds),
  }
}
