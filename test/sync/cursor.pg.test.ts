/** Reading on by a cursor field: views and queries by lookback, tables by transaction id or from before what is under way. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunReport, StreamReport } from '../../src/model/report.js'
import type { Lookback, StreamOptions, SyncSpec } from '../../src/model/sync-spec.js'
import { onOldestAndNewestServer, onNewestServer, startServer, type TestDatabase } from '../server/servers.js'
import { streamOf, Warehouse } from './real.js'

const HOUR: Lookback = { kind: 'duration', ms: 3_600_000 }

/** A sync of one stream, its own. */
function specOf(stream: string, options: StreamOptions, name = stream): Partial<SyncSpec> {
  const isQuery = options.sql !== undefined
  return {
    name,
    selection: isQuery ? { select: [], exclude: ['*'] } : { select: [stream], exclude: [] },
    streams: { [stream]: { mode: 'incremental', ...options } },
    allowPrivilegedRole: true,
  }
}

onOldestAndNewestServer('a cursor over what has no transaction ids', (server) => {
  let db: TestDatabase
  let warehouse: Warehouse
  beforeAll(async () => {
    db = await server.createDatabase()
    await db.sql(`
      CREATE TABLE base (id int PRIMARY KEY, at timestamptz, day date, n numeric, f float8, word text, tag uuid, v text);
      INSERT INTO base SELECT g, timestamptz '2024-01-01Z' + g * interval '1 minute', date '2024-01-01' + g, g / 4.0, g / 8.0,
        lpad(g::text, 6, '0'), ('00000000-0000-0000-0000-' || lpad(g::text, 12, '0'))::uuid, 'v' || g FROM generate_series(1, 1000) g;
      CREATE VIEW seen AS SELECT * FROM base;
      CREATE TABLE strange (id int PRIMARY KEY, at timestamptz, n numeric, v text);
      CREATE VIEW odd AS SELECT * FROM strange`)
    warehouse = await Warehouse.create(db.url)
  })
  afterAll(() => warehouse.remove())

  async function run(stream: string, options: StreamOptions, name = stream): Promise<StreamReport> {
    return streamOf(await warehouse.sync(specOf(stream, options, name)), stream)
  }

  test('every kind of cursor reads on from where it was, the highest value once more', async () => {
    const kinds = ['at', 'day', 'n', 'f', 'word', 'tag', 'id']
    const query = (cursorField: string): StreamOptions => ({
      sql: 'SELECT * FROM public.base',
      mode: 'incremental',
      cursorField,
      primaryKey: ['id'],
    })
    const spec: Partial<SyncSpec> = {
      name: 'kinds',
      selection: { select: [], exclude: ['*'] },
      streams: Object.fromEntries(kinds.map((kind) => [`by_${kind}`, query(kind)])),
      allowPrivilegedRole: true,
    }
    const first = await warehouse.sync(spec)
    const again = await warehouse.sync(spec)
    for (const kind of kinds) {
      const { rowsRead, runSeq } = streamOf(first, `by_${kind}`)
      expect([kind, rowsRead, runSeq]).toEqual([kind, 1000, 1])
      const next = streamOf(again, `by_${kind}`)
      expect([kind, next.rowsRead, next.fullLoadReason]).toEqual([kind, 1, null])
    }
  })

  test('rows that appear at the highest value are not passed over, and deletes are not seen', async () => {
    const options: StreamOptions = { cursorField: 'day', primaryKey: ['id'] }
    const spec = { ...specOf('public.seen', options, 'ties'), targetSchema: 'ties' }
    await warehouse.sync(spec)
    await db.sql(`INSERT INTO base (id, day, v) SELECT g, date '2024-01-01' + 1000, 'tie' FROM generate_series(2001, 2005) g;
      DELETE FROM base WHERE id = 1`)
    expect(streamOf(await warehouse.sync(spec), 'public.seen').rowsRead).toBe(6)
    await db.sql(`INSERT INTO base (id, day, v) VALUES (2006, date '2024-01-01' + 1000, 'tie')`)
    expect(streamOf(await warehouse.sync(spec), 'public.seen').rowsRead).toBe(7)
    expect(await warehouse.query('SELECT count(*) AS n, min(id) AS low FROM ties.seen')).toEqual([
      { n: '1006', low: '1' },
    ])
    await db.sql(
      `DELETE FROM base WHERE id > 1000; INSERT INTO base (id, at, day) VALUES (1, '2024-01-01Z', '2024-01-02')`,
    )
  })

  test('NULL and infinite cursors come each run and move nothing', async () => {
    await db.sql(`INSERT INTO strange VALUES (1, '2024-01-01Z', 1, 'a'), (2, NULL, NULL, 'b'), (3, 'infinity', 'NaN', 'c'),
      (4, '-infinity', -5, 'd'), (5, '2024-01-02Z', 2, 'e')`)
    const first = await run('public.odd', { cursorField: 'at', primaryKey: ['id'] })
    expect(first.rowsRead).toBe(5)
    expect(first.warnings).toContain('1 rows have no "at", so they are read again in each run.')
    await db.sql(`UPDATE strange SET v = 'bb' WHERE id = 2; UPDATE strange SET v = 'cc' WHERE id = 3;
      UPDATE strange SET v = 'dd' WHERE id = 4; INSERT INTO strange VALUES (6, '2024-01-03Z', 3, 'f')`)
    const again = await run('public.odd', { cursorField: 'at', primaryKey: ['id'] })
    expect(again.rowsRead).toBe(5)
    expect(
      await warehouse.query('SELECT string_agg(v, $$,$$ ORDER BY id) AS all_of_it FROM public.odd'),
    ).toEqual([{ all_of_it: 'a,bb,cc,dd,e,f' }])
    const byNumber = {
      ...specOf('public.odd', { cursorField: 'n', primaryKey: ['id'] }, 'numbers'),
      targetSchema: 'numbers',
    }
    const options = {
      ...byNumber,
      streams: { 'public.odd': { ...byNumber.streams?.['public.odd'], specialNumeric: 'text' as const } },
    }
    expect(streamOf(await warehouse.sync(options), 'public.odd').rowsRead).toBe(6)
    expect(streamOf(await warehouse.sync(options), 'public.odd').rowsRead).toBe(3)
  })

  test('a start leaves out what is not after it, for good, and says so', async () => {
    const options: StreamOptions = {
      cursorField: 'at',
      cursorStart: '2024-01-01T00:00:00+00:00',
      primaryKey: ['id'],
    }
    const spec = { ...specOf('public.odd', options, 'start'), targetSchema: 'start' }
    const first = streamOf(await warehouse.sync(spec), 'public.odd')
    expect(first.promise).toContain(
      'Narrowed: only rows whose "at" is greater than 2024-01-01T00:00:00+00:00: none at or below it, and none without a value',
    )
    expect(
      await warehouse.query('SELECT string_agg(id::text, $$,$$ ORDER BY id) AS ids FROM start.odd'),
    ).toEqual([{ ids: '3,5,6' }])
    const again = streamOf(await warehouse.sync(spec), 'public.odd')
    expect([again.fullLoadReason, again.rowsRead]).toEqual([null, 2])
  })

  test('an append lands each version once: ties, NULLs, equal rows, and what lies within the lookback', async () => {
    await db.sql(`CREATE TABLE events (id int, at timestamptz, v text); CREATE VIEW tail AS SELECT * FROM events;
      INSERT INTO events VALUES (1, '2024-01-01 10:00Z', 'a'), (1, '2024-01-01 10:00Z', 'a'), (2, NULL, 'b'),
        (3, '2024-01-01 11:30Z', 'c'), (4, '2024-01-01 12:00Z', 'd')`)
    const options: StreamOptions = { cursorField: 'at', landing: 'append', lookback: HOUR }
    expect(await run('public.tail', options)).toMatchObject({ rowsRead: 5, rowsLanded: 5 })
    expect(await run('public.tail', options)).toMatchObject({ rowsRead: 3, rowsLanded: 0 })
    await db.sql(`INSERT INTO events VALUES (4, '2024-01-01 12:00Z', 'd'), (5, '2024-01-01 11:15Z', 'late'),
        (6, '2024-01-01 10:30Z', 'too late'), (7, NULL, 'g'), (2, NULL, 'b');
      UPDATE events SET v = 'cc' WHERE id = 3; INSERT INTO events VALUES (8, '2024-01-01 13:00Z', 'h')`)
    expect(await run('public.tail', options)).toMatchObject({ rowsRead: 8, rowsLanded: 6 })
    expect(await run('public.tail', options)).toMatchObject({ rowsLanded: 0 })
    expect(
      await warehouse.query('SELECT string_agg(v, $$,$$ ORDER BY id, v) AS all_of_it FROM public.tail'),
    ).toEqual([{ all_of_it: 'a,a,b,b,c,cc,d,d,late,g,h' }])
  })

  test('a qualified cursor of a query is the column that comes of it', async () => {
    await db.sql(`CREATE TABLE orders (id int PRIMARY KEY, customer int, updated_at timestamptz, total int);
      CREATE TABLE customers (id int PRIMARY KEY, name text, updated_at timestamptz);
      INSERT INTO customers SELECT g, 'c' || g, '2030-01-01Z' FROM generate_series(1, 3) g;
      INSERT INTO orders SELECT g, 1 + g % 3, timestamptz '2024-01-01Z' + g * interval '1 hour', g FROM generate_series(1, 30) g`)
    const sql = `SELECT o.id, c.name, o.updated_at AS changed, o.total, c.updated_at
      FROM public.orders o JOIN public.customers c ON c.id = o.customer`
    const options: StreamOptions = { sql, cursorField: 'o.updated_at', primaryKey: ['id'] }
    expect((await run('enriched', options)).rowsRead).toBe(30)
    await db.sql(`UPDATE orders SET total = 1000, updated_at = '2024-06-01Z' WHERE id = 7`)
    expect((await run('enriched', options)).rowsRead).toBe(2)
    expect(
      await warehouse.query('SELECT total, changed::varchar AS at FROM copy.enriched WHERE id = 7'),
    ).toMatchObject([{ total: '1000' }])
    const missing = await warehouse.run(specOf('enriched', { ...options, cursorField: 'o.created_at' }))
    expect(streamOf(missing, 'enriched').error).toMatchObject({
      code: 'STREAM_MISSING',
      context: { field: 'o.created_at', columns: ['id', 'name', 'changed', 'total', 'updated_at'] },
    })
  })
})

onNewestServer('a cursor over a table', (server) => {
  let db: TestDatabase
  let warehouse: Warehouse
  beforeAll(async () => {
    db = await server.createDatabase()
    await db.sql(`
      CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), v text);
      CREATE INDEX ON t (at);
      INSERT INTO t SELECT g, timestamptz '2024-01-01Z' + g * interval '1 minute', 'v' || g FROM generate_series(1, 1000) g`)
    warehouse = await Warehouse.create(db.url)
  })
  afterAll(() => warehouse.remove())

  async function equal(schema: string): Promise<void> {
    const source = await db.sql('SELECT id::text AS id, v FROM t ORDER BY t.id')
    expect(await warehouse.query(`SELECT id::varchar AS id, v FROM ${schema}.t ORDER BY t.id`)).toEqual(
      source,
    )
  }
  /** Reading cleans pages, and on a server where nobody commits what that writes to the log stays in memory for long. */
  let commits = 0
  const logFlushed = (): Promise<unknown> => db.sql(`CREATE TABLE commit_${++commits} ()`)
  const sync = (spec: Partial<SyncSpec>): Promise<RunReport> => warehouse.sync(spec)

  test('by transaction id, an update that leaves the cursor as it was arrives', async () => {
    const spec = { ...specOf('public.t', { cursorField: 'at' }, 'ids'), targetSchema: 'ids' }
    const first = streamOf(await sync(spec), 'public.t')
    expect(first).toMatchObject({ mode: 'incremental', landing: 'upsert', rowsLanded: 1000 })
    await db.sql(`UPDATE t SET v = 'changed' WHERE id = 5; INSERT INTO t VALUES (1001, '1999-01-01Z', 'old')`)
    await sync(spec)
    await equal('ids')
  })

  test('from before what is under way, only the end of the index is read; an audit finds what broke the rule', async () => {
    const options: StreamOptions = {
      cursorField: 'at',
      cursorBound: 'in_flight',
      auditEvery: { kind: 'runs', runs: 3 },
    }
    const spec = { ...specOf('public.t', options, 'flight'), targetSchema: 'flight' }
    expect(streamOf(await sync(spec), 'public.t').rowsLanded).toBe(1001)
    await db.sql(`INSERT INTO t (id, v) VALUES (2001, 'new'); UPDATE t SET v = 'untold' WHERE id = 6;
      INSERT INTO t VALUES (2002, '2001-01-01Z', 'back')`)
    const second = streamOf(await sync(spec), 'public.t')
    expect(second.rowsRead).toBeLessThanOrEqual(3)
    expect(
      await warehouse.query('SELECT count(*) AS n FROM flight.t WHERE id = 2002 OR v = $$untold$$'),
    ).toEqual([{ n: '0' }])
    await logFlushed()
    await sync(spec)
    await logFlushed()
    const audited = streamOf(await sync(spec), 'public.t')
    expect(audited.warnings.join()).toContain(
      'The audit found 2 rows of public.t that reading by "at" had missed',
    )
    await equal('flight')
    await logFlushed()
    const next = streamOf(await sync(spec), 'public.t')
    expect(next.warnings.join()).not.toContain('audit')
  })

  test('a transaction that was under way comes with the next run, prepared or not, seen or hidden', async () => {
    const reader = await db.createRole()
    await db.sql(`GRANT SELECT ON t TO "${reader.name}"`)
    const hidden = await Warehouse.create(reader.url)
    const options: StreamOptions = { cursorField: 'at', cursorBound: 'in_flight' }
    const spec = { ...specOf('public.t', options, 'late'), targetSchema: 'late' }
    const writer = await db.connect()
    try {
      await sync(spec)
      await hidden.sync(spec)
      await writer.query(`BEGIN; SELECT now()`)
      await writer.query(`INSERT INTO t (id, v) VALUES (3001, 'late')`)
      await db.sql(`INSERT INTO t (id, v) VALUES (3002, 'early')`)
      await sync(spec)
      const unknown = streamOf(await hidden.sync(spec), 'public.t')
      expect(unknown.warnings.join()).toContain(
        'the role may not see what other sessions do (it needs pg_read_all_stats)',
      )
      await writer.query('COMMIT')
      await sync(spec)
      await hidden.sync(spec)
      await equal('late')
      expect(await hidden.query('SELECT v FROM late.t WHERE id = 3001')).toEqual([{ v: 'late' }])
    } finally {
      await writer.end()
      await hidden.remove()
    }
  })

  test('a row below the cursor is not read by a lookback, and found where deletes are', async () => {
    await db.sql('CREATE VIEW u AS SELECT id, at, v FROM t')
    const options: StreamOptions = { cursorField: 'at', primaryKey: ['id'], deletes: 'hard' }
    const spec = { ...specOf('public.u', options), targetSchema: 'views' }
    await sync(spec)
    await db.sql(`DELETE FROM t WHERE id = 9`)
    expect(streamOf(await sync(spec), 'public.u')).toMatchObject({ rowsDeleted: 1, fullLoadReason: null })
    await db.sql(`INSERT INTO t VALUES (4001, '1995-01-01Z', 'below')`)
    const warnings: string[] = []
    const report = await warehouse.sync(spec, {
      onProgress: (event) => {
        if (event.kind === 'warning') warnings.push(event.message)
      },
    })
    expect(warnings.join()).toMatch(/Reading by "at" failed: public\.u: .* Reading everything instead\./)
    expect(streamOf(report, 'public.u').fullLoadReason).toMatch(/^Reading by its cursor failed/)
    const source = await db.sql('SELECT id::text AS id, v FROM t ORDER BY t.id')
    expect(await warehouse.query('SELECT id::varchar AS id, v FROM views.u ORDER BY u.id')).toEqual(source)
  })

  test('a prepared transaction has the next run look by transaction id', async () => {
    const own = await startServer({ major: 18, conf: { max_prepared_transactions: 5 } })
    const database = await own.createDatabase()
    const copy = await Warehouse.create(database.url)
    try {
      await database.sql(
        `CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT now()); INSERT INTO t VALUES (1)`,
      )
      const options: StreamOptions = { cursorField: 'at', cursorBound: 'in_flight' }
      const spec = specOf('public.t', options)
      await copy.sync(spec)
      const writer = await database.connect()
      await writer.query(`BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'p'`)
      await database.sql(`INSERT INTO t VALUES (3)`)
      const during = streamOf(await copy.sync(spec), 'public.t')
      expect(during.warnings.join()).toContain('a prepared transaction is open')
      await writer.query(`COMMIT PREPARED 'p'`)
      await writer.end()
      await copy.sync(spec)
      expect(await copy.query('SELECT string_agg(id, $$,$$ ORDER BY id) AS ids FROM public.t')).toEqual([
        { ids: '1,2,3' },
      ])
    } finally {
      await copy.remove()
      await own.close()
    }
  })
})
