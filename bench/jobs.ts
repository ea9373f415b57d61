/** What is measured of Trunkline, and what shows how much the numbers are worth. */
import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { bareNode, childScript, copyBaseline, countBaseline, drainCommand } from './baselines.js'
import { readChecksum } from './build-data-sets.js'
import type { ConditionName } from './conditions.js'
import { type DataSetName, selectPattern } from './data-sets.js'
import type { GroupName } from './groups.js'
import type { Load } from './impact.js'
import { DESTINATIONS_BESIDE_PEERS, DESTINATION_JOBS } from './destinations.js'
import type { Job, JobContext } from './job.js'
import type { ReadMethod } from '../src/model/sync-spec.js'
import { checkDuckDb } from './landed.js'
import { type Command, measure } from './measure.js'
import { PEER_JOBS } from './peers/jobs.js'
import { probeTrunkline, trunkline } from './trunkline.js'

/** What several programs do, and are compared at. */
const READING = 'rows in memory'
const TO_DUCKDB = 'table to DuckDB file'

type Aims = Job['on']

/** `jobs` as `--jobs` takes it; null: left out, the number is chosen by the program. */
export function syncToDuckDb(
  { url, set }: Pick<JobContext, 'url' | 'set'>,
  path: string,
  { mode, jobs }: { readonly mode: 'full_refresh' | 'mirror'; readonly jobs: number | null },
): Command {
  const args = ['--select', selectPattern(set), '--yes', '--mode', mode]
  if (jobs !== null) args.push('--jobs', String(jobs))
  return trunkline(
    ['sync', url, `duckdb:${path}`, ...args],
    `sync "$SOURCE" ${basename(path)} ${args.join(' ')}`,
  )
}

/** Named after no schema: DuckDB calls a database like its file, and would not know which of the two is meant. */
const freshPath = ({ folder }: JobContext): string => join(folder, 'landed.duckdb')
const removeDuckDb = async (path: string): Promise<void> => {
  for (const ending of ['', '.wal']) await rm(`${path}${ending}`, { force: true })
}
const inWords = (readers: number | null): string =>
  readers === null ? 'automatic' : readers === 1 ? 'one reader' : `${String(readers)} readers`
const suffix = (readers: number | null): string => (readers === 1 ? '' : `-${String(readers ?? 'auto')}`)
const ours = { by: 'trunkline', baseline: copyBaseline, probe: probeTrunkline } as const

interface Placement {
  readonly group: GroupName
  readonly on: Aims
  readonly conditions?: readonly ConditionName[]
  readonly charted?: readonly DataSetName[]
}

/** One reader is read on the main thread, as the library does it that is not told a number. */
const readAndDrop = (readers: number, placement: Placement): Job => ({
  ...ours,
  ...placement,
  name: `decode-and-drop${suffix(readers)}`,
  title: `read as batches, ${inWords(readers)}`,
  task: READING,
  reference: 'decode-and-drop',
  command: ({ set, url }) => {
    const count = readers === 1 ? [] : [String(readers)]
    return {
      file: process.execPath,
      args: [childScript('decode-and-drop.mjs'), url, selectPattern(set), ...count],
      shown: ['node bench/children/decode-and-drop.mjs "$SOURCE"', selectPattern(set), ...count].join(' '),
      keepOutput: true,
    }
  },
  check: async ({ set }, output) =>
    output.trim() === String(set.rows) ? null : `${output.trim()} rows were read of ${String(set.rows)}`,
  checkedAs: 'number of rows',
})

/** On the main thread, in batches of as many rows as a FETCH has. */
const readBy = (method: ReadMethod): Job => {
  const job = readAndDrop(1, { group: 'methods', on: shapes(null) })
  return {
    ...job,
    name: `read-${method}`,
    title: READ_METHODS[method],
    reference: 'read-copy',
    command: (context) => {
      const { file, args, shown } = job.command(context)
      return { file, args: [...args, '0', method], shown: `${shown} 0 ${method}`, keepOutput: true }
    },
  }
}

/** Null: the number of readers is left to the program. */
const loadDuckDb = (readers: number | null, placement: Placement): Job => ({
  ...ours,
  ...placement,
  name: `duckdb${suffix(readers)}`,
  title: `table to DuckDB file, ${inWords(readers)}`,
  task: TO_DUCKDB,
  reference: 'duckdb',
  prepare: async (context) => removeDuckDb(freshPath(context)),
  command: (context) => syncToDuckDb(context, freshPath(context), { mode: 'full_refresh', jobs: readers }),
  check: async (context) => checkDuckDb(context.set, freshPath(context), context.set.checksum),
})

const READ_METHODS: Readonly<Record<ReadMethod, string>> = {
  copy: 'by COPY',
  named: 'through a cursor',
  client: 'by one query',
}

const ledgerPath = ({ folder }: JobContext): string => join(folder, 'ledger.duckdb')
const mirrorLedger = (context: JobContext): Command =>
  syncToDuckDb(context, ledgerPath(context), { mode: 'mirror', jobs: null })
const checkLedger = async (context: JobContext): Promise<string | null> =>
  checkDuckDb(context.set, ledgerPath(context), await readChecksum(context.client, context.set))

const CHANGED_ROWS = 1000

const charted = ['lineitem', 'events', 'narrow'] as const
const shapes = (aim: number | null): Aims => ({ lineitem: aim, events: aim, narrow: aim })
const distant = ['tls', 'delay_2ms', 'delay_20ms'] as const

const CONTROLS: readonly Job[] = [
  {
    name: 'control',
    title: 'the baseline against itself',
    group: 'control',
    by: 'control',
    on: shapes(null),
    baseline: copyBaseline,
    probe: copyBaseline.probe,
    command: copyBaseline.command,
  },
  {
    name: 'node-postgres',
    title: 'bytes only, by node-postgres',
    group: 'control',
    by: 'control',
    on: shapes(null),
    baseline: copyBaseline,
    probe: async () => Promise.resolve({ version: `node ${process.version}` }),
    command: ({ set, connection }) => drainCommand(set, connection),
    check: async ({ set }, output) =>
      Number(output) === set.copyBytes ? null : `${output.trim()} bytes came of ${String(set.copyBytes)}`,
    checkedAs: 'number of bytes',
  },
]

const AGAIN: readonly Job[] = [
  {
    ...ours,
    name: 'mirror-unchanged',
    title: 'mirror run, nothing changed',
    group: 'again',
    on: { ledger: 1.3 },
    baseline: countBaseline,
    prepare: async (context) => {
      await measure(mirrorLedger(context), null)
    },
    command: mirrorLedger,
    check: checkLedger,
  },
  {
    ...ours,
    name: 'mirror-changed',
    title: `mirror run, ${CHANGED_ROWS.toLocaleString('en')} rows changed`,
    group: 'again',
    on: { ledger: 2.5 },
    baseline: countBaseline,
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
]

const START: readonly Job[] = [
  {
    ...ours,
    name: 'help',
    title: 'trunkline --help',
    group: 'start',
    on: { none: null },
    baseline: bareNode,
    command: () => trunkline(['--help'], '--help'),
  },
  {
    ...ours,
    name: 'check',
    title: 'trunkline check',
    group: 'start',
    on: { none: null },
    baseline: bareNode,
    command: ({ url }) => trunkline(['check', url], 'check "$SOURCE"'),
  },
]

const ALL_SHAPES: Aims = { wide: null, long_text: null, many_small: null }
const SIZES: Aims = { lineitem_1m: null, lineitem: null, lineitem_20m: null, narrow_1m: null, narrow: null }

/** Ours beside the others, on every table that one of them is measured on; the first is what they are held against. */
const OURS_BESIDE_PEERS: readonly Job[] = [
  readAndDrop(1, { group: 'peers', on: {}, charted: ['lineitem'] }),
  readAndDrop(2, { group: 'peers', on: {}, charted: ['lineitem'] }),
  loadDuckDb(null, { group: 'peers', on: {}, charted: ['lineitem'] }),
  loadDuckDb(1, { group: 'peers', on: {}, charted: ['lineitem'] }),
  ...DESTINATIONS_BESIDE_PEERS,
].map(({ reference: _, ...job }) => ({
  ...job,
  on: Object.fromEntries(
    PEER_JOBS.filter(({ task }) => task === job.task).flatMap(({ on }) => Object.entries(on)),
  ),
}))

/** Drawn where there is something of ours to draw beside them. */
const PEERS: readonly Job[] = PEER_JOBS.map((job) =>
  OURS_BESIDE_PEERS.some(({ task }) => task === job.task) ? { ...job, charted: ['lineitem'] } : job,
)

export const JOBS: readonly Job[] = [
  ...CONTROLS,
  readAndDrop(1, { group: 'readers', on: shapes(1.05), charted }),
  readAndDrop(2, { group: 'readers', on: shapes(0.75), charted }),
  readAndDrop(4, { group: 'readers', on: shapes(null) }),
  loadDuckDb(1, { group: 'readers', on: { lineitem: 1.7, events: null, narrow: 1.4 }, charted }),
  loadDuckDb(2, { group: 'readers', on: shapes(null) }),
  loadDuckDb(4, { group: 'readers', on: shapes(null) }),
  loadDuckDb(null, { group: 'readers', on: shapes(null), charted }),
  loadDuckDb(1, { group: 'destinations', on: { lineitem: 1.7, events: null, narrow: 1.4 } }),
  loadDuckDb(2, { group: 'destinations', on: shapes(null) }),
  ...DESTINATION_JOBS,
  readBy('copy'),
  readBy('named'),
  readBy('client'),
  readAndDrop(1, { group: 'shapes', on: ALL_SHAPES }),
  readAndDrop(2, { group: 'shapes', on: ALL_SHAPES }),
  loadDuckDb(1, { group: 'shapes', on: ALL_SHAPES }),
  loadDuckDb(null, { group: 'shapes', on: ALL_SHAPES }),
  readAndDrop(1, { group: 'scaling', on: SIZES }),
  loadDuckDb(1, { group: 'scaling', on: SIZES }),
  loadDuckDb(null, { group: 'scaling', on: SIZES }),
  readAndDrop(1, { group: 'conditions', on: { lineitem: null }, conditions: distant }),
  readAndDrop(2, { group: 'conditions', on: { lineitem: null }, conditions: distant }),
  loadDuckDb(1, { group: 'conditions', on: { lineitem: null }, conditions: distant }),
  loadDuckDb(null, { group: 'conditions', on: { lineitem: null }, conditions: distant }),
  // Thousands of exchanges: at 20 ms each run would take minutes.
  { ...loadDuckDb(null, { group: 'conditions', on: { many_small: null } }), conditions: ['delay_2ms'] },
  ...AGAIN,
  ...START,
  ...OURS_BESIDE_PEERS,
  ...PEERS,
]

/** What is run again and again while pgbench measures what it feels; psql shows what any reader costs. */
export const IMPACT_LOADS: readonly Load[] = [
  { name: 'psql', title: 'beside psql COPY to /dev/null', command: copyBaseline.command },
  {
    name: 'read',
    title: 'beside Trunkline reading, one reader',
    command: readAndDrop(1, { group: 'impact', on: {} }).command,
  },
  ...[1, 2].map((readers): Load => {
    const job = loadDuckDb(readers, { group: 'impact', on: {} })
    return {
      name: job.name,
      title: `beside Trunkline syncing to DuckDB, ${inWords(readers)}`,
      prepare: async (context) => removeDuckDb(freshPath(context)),
      command: job.command,
    }
  }),
]
