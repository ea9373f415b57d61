/** The double itself: what it refuses and how, as a Greenplum 6.24.3 was seen to. */
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { onOldestServer, type TestDatabase } from '../server/servers.js'
import { describeTable, installDouble } from './double-schema.js'
import { startGreenplumDouble, type GreenplumDouble } from './greenplum-double.js'
import { onRealCluster, registerCopyTests } from './real-cluster.js'

/** Statement and SQLSTATE, as seen on a real cluster; null: it is answered. */
const ANSWERS: readonly (readonly [string, string | null])[] = [
  ['BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0', '42704'],
  ['BEGIN; SET LOCAL row_security = off', '42704'],
  ['BEGIN; SET LOCAL lock_timeout = 1', null],
  ['SELECT relispartition FROM pg_class', '42703'],
  ['SELECT relstorage FROM pg_class', null],
  ['SELECT attidentity FROM pg_attribute', '42703'],
  ['SELECT indnkeyatts FROM pg_index', '42703'],
  ['SELECT * FROM pg_sequences', '42P01'],
  ['SELECT pg_catalog.pg_blocking_pids(1)', '42883'],
  ['SELECT pg_current_wal_lsn()', '42883'],
  [`SELECT to_regclass('t'::text)`, '42883'],
  ['WITH a AS MATERIALIZED (SELECT 1) SELECT * FROM a', '42601'],
]

onOldestServer('The played Greenplum', (server) => {
  let database: TestDatabase
  let double: GreenplumDouble

  beforeAll(async () => {
    database = await server.createDatabase()
    await installDouble(database)
    await database.sql(`
      CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 1000);
      CREATE TABLE everywhere (id int); INSERT INTO everywhere VALUES (1);
      CREATE TABLE counted (id int)`)
    await describeTable(database, 'public.t', {})
    await describeTable(database, 'public.everywhere', { distribution: 'replicated' })
    await describeTable(database, 'public.counted', { storage: 'a' })
    double = await startGreenplumDouble({ target: server })
  })
  afterAll(() => double.close())

  const withClient = <Result>(work: (client: pg.Client) => Promise<Result>): Promise<Result> =>
    withClientOf(double.url(database.name, 'postgres'), work)
  const codeOf = (sql: string): Promise<unknown> => withClient((client) => codeFrom(client, sql))

  it.each([
    ...ANSWERS,
    ['SELECT gp_segment_id = 0 FROM everywhere', '42703'],
    [`SELECT * FROM gp_toolkit.__gp_aocsseg('counted'::regclass)`, '22023'],
    ['SELECT count(*) FROM t WHERE gp_segment_id = 2', '22000'],
  ] as const)('answers %s with %s', async (sql, code) => {
    expect(await codeOf(sql)).toBe(code)
  })

  it('tells its version at the start, and divides the rows of a table among its segments', async () => {
    await withClient(async (client) => {
      const { rows } = await client.query<{ n: string }>(
        `SELECT (SELECT count(*) FROM t WHERE gp_segment_id = 0) + (SELECT count(*) FROM t WHERE gp_segment_id = 1) AS n`,
      )
      expect(rows).toEqual([{ n: '1000' }])
      const version = await client.query<{ version: string }>('SELECT version()')
      expect(version.rows[0]?.version).toMatch(/^PostgreSQL 9\.4\.26 \(Greenplum Database 6\.24\.3 /)
    })
  })

  it('counts changes of append-optimised tables past any snapshot', async () => {
    const counter = `SELECT segno, modcount FROM gp_toolkit.__gp_aoseg('counted'::regclass)`
    await withClient(async (client) => {
      expect((await client.query(counter)).rows).toEqual([])
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await client.query('SELECT 1')
      await database.sql('INSERT INTO counted VALUES (1)')
      expect((await client.query(counter)).rows).toEqual([{ segno: 1, modcount: '1' }])
      expect((await client.query('SELECT * FROM counted')).rows).toEqual([])
    })
  })
})

onRealCluster('What a Greenplum answers', (url) => {
  it.each(ANSWERS)('answers %s with %s', async (sql, code) => {
    expect(await withClientOf(url, (client) => codeFrom(client, sql))).toBe(code)
  })
})

onRealCluster('A Greenplum that is copied', registerCopyTests)

async function withClientOf<Result>(
  url: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client(url)
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

function codeFrom(client: pg.Client, sql: string): Promise<unknown> {
  return client.query(sql).then(
    () => null,
    (error: unknown) => (error as { code?: string }).code,
  )
}
