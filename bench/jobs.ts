/**
 * What is measured: one entry per job. A job of another tool or to another destination is one more entry.
 *
 * A job never reports on itself: it is a command that is measured from outside and, where rows land, checked afterwards.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { type BuiltDataSet, readChecksum } from './build-data-sets.js'
import type { DataSetName } from './data-sets.js'
import { checkDuckDb } from './landed.js'
import { type Command, measure } from './measure.js'

/** What a job may use. `set` is the data set it is run on. */
export interface JobContext {
  readonly set: BuiltDataSet
  /** PGHOST, PGPORT, PGUSER, PGDATABASE. */
  readonly connection: Readonly<Record<string, string>>
  /** The same as a connection string. */
  readonly url: string
  /** Superuser's connection to the source, for what is not measured. */
  readonly client: pg.Client
  /** An empty folder at the start of the benchmark. */
  readonly folder: string
  /** Counts the runs of this job, from 0. */
  readonly run: number
}

export interface Job {
  readonly name: string
  readonly title: string
  /** Ratio aimed at, by data set; null: nothing aimed at. A job that needs no table is on `none`. */
  readonly on: Readonly<Partial<Record<DataSetName, number | null>>>
  readonly baseline: Baseline
  /** The tables on which it is drawn in the chart, whose measure is COPY; default: none. */
  readonly charted?: readonly DataSetName[]
  /** The version that runs, or why it cannot. */
  readonly probe: () => Promise<Presence>
  /** Before each run and its baseline, not measured. */
  readonly prepare?: (context: JobContext) => Promise<void>
  readonly command: (context: JobContext) => Command
  /** What is wrong with what landed, or null. */
  readonly check?: (context: JobContext, output: string) => Promise<string | null>
}

export type Presence = { readonly version: string } | { readonly absent: string }

export interface Baseline {
  readonly title: string
  readonly probe: () => Promise<Presence>
  readonly command: (context: JobContext) => Command
}

/** Stands for the table of a job that reads none. */
export const NO_DATA_SET: BuiltDataSet = {
  name: 'none',
  title: 'no table',
  rows: 0,
  columns: [],
  primaryKey: [],
  rowNumber: '',
  copyBytes: 0,
  checksum: '',
}

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const childScript = (name: string): string => fileURLToPath(new URL(`children/${name}`, import.meta.url))

async function probeTrunkline(): Promise<Presence> {
  if (!existsSync(main)) return { absent: 'dist/ is not built: npm run build' }
  const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return { version: `trunkline ${manifest.version}` }
}

/** `program --version`, of which the first line is kept. */
function probeProgram(program: string): Presence {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  if (status !== 0) return { absent: `${program} is not installed` }
  return { version: stdout.trim().split('\n')[0] ?? program }
}

export const drainCommand = (table: string, connection: Readonly<Record<string, string>>): Command => ({
  file: process.execPath,
  args: [childScript('drain.mjs'), `public.${table}`],
  env: connection,
  shown: `node bench/children/drain.mjs ${table}`,
  keepOutput: true,
})

const psql = (sql: string, connection: Readonly<Record<string, string>>): Command => ({
  file: 'psql',
  args: ['-X', '-q', '-c', sql],
  env: connection,
  shown: `psql -c '${sql}' > /dev/null`,
})

const hasPsql = 'version' in probeProgram('psql')

/** As fast as one connection can be: the server's bytes, received and dropped. */
export const copyBaseline: Baseline = {
  title: hasPsql
    ? 'psql COPY BINARY to /dev/null'
    : 'COPY BINARY received and dropped by node (psql is not installed)',
  probe: async () => Promise.resolve(hasPsql ? probeProgram('psql') : { version: `node ${process.version}` }),
  command: ({ set, connection }) =>
    hasPsql
      ? psql(`COPY (SELECT * FROM ${set.name}) TO STDOUT (FORMAT binary)`, connection)
      : drainCommand(set.name, connection),
}

/** The least a server does to look at every row: what a run that finds nothing to copy is held against. */
const countBaseline: Baseline = {
  title: 'serial SELECT count(*) by psql',
  probe: async () => Promise.resolve(probeProgram('psql')),
  command: ({ set, connection }) =>
    psql(`SELECT count(*) FROM ${set.name}`, {
      ...connection,
      PGOPTIONS: '-c max_parallel_workers_per_gather=0',
    }),
}

const bareNode: Baseline = {
  title: 'node that does nothing',
  probe: async () => Promise.resolve({ version: `node ${process.version}` }),
  command: () => ({ file: process.execPath, args: ['--eval', '0'], shown: 'node --eval 0' }),
}

const trunkline = (
  args: readonly string[],
  shown: string,
  env: Readonly<Record<string, string>> = {},
): Command => ({
  file: process.execPath,
  args: [main, ...args],
  env: { NO_COLOR: '1', ...env },
  shown: `trunkline ${shown}`,
})

function syncToDuckDb({ url, set }: JobContext, path: string, options: readonly string[]): Command {
  const args = ['--select', `public.${set.name}`, '--yes', ...options]
  return trunkline(
    ['sync', url, `duckdb:${path}`, ...args],
    `sync "$SOURCE" ${basename(path)} ${args.join(' ')}`,
  )
}

const ledgerPath = ({ folder }: JobContext): string => join(folder, 'ledger.duckdb')
const mirrorLedger = (context: JobContext): Command =>
  syncToDuckDb(context, ledgerPath(context), ['--mode', 'mirror'])
const checkLedger = async (context: JobContext): Promise<string | null> =>
  checkDuckDb(context.set, ledgerPath(context), await readChecksum(context.client, context.set))

const CHANGED_ROWS = 1000

const freshPath = ({ folder, set }: JobContext): string => join(folder, `${set.name}.duckdb`)

export const JOBS: readonly Job[] = [
  {
    name: 'control',
    title: 'the baseline against itself',
    on: { lineitem: null, events: null, narrow: null },
    baseline: copyBaseline,
    probe: copyBaseline.probe,
    command: copyBaseline.command,
  },
  {
    name: 'node-postgres',
    title: 'bytes only, by node-postgres',
    on: { lineitem: null, events: null, narrow: null },
    baseline: copyBaseline,
    probe: async () => Promise.resolve({ version: `node ${process.version}` }),
    command: ({ set, connection }) => drainCommand(set.name, connection),
    check: async ({ set }, output) =>
      Promise.resolve(
        Number(output) === set.copyBytes ? null : `${output.trim()} bytes came of ${String(set.copyBytes)}`,
      ),
  },
  {
    name: 'decode-and-drop',
    title: 'read as batches, one reader',
    on: { lineitem: 1.05, events: 1.05, narrow: 1.05, narrow_1m: null },
    baseline: copyBaseline,
    charted: ['lineitem', 'events', 'narrow'],
    probe: probeTrunkline,
    command: ({ set, url }) => ({
      file: process.execPath,
      args: [childScript('decode-and-drop.mjs'), url, `public.${set.name}`],
      shown: `node bench/children/decode-and-drop.mjs "$SOURCE" public.${set.name}`,
      keepOutput: true,
    }),
    check: async ({ set }, output) =>
      Promise.resolve(
        output.trim() === String(set.rows) ? null : `${output.trim()} rows were read of ${String(set.rows)}`,
      ),
  },
  {
    name: 'duckdb',
    title: 'table to DuckDB file, one reader',
    on: { lineitem: 1.7, events: null, narrow: 1.4, lineitem_1m: null, narrow_1m: null },
    baseline: copyBaseline,
    charted: ['lineitem', 'events', 'narrow'],
    probe: probeTrunkline,
    prepare: async (context) => {
      for (const ending of ['', '.wal']) await rm(`${freshPath(context)}${ending}`, { force: true })
    },
    command: (context) =>
      syncToDuckDb(context, freshPath(context), ['--mode', 'full_refresh', '--jobs', '1']),
    check: async (context) => checkDuckDb(context.set, freshPath(context), context.set.checksum),
  },
  {
    name: 'mirror-unchanged',
    title: 'mirror run, nothing changed',
    on: { ledger: 1.3 },
    baseline: countBaseline,
    probe: probeTrunkline,
    prepare: async (context) => {
      await measure(mirrorLedger(context), null)
    },
    command: mirrorLedger,
    check: checkLedger,
  },
  {
    name: 'mirror-changed',
    title: `mirror run, ${CHANGED_ROWS.toLocaleString('en')} rows changed`,
    on: { ledger: 2.5 },
    baseline: countBaseline,
    probe: probeTrunkline,
    prepare: async (context) => {
      if (context.run === 0) await measure(mirrorLedger(context), null)
      await context.client.query(
        `UPDATE public.ledger SET amount = amount + 1 WHERE id IN (
           SELECT 1 + (hashint8extended(change, $1) & 2147483647) % $2 FROM generate_series(1::bigint, $3) AS change)`,
        [context.run, context.set.rows, CHANGED_ROWS],
      )
    },
    command: mirrorLedger,
    check: checkLedger,
  },
  {
    name: 'help',
    title: 'trunkline --help',
    on: { none: null },
    baseline: bareNode,
    probe: probeTrunkline,
    command: () => trunkline(['--help'], '--help'),
  },
]
