import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { onOldestAndNewestServer, onNewestServer, type TestDatabase } from '../server/servers.js'
import { expectSameRows } from './compare.js'
import { CopyFile, streamOf } from './copy-file.js'
import { pauseOnce } from './pausing-source.js'

/**
 * The product promises some 5 s to whoever alters a table that is being read. A busy machine adds to that; whoever had to wait for the
 * end of the read or of the count would wait longer than this on any.
 */
const LONGEST_WAIT_MS = 15_000
const ROWS = 3000
/** Counted at 2 ms each. */
const COUNTED_ROWS = 24_000

// On one server; that each version's waiting sessions are seen, the counted TRUNCATE shows.
onNewestServer('an ALTER during a long sync', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeAll(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
    await db.sql(`
      CREATE TABLE slow (id int PRIMARY KEY, v text);
      INSERT INTO slow SELECT g, repeat('x', 1000) || g FROM generate_series(1, ${ROWS}) g;
      CREATE TABLE small (id int PRIMARY KEY);
      INSERT INTO small SELECT generate_series(1, 100)`)
  })
  afterAll(() => copy.remove())

  test('does not wait for the read to end, and what lands in the end is what it left', async () => {
    let waited = NaN
    const finished = new Set<string>()
    // In the middle of the read, which does not go on before the ALTER is through.
    const pause = pauseOnce(
      'reading',
      async () => {
        await expect.poll(() => finished.has('public.small')).toBe(true)
        waited = await alter()
      },
      'public.slow',
    )
    const report = await copy.sync({
      // A reader for each of the tables.
      jobs: 2,
      limits: { batchBytes: 256 * 1024 },
      wrap: pause.wrap,
      onProgress: (event) => {
        if (event.kind === 'stream_finished') finished.add(event.report.stream)
      },
    })
    expect(pause.reached()).toBe(true)
    expect(waited).toBeLessThan(LONGEST_WAIT_MS)
    expect(report.snapshots.map((snapshot) => snapshot.yielded)).toEqual([true, false])
    expect(streamOf(report, 'public.slow')).toMatchObject({ outcome: 'done', attempts: 2 })
    // What was committed before is not done again.
    expect(streamOf(report, 'public.small').attempts).toBe(1)
    await expectSameRows(db, copy, 'public.slow')
    await expectSameRows(db, copy, 'public.small')
  })

  async function alter(): Promise<number> {
    return measure(await db.connect(), `ALTER TABLE slow ADD COLUMN added text DEFAULT 'added'`)
  }
})

onOldestAndNewestServer('a statement that waits during a long sync', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeAll(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
    await db.sql(`
      CREATE TABLE slow (id int PRIMARY KEY);
      INSERT INTO slow SELECT generate_series(1, ${COUNTED_ROWS})`)
  })
  afterAll(() => copy.remove())

  test('a TRUNCATE does not wait either, while the rows are only counted', async () => {
    await db.sql(
      `CREATE FUNCTION slowly(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT pg_sleep(0.002) IS NOT NULL AND $1 > 0'`,
    )
    const running = copy.run({
      name: 'counted',
      select: ['public.slow'],
      targetSchema: 'counted',
      limits: { yieldToDdlMs: 500 },
      streams: { 'public.slow': { where: 'public.slowly(id)' } },
    })
    while (
      (
        await db.sql(
          `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%count%slowly%' AND pid <> pg_backend_pid()`,
        )
      ).length === 0
    )
      await sleep(50)
    const client = await db.connect()
    const waited = await measure(client, 'TRUNCATE slow')
    const report = await running
    expect(waited).toBeLessThan(LONGEST_WAIT_MS)
    expect(report.snapshots[0]?.yielded).toBe(true)
    expect(await copy.rows('SELECT count(*) AS n FROM counted.slow')).toEqual([{ n: '0' }])
  })
})

/** By the server's clock, from before the statement to after it. */
async function measure(
  client: Awaited<ReturnType<TestDatabase['connect']>>,
  statement: string,
): Promise<number> {
  const now = async (): Promise<number> => {
    const { rows } = await client.query<{ ms: number }>(
      'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms',
    )
    return rows[0]?.ms ?? NaN
  }
  const before = await now()
  await client.query(statement)
  const after = await now()
  await client.end()
  return after - before
}
