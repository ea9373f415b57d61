/** Rows to objects of an application, nothing written: what a program has that is written on a driver. */
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { Job, JobContext, Presence } from '../job.js'
import type { Command } from '../measure.js'
import { SOURCE, rowsJob } from './peer-job.js'
import { node, probePackages, python } from './places.js'

/** A script that takes the table, and the connection from the environment. */
const byEnvironment =
  (make: (set: string) => Command) =>
  ({ set, connection }: JobContext): Command => ({ ...make(set.name), env: connection })

/** PostgreSQL's ODBC driver is the system's, not a package of Python's. */
async function probeOdbc(): Promise<Presence> {
  const presence = await probePackages('tools', 'pyodbc')
  const { status, stdout } = spawnSync('odbcinst', ['-q', '-d'], { encoding: 'utf8' })
  if (status === 0 && stdout.includes('[PostgreSQL Unicode]')) return presence
  return {
    absent: 'the ODBC driver of PostgreSQL is not installed: apt-get install unixodbc odbc-postgresql',
  }
}

async function probeTrunkline(): Promise<Presence> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  return { version: `trunkline ${(JSON.parse(text) as { readonly version: string }).version}` }
}

export const ROW_JOBS: readonly Job[] = [
  rowsJob({
    name: 'trunkline-rows',
    title: 'Trunkline, an object for each row',
    by: 'trunkline',
    probe: probeTrunkline,
    command: ({ set, url }) =>
      node('trunkline-rows.mjs', [url, `public.${set.name}`], [SOURCE, `public.${set.name}`]),
  }),
  rowsJob({
    name: 'pgwire',
    title: 'pgwire, stream',
    probe: async () => probePackages('node', 'pgwire'),
    command: ({ set, url }) => node('pgwire-stream.mjs', [url, set.name], [SOURCE, set.name]),
  }),
  rowsJob({
    name: 'pg-cursor',
    title: 'pg-cursor, 10,000 rows at a time',
    probe: async () => probePackages('node', 'pg-cursor', 'pg'),
    command: byEnvironment((set) => node('pg-cursor.mjs', [set])),
  }),
  rowsJob({
    name: 'pg-query-stream',
    title: 'pg-query-stream, 10,000 rows at a time',
    probe: async () => probePackages('node', 'pg-query-stream', 'pg'),
    command: byEnvironment((set) => node('pg-query-stream.mjs', [set])),
  }),
  rowsJob({
    name: 'postgres-cursor',
    title: 'postgres (npm), cursor of 10,000 rows',
    probe: async () => probePackages('node', 'postgres'),
    command: byEnvironment((set) => node('postgres-cursor.mjs', [set])),
  }),
  rowsJob({
    name: 'psycopg2',
    title: 'psycopg2, named cursor, 5,000 rows at a time',
    probe: async () => probePackages('tools', 'psycopg2-binary'),
    command: byEnvironment((set) => python('tools', 'psycopg2_named_cursor.py', [set])),
  }),
  rowsJob({
    name: 'asyncpg',
    title: 'asyncpg, cursor, 5,000 rows at a time',
    probe: async () => probePackages('tools', 'asyncpg'),
    command: byEnvironment((set) => python('tools', 'asyncpg_cursor.py', [set])),
  }),
  rowsJob({
    name: 'pyodbc',
    title: 'pyodbc, declare and fetch, 5,000 rows at a time',
    probe: probeOdbc,
    command: byEnvironment((set) => python('tools', 'pyodbc_fetchmany.py', [set])),
  }),
]
