import { DuckDBInstance } from '@duckdb/node-api'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { SyncSpec } from '../../src/model/sync-spec.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { onOldestServer, type TestDatabase } from '../server/servers.js'
import { streamOf, Warehouse } from '../sync/real.js'
import { describeTable, installDouble } from './double-schema.js'
import { startGreenplumDouble, type GreenplumDouble } from './greenplum-double.js'

const limits = { ...DEFAULT_LIMITS, firstRetryDelayMs: 10, maxAttempts: 2 }

onOldestServer('A Greenplum cluster that is copied, played', (server) => {
  let database: TestDatabase
  let double: GreenplumDouble
  let warehouse: Warehouse

  beforeAll(async () => {
    database = await server.createDatabase()
    await installDouble(database)
    await database.sql(`
      CREATE TABLE large (id int PRIMARY KEY, pad text NOT NULL);
      ALTER TABLE large ALTER pad SET STORAGE PLAIN;
      INSERT INTO large SELECT g, repeat(chr(97 + g % 26), 900) FROM generate_series(1, 12000) g`)
    await describeTable(database, 'public.large', {})
    for (const [name, storage] of [
      ['by_row', 'a'],
      ['by_column', 'c'],
      ['heap', 'h'],
    ] as const) {
      await database.sql(`CREATE TABLE ${name} (id int, v text)`)
      await describeTable(database, `public.${name}`, { storage })
      await database.sql(`INSERT INTO ${name} SELECT g, 'v' || g FROM generate_series(1, 100) g`)
    }
    await database.sql(`
      CREATE TABLE parts (id int, v text);
      CREATE TABLE parts_1 () INHERITS (parts);
      CREATE TABLE parts_2 () INHERITS (parts)`)
    await describeTable(database, 'public.parts', { storage: 'a', partitioned: true })
    await describeTable(database, 'public.parts_1', { storage: 'a' })
    await describeTable(database, 'public.parts_2', { storage: 'c' })
    await database.sql(
      `INSERT INTO parts_1 VALUES (1, 'one'); CREATE VIEW odd AS SELECT * FROM heap WHERE id % 2 = 1`,
    )
  })
  beforeEach(async () => {
    double = await startGreenplumDouble({ target: server })
    warehouse = await Warehouse.create(double.url(database.name, 'postgres'))
  })
  afterEach(async () => {
    await double.close()
    await warehouse.remove()
  })

  const select = (...names: string[]): Partial<SyncSpec> => ({
    selection: { select: names, exclude: [] },
    limits,
  })
  const outcomes = async (spec: Partial<SyncSpec>): Promise<Record<string, string>> => {
    const report = await warehouse.sync(spec)
    return Object.fromEntries(report.streams.map(({ stream, outcome }) => [stream, outcome]))
  }
  const reads = (from = 0): string[] =>
    double.statements
      .slice(from)
      .map(({ sql }) => sql)
      .filter((sql) => sql.startsWith('COPY'))
  const count = async (table: string): Promise<string | null> =>
    (await warehouse.query(`SELECT count(*) AS n FROM ${table}`))[0]?.['n'] ?? null

  it('lands every table in full, side by side, by four connections at most, and says why', async () => {
    const report = await warehouse.sync({ ...select(), jobs: 2 })
    expect(report.streams.map(({ stream }) => stream)).toEqual([
      'public.by_column',
      'public.by_row',
      'public.heap',
      'public.large',
      'public.parts',
    ])
    const large = streamOf(report, 'public.large')
    expect(large.mode).toBe('full_refresh')
    expect(large.rowsLanded).toBe(12_000)
    expect(reads().filter((sql) => /gp_segment_id = [01]/.test(sql)).length).toBe(2)
    expect(new Set(double.statements.map(({ session }) => session)).size).toBeLessThanOrEqual(4)
    expect(await warehouse.query('SELECT count(*) AS n, sum(id) AS s FROM public.large')).toEqual([
      { n: '12000', s: '72006000' },
    ])
  })

  it('does not read append-optimised tables again that nobody changed, and reads those that somebody did', async () => {
    const all = select('public.by_row', 'public.by_column', 'public.parts', 'public.heap', 'public.odd')
    await warehouse.sync(all)
    const before = double.statements.length
    expect(await outcomes(all)).toEqual({
      'public.by_column': 'unchanged',
      'public.by_row': 'unchanged',
      'public.heap': 'done',
      'public.odd': 'done',
      'public.parts': 'unchanged',
    })
    expect(reads(before).join('\n')).not.toMatch(/by_row|by_column|parts/)

    await database.sql(`UPDATE by_row SET v = 'changed' WHERE id = 1; INSERT INTO parts_2 VALUES (2, 'two')`)
    expect(await outcomes(all)).toMatchObject({
      'public.by_column': 'unchanged',
      'public.by_row': 'done',
      'public.parts': 'done',
    })
    expect(await warehouse.query('SELECT v FROM public.by_row WHERE id = 1')).toEqual([{ v: 'changed' }])
    expect(await count('public.parts')).toBe('2')
  })

  it('reads a table again that was emptied and filled with as many rows, though its counters are the same', async () => {
    const spec = select('public.by_column')
    await database.sql(
      `TRUNCATE by_column; INSERT INTO by_column SELECT g, 'v' || g FROM generate_series(1, 100) g`,
    )
    await warehouse.sync(spec)
    await database.sql(
      `TRUNCATE by_column; INSERT INTO by_column SELECT g, 'w' || g FROM generate_series(1, 100) g`,
    )
    expect(await outcomes(spec)).toEqual({ 'public.by_column': 'done' })
    expect(await count(`public.by_column WHERE v LIKE 'w%'`)).toBe('100')
  })

  it('reads a change again in the next run that came between the mark and the snapshot, and never loses one that came after', async () => {
    const spec = select('public.by_row')
    let once = true
    double.onStatement = async ({ sql }) => {
      if (!once || !sql.includes('LOCK TABLE')) return
      once = false
      await database.sql(`INSERT INTO by_row VALUES (1001, 'before the snapshot')`)
    }
    await warehouse.sync(spec)
    expect(await count('public.by_row WHERE id = 1001')).toBe('1')
    expect(await outcomes(spec)).toEqual({ 'public.by_row': 'done' })
    once = true
    double.onStatement = async ({ sql }) => {
      if (!once || !sql.startsWith('COPY')) return
      once = false
      await database.sql(`INSERT INTO by_row VALUES (1002, 'after the snapshot')`)
    }
    await database.sql(`INSERT INTO by_row VALUES (1003, 'a change')`)
    expect(await outcomes(spec)).toEqual({ 'public.by_row': 'done' })
    expect(await count('public.by_row WHERE id = 1002')).toBe('0')
    expect(await outcomes(spec)).toEqual({ 'public.by_row': 'done' })
    expect(await count('public.by_row WHERE id = 1002')).toBe('1')
    expect(await outcomes(spec)).toEqual({ 'public.by_row': 'unchanged' })
  })

  it('reads an unchanged table again when the copy is to be verified, is another one, or has lost rows', async () => {
    const spec = select('public.by_row')
    await warehouse.sync(spec)
    expect(await outcomes(spec)).toEqual({ 'public.by_row': 'unchanged' })
    expect(await outcomes({ ...spec, verify: true })).toEqual({ 'public.by_row': 'done' })
    await change(warehouse.file, 'DELETE FROM public.by_row WHERE id = 1')
    expect(await outcomes(spec)).toEqual({ 'public.by_row': 'done' })
    expect(await count('public.by_row WHERE id = 1')).toBe('1')
    const narrow = { ...spec, streams: { 'public.by_row': { excludeColumns: ['v'] } } }
    expect(await outcomes(narrow)).toEqual({ 'public.by_row': 'done' })
    const some = { ...spec, streams: { 'public.by_row': { where: 'id < 50' } } }
    expect(await outcomes(some)).toEqual({ 'public.by_row': 'done' })
    expect(await outcomes(some)).toEqual({ 'public.by_row': 'done' })
  })

  it.each([
    ['ended its transaction unseen', (leader: number) => double.inject(leader, 'COMMIT')],
    [
      'lost its session',
      () =>
        database.sql(
          `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'public.large'::regclass AND mode = 'AccessShareLock'
              AND pid IN (SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND query NOT LIKE 'SHOW%')`,
        ),
    ],
  ])('lands nothing that was read in a snapshot whose leader %s, and tries again', async (_, end) => {
    let ended = false
    double.onStatement = async ({ sql, session }) => {
      if (ended || !/^COPY .*gp_segment_id = 1/.test(sql)) return
      ended = true
      const leader = double.statements.findLast((other) => other.sql.includes('pg_export_snapshot'))?.session
      if (leader === undefined || leader === session) throw new Error('a reader is not the leader')
      await end(leader)
    }
    const once = { ...select('public.large'), jobs: 2, limits: { ...limits, maxAttempts: 1 } }
    const large = streamOf(await warehouse.run(once), 'public.large')
    expect(ended).toBe(true)
    expect([large.outcome, large.error?.code]).toEqual(['failed', 'SNAPSHOT_LOST'])
    await expect(warehouse.query('SELECT * FROM public.large')).rejects.toThrow()
    const again = await warehouse.sync({ ...select('public.large'), jobs: 2 })
    expect(streamOf(again, 'public.large').rowsLanded).toBe(12_000)
  })

  it('takes no mode by transaction id, and says what there is instead', async () => {
    const report = await warehouse.run({ ...select('public.large'), defaults: { mode: 'mirror' } })
    const { error } = streamOf(report, 'public.large')
    expect(error?.code).toBe('STREAM_UNSUPPORTED')
    expect(error?.message).toContain('each segment of Greenplum counts transactions of its own')
    expect(error?.hint).toMatch(/full_refresh.*cursor_field.*lookback/)
  })

  it('deletes by key what is gone, where rows land by key', async () => {
    await database.sql(
      'CREATE TABLE keyed (id int PRIMARY KEY); INSERT INTO keyed SELECT generate_series(1, 100)',
    )
    await describeTable(database, 'public.keyed', {})
    const spec = { ...select('public.keyed'), defaults: { landing: 'upsert', deletes: 'hard' } } as const
    await warehouse.sync(spec)
    await database.sql('DELETE FROM keyed WHERE id <= 10')
    expect(streamOf(await warehouse.sync(spec), 'public.keyed').rowsDeleted).toBe(10)
    expect(await count('public.keyed')).toBe('90')
  })

  it('reads on by a cursor less its lookback, asks for no transaction id, and deletes by key', async () => {
    await database.sql(`
      CREATE TABLE changes (id int PRIMARY KEY, at timestamptz NOT NULL, v text);
      INSERT INTO changes SELECT g, timestamptz '2024-01-01 00:00:00Z' + g * interval '1 hour', 'v' FROM generate_series(1, 100) g`)
    await describeTable(database, 'public.changes', {})
    const options = {
      mode: 'incremental',
      cursorField: 'at',
      lookback: { kind: 'duration', ms: 3 * 3600_000 },
    } as const
    const spec = { ...select('public.changes'), defaults: { ...options, deletes: 'hard' } } as const
    await warehouse.sync(spec)
    expect(await count('public.changes')).toBe('100')
    await database.sql(`
      INSERT INTO changes VALUES (101, '2024-01-05 03:30:00Z', 'new'), (102, '2024-01-05 02:30:00Z', 'committed late');
      UPDATE changes SET v = 'not noted' WHERE id = 1;
      DELETE FROM changes WHERE id = 2`)
    const before = double.statements.length
    const report = streamOf(await warehouse.sync(spec), 'public.changes')
    expect(report.promise).toContain('more than 10800 s above its own; deletes are found by count and key')
    expect(report.rowsRead).toBeLessThan(20)
    expect(report.rowsDeleted).toBe(1)
    expect(
      await warehouse.query(`SELECT id, v FROM public.changes WHERE id IN (1, 2, 101, 102) ORDER BY id`),
    ).toEqual([
      { id: '1', v: 'v' },
      { id: '101', v: 'new' },
      { id: '102', v: 'committed late' },
    ])
    const sent = double.statements
      .slice(before)
      .map(({ sql }) => sql)
      .join('\n')
    expect(sent).not.toMatch(/\bxmin\b(?!::text AS horizon)|\bctid\b|pg_prepared_xacts|backend_type/)
  })

  it('does not read an append-optimised table by its cursor again that nobody changed', async () => {
    const spec = {
      ...select('public.by_row'),
      defaults: { mode: 'incremental', cursorField: 'id', primaryKey: ['id'] },
    } as const
    await database.sql('ALTER TABLE by_row ALTER id SET NOT NULL')
    await warehouse.sync(spec)
    expect(await outcomes(spec)).toEqual({ 'public.by_row': 'unchanged' })
    await database.sql(`INSERT INTO by_row VALUES (5000, 'later')`)
    expect(await outcomes(spec)).toEqual({ 'public.by_row': 'done' })
    expect(await count('public.by_row WHERE id = 5000')).toBe('1')
    expect(await outcomes(spec)).toEqual({ 'public.by_row': 'unchanged' })
  })
})

/** As somebody who meddles with the copy. */
async function change(file: string, sql: string): Promise<void> {
  const instance = await DuckDBInstance.create(file)
  const connection = await instance.connect()
  try {
    await connection.run(sql)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
