import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SyncOptions } from '../../src/config/sync-options.js'
import type { ProgressEvent, RunReport } from '../../src/model/report.js'
import { type SpecialServer, startServer, type TestDatabase } from '../server/servers.js'
import { CopyFile, streamOf } from './copy-file.js'

const MIB = 1024 * 1024
/** What the process may take: a run takes up to half of it. */
const MEMORY_LIMIT = 768 * MIB
const ROWS = 400_000
/** Connections that the server gives to ordinary roles: see below. */
const CONNECTIONS = 20

let server: SpecialServer
let db: TestDatabase
let copy: CopyFile
beforeAll(async () => {
  server = await startServer({
    major: 18,
    conf: { max_connections: CONNECTIONS + 3, superuser_reserved_connections: 3 },
  })
  db = await server.createDatabase()
  copy = await CopyFile.create(db.url)
  await db.sql(`
    CREATE TABLE rows (id int PRIMARY KEY, v text);
    INSERT INTO rows SELECT g, 'row ' || g || repeat(md5(g::text), 4) FROM generate_series(1, ${ROWS}) g;
    ANALYZE rows`)
})
afterAll(async () => {
  await copy.remove()
  await server.close()
})

async function expectSame(schema: string): Promise<void> {
  const digest = (table: string): string =>
    `SELECT count(*) AS n, sum(id) AS ids, max(md5(v)) AS v, min(md5(v)) AS w FROM ${table}`
  expect(await copy.rows(digest(`${schema}.rows`))).toEqual(await db.sql(digest('public.rows')))
}

/** On its way down it may be measured in the middle. */
function expectUpAndDown(report: RunReport): void {
  const levels = report.adaptations.filter(({ cause }) => cause === 'memory').map(({ level }) => level)
  expect(levels.slice(0, 2)).toEqual(['high', 'critical'])
  expect(levels.at(-1)).toBe('normal')
}

/** In a process of its own, which takes memory up to the limit and gives it back. */
async function runUnderLimit(
  options: SyncOptions,
): Promise<{ readonly report: RunReport; readonly log: readonly string[] }> {
  const program = fileURLToPath(new URL('pressure-child.mjs', import.meta.url))
  const call = JSON.stringify({ ...options, source: db.url, destination: `duckdb:${copy.file}` })
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--expose-gc', program, call])
  return { report: JSON.parse(stdout) as RunReport, log: stderr.trim().split('\n') }
}

test('a run that comes to the end of its memory takes less of everything, and completes', async () => {
  const { report, log } = await runUnderLimit({
    name: 'native',
    targetSchema: 'native',
    adaptive: { memoryLimitBytes: MEMORY_LIMIT, sampleEveryMs: 5, pauseAtMostMs: 2000 },
    limits: { batchBytes: 256 * 1024 },
  })
  expect(report.outcome).toBe('done')
  expectUpAndDown(report)
  const told = log.filter((line) => line.includes('Memory pressure'))
  const [high = '', critical = ''] = told
  const eased = told.at(-1) ?? ''
  expect(high).toMatch(
    /^INFO Memory pressure is high: 8\d\.\d% of the memory of the configured limit in use, \d+ MiB left\. Until it eases: .*batches at 75% of their size\.$/,
  )
  expect(critical).toMatch(
    /^WARNING Memory pressure is critical: 9\d\.\d% .* batches at 50% .* a pause of at most 2 s\.$/,
  )
  expect(eased).toMatch(
    /^INFO Memory pressure has eased: [1-7]\d\.\d% .* Readers and batches are as before\.$/,
  )
  await expectSame('native')
})

test('and one that reads by size says so in the words of the original', async () => {
  const { report, log } = await runUnderLimit({
    name: 'by_size',
    targetSchema: 'by_size',
    wording: 'connector_sdk',
    adaptive: { strategy: 'table_size', memoryLimitBytes: MEMORY_LIMIT, sampleEveryMs: 5 },
  })
  expect(report.outcome).toBe('done')
  expectUpAndDown(report)
  expect(log).toContain('INFO HIGH MEMORY PRESSURE: Reducing batch size from 5,000 to 3,750 records')
  expect(log).toContain('WARNING CRITICAL MEMORY PRESSURE: Reducing batch size from 5,000 to 2,500 records')
  expect(log).toContain('INFO SYNC PROCESSING PLAN')
  expect(
    log.some((line) =>
      /^INFO Resource Monitor: Memory \d+\.\d% \(\d+\.\dGB available\), CPU .*, Disk /.test(line),
    ),
  ).toBe(true)
  await expectSame('by_size')
})

test('a server whose connections are nearly used up gets readers of ours back', async () => {
  const others: Awaited<ReturnType<TestDatabase['connect']>>[] = []
  const ours = async (): Promise<number> => {
    const [row] = await db.sql(
      `SELECT count(*) AS n FROM pg_stat_activity WHERE application_name LIKE 'trunkline%'`,
    )
    return Number(row?.n)
  }
  const levels: string[] = []
  const seen = { most: 0, least: Infinity }
  const crowd: Promise<void>[] = []
  const onProgress = (event: ProgressEvent): void => {
    if (event.kind === 'pressure' && event.cause === 'connections') levels.push(event.level)
    if (event.kind === 'stream_progress' && crowd.length === 0) crowd.push(fillUp())
  }
  const fillUp = async (): Promise<void> => {
    // Until the second reader has connected.
    for (let look = 0; look < 100 && seen.most < 4; look++) {
      seen.most = Math.max(seen.most, await ours())
      await sleep(50)
    }
    // 4 of ours, one of this test's own pool, and these.
    for (let left = CONNECTIONS - 4 - 1; left > 0; left--) others.push(await db.connect())
    for (let look = 0; look < 100 && !levels.includes('critical'); look++) await sleep(50)
    for (let look = 0; look < 100 && seen.least > 3; look++) {
      seen.least = Math.min(seen.least, await ours())
      await sleep(50)
    }
    await Promise.all(others.map((client) => client.end()))
  }
  const report = await copy.sync({
    name: 'crowded',
    targetSchema: 'crowded',
    jobs: 2,
    // Some seconds, in batches that come often.
    limits: { maxReadBytesPerSecond: 14 * MIB, batchBytes: 64 * 1024 },
    adaptive: { sampleEveryMs: 100 },
    onProgress,
  })
  await Promise.all(crowd)
  expect(levels[0]).toMatch(/high|critical/)
  expect(levels).toContain('critical')
  expect(levels.at(-1)).toBe('normal')
  expect([seen.most, seen.least]).toEqual([4, 3])
  expect(report.adaptations.some(({ message }) => message.includes("server's connections"))).toBe(true)
  await expectSame('crowded')
})

async function lockForAMoment(): Promise<void> {
  const client = await db.connect()
  await client.query('BEGIN; LOCK TABLE rows IN ACCESS EXCLUSIVE MODE; COMMIT')
  await client.end()
}

test('a session that waits for a lock of ours has what is read saved before the snapshot is let go', async () => {
  const events: ProgressEvent[] = []
  const locking: Promise<unknown>[] = []
  const report = await copy.sync({
    name: 'locked',
    targetSchema: 'locked',
    jobs: 1,
    limits: { maxReadBytesPerSecond: 12 * MIB, batchBytes: 64 * 1024 },
    adaptive: { sampleEveryMs: 100 },
    onProgress: (event) => {
      events.push(event)
      if (event.kind !== 'stream_progress' || locking.length > 0) return
      locking.push(lockForAMoment())
    },
  })
  await Promise.all(locking)
  expect(report.snapshots.map(({ yielded }) => yielded)).toEqual([true, false])
  const [lock] = report.adaptations.filter(({ cause }) => cause === 'lock')
  expect(lock?.message).toContain('Sessions that wait for a lock of ours: 1. What is read is saved now')
  // Nobody waited a minute for the save.
  const resumed = events.filter((event) => event.kind === 'stream_resumed')
  expect(resumed.map(({ stream }) => stream)).toEqual(['public.rows'])
  expect(streamOf(report, 'public.rows')).toMatchObject({ outcome: 'done', attempts: 2 })
  await expectSame('locked')
})

test('a standby that is behind is given time to catch up', async () => {
  await using standby = await server.startStandby()
  const admin = await standby.connect()
  const replayed = async (what: string): Promise<void> => {
    for (let look = 0; look < 200; look++) {
      const { rows } = await admin.query<{ yes: boolean }>(`SELECT coalesce(${what}, false) AS yes`)
      if (rows[0]?.yes === true) return
      await sleep(50)
    }
    throw new Error('the standby does not replay')
  }
  // Before the first replayed transaction a standby does not know how far behind it is.
  await db.sql('CREATE TABLE beat (id int); INSERT INTO beat VALUES (1)')
  await replayed(
    'pg_last_xact_replay_timestamp() IS NOT NULL AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()',
  )
  await admin.query('SELECT pg_wal_replay_pause()')
  await db.sql('INSERT INTO beat VALUES (2)')
  await replayed('pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()')
  const levels: string[] = []
  const resumed: Promise<unknown>[] = []
  await copy.sync({
    name: 'behind',
    targetSchema: 'behind',
    url: standby.url(db.name),
    select: ['public.rows'],
    limits: { maxReadBytesPerSecond: 16 * MIB, batchBytes: 64 * 1024 },
    adaptive: { sampleEveryMs: 50, replicaLagHighMs: 300, pauseAtMostMs: 500 },
    onProgress: (event) => {
      if (event.kind !== 'pressure' || event.cause !== 'replica_lag') return
      levels.push(event.level)
      if (resumed.length === 0) resumed.push(admin.query('SELECT pg_wal_replay_resume()'))
    },
  })
  await Promise.all(resumed)
  await admin.end()
  expect(levels).toEqual(['high', 'normal'])
  await expectSame('behind')
})
