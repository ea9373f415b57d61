import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { onEachServer, onNewestServer, type TestDatabase } from '../server/servers.js'
import { expectSameRows } from './compare.js'
import { CopyFile, streamOf } from './copy-file.js'

/**
 * The product promises some 5 s to whoever alters a table that is being read. A busy machine adds to that; whoever had to wait for the
 * end of the read or of the count would wait longer than this on any.
 */
const LONGEST_WAIT_MS = 15_000
const ROWS = 24_000
/** Counted at 2 ms each. */
const COUNTED_ROWS = 24_000

// Half a minute on one server; that each version's waiting sessions are seen, the counted TRUNCATE shows.
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
    // Slowed down to a quarter of a minute a read, so that the ALTER comes in the middle whatever the machine.
    const altering: Promise<number>[] = []
    const report = await copy.sync({
      limits: { maxReadBytesPerSecond: 1_500_000, batchBytes: 256 * 1024 },
      onProgress: (event) => {
        if (event.kind !== 'stream_progress' || event.stream !== 'public.slow') return
        if (altering.length === 0) altering.push(alter())
      },
    })
    expect(altering).toHaveLength(1)
    expect(await altering[0]).toBeLessThan(LONGEST_WAIT_MS)
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

onEachServer('a statement that waits during a long sync', (server) => {
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
