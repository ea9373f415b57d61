/** A table to each kind of destination that Trunkline has, beside DuckDB. */
import { createReadStream } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { RecordBatchReader } from 'apache-arrow'
import pg from 'pg'
import { copyBaseline } from './baselines.js'
import { selectPattern } from './data-sets.js'
import type { Job, JobContext } from './job.js'
import type { Command } from './measure.js'
import { checkLanded, checkTable } from './peers/landed.js'
import { POSTGRES_JOBS, prepareDatabase, targetUrl } from './peers/postgres-jobs.js'
import { probeTrunkline, trunkline } from './trunkline.js'

type Aims = Job['on']

const TABLES: Aims = { lineitem: null, events: null, narrow: null }
const aimed = (aim: number | null): Aims => ({ lineitem: aim, events: aim, narrow: aim })
const ours = {
  group: 'destinations',
  by: 'trunkline',
  baseline: copyBaseline,
  probe: probeTrunkline,
} as const
const READERS = [1, 2] as const
const inWords = (readers: number): string => (readers === 1 ? 'one reader' : `${String(readers)} readers`)

function sync(
  { url, set }: JobContext,
  to: { readonly text: string; readonly shown: string },
  readers: number,
): Command {
  const args = ['--select', selectPattern(set), '--yes', '--mode', 'full_refresh', '--jobs', String(readers)]
  return trunkline(['sync', url, to.text, ...args], `sync "$SOURCE" ${to.shown} ${args.join(' ')}`)
}

interface FileKind {
  readonly name: string
  readonly title: string
  /** Before the folder in DESTINATION, and behind it. */
  readonly format: string
  readonly options: string
  /** Ratios aimed at, by number of readers. */
  readonly aims: Readonly<Record<(typeof READERS)[number], number | null>>
  readonly check: (context: JobContext, folder: string) => Promise<string | null>
  readonly checkedAs?: string
}

/** What the folder's own views hold in DuckDB, which reads all of these but Arrow. */
async function checkViews(context: JobContext, folder: string, inJson: boolean): Promise<string | null> {
  const setup = await readFile(join(folder, 'latest.sql'), 'utf8')
  return checkLanded(context, {
    setup,
    relation: `public.${context.set.name}`,
    alters: new Set(),
    inJson,
  })
}

async function checkArrow({ set, client }: JobContext, folder: string): Promise<string | null> {
  let rows = 0
  let sum = 0n
  for (const name of await readdir(folder, { recursive: true })) {
    if (!name.endsWith('.arrow')) continue
    for await (const batch of await RecordBatchReader.from(createReadStream(join(folder, name)))) {
      rows += batch.numRows
      for (const value of batch.getChild(set.rowNumber) ?? []) sum += BigInt(value as bigint | number)
    }
  }
  const { rows: expected } = await client.query<{ sum: string }>(
    `SELECT sum(${set.rowNumber})::text AS sum FROM public.${set.name}`,
  )
  const [here, there] = [
    `${String(rows)} rows, sum ${String(sum)}`,
    `${String(set.rows)} rows, sum ${expected[0]?.sum ?? ''}`,
  ]
  return here === there ? null : `${set.name} landed as ${here} instead of ${there}`
}

const views =
  (inJson: boolean): FileKind['check'] =>
  (context, folder) =>
    checkViews(context, folder, inJson)

const FILE_KINDS: readonly FileKind[] = [
  {
    name: 'arrow',
    title: 'Arrow files',
    format: 'arrow',
    options: '',
    aims: { 1: 1.2, 2: 0.9 },
    check: checkArrow,
    checkedAs: 'number of rows, sum of a column',
  },
  {
    name: 'parquet-zstd',
    title: 'Parquet files, zstd',
    format: 'parquet',
    options: '?compression=zstd',
    aims: { 1: 1.4, 2: 1.1 },
    check: views(false),
  },
  {
    name: 'parquet-snappy',
    title: 'Parquet files, snappy',
    format: 'parquet',
    options: '?compression=snappy',
    aims: { 1: 1.4, 2: 1.1 },
    check: views(false),
  },
  {
    name: 'csv',
    title: 'CSV files',
    format: 'csv',
    options: '',
    aims: { 1: null, 2: null },
    check: views(false),
  },
  {
    name: 'jsonl',
    title: 'JSON Lines files',
    format: 'jsonl',
    options: '',
    aims: { 1: null, 2: null },
    check: views(true),
  },
]

const fileJobs = ({ name, title, format, options, aims, check, checkedAs }: FileKind): readonly Job[] =>
  READERS.map((readers): Job => {
    const folderOf = ({ folder, set }: JobContext): string => join(folder, `${name}-${set.name}`)
    return {
      ...ours,
      name: readers === 1 ? name : `${name}-${String(readers)}`,
      title: `table to ${title}, ${inWords(readers)}`,
      task: `table to ${title}`,
      reference: name,
      on: aimed(aims[readers]),
      ...(checkedAs === undefined ? {} : { checkedAs }),
      prepare: (context) => rm(folderOf(context), { recursive: true, force: true }),
      command: (context) => {
        const path = folderOf(context)
        const text = (folder: string): string => `${format}:${folder}${options}`
        return sync(context, { text: text(path), shown: `'${text(basename(path))}'` }, readers)
      },
      check: async (context) => {
        const wrong = await check(context, folderOf(context))
        // What is left lying about would still be written to disk while the next one is measured.
        if (wrong === null) await rm(folderOf(context), { recursive: true, force: true })
        return wrong
      },
    }
  })

const PASSED = 'PostgreSQL to PostgreSQL'

/** The target without the table and without what Trunkline knows of it. */
async function prepareTarget(context: JobContext): Promise<void> {
  await prepareDatabase(context)
  const target = new pg.Client({ connectionString: targetUrl(context.url) })
  await target.connect()
  try {
    await target.query(
      `DROP TABLE IF EXISTS public.${context.set.name}; DROP SCHEMA IF EXISTS _trunkline CASCADE`,
    )
    await context.client.query('CHECKPOINT')
  } finally {
    await target.end()
  }
}

const configurationPath = ({ folder }: JobContext): string => join(folder, 'decoded.yaml')

/** A type of its own for one column, the one that it has: what is told a type is decoded. None of the key, which would lose its place. */
async function writeConfiguration(context: JobContext): Promise<void> {
  const { set, url } = context
  const column = set.columns.find(({ name, check }) => check === 'integer' && !set.primaryKey.includes(name))
  if (column === undefined) throw new Error(`${set.name} has no whole numbers beside its key`)
  const lines = [
    'version: 1',
    'connections:',
    `  bench: { url: ${JSON.stringify(url)} }`,
    'syncs:',
    '  decoded:',
    '    source: bench',
    `    destination: ${JSON.stringify(targetUrl(url))}`,
    '    streams:',
    `      public.${set.name}:`,
    '        mode: full_refresh',
    `        types: { ${column.name}: ${column.type} }`,
  ]
  await writeFile(configurationPath(context), `${lines.join('\n')}\n`)
}

const toPostgres = (job: Pick<Job, 'name' | 'title' | 'command'> & Partial<Job>): Job => ({
  ...ours,
  task: PASSED,
  reference: 'psql-to-psql',
  on: TABLES,
  prepare: prepareTarget,
  check: async ({ set, url }) => checkTable(set, { connectionString: targetUrl(url) }, set.checksum),
  ...job,
})

const TO_POSTGRES: readonly Job[] = [
  ...POSTGRES_JOBS.filter(({ name }) => name === 'psql-to-psql').map((job): Job => ({
    ...job,
    group: 'destinations',
    on: TABLES,
  })),
  ...READERS.map((readers) =>
    toPostgres({
      name: readers === 1 ? 'postgresql' : `postgresql-${String(readers)}`,
      title: `table to PostgreSQL as it is, with its primary key, ${inWords(readers)}`,
      on: aimed(readers === 1 ? 1.9 : null),
      command: (context) => sync(context, { text: targetUrl(context.url), shown: '"$TARGET"' }, readers),
    }),
  ),
  toPostgres({
    name: 'postgresql-decoded',
    title: 'table to PostgreSQL, decoded and written anew, with its primary key, one reader',
    prepare: async (context) => {
      await prepareTarget(context)
      await writeConfiguration(context)
    },
    command: (context) =>
      trunkline(
        ['sync', '-c', configurationPath(context), '--yes', '--jobs', '1'],
        'sync -c decoded.yaml --yes --jobs 1',
      ),
  }),
]

export const DESTINATION_JOBS: readonly Job[] = [...FILE_KINDS.flatMap(fileJobs), ...TO_POSTGRES]

/** Those of which other programs do the same, under the task of the others. */
const TASKS_OF_PEERS: Readonly<Record<string, string>> = {
  'parquet-zstd': 'table to Parquet file',
  'parquet-zstd-2': 'table to Parquet file',
  jsonl: 'table to JSON Lines',
  'jsonl-2': 'table to JSON Lines',
  postgresql: PASSED,
  'postgresql-2': PASSED,
}

export const DESTINATIONS_BESIDE_PEERS: readonly Job[] = DESTINATION_JOBS.flatMap(
  ({ reference: _, ...job }) => {
    const task = TASKS_OF_PEERS[job.name]
    return task === undefined ? [] : [{ ...job, group: 'peers' as const, task }]
  },
)
