/** A table from one PostgreSQL database to another, on the same server: what lands there is written by the server that is read. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { probeProgram } from '../baselines.js'
import { copyStatement } from '../data-sets.js'
import type { Job, JobContext } from '../job.js'
import { READER } from '../server.js'
import { checkTable } from './landed.js'
import { peerJob } from './peer-job.js'
import { pipeline } from './places.js'

const DATABASE = 'bench_landed'

export function targetUrl(url: string): string {
  const target = new URL(url)
  target.pathname = `/${DATABASE}`
  return target.href
}

/** A database that the role owns which in the source may only read. */
export async function prepareDatabase({ client }: Pick<JobContext, 'client'>): Promise<void> {
  const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE])
  if (found.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE} OWNER ${READER}`)
}

/** With the table as it is in the source, but empty and without indexes. */
async function prepareTarget({ client, set, url }: JobContext): Promise<void> {
  await prepareDatabase({ client })
  const columns = set.columns.map(({ name, type }) => `${name} ${type}`).join(', ')
  const target = new pg.Client({ connectionString: targetUrl(url) })
  await target.connect()
  try {
    await target.query(`DROP TABLE IF EXISTS public.${set.name}`)
    await target.query(`CREATE TABLE public.${set.name} (${columns})`)
    // What earlier runs left to be written is not the next one's work.
    await client.query('CHECKPOINT')
  } finally {
    await target.end()
  }
}

const toPostgres = (
  job: Pick<Job, 'name' | 'title' | 'probe' | 'command'> & Partial<Pick<Job, 'by' | 'prepare'>>,
): Job =>
  peerJob({
    task: 'PostgreSQL to PostgreSQL',
    prepare: prepareTarget,
    check: async ({ set, url }) => checkTable(set, { connectionString: targetUrl(url) }, set.checksum),
    ...job,
  })

const loadFile = ({ folder }: JobContext): string => join(folder, 'pgloader.load')

export const POSTGRES_JOBS: readonly Job[] = [
  toPostgres({
    name: 'psql-to-psql',
    title: 'psql COPY BINARY piped to psql COPY BINARY',
    by: 'control',
    probe: async () => Promise.resolve(probeProgram('psql')),
    command: ({ set, url }) => {
      const out = copyStatement(set, 0)
      const into = `COPY ${set.name} FROM STDIN (FORMAT binary)`
      return pipeline(
        'psql -X -q -d "$SOURCE" -c "$OUT" | psql -X -q -d "$TARGET" -c "$INTO"',
        { SOURCE: url, TARGET: targetUrl(url), OUT: out, INTO: into },
        `psql -d "$SOURCE" -c '${out}' | psql -d "$TARGET" -c '${into}'`,
      )
    },
  }),
  toPostgres({
    name: 'pg-dump',
    title: 'pg_dump piped to psql, data only',
    probe: async () => Promise.resolve(probeProgram('pg_dump')),
    command: ({ set, url }) => {
      const options = `--data-only --table public.${set.name}`
      return pipeline(
        `pg_dump ${options} "$SOURCE" | psql -X -q -v ON_ERROR_STOP=1 -d "$TARGET" > /dev/null`,
        { SOURCE: url, TARGET: targetUrl(url) },
        `pg_dump ${options} "$SOURCE" | psql -d "$TARGET"`,
      )
    },
  }),
  toPostgres({
    name: 'pgloader',
    title: 'pgloader, data only',
    probe: async () => {
      const presence = probeProgram('pgloader')
      return Promise.resolve(
        'absent' in presence ? { absent: `${presence.absent}: apt-get install pgloader` } : presence,
      )
    },
    prepare: async (context) => {
      await prepareTarget(context)
      // What its documentation names for speed: larger batches, rows read ahead, a reader and a writer beside each other.
      const lines = [
        `LOAD DATABASE FROM ${context.url.replace('postgresql', 'pgsql')} INTO ${targetUrl(context.url).replace('postgresql', 'pgsql')}`,
        'WITH data only, truncate, workers = 2, concurrency = 1, batch rows = 25000, prefetch rows = 100000',
        `INCLUDING ONLY TABLE NAMES MATCHING '${context.set.name}' IN SCHEMA 'public';`,
      ]
      await writeFile(loadFile(context), `${lines.join('\n')}\n`)
    },
    command: (context) => ({
      file: 'pgloader',
      args: ['--on-error-stop', loadFile(context)],
      shown: 'pgloader --on-error-stop pgloader.load',
    }),
  }),
]
