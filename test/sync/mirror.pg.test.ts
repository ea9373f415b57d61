import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunReport } from '../../src/model/report.js'
import { onOldestAndNewestServer, type TestDatabase } from '../server/servers.js'
import { streamOf, Warehouse } from './real.js'

onOldestAndNewestServer('mirror', (server) => {
  let db: TestDatabase
  let warehouse: Warehouse
  beforeAll(async () => {
    db = await server.createDatabase()
    await db.sql(`
      CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2), note text);
      INSERT INTO orders SELECT g, g * 1.5, 'n' || g FROM generate_series(1, 2000) g;
      CREATE TABLE log (line text);
      INSERT INTO log SELECT 'line ' || g FROM generate_series(1, 10) g;
      CREATE VIEW totals AS SELECT sum(total) AS total FROM orders;
      CREATE TABLE items (id int, month date, qty int, PRIMARY KEY (id, month)) PARTITION BY RANGE (month);
      CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
      CREATE TABLE items_2 PARTITION OF items FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
      INSERT INTO items SELECT g, date '2026-01-01' + g % 50, g FROM generate_series(1, 500) g;
    `)
    warehouse = await Warehouse.create(db.url)
  })
  afterAll(() => warehouse.remove())

  async function expectEqual(table: string, columns: string): Promise<void> {
    const source = await db.sql(`SELECT ${columns} FROM ${table} ORDER BY 1, 2`)
    const landed = await warehouse.query(`SELECT ${columns} FROM ${table} ORDER BY ALL`)
    expect(landed).toEqual(source)
  }

  /** Transactions of other tests on this server hold the horizon back as long as they run. */
  async function syncUntilUnchanged(): Promise<RunReport> {
    let report: RunReport | null = null
    await expect
      .poll(
        async () => {
          report = await warehouse.sync()
          return streamOf(report, 'public.orders').outcome
        },
        { timeout: 60_000 },
      )
      .toBe('unchanged')
    if (report === null) throw new Error('nothing was run')
    return report
  }

  test('the first run copies every table, each in the mode that suits it', async () => {
    const report = await warehouse.sync()
    expect(report.outcome).toBe('done')
    expect(report.snapshots).toHaveLength(1)
    expect(streamOf(report, 'public.orders')).toMatchObject({ mode: 'mirror', rowsLanded: 2000 })
    expect(streamOf(report, 'public.items')).toMatchObject({ mode: 'mirror', rowsLanded: 500 })
    expect(streamOf(report, 'public.log')).toMatchObject({ mode: 'full_refresh', rowsLanded: 10 })
    await expectEqual('public.orders', 'id::text AS id, total::text AS total, note')
    await expectEqual('public.items', 'id::text AS id, month::text AS month, qty::text AS qty')
  })

  test('a view is read in full each run', async () => {
    const spec = { name: 'views', selection: { select: ['public.totals'], exclude: [] } }
    const report = await warehouse.sync(spec)
    expect(streamOf(report, 'public.totals')).toMatchObject({ mode: 'full_refresh', rowsLanded: 1 })
  })

  test('a run with nothing to do reads no row and goes on from here', async () => {
    const report = await syncUntilUnchanged()
    expect(streamOf(report, 'public.orders')).toMatchObject({ outcome: 'unchanged', rowsRead: 0 })
    expect(streamOf(report, 'public.orders').runSeq).toBeGreaterThan(1)
  })

  test('changes, deletes and a changed key arrive, and only they are read', async () => {
    await db.sql(`
      UPDATE orders SET note = 'changed' WHERE id <= 3;
      DELETE FROM orders WHERE id BETWEEN 10 AND 12;
      UPDATE orders SET id = 5000 WHERE id = 20;
      UPDATE items SET month = '2026-02-15' WHERE id = 1`)
    const report = await warehouse.sync()
    expect(streamOf(report, 'public.orders')).toMatchObject({ rowsRead: 4, rowsDeleted: 4, generation: 1 })
    await expectEqual('public.orders', 'id::text AS id, total::text AS total, note')
    await expectEqual('public.items', 'id::text AS id, month::text AS month, qty::text AS qty')
  })

  test('a transaction open during a run arrives with the next one', async () => {
    const late = await db.connect()
    await late.query('BEGIN')
    await late.query(`UPDATE orders SET note = 'late' WHERE id = 100`)
    await db.sql(`UPDATE orders SET note = 'early' WHERE id = 101`)
    await warehouse.sync()
    await late.query('COMMIT')
    await late.end()
    const report = await warehouse.sync({ verify: true })
    expect(streamOf(report, 'public.orders').verified).toMatchObject({ equal: true })
    await expectEqual('public.orders', 'id::text AS id, total::text AS total, note')
  })

  test('a new column with a default fills every row, in a new generation', async () => {
    await db.sql(`ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT 'open'`)
    const report = await warehouse.sync()
    expect(streamOf(report, 'public.orders')).toMatchObject({ generation: 2 })
    expect(streamOf(report, 'public.orders').fullLoadReason).toContain('"state" is new')
    await expectEqual('public.orders', 'id::text AS id, total::text AS total, note, state')
  })

  test('an attached partition comes with its old rows, a detached one goes', async () => {
    await db.sql(`
      CREATE TABLE items_3 (LIKE items INCLUDING ALL);
      INSERT INTO items_3 SELECT g, date '2026-03-05', 1 FROM generate_series(9001, 9020) g`)
    const items = async (): Promise<string> => streamOf(await warehouse.sync(), 'public.items').outcome
    await expect.poll(items, { timeout: 60_000 }).toBe('unchanged')
    await db.sql(
      `ALTER TABLE items ATTACH PARTITION items_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')`,
    )
    const report = await warehouse.sync({ defaults: {}, streams: {} })
    expect(streamOf(report, 'public.items')).toMatchObject({ rowsLanded: 20, generation: 1 })
    await expectEqual('public.items', 'id::text AS id, month::text AS month, qty::text AS qty')
    await db.sql('ALTER TABLE items DETACH PARTITION items_3')
    await warehouse.sync()
    await expectEqual('public.items', 'id::text AS id, month::text AS month, qty::text AS qty')
  })

  test('VACUUM FULL and FREEZE change nothing', async () => {
    await syncUntilUnchanged()
    await db.sql('VACUUM FULL orders')
    await db.sql('VACUUM FREEZE orders')
    const report = await warehouse.sync({ verify: true })
    expect(streamOf(report, 'public.orders')).toMatchObject({ outcome: 'unchanged', rowsRead: 0 })
    expect(streamOf(report, 'public.orders').verified).toMatchObject({ equal: true })
  })

  test('a table emptied needs a word before the copy is emptied', async () => {
    await db.sql('TRUNCATE orders')
    const report = await warehouse.run()
    expect(report.outcome).toBe('some_failed')
    expect(streamOf(report, 'public.orders').error?.code).toBe('MASS_DELETE')
    expect(await warehouse.query('SELECT count(*) AS n FROM public.orders')).not.toEqual([{ n: '0' }])
    await warehouse.sync({ allowMassDelete: true })
    expect(await warehouse.query('SELECT count(*) AS n FROM public.orders')).toEqual([{ n: '0' }])
  })

  test('a table without a key is refused in mirror, and says what to do', async () => {
    const report = await warehouse.run({ streams: { 'public.log': { mode: 'mirror' } } })
    const { error } = streamOf(report, 'public.log')
    expect(error?.code).toBe('KEY_MISSING')
    expect(error?.hint).toContain('--primary-key public.log=COLUMN')
    expect(error?.hint).toContain('full_refresh')
    expect(streamOf(report, 'public.orders').error).toBeNull()
  })

  test('a declared key that is not unique is found out', async () => {
    await db.sql(`CREATE TABLE dup (a int NOT NULL, b int); INSERT INTO dup VALUES (1, 1), (1, 2)`)
    const report = await warehouse.run({
      selection: { select: ['public.dup'], exclude: [] },
      streams: { 'public.dup': { mode: 'mirror', primaryKey: ['a'] } },
    })
    expect(streamOf(report, 'public.dup').error?.code).toBe('KEY_DUPLICATE')
  })

  test('soft deletes mark, a query lands, and append dates its copies', async () => {
    await db.sql(`
      CREATE TABLE soft (id int PRIMARY KEY, v int);
      INSERT INTO soft SELECT g, g FROM generate_series(1, 5) g`)
    const spec = {
      name: 'second',
      selection: { select: ['public.soft', 'public.log'], exclude: [] },
      targetSchema: 'second',
      allowPrivilegedRole: true,
      streams: {
        'public.soft': { deletes: 'soft' },
        'public.log': { mode: 'full_refresh', landing: 'append' },
        evens: { sql: 'SELECT id, v FROM public.soft WHERE v % 2 = 0', primaryKey: ['id'] },
      },
    } as const
    await warehouse.sync(spec)
    await db.sql('DELETE FROM soft WHERE id = 2; UPDATE soft SET v = 40 WHERE id = 4')
    await warehouse.sync(spec)
    expect(
      await warehouse.query(
        'SELECT id, v, _trunkline_deleted_at IS NULL AS live FROM second.soft ORDER BY id',
      ),
    ).toEqual([
      { id: '1', v: '1', live: 'true' },
      { id: '2', v: '2', live: 'false' },
      { id: '3', v: '3', live: 'true' },
      { id: '4', v: '40', live: 'true' },
      { id: '5', v: '5', live: 'true' },
    ])
    expect(await warehouse.query('SELECT id, v FROM second.evens')).toEqual([{ id: '4', v: '40' }])
    expect(
      await warehouse.query(
        'SELECT count(*) AS n, count(DISTINCT _trunkline_run_at) AS runs FROM second.log',
      ),
    ).toEqual([{ n: '20', runs: '2' }])
  })

  test('append without a key lands each row version once', async () => {
    await db.sql(`CREATE TABLE events (v int); INSERT INTO events SELECT generate_series(1, 100)`)
    const spec = {
      name: 'third',
      selection: { select: ['public.events'], exclude: [] },
      targetSchema: 'third',
      defaults: { mode: 'incremental' },
    } as const
    const held = await db.connect()
    await held.query('BEGIN')
    await held.query('INSERT INTO events VALUES (101)')
    await db.sql('INSERT INTO events VALUES (102)')
    await warehouse.sync(spec)
    await db.sql('INSERT INTO events VALUES (103)')
    await warehouse.sync(spec)
    await held.query('COMMIT')
    await held.end()
    await warehouse.sync(spec)
    await warehouse.sync(spec)
    expect(await warehouse.query('SELECT count(*) AS n, count(DISTINCT v) AS d FROM third.events')).toEqual([
      { n: '103', d: '103' },
    ])
  })
})
