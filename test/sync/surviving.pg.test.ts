/** What a server, its administrator and other sessions do to a run, and how the run gets over it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/model/report.js'
import type { Limits, SyncSpec } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { pauseOnce } from '../end-to-end/pausing-source.js'
import { onNewestServer, startServer, type TestDatabase } from '../server/servers.js'
import { streamOf, Warehouse } from './real.js'

const quick = (stated: Partial<Limits> = {}): Limits => ({
  ...DEFAULT_LIMITS,
  firstRetryDelayMs: 50,
  maxRetryDelayMs: 400,
  ...stated,
})
const TABLE = (name: string): string =>
  `CREATE TABLE ${name} (id int PRIMARY KEY, v text);
   INSERT INTO ${name} SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 20000) g;`

const warehouses: Warehouse[] = []
afterAll(() => Promise.all(warehouses.map((warehouse) => warehouse.remove())))
async function create(url: string): Promise<Warehouse> {
  const warehouse = await Warehouse.create(url)
  warehouses.push(warehouse)
  return warehouse
}

onNewestServer('a run survives', (server) => {
  let db: TestDatabase
  beforeAll(async () => {
    db = await server.createDatabase()
    await db.sql(`${TABLE('a')} ${TABLE('b')}
      CREATE TABLE few (id int PRIMARY KEY); INSERT INTO few VALUES (1), (2);
      CREATE VIEW slow AS SELECT 1 AS id, pg_sleep(60)::text AS v`)
  })

  const tables = (
    select: readonly string[],
    limits: Limits,
    more: Partial<SyncSpec> = {},
  ): Partial<SyncSpec> => ({
    selection: { select, exclude: [] },
    limits,
    ...more,
  })
  const rowsOf = async (warehouse: Warehouse, table: string): Promise<string | null | undefined> =>
    (await warehouse.query(`SELECT count(DISTINCT id) AS n FROM ${table}`))[0]?.['n']

  test('a lock that is held too long, by trying again after a pause', async () => {
    const warehouse = await create(db.url)
    const other = await db.connect()
    await other.query('BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE')
    const events: ProgressEvent[] = []
    const released: Promise<unknown>[] = []
    const report = await warehouse.run(tables(['public.a', 'public.b'], quick({ lockTimeoutMs: 100 })), {
      onProgress: (event) => {
        events.push(event)
        // Somebody else's transaction ends while we wait.
        if (event.kind === 'retry' && released.length === 0) released.push(other.query('COMMIT'))
      },
    })
    await Promise.all(released)
    await other.end()
    expect(report.outcome).toBe('done')
    expect(streamOf(report, 'public.a').attempts).toBeGreaterThan(1)
    expect(streamOf(report, 'public.b').attempts).toBe(1)
    expect(await rowsOf(warehouse, 'public.a')).toBe('20000')
    expect(events.some((event) => event.kind === 'retry')).toBe(true)
  })

  test('a deadlock with a session that wants the tables in the other order', async () => {
    // Late enough that the circle is closed whenever the server looks for one.
    const role = await db.createRole()
    await db.sql(`ALTER ROLE ${role.name} SET deadlock_timeout = '2s'; GRANT SELECT ON a, b TO ${role.name}`)
    const warehouse = await create(role.url)
    const other = await db.connect()
    await other.query(`SET deadlock_timeout = '60s'; BEGIN; LOCK TABLE b IN ACCESS EXCLUSIVE MODE`)
    const running = warehouse.run(tables(['public.a', 'public.b'], quick()))
    // We have a and wait for b; the other one has b and now waits for a: only the server can end that.
    for (let asked = false; !asked;) {
      const waiting = await db.sql(`SELECT FROM pg_locks WHERE NOT granted AND relation = 'b'::regclass`)
      asked = waiting.length > 0
      await sleep(10)
    }
    await other.query('LOCK TABLE a IN ACCESS EXCLUSIVE MODE; COMMIT')
    await other.end()
    const report = await running
    expect(report.outcome).toBe('done')
    expect(await rowsOf(warehouse, 'public.a')).toBe('20000')
    expect(await rowsOf(warehouse, 'public.b')).toBe('20000')
    const deadlocks = async (): Promise<number> => {
      const [row] = await db.sql<{ n: string }>(
        'SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()',
      )
      return Number(row?.n)
    }
    await expect.poll(deadlocks, { timeout: 10_000 }).toBe(1)
  })

  test.each(['copy', 'named'] as const)(
    'a statement that takes longer than allowed: its stream fails after its attempts, by %s, the others land',
    async (readMethod) => {
      const warehouse = await create(db.url)
      // Far more than anything takes but the view, also where the machine has other things to do.
      const limits = quick({ statementTimeoutMs: 2000, maxAttempts: 2 })
      const before = performance.now()
      const report = await warehouse.run(
        tables(['public.few', 'public.slow'], limits, { defaults: { readMethod } }),
      )
      expect(report.outcome).toBe('some_failed')
      const slow = streamOf(report, 'public.slow')
      expect(slow).toMatchObject({
        attempts: 2,
        error: { code: 'QUERY_CANCELED', context: { sqlstate: '57014' } },
      })
      // In seconds it would have been kept to nowhere.
      expect(performance.now() - before).toBeGreaterThan(4000)
      expect(await rowsOf(warehouse, 'public.few')).toBe('2')
    },
  )

  test('a session that is ended again and again, as long as attempts last', async () => {
    const warehouse = await create(`${db.url}?application_name=ended`)
    let ended = 0
    const report = await warehouse.run(tables(['public.a'], quick({ batchRows: 500 })), {
      onProgress: (event) => {
        if (event.kind !== 'stream_progress' || ended === 3) return
        ended++
        void db.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ended'`)
      },
    })
    expect(ended).toBe(3)
    expect(report.outcome).toBe('done')
    expect(await rowsOf(warehouse, 'public.a')).toBe('20000')
  })

  test('with cursors on one connection, of which the next transaction has another one when it is too old', async () => {
    const warehouse = await create(`${db.url}?application_name=aged`)
    const pids = new Set<string>()
    const looking: Promise<void>[] = []
    const look = async (): Promise<void> => {
      const rows = await db.sql<{ pid: string }>(
        `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'aged%'`,
      )
      expect(rows.length).toBeLessThanOrEqual(1)
      for (const { pid } of rows) pids.add(pid)
    }
    const limits = quick({ maxConnections: 1, connectionMaxAgeMs: 0 })
    const spec = tables(['public.a'], limits, { jobs: 1, defaults: { readMethod: 'named', batchSize: 1000 } })
    const report = await warehouse.run(spec, {
      limits,
      onProgress: (event) => {
        if (event.kind === 'stream_progress') looking.push(look())
      },
    })
    await Promise.all(looking)
    expect(report.outcome).toBe('done')
    expect(looking.length).toBeGreaterThan(5)
    expect(pids.size).toBe(1)
    expect(await rowsOf(warehouse, 'public.a')).toBe('20000')
  })
})

test('a run survives a restart of the server in the middle, and has every row', async () => {
  await using server = await startServer({ major: 18 })
  const db = await server.createDatabase()
  await db.sql(`${TABLE('a')} ${TABLE('b')}`)
  const warehouse = await create(db.url)
  const pause = pauseOnce('reading', () => server.restart('fast'))
  const report = await warehouse.run(
    {
      selection: { select: ['public.*'], exclude: [] },
      limits: quick({ batchRows: 200, maxAttempts: 8, firstRetryDelayMs: 300, maxRetryDelayMs: 2000 }),
    },
    { wrap: pause.wrap },
  )
  expect(pause.reached()).toBe(true)
  expect(report.outcome).toBe('done')
  expect(report.streams.some(({ attempts }) => attempts > 1)).toBe(true)
  for (const table of ['a', 'b'])
    expect(
      await warehouse.query(`SELECT count(DISTINCT id) AS n, count(*) AS rows FROM public.${table}`),
    ).toEqual([{ n: '20000', rows: '20000' }])
})

test('a run on a standby survives that replay ends its snapshot', async () => {
  await using primary = await startServer({ major: 18, conf: { autovacuum: false } })
  const db = await primary.createDatabase()
  await db.sql(TABLE('a'))
  await using standby = await primary.startStandby({ conf: { max_standby_streaming_delay: 0 } })
  await standby.catchUp()
  const warehouse = await create(standby.url(db.name))
  const conflicts: Promise<void>[] = []
  // Rows that the snapshot sees are removed, and the standby must not wait for it.
  const conflict = async (): Promise<void> => {
    await db.sql('DELETE FROM a WHERE id > 15000')
    await db.sql('VACUUM a')
  }
  const codes: string[] = []
  const report = await warehouse.run(
    {
      selection: { select: ['public.a'], exclude: [] },
      limits: quick({
        batchRows: 200,
        maxReadBytesPerSecond: 8_000_000,
        maxAttempts: 8,
        maxReplicaLagMs: null,
      }),
    },
    {
      onProgress: (event) => {
        if (event.kind === 'stream_progress' && conflicts.length === 0) conflicts.push(conflict())
        if (event.kind === 'retry') codes.push(event.error.code)
      },
    },
  )
  await Promise.all(conflicts)
  expect(codes[0]).toMatch(/^(RECOVERY_CONFLICT|SNAPSHOT_LOST)$/)
  expect(report.outcome).toBe('done')
  await standby.catchUp()
  await warehouse.sync({ selection: { select: ['public.a'], exclude: [] } })
  expect(await warehouse.query('SELECT count(*) AS n, max(id) AS last FROM public.a')).toEqual([
    { n: '15000', last: '15000' },
  ])
})
