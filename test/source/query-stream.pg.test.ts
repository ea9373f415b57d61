import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DiscoverOptions, Source } from '../../src/source/contract.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import { discoverOne, failureOf, openSnapshot, openSource, readRows } from './open-source.js'

onEachServer('SQL of others', (server) => {
  let database: TestDatabase
  let source: Source
  let url: string

  beforeAll(async () => {
    database = await server.createDatabase()
    const role = await database.createRole()
    url = role.url
    await database.sql(`
      CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO "${role.name}";
      CREATE TABLE app.orders (id int PRIMARY KEY, total numeric(10,2), at timestamptz, note text);
      INSERT INTO app.orders SELECT g, g / 4.0, timestamptz '2024-01-01Z' + g * interval '1 day', 'n' FROM generate_series(1, 20) g;
      CREATE TABLE app.victim (id int);
      CREATE MATERIALIZED VIEW app.sums AS SELECT sum(total) AS all_of_it FROM app.orders;
      CREATE FUNCTION app.fixed(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 3';
      CREATE FUNCTION app.moody(int) RETURNS boolean VOLATILE LANGUAGE sql AS 'SELECT true';
      GRANT SELECT ON ALL TABLES IN SCHEMA app TO "${role.name}";
      GRANT INSERT, DELETE, UPDATE ON app.victim TO "${role.name}"`)
    source = await openSource(url)
  })
  afterAll(async () => {
    await source.close()
  })

  async function describeQuery(
    sql: string,
    options: DiscoverOptions & { readonly primaryKey?: readonly string[] } = {},
  ): Promise<CatalogStream> {
    const { primaryKey = null, ...others } = options
    const { streams } = await source.discover(
      { select: ['app.orders'], exclude: [] },
      { ...others, queries: [{ name: 'recent', sql, primaryKey }] },
    )
    const stream = streams.find((candidate) => candidate.kind === 'query')
    if (stream === undefined) throw new Error('the query is not among the streams')
    return stream
  }

  test('a query is a stream with the types of its columns, read in the snapshot', async () => {
    const stream = await describeQuery(
      `WITH app AS (SELECT id, total, at FROM app.orders)
       SELECT id, total, total::numeric AS free, array_agg(id) OVER () AS ids, at FROM app ORDER BY id; -- the end`,
      { primaryKey: ['id'] },
    )
    expect(stream).toMatchObject({ name: 'recent', table: 'recent', oid: 0 })
    expect(stream.key).toEqual({ columns: ['id'], from: 'declared', index: null })
    expect(stream.columns.map(({ name, sqlType }) => [name, sqlType])).toEqual([
      ['id', 'integer'],
      ['total', 'numeric(10,2)'],
      ['free', 'numeric'],
      ['ids', 'integer[]'],
      ['at', 'timestamp with time zone'],
    ])
    for (const readers of [0, 1]) {
      await using snapshot = await openSnapshot(source, [stream], { readers })
      expect(snapshot.failed).toEqual([])
      const [locked] = snapshot.streams
      if (locked === undefined) throw new Error('no stream')
      expect(await snapshot.count(locked, { where: null, window: null })).toMatchObject({ total: 20 })
      const rows = await readRows(source, snapshot, locked)
      expect(rows.length).toBe(20)
      expect(rows[1]).toMatchObject({ id: 2, total: '0.50', at: '2024-01-03T00:00:00Z' })
      const other = await database.connect()
      await other.query("SET lock_timeout = '100ms'")
      await expect(other.query('TRUNCATE app.orders')).rejects.toMatchObject({ code: '55P03' })
      await other.end()
    }
  })

  test('unqualified names are found in the configured schemas alone', async () => {
    const sql = 'SELECT count(*) AS n FROM orders'
    expect(await failureOf(describeQuery(sql))).toMatchObject({
      code: 'CUSTOM_SQL_INVALID',
      hint: expect.stringContaining('schema.table') as string,
    })
    for (const readers of [0, 1]) {
      await using settled = await openSource(url, { searchPath: ['app'] })
      const { streams } = await settled.discover(
        { select: ['nothing.*'], exclude: [] },
        { queries: [{ name: 'counted', sql, primaryKey: null }] },
      )
      await using snapshot = await openSnapshot(settled, streams, { readers })
      const [stream] = snapshot.streams
      if (stream === undefined) throw new Error('no stream')
      expect(await readRows(settled, snapshot, stream)).toEqual([{ n: 20n }])
    }
  })

  test.each([
    ['SELECT 1 AS a; DROP TABLE app.victim', /2 statements/],
    ['DELETE FROM app.victim', /not a SELECT/],
    ['WITH gone AS (DELETE FROM app.victim RETURNING id) SELECT * FROM gone', /changes data/],
    ['SELECT * INTO app.made FROM app.orders', /INTO/],
    ['SELECT * FROM app.orders FOR UPDATE', /locks rows/],
    ['SELECT * FROM app.orders WHERE id = $1', /parameter/],
    ['SELECT 1) q) TO STDOUT; DROP TABLE app.victim; --', /not valid SQL/],
    ['SELECT 1 AS a /* open', /not valid SQL/],
    ['COPY app.orders TO STDOUT', /not a SELECT/],
    ['', /cannot be empty/],
    ['(SELECT 1 AS a INTO app.made) UNION SELECT 2', /INTO/],
    ['SELECT 1 AS a WHERE EXISTS (SELECT FROM app.orders FOR SHARE)', /locks rows/],
    ['SELECT id, total AS id FROM app.orders', /1 and 2 are both named "id"/],
    ['SELECT missing FROM app.orders', /42703/],
    ['SELECT * FROM app.nowhere', /42P01/],
  ])('the query %j is refused', async (sql, message) => {
    expect(await failureOf(describeQuery(sql))).toMatchObject({
      code: 'CUSTOM_SQL_INVALID',
      message: expect.stringMatching(message) as string,
    })
    expect(await database.sql(`SELECT to_regclass('app.victim') IS NOT NULL AS there`)).toEqual([
      { there: 't' },
    ])
  })

  test('a primary key of columns that the query has not is an error', async () => {
    expect(await failureOf(describeQuery('SELECT 1 AS a', { primaryKey: ['b'] }))).toMatchObject({
      code: 'CONFIG_INVALID',
      hint: 'Its columns are a.',
    })
  })

  test('a role that could do more than read gets no queries, unless that is allowed', async () => {
    await using privileged = await openSource(database.url)
    const queries = [{ name: 'q', sql: 'SELECT 1 AS a', primaryKey: null }]
    const all = { select: [], exclude: [] }
    expect(await failureOf(privileged.discover(all, { queries }))).toMatchObject({ code: 'PRIVILEGED_ROLE' })
    const catalog = await privileged.discover(all, { queries, allowPrivilegedRole: true })
    expect(catalog.streams.at(-1)).toMatchObject({ kind: 'query', name: 'q' })
    expect(await privileged.check()).toMatchObject({ privilegedRole: true })
    expect(await source.check()).toMatchObject({ privilegedRole: false, pooled: false, standby: false })
  })

  test.each([
    'true) OR (true',
    'true) AS x) TO STDOUT --',
    "1 = 1) TO PROGRAM 'id' --",
    'id > 3; DROP TABLE app.victim',
    'id, total',
    'id AS x',
    'true FROM app.victim',
    'true UNION SELECT true',
    'true LIMIT 1',
    '',
    'id > /* open',
  ])('the condition %j is refused before it reaches the server', async (where) => {
    const stream = await discoverOne(source, 'app.orders')
    await using snapshot = await openSnapshot(source, [stream])
    const count = failureOf(snapshot.count(stream, { where, window: null }))
    expect(await count).toMatchObject({ code: 'CONFIG_INVALID' })
    expect(await failureOf(readRows(source, snapshot, stream, { where }))).toMatchObject({
      code: 'CONFIG_INVALID',
    })
    expect(await failureOf(source.checkWhere(stream, where, { stable: false }))).toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })

  test.each([
    ['id > 3 -- with a comment', 17],
    ["note = 'it''s' OR total BETWEEN 1 AND 2", 5],
    ["date_trunc('month', at) = timestamptz '2024-01-01'", 20 - 0],
    ['app.fixed(id)', 17],
    ["orders.note LIKE 'n%' AND app.orders.id IN (1, 2)", 2],
    ['extract(day FROM at) < 5', 3],
    ["at >= '2024-01-10' AND coalesce(note, '') <> 'now'", null],
  ])('the condition %s holds for every read', async (where, total) => {
    const stream = await discoverOne(source, 'app.orders')
    if (total === null) {
      // A text that would be a time is taken for one wherever times are.
      expect(await failureOf(source.checkWhere(stream, where, { stable: true }))).toMatchObject({
        code: 'CONFIG_INVALID',
      })
      return
    }
    await source.checkWhere(stream, where, { stable: true })
    await using snapshot = await openSnapshot(source, [stream])
    expect(await snapshot.count(stream, { where, window: null })).toMatchObject({ total })
    expect((await readRows(source, snapshot, stream, { where })).length).toBe(total)
  })

  test.each([
    ['at > now()', /now is not immutable/],
    ['at > current_date', /time or on the user/],
    ["at > 'yesterday'", /time/],
    ["at > date 'today'", /time/],
    ['note = current_user', /user/],
    ['random() < 0.5', /random is not immutable/],
    ['app.moody(id)', /app.moody is not immutable/],
    ['id IN (SELECT id FROM app.victim)', /subquery/],
    ['id > max(id)', /more than one row/],
    ['row_number() OVER () > 1', /more than one row/],
    ["xmin::text <> '0'", /xmin is not a column/],
    ['victim.id = 1', /not a column/],
    ['note::regclass IS NULL', /regclass/],
    ['system_user = note', /system_user/],
    ['(SELECT true)', /subquery/],
    ["age(at) > interval '1 day'", /age is not immutable/],
    ["setting('x') = 'y'", /no function setting/],
  ])('the condition %s does not', async (where, message) => {
    const stream = await discoverOne(source, 'app.orders')
    expect(await failureOf(source.checkWhere(stream, where, { stable: true }))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message) as string,
    })
  })

  test('what the server does not accept as a condition is said in its words', async () => {
    const stream = await discoverOne(source, 'app.orders')
    for (const where of ['missing = 1', 'id + 1', "id = 'x'", 'nothing(id)']) {
      expect(await failureOf(source.checkWhere(stream, where, { stable: false }))).toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('the server says') as string,
      })
    }
    await source.checkWhere(stream, 'at < now() AND id IN (SELECT id FROM app.orders)', { stable: false })
  })
})
