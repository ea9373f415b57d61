import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Snapshot, Source } from '../../src/source/contract.js'
import { onOldestAndNewestServer, type TestDatabase } from '../server/servers.js'
import {
  discover,
  discoverOne,
  failureOf,
  openSnapshot,
  openSource,
  planRead,
  readRows,
  streamNamed,
  withLimits,
} from './open-source.js'

onOldestAndNewestServer('DDL of others', (server) => {
  let database: TestDatabase
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    source = await openSource(database.url)
  })
  afterAll(async () => {
    await source.close()
  })
  beforeEach(async () => {
    await database.sql(`
      DROP TABLE IF EXISTS t, t_moved, parts, loose, base, derived, newborn CASCADE;
      DROP MATERIALIZED VIEW IF EXISTS mat;
      CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g;
      CREATE TABLE parts (id int) PARTITION BY LIST (id);
      CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
      CREATE TABLE loose (id int); INSERT INTO loose VALUES (2), (2);
      INSERT INTO parts VALUES (1);
      CREATE TABLE base (id int); INSERT INTO base VALUES (1);
      CREATE TABLE derived () INHERITS (base); INSERT INTO derived VALUES (2);
      CREATE TABLE newborn (id int); INSERT INTO newborn VALUES (3);`)
  })

  describe('between discovery and the lock', () => {
    test.each([
      ['DROP TABLE t', 'STREAM_CHANGED'],
      ['DROP TABLE t; CREATE TABLE t (id int)', 'STREAM_CHANGED'],
      ['ALTER TABLE t RENAME TO t_moved', 'STREAM_CHANGED'],
      ['ALTER TABLE t RENAME TO t_moved; CREATE TABLE t (id int)', 'STREAM_CHANGED'],
    ])('%s fails the stream, and the others go on', async (ddl, code) => {
      const streams = await discover(source, ['public.t', 'public.parts'])
      await database.sql(ddl)
      await using snapshot = await openSnapshot(source, streams)
      expect(snapshot.failed).toMatchObject([{ stream: 'public.t', error: { code, retry: 'never' } }])
      expect(snapshot.streams.map((stream) => stream.name)).toEqual(['public.parts'])
    })

    test('a renamed table is told by its new name', async () => {
      const stream = await discoverOne(source, 'public.t')
      await database.sql('ALTER TABLE t RENAME TO t_moved; CREATE TABLE t (id int)')
      await using snapshot = await openSnapshot(source, [stream])
      expect((snapshot.failed[0]?.error as Error).message).toContain('public.t_moved')
    })

    test.each([
      ['TRUNCATE t', 0],
      ['ALTER TABLE t ADD COLUMN w int DEFAULT 7', 10],
      ['ALTER TABLE t DROP COLUMN v', 10],
      ['ALTER TABLE t ALTER COLUMN id TYPE bigint', 10],
      ['VACUUM FULL t', 10],
      ['CLUSTER t USING t_pkey', 10],
    ])('after %s the stream is what it is under the lock', async (ddl, rows) => {
      const stream = await discoverOne(source, 'public.t')
      await database.sql(ddl)
      await using snapshot = await openSnapshot(source, [stream])
      const locked = streamNamed(snapshot.streams, 'public.t')
      const [now] = await discover(source, ['public.t'])
      expect(locked).toEqual(now)
      expect((await readRows(source, snapshot, locked)).length).toBe(rows)
    })

    test('a table that became a parent is read with its children', async () => {
      const stream = await discoverOne(source, 'public.t')
      await database.sql('CREATE TABLE t_child () INHERITS (t); INSERT INTO t_child VALUES (11)')
      await using snapshot = await openSnapshot(source, [stream])
      const locked = streamNamed(snapshot.streams, 'public.t')
      expect(locked).toMatchObject({ kind: 'inherited', key: null })
      expect((await readRows(source, snapshot, locked)).length).toBe(11)
    })
  })

  test('a table that is held fails alone after the lock timeout', async () => {
    const streams = await discover(source, ['public.t', 'public.parts', 'public.base'])
    const other = await database.connect()
    await other.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE')
    await using snapshot = await openSnapshot(source, streams, { limits: withLimits({ lockTimeoutMs: 200 }) })
    await other.query('ROLLBACK')
    await other.end()
    expect(snapshot.failed).toMatchObject([
      { stream: 'public.t', error: { code: 'LOCK_TIMEOUT', retry: 'backoff' } },
    ])
    expect(snapshot.streams.map((stream) => stream.name).sort()).toEqual(['public.base', 'public.parts'])
  })

  describe('while the snapshot is open', () => {
    test.each([
      'TRUNCATE t',
      'ALTER TABLE t ADD COLUMN w int',
      'DROP TABLE t',
      'VACUUM FULL t',
      'TRUNCATE parts_1',
    ])('%s waits', async (ddl) => {
      const streams = await discover(source, ['public.t', 'public.parts'])
      await using snapshot = await openSnapshot(source, streams)
      const other = await database.connect()
      await other.query("SET lock_timeout = '100ms'")
      await expect(other.query(ddl)).rejects.toMatchObject({ code: '55P03' })
      await other.end()
      expect((await readRows(source, snapshot, streamNamed(snapshot.streams, 'public.t'))).length).toBe(10)
    })

    test('attaching or detaching a partition is noticed', async () => {
      const stream = await discoverOne(source, 'public.parts')
      await using snapshot = await openSnapshot(source, [stream])
      const locked = streamNamed(snapshot.streams, 'public.parts')
      await snapshot.assertUnchanged(locked)
      await database.sql('ALTER TABLE parts ATTACH PARTITION loose FOR VALUES IN (2)')
      expect(await failureOf(snapshot.assertUnchanged(locked))).toMatchObject({ code: 'STREAM_CHANGED' })
    })

    test('a new inheritance child is noticed', async () => {
      const streams = await discover(source, ['public.base', 'public.t'])
      await using snapshot = await openSnapshot(source, streams)
      const base = streamNamed(snapshot.streams, 'public.base')
      await snapshot.assertUnchanged(base)
      await snapshot.assertUnchanged(streamNamed(snapshot.streams, 'public.t'))
      await database.sql('ALTER TABLE newborn INHERIT base')
      expect(await failureOf(snapshot.assertUnchanged(base))).toMatchObject({ code: 'STREAM_CHANGED' })
    })
  })

  test('a materialized view that is refreshed between the snapshot and its first read is not read as empty', async () => {
    await database.sql('CREATE MATERIALIZED VIEW mat AS SELECT generate_series(1, 3) AS n')
    const stream = await discoverOne(source, 'public.mat')
    const other = await database.connect()
    await other.query('BEGIN; REFRESH MATERIALIZED VIEW mat')
    // Waits for the refresh with its snapshot already taken.
    const opening = openSnapshot(source, [stream])
    await waitForWaiter(database)
    await other.query('COMMIT')
    await other.end()
    await using snapshot = await opening
    expect(snapshot.failed).toMatchObject([{ stream: 'public.mat', error: { code: 'STREAM_CHANGED' } }])
    await using again = await openSnapshot(source, [stream])
    expect((await readRows(source, again, streamNamed(again.streams, 'public.mat'))).length).toBe(3)
  })

  test('a table with column grants that is truncated between the snapshot and its first read is not read as empty', async () => {
    const role = await database.createRole()
    await database.sql(`GRANT SELECT (id) ON t TO "${role.name}"`)
    await using reader = await openSource(role.url)
    const stream = await discoverOne(reader, 'public.t')
    const other = await database.connect()
    await other.query('BEGIN; TRUNCATE t')
    const opening = openSnapshot(reader, [stream])
    await waitForWaiter(database)
    await other.query('COMMIT')
    await other.end()
    await using snapshot = await opening
    expect(snapshot.failed).toMatchObject([{ stream: 'public.t', error: { code: 'STREAM_CHANGED' } }])
  })

  describe.each([0, 1])('the yield, with %i readers', (readers) => {
    test('a session that waits on us gets its lock, and reads end with the reason', async () => {
      await database.sql(`INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(11, 20000) g`)
      const stream = await discoverOne(source, 'public.t')
      await using snapshot = await openSnapshot(source, [stream], {
        readers,
        limits: withLimits({ yieldToDdlMs: 200 }),
      })
      const split = await planRead(source, snapshot, stream, { limits: withLimits({ batchRows: 10 }) })
      const other = await database.connect()
      const altering = other.query('ALTER TABLE t ADD COLUMN waited int')
      const failure = await failureOf(
        (async () => {
          // A destination that is slower than the source.
          for await (const _batch of snapshot.read(split)) await sleep(20)
        })(),
      )
      expect(failure.code).toBe('YIELDED_TO_DDL')
      expect(snapshot.signal.reason).toMatchObject({ code: 'YIELDED_TO_DDL', retry: 'safe' })
      // Before the snapshot is closed.
      await altering
      await other.end()
      expect(await failureOf(snapshot.count(stream, { where: null, window: null }))).toMatchObject({
        code: 'YIELDED_TO_DDL',
      })
    })

    test('a count on the server is ended for it, too', async () => {
      const stream = await discoverOne(source, 'public.t')
      await using snapshot = await openSnapshot(source, [stream], {
        readers,
        limits: withLimits({ yieldToDdlMs: 200 }),
      })
      const other = await database.connect()
      const altering = other.query('ALTER TABLE t ADD COLUMN waited int')
      const counting = snapshot.count(stream, {
        where: '(SELECT count(pg_sleep(0.1)) FROM generate_series(1, 600)) > 0',
        window: null,
      })
      expect(await failureOf(counting)).toMatchObject({ code: 'YIELDED_TO_DDL' })
      await altering
      await other.end()
    })
  })

  test('sessions that do not wait for a lock of a table are no reason to yield', async () => {
    const stream = await discoverOne(source, 'public.t')
    await using snapshot: Snapshot = await openSnapshot(source, [stream], {
      limits: withLimits({ yieldToDdlMs: 100 }),
    })
    const other = await database.connect()
    // Waits for the end of our transaction, in nobody's way.
    const building = other.query('CREATE INDEX CONCURRENTLY t_v ON t (v)')
    await waitForWaiter(database)
    await sleep(1000)
    expect(snapshot.signal.aborted).toBe(false)
    await snapshot.close()
    await building
    await other.end()
  })
})

/** Until some session waits for a lock. */
async function waitForWaiter(database: TestDatabase): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const rows = await database.sql(
      `SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database()`,
    )
    if (rows.length > 0) return
    await sleep(20)
  }
  throw new Error('nobody waits')
}
