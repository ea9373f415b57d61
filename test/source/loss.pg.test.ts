import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rows as rowsOf, type Value } from '../../src/batch/rows.js'
import type { Snapshot, Source, Split } from '../../src/source/contract.js'
import { onOldestAndNewestServer, startServer, type TestDatabase } from '../server/servers.js'
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

const TABLE = `CREATE TABLE t (id int PRIMARY KEY, v text);
  INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g`

onOldestAndNewestServer('what gets lost', (server) => {
  let database: TestDatabase
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(TABLE)
    source = await openSource(`${database.url}?application_name=lost`)
  })
  afterAll(async () => {
    await source.close()
  })

  test('a snapshot whose leader is terminated is lost, and reads say so', async () => {
    for (const readers of [0, 1]) {
      const stream = await discoverOne(source, 'public.t')
      await using snapshot = await openSnapshot(source, [stream], { readers })
      const split = await planRead(source, snapshot, stream, { limits: withLimits({ batchRows: 100 }) })
      const failure = failureInTheMiddle(snapshot, split, () =>
        database.sql(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lost'`,
        ),
      )
      expect(await failure).toMatchObject({
        code: expect.stringMatching(/SNAPSHOT_LOST|CONNECTION_LOST/) as string,
      })
      if (!snapshot.signal.aborted) {
        await new Promise((resolve) => {
          snapshot.signal.addEventListener('abort', resolve)
        })
      }
      expect(snapshot.signal.reason).toMatchObject({ code: 'SNAPSHOT_LOST', retry: 'safe' })
      expect(await failureOf(snapshot.count(stream, { where: null, window: null }))).toMatchObject({
        code: 'SNAPSHOT_LOST',
      })
    }
  })

  test('a reader that is terminated is replaced in the same snapshot, and no row comes twice or not at all', async () => {
    // Far more than fits into the buffers between the server and us, or a reader is done before its session is ended.
    await database.sql(
      `CREATE TABLE large AS SELECT n AS id, repeat('x', 1000) AS x FROM generate_series(1, 26000) n`,
    )
    const stream = await discoverOne(source, 'public.large')
    await using snapshot = await openSnapshot(source, [stream], { readers: 1 })
    await database.sql(`INSERT INTO large VALUES (-1, 'later')`)
    const split = await planRead(source, snapshot, stream, { limits: withLimits({ batchRows: 100 }) })
    const ids: Value[] = []
    let kills = 0
    let batches = 0
    for await (const batch of snapshot.read(split)) {
      for (const row of rowsOf(batch)) ids.push(row['id'] ?? null)
      if (batches === 0 || batches === 100) kills += await terminateReaders(database)
      batches++
    }
    expect(kills).toBe(2)
    expect(ids).toEqual(Array.from({ length: 26000 }, (_, index) => index + 1))
    expect(snapshot.signal.aborted).toBe(false)
  })

  test('a reader that is terminated after every batch is replaced each time, and every row comes once', async () => {
    // More than fits into the buffers between the server and us: what is on its way when a session ends still arrives.
    await database.sql(
      `CREATE TABLE more AS SELECT n AS id, repeat('x', 1000) AS x FROM generate_series(1, 25000) n`,
    )
    const stream = await discoverOne(source, 'public.more')
    await using snapshot = await openSnapshot(source, [stream], { readers: 1 })
    const split = await planRead(source, snapshot, stream, { limits: withLimits({ batchRows: 2500 }) })
    const ids: Value[] = []
    let kills = 0
    for await (const batch of snapshot.read(split)) {
      for (const row of rowsOf(batch)) ids.push(row['id'] ?? null)
      kills += await terminateReaders(database)
    }
    expect(kills).toBeGreaterThan(1)
    expect(ids).toEqual(Array.from({ length: 25000 }, (_, index) => index + 1))
    expect(snapshot.signal.aborted).toBe(false)
  })

  test('a snapshot ends at the age that is allowed, and its locks with it', async () => {
    const stream = await discoverOne(source, 'public.t')
    await using snapshot = await openSnapshot(source, [stream], {
      readers: 1,
      limits: withLimits({ maxSnapshotAgeMs: 300 }),
    })
    await new Promise((resolve) => {
      snapshot.signal.addEventListener('abort', resolve)
    })
    expect(snapshot.signal.reason).toMatchObject({ code: 'SNAPSHOT_TOO_OLD', retry: 'safe' })
    expect(await failureOf(readRows(source, snapshot, stream))).toMatchObject({ code: 'SNAPSHOT_TOO_OLD' })
    await database.sql('LOCK TABLE t IN ACCESS EXCLUSIVE MODE'.replace(/^/, 'BEGIN; ') + '; COMMIT')
  })

  test('an abort while the snapshot is opened rejects with its reason and leaves no session', async () => {
    const stream = await discoverOne(source, 'public.t')
    const other = await database.connect()
    await other.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE')
    const abort = new AbortController()
    const opening = openSnapshot(source, [stream], { signal: abort.signal })
    await sleep(200)
    const reason = new Error('no longer')
    abort.abort(reason)
    await expect(opening).rejects.toBe(reason)
    await other.query('ROLLBACK')
    await other.end()
    await using snapshot = await openSnapshot(source, [stream])
    expect(snapshot.failed).toEqual([])
  })

  test('after a close nothing is left on the server', async () => {
    await using other = await openSource(`${database.url}?application_name=gone`)
    const stream = await discoverOne(other, 'public.t')
    const snapshot = await openSnapshot(other, [stream], { readers: 2 })
    const split = await planRead(other, snapshot, stream)
    const iterator = snapshot.read(split)[Symbol.asyncIterator]()
    await iterator.next()
    await snapshot.close()
    await other.close()
    for (let attempt = 0; ; attempt++) {
      const rows = await database.sql(`SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'gone%'`)
      if (rows.length === 0) break
      if (attempt === 100) throw new Error(`${rows.length} sessions are left`)
      await sleep(50)
    }
    expect(await failureOf(discover(other))).toMatchObject({ code: 'INTERNAL' })
  })
})

describe('servers of their own', () => {
  test('a restart in the middle of a read is a loss that can be tried again', async () => {
    await using server = await startServer({ major: 15 })
    const database = await server.createDatabase()
    await database.sql(TABLE)
    await using source = await openSource(database.url)
    for (const mode of ['fast', 'immediate'] as const) {
      for (const readers of [0, 1]) {
        const stream = await discoverOne(source, 'public.t')
        const snapshot = await openSnapshot(source, [stream], { readers })
        const split = await planRead(source, snapshot, stream, { limits: withLimits({ batchRows: 100 }) })
        const failure = await failureInTheMiddle(snapshot, split, () => server.restart(mode))
        expect(failure.code).toMatch(/^(SNAPSHOT_LOST|CONNECTION_LOST|SERVER_RESTARTING)$/)
        await snapshot.close()
        await using again = await openSnapshot(source, [stream])
        expect((await readRows(source, again, streamNamed(again.streams, 'public.t'))).length).toBe(20000)
      }
    }
  })

  test('a prepared transaction holds the horizon back', async () => {
    await using server = await startServer({ major: 18, conf: { max_prepared_transactions: 5 } })
    const database = await server.createDatabase()
    await database.sql(TABLE)
    const writer = await database.connect()
    await writer.query('BEGIN')
    const { rows } = await writer.query<{ xid: string }>('SELECT txid_current()::text AS xid')
    await writer.query(`INSERT INTO t VALUES (-5, 'prepared')`)
    await writer.query(`PREPARE TRANSACTION 'held'`)
    await database.sql(`INSERT INTO t VALUES (-6, 'after')`)
    await using source = await openSource(database.url)
    await using snapshot = await openSnapshot(source, await discover(source))
    expect(snapshot.horizon).toBe(BigInt(rows[0]?.xid ?? '0'))
    expect(snapshot.horizonAgeSeconds).toBeGreaterThanOrEqual(0)
    await writer.query(`ROLLBACK PREPARED 'held'`)
    await writer.end()
  })

  test.each([12, 18])(
    'a standby of %i gives a snapshot and its own position, and is read by the connection that took it',
    async (major) => {
      await using primary = await startServer({ major })
      const database = await primary.createDatabase()
      await database.sql(`${TABLE}; CREATE UNLOGGED TABLE fleeting (id int)`)
      await using standby = await primary.startStandby()
      await using source = await openSource(standby.url(database.name))
      const streams = await waitFor(() => discover(source))
      expect(streamNamed(streams, 'public.fleeting').oddity).toBe('unlogged_on_standby')
      await using snapshot = await openSnapshot(source, streams, { readers: 2 })
      expect(snapshot.position.standby).toBe(true)
      expect(snapshot.position.lsn).toMatch(/\//)
      expect(snapshot.failed).toMatchObject([
        { stream: 'public.fleeting', error: { code: 'STREAM_UNSUPPORTED' } },
      ])
      expect((await readRows(source, snapshot, streamNamed(snapshot.streams, 'public.t'))).length).toBe(20000)
      const admin = await standby.connect()
      const holders = await admin.query<{ n: string }>(
        `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = $1 AND state = 'idle in transaction'`,
        [database.name],
      )
      await admin.end()
      expect(holders.rows).toEqual([{ n: '1' }])
      expect(await snapshot.awaitDurable()).toEqual({ durable: true, waitedMs: 0 })
    },
  )

  test('a standby that falls behind further than allowed makes us let go', async () => {
    await using primary = await startServer({ major: 15 })
    const database = await primary.createDatabase()
    await database.sql(TABLE)
    await using standby = await primary.startStandby()
    await using source = await openSource(standby.url(database.name))
    const streams = await waitFor(() => discover(source))
    const admin = await standby.connect()
    // Before the first replayed transaction a standby does not know how far behind it is.
    await database.sql('INSERT INTO t VALUES (-2)')
    await waitFor(async () => {
      const { rows } = await admin.query('SELECT WHERE pg_last_xact_replay_timestamp() IS NOT NULL')
      if (rows.length === 0) throw new Error('nothing is replayed yet')
    })
    await admin.query('SELECT pg_wal_replay_pause()')
    await database.sql('INSERT INTO t VALUES (-1)')
    await using snapshot = await openSnapshot(source, streams, {
      limits: withLimits({ maxReplicaLagMs: 100 }),
    })
    if (!snapshot.signal.aborted) {
      await new Promise((resolve) => {
        snapshot.signal.addEventListener('abort', resolve)
      })
    }
    expect(snapshot.signal.reason).toMatchObject({ code: 'SOURCE_PRESSURE', retry: 'backoff' })
    await admin.query('SELECT pg_wal_replay_resume()')
    await admin.end()
  })

  test('streams are divided into groups that fit the lock table', async () => {
    await using server = await startServer({
      major: 15,
      conf: { max_locks_per_transaction: 10, max_connections: 10, max_prepared_transactions: 0 },
    })
    const database = await server.createDatabase()
    // With their indexes, 80 relations.
    await database.sql(`DO $$ BEGIN
      FOR i IN 1..40 LOOP EXECUTE format('CREATE TABLE t_%s (id int PRIMARY KEY)', i); END LOOP;
    END $$`)
    await using source = await openSource(database.url)
    const streams = await discover(source)
    const groups = await source.formSnapshotGroups(streams)
    // 10 locks for each of 10 connections, of which half, for two holders: 25, at two per table.
    expect(groups.map((group) => group.length)).toEqual([12, 12, 12, 4])
    expect(groups.flat()).toEqual(streams)
    for (const group of groups) {
      await using snapshot = await openSnapshot(source, group, { readers: 1 })
      expect(snapshot.failed).toEqual([])
      for (const stream of group) await readRows(source, snapshot, stream)
    }
  })
})

/** Of a read, when something is done after its first batch: more rows are to come than fit into the buffers between the server and us. */
function failureInTheMiddle(
  snapshot: Snapshot,
  split: Split,
  what: () => Promise<unknown>,
): ReturnType<typeof failureOf> {
  const read = async (): Promise<void> => {
    let done = false
    for await (const _batch of snapshot.read(split)) {
      if (!done) await what()
      done = true
    }
  }
  return failureOf(read())
}

/** Sessions in the middle of a COPY. */
async function terminateReaders(database: TestDatabase): Promise<number> {
  const rows = await database.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND query LIKE 'COPY%' AND state = 'active'`,
  )
  return rows.length
}

/** A standby may not have replayed everything yet. */
async function waitFor<Result>(attempt: () => Promise<Result>): Promise<Result> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      if (tries === 50) throw error
      await sleep(100)
    }
  }
}
