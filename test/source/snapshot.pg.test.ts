import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { rows as rowsOf } from '../../src/batch/rows.js'
import { dropColumns, filterRows } from '../../src/batch/select.js'
import { XMIN_FIELD, type Source } from '../../src/source/contract.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import { createPostgresSource } from '../../src/source/postgres-source.js'
import { windowSql } from '../../src/source/read-sql.js'
import { parseXid8, type Xid8 } from '../../src/model/xid.js'
import { onOldestAndNewestServer, type TestDatabase } from '../server/servers.js'
import {
  discover,
  discoverOne,
  failureOf,
  openSnapshot,
  openSource,
  planRead,
  readRows,
  since,
  streamNamed,
  withLimits,
} from './open-source.js'

onOldestAndNewestServer('a snapshot', (server) => {
  let database: TestDatabase
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    source = await openSource(database.url)
    await database.sql(`
      CREATE TABLE a (id int PRIMARY KEY, v text);
      INSERT INTO a SELECT g, 'v' || g FROM generate_series(1, 1000) g;
      CREATE TABLE big (id int PRIMARY KEY, v text);
      INSERT INTO big SELECT g, repeat('x', 500) FROM generate_series(1, 40000) g;`)
  })
  afterAll(async () => {
    await source.close()
  })

  describe.each([0, 2])('with %i readers', (readers) => {
    test('shows what was there when it was taken, whatever is written since', async () => {
      const stream = await discoverOne(source, 'public.a')
      await using snapshot = await openSnapshot(source, [stream], { readers })
      await database.sql(`INSERT INTO a VALUES (-1, 'late'); UPDATE a SET v = 'changed' WHERE id = 1`)
      const [locked] = snapshot.streams
      if (locked === undefined) throw new Error('the stream is not in the snapshot')
      expect(await snapshot.count(locked, { where: null, window: null })).toEqual({
        total: 1000,
        inWindow: null,
      })
      const rows = await readRows(source, snapshot, locked)
      expect(rows.length).toBe(1000)
      expect(rows.find((row) => row['id'] === 1)).toEqual({ id: 1, v: 'v1' })
      await database.sql(`DELETE FROM a WHERE id = -1; UPDATE a SET v = 'v1' WHERE id = 1`)
    })

    test('reads the rows of a window, and nothing else, with their transaction ids', async () => {
      await database.sql('CREATE TABLE IF NOT EXISTS w (id int PRIMARY KEY, v text); TRUNCATE w')
      await database.sql(`INSERT INTO w SELECT g, 'old' FROM generate_series(1, 10) g`)
      const stream = await discoverOne(source, 'public.w')
      // Other tests hold the horizon of the server back, so the window starts at an id of our own.
      const [begin] = await database.sql('SELECT txid_current()::text AS xid')
      const horizon = parseXid8(begin?.['xid'] ?? '')
      await database.sql(`INSERT INTO w VALUES (11, 'new'); UPDATE w SET v = 'new' WHERE id = 3`)
      await using snapshot = await openSnapshot(source, [stream], { readers })
      const window = { horizon, xmax: BigInt(snapshot.position.xmax) as Xid8, wholeLeaves: [] }
      expect(await snapshot.count(stream, { where: null, window })).toEqual({ total: 11, inWindow: 2 })
      expect(await snapshot.count(stream, { where: 'id < 5', window })).toEqual({ total: 4, inWindow: 1 })
      const rows = await readRows(source, snapshot, stream, { ...since(window), withXmin: true })
      expect(rows.map((row) => row['id']).sort()).toEqual([11, 3])
      for (const row of rows) expect(row[XMIN_FIELD]).toBeGreaterThanOrEqual(horizon)
      const whole = { ...window, wholeLeaves: [stream.oid] }
      expect((await snapshot.count(stream, { where: null, window: whole })).inWindow).toBe(11)
    })

    test('uses the memory of batches again that were given back, and only of those', async () => {
      await database.sql(`CREATE TABLE IF NOT EXISTS wide (id int PRIMARY KEY, v text);
        TRUNCATE wide; INSERT INTO wide SELECT g, 'v' || g || repeat('x', 300) FROM generate_series(1, 40000) g`)
      const stream = await discoverOne(source, 'public.wide')
      await using snapshot = await openSnapshot(source, [stream], { readers })
      const split = await planRead(source, snapshot, stream, { limits: withLimits({ batchBytes: 2 << 20 }) })
      const kept: { readonly batch: Batch; readonly firstRow: unknown }[] = []
      let givenBack = 0
      const ids = new Set<unknown>()
      for await (const batch of snapshot.read(split)) {
        for (const row of rowsOf(batch)) {
          expect(row['v']).toBe(`v${String(row['id'])}${'x'.repeat(300)}`)
          ids.add(row['id'])
        }
        const [firstRow] = rowsOf(batch)
        if (kept.length < 2) {
          kept.push({ batch, firstRow })
          // Rows in memory of their own are nobody's to give back.
          snapshot.giveBack?.(filterRows(batch, new Uint8Array(batch.rowCount).fill(1, 1)))
        } else {
          snapshot.giveBack?.(dropColumns(batch, ['v']))
          givenBack++
          expect(batch.buffer.byteLength).toBe(0)
          snapshot.giveBack?.(batch)
        }
      }
      expect(ids.size).toBe(40_000)
      expect([kept.length, givenBack > 2]).toEqual([2, true])
      for (const { batch, firstRow } of kept) expect([...rowsOf(batch)][0]).toEqual(firstRow)
    })

    test('goes on after a read that was left early, cancelled or failed', async () => {
      await database.sql(
        `DROP TABLE IF EXISTS bad; CREATE TABLE bad (n numeric(10,2)); INSERT INTO bad VALUES ('NaN')`,
      )
      const streams = await discover(source, ['public.a', 'public.bad', 'public.big'])
      await using snapshot = await openSnapshot(source, streams, { readers })
      const big = await planRead(source, snapshot, streamNamed(streams, 'public.big'), {
        limits: withLimits({ batchRows: 100 }),
      })
      for await (const batch of snapshot.read(big)) {
        expect(batch.rowCount).toBe(100)
        break
      }
      const abort = new AbortController()
      const reason = new Error('enough')
      let seen = 0
      const reading = (async () => {
        for await (const batch of snapshot.read(big, { signal: abort.signal })) {
          seen += batch.rowCount
          abort.abort(reason)
        }
      })()
      await expect(reading).rejects.toBe(reason)
      expect(seen).toBeLessThan(40000)
      expect(await failureOf(readRows(source, snapshot, streamNamed(streams, 'public.bad')))).toMatchObject({
        code: 'VALUE_UNREPRESENTABLE',
      })
      expect(
        await failureOf(
          readRows(source, snapshot, streamNamed(streams, 'public.a'), { where: '1 / (id - 5) > 0' }),
        ),
      ).toMatchObject({
        code: 'QUERY_FAILED',
        message: expect.stringContaining('public.a') as string,
      })
      expect((await readRows(source, snapshot, streamNamed(streams, 'public.a'))).length).toBe(1000)
      expect(snapshot.signal.aborted).toBe(false)
    })
  })

  test('finds its reader through the export of the package when the code is not built', async () => {
    const settings = await resolveConnection({ url: database.url, env: {}, homeDir: '/', userName: 'nobody' })
    await using plain = createPostgresSource(settings)
    await using snapshot = await openSnapshot(plain, await discover(plain, ['public.a']), { readers: 1 })
    expect((await readRows(plain, snapshot, streamNamed(snapshot.streams, 'public.a'))).length).toBe(1000)
  })

  test('opens no connection before it is needed, and no more than it may', async () => {
    const streams = await discover(source, ['public.a', 'public.big'])
    const big = streamNamed(streams, 'public.big')
    const sessions = async (): Promise<number> => {
      const [row] = await database.sql(
        `SELECT count(*) AS n FROM pg_stat_activity WHERE application_name LIKE 'counted%' AND pid <> pg_backend_pid()`,
      )
      return Number(row?.['n'])
    }
    for (const maxConnections of [1, 2, 3, 4]) {
      await using other = await openSource(`${database.url}?application_name=counted`)
      await using snapshot = await openSnapshot(other, streams, {
        limits: withLimits({ maxConnections }),
        readers: 8,
      })
      const { maxReaders } = snapshot
      expect(maxReaders).toBe(Math.max(1, maxConnections - 2))
      for (const stream of streams) await snapshot.count(stream, { where: null, window: null })
      expect(await sessions()).toBe(1)
      const split = await planRead(other, snapshot, big, { limits: withLimits({ batchRows: 100 }) })
      const reads = Array.from({ length: maxReaders }, () => snapshot.read(split)[Symbol.asyncIterator]())
      for (const read of reads) await read.next()
      // The watch may have begun by now.
      const expected = maxConnections < 3 ? 1 : 1 + maxReaders
      expect(await sessions()).toBeGreaterThanOrEqual(expected)
      expect(await sessions()).toBeLessThanOrEqual(Math.min(maxConnections, expected + 1))
      for (const read of reads) await read.return?.()
    }
  })

  test('a table that may not be read fails alone, with the grant that it lacks', async () => {
    const role = await database.createRole()
    await database.sql(`GRANT SELECT ON a TO "${role.name}"; CREATE TABLE IF NOT EXISTS refused (id int)`)
    await using reader = await openSource(role.url)
    await using snapshot = await openSnapshot(reader, await discover(reader, ['public.a', 'public.refused']))
    expect(snapshot.streams.map((stream) => stream.name)).toEqual(['public.a'])
    expect(snapshot.failed).toMatchObject([
      {
        stream: 'public.refused',
        error: {
          code: 'PERMISSION_DENIED',
          hint: expect.stringContaining('GRANT SELECT ON "public"."refused"') as string,
        },
      },
    ])
  })

  test('with grants on columns those are read, and another one is an error that names it', async () => {
    const role = await database.createRole()
    await database.sql(`
      CREATE TABLE IF NOT EXISTS partly (id int PRIMARY KEY, open text, secret text);
      TRUNCATE partly; INSERT INTO partly VALUES (1, 'o', 's');
      GRANT SELECT (id, open) ON partly TO "${role.name}"`)
    await using reader = await openSource(role.url)
    await using snapshot = await openSnapshot(reader, await discover(reader, ['public.partly']))
    const stream = streamNamed(snapshot.streams, 'public.partly')
    const columns = reader
      .mapColumns(stream, {
        types: {},
        specialNumeric: 'error',
        specialTemporal: 'error',
        invalidUtf8: 'error',
      })
      .filter((column) => column.source !== 'secret')
    expect(await readRows(reader, snapshot, stream, { columns })).toEqual([{ id: 1, open: 'o' }])
    expect(await failureOf(readRows(reader, snapshot, stream))).toMatchObject({
      code: 'PERMISSION_DENIED',
      message: expect.stringContaining('secret') as string,
      hint: expect.stringContaining('exclude_columns') as string,
    })
    // Locked all the same, by the first read.
    const other = await database.connect()
    await other.query("SET lock_timeout = '100ms'")
    await expect(other.query('TRUNCATE partly')).rejects.toMatchObject({ code: '55P03' })
    await other.end()
  })

  test('a partitioned table is read through its parent, whose grant is enough', async () => {
    const role = await database.createRole()
    await database.sql(`
      DROP TABLE IF EXISTS parts;
      CREATE TABLE parts (id int) PARTITION BY LIST (id);
      CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
      CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
      INSERT INTO parts SELECT generate_series(1, 5);
      GRANT SELECT ON parts TO "${role.name}"`)
    await using reader = await openSource(role.url)
    await using snapshot = await openSnapshot(reader, await discover(reader, ['public.parts']))
    expect(snapshot.failed).toEqual([])
    const stream = streamNamed(snapshot.streams, 'public.parts')
    expect((await readRows(reader, snapshot, stream)).length).toBe(5)
    const other = await database.connect()
    await other.query("SET lock_timeout = '100ms'")
    await expect(other.query('TRUNCATE parts_1')).rejects.toMatchObject({ code: '55P03' })
    await other.end()
  })

  test('row security stops a stream, unless it is accepted: then the visible rows are read and counted', async () => {
    const role = await database.createRole()
    await database.sql(`
      DROP TABLE IF EXISTS filtered;
      CREATE TABLE filtered (id int); INSERT INTO filtered SELECT generate_series(1, 4);
      ALTER TABLE filtered ENABLE ROW LEVEL SECURITY;
      CREATE POLICY visible ON filtered USING (id > 1);
      GRANT SELECT ON filtered, a TO "${role.name}"`)
    await using reader = await openSource(role.url)
    const streams = await discover(reader, ['public.filtered', 'public.a'])
    const stopped = await openSnapshot(reader, streams)
    expect(stopped.failed).toMatchObject([{ stream: 'public.filtered', error: { code: 'ROW_SECURITY' } }])
    await stopped.close()
    for (const readers of [0, 1]) {
      await using accepted = await openSnapshot(reader, streams, {
        readers,
        rowSecurityOn: new Set(['public.filtered']),
      })
      const stream = streamNamed(accepted.streams, 'public.filtered')
      expect(await accepted.count(stream, { where: null, window: null })).toMatchObject({ total: 3 })
      expect((await readRows(reader, accepted, stream)).length).toBe(3)
      expect((await readRows(reader, accepted, streamNamed(accepted.streams, 'public.a'))).length).toBe(1000)
    }
  })

  test('a view over a table whose rows are hidden is an error and not a smaller copy', async () => {
    const role = await database.createRole()
    const owner = await database.createRole()
    await database.sql(`
      DROP VIEW IF EXISTS window_on; DROP TABLE IF EXISTS veiled;
      CREATE TABLE veiled (id int); INSERT INTO veiled VALUES (1);
      ALTER TABLE veiled ENABLE ROW LEVEL SECURITY;
      GRANT SELECT ON veiled TO "${owner.name}";
      CREATE VIEW window_on AS SELECT * FROM veiled;
      GRANT CREATE ON SCHEMA public TO "${owner.name}";
      ALTER VIEW window_on OWNER TO "${owner.name}";
      GRANT SELECT ON window_on TO "${role.name}"`)
    await using reader = await openSource(role.url)
    await using snapshot = await openSnapshot(reader, await discover(reader, ['public.window_on']))
    const stream = streamNamed(snapshot.streams, 'public.window_on')
    expect(await failureOf(readRows(reader, snapshot, stream))).toMatchObject({ code: 'PERMISSION_DENIED' })
    await database.sql('DROP VIEW window_on')
  })

  test('a table without columns is refused by name', async () => {
    await database.sql('CREATE TABLE IF NOT EXISTS nothing ()')
    await using snapshot = await openSnapshot(source, await discover(source, ['public.nothing']))
    expect(snapshot.failed).toMatchObject([
      { stream: 'public.nothing', error: { code: 'STREAM_UNSUPPORTED' } },
    ])
  })

  test('the position names the server, its timeline and a log position past everything seen', async () => {
    await using snapshot = await openSnapshot(source, await discover(source, ['public.a']))
    expect(snapshot.position).toMatchObject({ database: database.name, timeline: 1, standby: false })
    expect(snapshot.position.systemIdentifier).toMatch(/^\d+$/)
    expect(snapshot.position.lsn).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
    expect(BigInt(snapshot.position.xmax)).toBeGreaterThanOrEqual(snapshot.horizon)
  })

  test('an open transaction holds the horizon back, and its age is told', async () => {
    const writer = await database.connect()
    await writer.query('BEGIN')
    const { rows } = await writer.query<{ xid: string }>('SELECT txid_current()::text AS xid')
    await database.sql('CREATE TABLE IF NOT EXISTS bump (id int)')
    await database.sql('INSERT INTO bump VALUES (1)')
    await using snapshot = await openSnapshot(source, await discover(source, ['public.a']))
    expect(snapshot.horizon).toBeLessThanOrEqual(BigInt(rows[0]?.xid ?? '0'))
    // Another one of the server may hold it further back and end before it is asked about.
    if (snapshot.horizon === BigInt(rows[0]?.xid ?? '0')) {
      expect(snapshot.horizonAgeSeconds).toBeGreaterThanOrEqual(0)
    }
    await writer.query('ROLLBACK')
    await writer.end()
  })

  test('commits that are not flushed yet are waited for', async () => {
    const writer = await database.connect()
    await writer.query('SET synchronous_commit = off')
    await writer.query(`INSERT INTO bump SELECT generate_series(1, 100)`)
    await using snapshot = await openSnapshot(source, await discover(source, ['public.bump']))
    expect((await snapshot.awaitDurable()).durable).toBe(true)
    const [row] = await database.sql(
      `SELECT pg_current_wal_flush_lsn() + 40 >= $1::pg_lsn AS flushed`.replace('+ 40', ''),
      [snapshot.position.lsn],
    )
    expect(row?.['flushed']).toBe('t')
    await writer.end()
  })

  test('the cheap test of the window never drops what the exact one keeps, also around the end of the ids', async () => {
    const [row] = await database.sql('SELECT txid_current()::text AS xid')
    const next = BigInt(row?.['xid'] ?? '0')
    const full = 2n ** 32n
    // The server compares ids modulo 2³² alone, so pretending to be in another epoch is the same to it.
    const xids = [
      3n,
      4n,
      next - 400n,
      next - 300n,
      next - 1n,
      next,
      next + 1n,
      next + 100n,
      full - 1n,
      full - 400n,
      full - 5000n,
      full / 2n,
      full / 2n + next,
      2n,
      1n,
      0n,
    ].filter((xid) => xid >= 0n && xid < full)
    const values = xids.map((xid) => `('${xid}'::xid, 0::oid)`).join(', ')
    const idsIn = async (condition: string): Promise<unknown> =>
      (
        await database.sql(
          `SELECT xmin::text AS id FROM (VALUES ${values}) AS t (xmin, tableoid) WHERE ${condition} ORDER BY 1`,
        )
      ).map((found) => found['id'])
    for (const epoch of [1n, 2n, 7n]) {
      const xmax = (epoch * full + next) as Xid8
      for (const back of [
        0n,
        1n,
        300n,
        next,
        next + 400n,
        next + 5000n,
        2n ** 29n,
        2n ** 30n - 1n,
        2n ** 30n,
        2n ** 31n - 1n,
      ]) {
        const window = { horizon: (xmax - back) as Xid8, xmax, wholeLeaves: [] }
        const exact = xids.filter(
          (xid) => xid >= 3n && (((xid - window.horizon) % full) + full) % full < back,
        )
        expect([back, await idsIn(windowSql(window))]).toEqual([back, exact.map(String).sort()])
      }
    }
  })
})
