import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rows as rowsOf, type Value } from '../../src/batch/rows.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { SplitRange } from '../../src/model/split-range.js'
import { parseXid8, type Xid8 } from '../../src/model/xid.js'
import type { RowWindow, Snapshot, Source, Split, StreamRead } from '../../src/source/contract.js'
import { planSplits } from '../../src/source/plan-splits.js'
import { NO_SURVEY } from '../../src/source/survey-stream.js'
import { onOldestAndNewestServer, type TestDatabase } from '../server/servers.js'
import { discover, openSnapshot, openSource, streamNamed, TYPE_OPTIONS, withLimits } from './open-source.js'

const BLOCK = 8192
/** As if each block were this much larger, so that small tables are divided. */
const MAGNIFIED = 4096

const TABLES = `
  CREATE TABLE plain (id int PRIMARY KEY, v text);
  INSERT INTO plain SELECT g, repeat('x', g % 50) FROM generate_series(1, 20000) g;
  CREATE TABLE empty (id int PRIMARY KEY, v text);
  CREATE TABLE one_block (id int PRIMARY KEY, v text);
  INSERT INTO one_block VALUES (1, 'a'), (2, 'b');
  CREATE TABLE holes (id int PRIMARY KEY, v text) WITH (autovacuum_enabled = off);
  INSERT INTO holes SELECT g, 'v' FROM generate_series(1, 20000) g;
  DELETE FROM holes WHERE id % 3 <> 0 OR id BETWEEN 5000 AND 9000;
  UPDATE holes SET v = 'updated' WHERE id % 7 = 0;
  CREATE TABLE altered (id int PRIMARY KEY, gone text, v text);
  INSERT INTO altered SELECT g, 'gone', 'kept' || g FROM generate_series(1, 5000) g;
  ALTER TABLE altered DROP COLUMN gone, ADD COLUMN late int DEFAULT 7;
  CREATE TABLE toasted (id int PRIMARY KEY, v text);
  ALTER TABLE toasted ALTER COLUMN v SET STORAGE EXTERNAL;
  INSERT INTO toasted SELECT g, repeat(md5(g::text), 300) FROM generate_series(1, 400) g;
  CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY, v text);
  INSERT INTO fleeting SELECT g, 'u' FROM generate_series(1, 5000) g;

  CREATE TABLE tree (id int, v text) PARTITION BY RANGE (id);
  CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (100);
  CREATE TABLE tree_2 PARTITION OF tree FOR VALUES FROM (100) TO (5000) PARTITION BY LIST (v);
  CREATE TABLE tree_2a PARTITION OF tree_2 FOR VALUES IN ('a');
  CREATE TABLE tree_2b PARTITION OF tree_2 DEFAULT;
  CREATE TABLE tree_3 (v text, extra int, id int);
  ALTER TABLE tree_3 DROP COLUMN extra;
  ALTER TABLE tree ATTACH PARTITION tree_3 FOR VALUES FROM (5000) TO (20000);
  CREATE TABLE tree_empty PARTITION OF tree FOR VALUES FROM (20000) TO (20001);
  CREATE TABLE tree_rest PARTITION OF tree DEFAULT;
  INSERT INTO tree SELECT g, CASE WHEN g % 2 = 0 THEN 'a' ELSE repeat('b', g % 40) END FROM generate_series(0, 30000) g;

  CREATE TABLE parent (id int, v text);
  CREATE TABLE child_1 (own int) INHERITS (parent);
  CREATE TABLE child_2 () INHERITS (child_1);
  INSERT INTO parent SELECT g, 'p' FROM generate_series(1, 3000) g;
  INSERT INTO child_1 SELECT g, 'c1', g FROM generate_series(3001, 9000) g;
  INSERT INTO child_2 SELECT g, 'c2', g FROM generate_series(9001, 9500) g;

  CREATE MATERIALIZED VIEW kept AS SELECT * FROM plain WHERE id % 2 = 0;
  CREATE VIEW looking AS SELECT * FROM plain;`

/** Splits of a table so small that it would be one. */
function splitsOf(
  source: Source,
  stream: CatalogStream,
  options: { readonly readers?: number; readonly serverVersion?: number } & Partial<StreamRead> = {},
): readonly Split[] {
  const { readers = 4, serverVersion = 180_000, ...read } = options
  const leaves = stream.leaves.map((leaf) => ({ ...leaf, bytes: leaf.bytes * MAGNIFIED }))
  return planSplits(
    {
      stream: { ...stream, leaves },
      columns: source.mapColumns(stream, TYPE_OPTIONS),
      rows: { kind: 'full' },
      where: null,
      withXmin: false,
      limits: withLimits({}),
      ...read,
    },
    {
      settings: { rowSecurity: false },
      readers,
      serverVersion,
      blockSize: BLOCK * MAGNIFIED,
      survey: NO_SURVEY,
    },
  )
}

async function readAll(snapshot: Snapshot, splits: readonly Split[]): Promise<Record<string, Value>[]> {
  const all = await Promise.all(
    splits.map(async (split) => {
      const rows: Record<string, Value>[] = []
      for await (const batch of snapshot.read(split)) rows.push(...rowsOf(batch))
      return rows
    }),
  )
  return all.flat()
}

const sorted = (rows: readonly Record<string, Value>[]): readonly string[] =>
  rows
    .map((row) =>
      JSON.stringify(Object.values(row).map((value) => (typeof value === 'bigint' ? Number(value) : value))),
    )
    .sort()

onOldestAndNewestServer('splits', (server) => {
  let database: TestDatabase
  let source: Source
  let streams: readonly CatalogStream[]

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(TABLES)
    source = await openSource(database.url)
    streams = await discover(source)
  })
  afterAll(async () => {
    await source.close()
  })

  /** The rows by a plain query, as the same JSON. */
  async function expected(sql: string): Promise<readonly string[]> {
    const rows = await database.sql<{ row: string }>(
      `SELECT to_json(array_agg(x))::text AS row FROM (${sql}) AS t (x)`,
    )
    return (
      (JSON.parse(rows[0]?.row ?? 'null') as unknown[] | null)?.map((row) => JSON.stringify(row)).sort() ?? []
    )
  }

  describe.each([0, 3])('with %i readers', (readers) => {
    test.each([
      ['plain', 'id, v', 16],
      ['empty', 'id, v', 1],
      ['one_block', 'id, v', 1],
      ['holes', 'id, v', 16],
      ['altered', 'id, v, late', 16],
      ['toasted', 'id, v', 1],
      ['fleeting', 'id, v', 16],
      ['tree', 'id, v', 16],
      ['parent', 'id, v', 16],
      ['kept', 'id, v', 16],
    ] as const)('every row of %s comes once', async (table, columns, least) => {
      const stream = streamNamed(streams, `public.${table}`)
      await using snapshot = await openSnapshot(source, [stream], {
        readers,
        limits: withLimits({ maxConnections: 8 }),
      })
      const splits = splitsOf(source, streamNamed(snapshot.streams, stream.name))
      expect(splits.length).toBeGreaterThanOrEqual(least)
      const rows = await readAll(snapshot, splits)
      expect(sorted(rows)).toEqual(await expected(`SELECT json_build_array(${columns}) FROM ${table}`))
    })

    test('a condition and a window select the same rows in parts as in one', async () => {
      for (const name of ['public.plain', 'public.tree', 'public.parent']) {
        const stream = streamNamed(streams, name)
        const [begin] = await database.sql('SELECT txid_current()::text AS xid')
        const first = 100_000 * (readers + 1)
        await database.sql(`
          UPDATE ${name} SET v = v || '!' WHERE id % 13 = 5;
          INSERT INTO ${name} (id, v) SELECT g, 'new' FROM generate_series(${first}, ${first + 400}) g;
          DELETE FROM ${name} WHERE id % 11 = 3`)
        await using snapshot = await openSnapshot(source, [stream], {
          readers,
          limits: withLimits({ maxConnections: 8 }),
        })
        const locked = streamNamed(snapshot.streams, name)
        const window: RowWindow = {
          horizon: parseXid8(begin?.['xid'] ?? ''),
          xmax: parseXid8(snapshot.position.xmax),
          wholeLeaves: [],
        }
        const where = 'id % 2 = 1'
        const whole = locked.leaves[1]?.oid
        for (const wholeLeaves of whole === undefined ? [[]] : [[], [whole]]) {
          const rows: StreamRead['rows'] = { kind: 'since', window: { ...window, wholeLeaves } }
          const splits = splitsOf(source, locked, { rows, where, withXmin: true })
          expect(splits.length).toBeGreaterThan(10)
          const { inWindow } = await snapshot.count(locked, { where, window: { ...window, wholeLeaves } })
          const read = await readAll(snapshot, splits)
          const [whole] = planSplits(
            {
              stream: locked,
              columns: source.mapColumns(locked, TYPE_OPTIONS),
              rows,
              where,
              withXmin: true,
              limits: withLimits({}),
            },
            {
              settings: { rowSecurity: false },
              readers: 1,
              serverVersion: 0,
              blockSize: BLOCK,
              survey: NO_SURVEY,
            },
          )
          if (whole === undefined) throw new Error('no split was planned')
          expect(sorted(read)).toEqual(sorted(await readAll(snapshot, [whole])))
          expect(read.length).toBe(inWindow)
          expect(read.length).toBeGreaterThan(100)
        }
      }
    })

    test('what is written while the splits are read changes nothing', async () => {
      await database.sql(`
        DROP TABLE IF EXISTS growing;
        CREATE TABLE growing (id int PRIMARY KEY, v text);
        INSERT INTO growing SELECT g, 'old' FROM generate_series(1, 20000) g`)
      const [stream] = await discover(source, ['public.growing'])
      if (stream === undefined) throw new Error('the table was not discovered')
      await using snapshot = await openSnapshot(source, [stream], {
        readers,
        limits: withLimits({ maxConnections: 8 }),
      })
      const rows: Record<string, Value>[] = []
      for (const split of splitsOf(source, streamNamed(snapshot.streams, stream.name))) {
        await database.sql(`
          INSERT INTO growing SELECT (SELECT max(id) FROM growing) + g, 'new' FROM generate_series(1, 500) g;
          UPDATE growing SET v = 'newer' WHERE id % 17 = 3;
          DELETE FROM growing WHERE id IN (SELECT id FROM growing ORDER BY random() LIMIT 200)`)
        rows.push(...(await readAll(snapshot, [split])))
      }
      expect(
        rows.map((row) => [Number(row['id']), row['v']]).sort(([a], [b]) => Number(a) - Number(b)),
      ).toEqual(Array.from({ length: 20000 }, (_, index) => [index + 1, 'old']))
    })

    test('ranges of keys of several types, and of several columns, give every row once', async () => {
      await database.sql(`
        DROP TABLE IF EXISTS keyed;
        CREATE TABLE keyed (n numeric(12,3), at timestamptz, u uuid, t text COLLATE "C", PRIMARY KEY (n, at, u, t));
        INSERT INTO keyed SELECT g % 50 / 7.0, timestamptz '2026-01-01' + g * interval '1 minute', md5(g::text)::uuid, '''' || g
          FROM generate_series(1, 5000) g`)
      const [stream] = await discover(source, ['public.keyed'])
      if (stream === undefined) throw new Error('the table was not discovered')
      await using snapshot = await openSnapshot(source, [stream], { readers })
      const inner = await database.sql(
        `SELECT n::text, (at AT TIME ZONE 'UTC')::text || '+00' AS at, u::text, t FROM keyed ORDER BY n, at, u, t OFFSET 777 LIMIT 1`,
      )
      for (const columns of [['n'], ['at'], ['u'], ['n', 'at'], ['n', 'at', 'u', 't']]) {
        const bound = columns.map((name) => inner[0]?.[name] ?? '')
        const ranges: SplitRange[] = [
          { kind: 'keys', columns, from: null, to: bound },
          { kind: 'keys', columns, from: bound, to: null },
        ]
        const [below, above] = splitsOf(source, stream, { rows: { kind: 'full', ranges } })
        if (below === undefined || above === undefined) throw new Error('the ranges were not planned')
        const [first, second] = [await readAll(snapshot, [below]), await readAll(snapshot, [above])]
        expect(first.length).toBeGreaterThan(0)
        expect(second.length).toBeGreaterThan(0)
        expect(new Set([...first, ...second].map((row) => row['u'])).size).toBe(5000)
        expect(first.length + second.length).toBe(5000)
      }
    })
  })

  test.skipIf(server.major < 14)('a split is a scan of its blocks alone, on every leaf', async () => {
    const client = await database.connect()
    await client.query(`SET search_path = pg_catalog; SET enable_seqscan = off; SET enable_indexscan = off;
      SET enable_indexonlyscan = off; SET enable_bitmapscan = off`)
    for (const [name, leaves] of [
      ['plain', 1],
      ['tree', 6],
      ['parent', 3],
      ['kept', 1],
    ] as const) {
      for (const split of splitsOf(source, streamNamed(streams, `public.${name}`), { where: 'id > 5' })) {
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(
          `EXPLAIN (COSTS OFF) ${split.selectSql}`,
        )
        const scans = rows.map((row) => row['QUERY PLAN']).filter((line) => / on /.test(line))
        expect(scans.length).toBe(leaves)
        for (const scan of scans) expect(scan).toContain('Tid Range Scan')
      }
    }
    await client.end()
  })

  test('what a condition finds by an index is not divided, and what it has to look for is', async () => {
    const stream = streamNamed(streams, 'public.plain')
    await database.sql('ANALYZE plain')
    await using snapshot = await openSnapshot(source, [stream], { readers: 2 })
    const large = {
      ...stream,
      bytes: 2 ** 30,
      leaves: stream.leaves.map((leaf) => ({ ...leaf, bytes: 2 ** 30 })),
    }
    const planned = async (where: string): Promise<number> =>
      (
        await snapshot.plan({
          stream: large,
          columns: source.mapColumns(stream, TYPE_OPTIONS),
          rows: { kind: 'full' },
          where,
          withXmin: false,
          limits: withLimits({}),
        })
      ).length
    expect(await planned('id = 7')).toBe(1)
    expect(await planned(`v <> 'x'`)).toBe(server.major < 14 ? 1 : 22)
  })

  test.skipIf(server.major >= 14)(
    'before PostgreSQL 14 the statistics of the key divide a large table',
    async () => {
      const stream = streamNamed(streams, 'public.holes')
      await database.sql(
        'CREATE TABLE ordered (id int PRIMARY KEY, v text); INSERT INTO ordered SELECT g, $$x$$ FROM generate_series(1, 5000) g',
      )
      await database.sql('ANALYZE ordered')
      const [ordered] = await discover(source, ['public.ordered'])
      if (ordered === undefined) throw new Error('the table was not discovered')
      await using snapshot = await openSnapshot(source, [stream, ordered], { readers: 2 })
      const splits = await snapshot.plan({
        stream: { ...ordered, bytes: 2 ** 30 },
        columns: source.mapColumns(ordered, TYPE_OPTIONS),
        rows: { kind: 'full' },
        where: null,
        withXmin: false,
        limits: withLimits({}),
      })
      expect(splits.map((split) => split.range.kind)).toEqual(Array.from({ length: 8 }, () => 'keys'))
      const parts = await Promise.all(splits.map((split) => readAll(snapshot, [split])))
      expect(
        parts
          .flat()
          .map((row) => Number(row['id']))
          .sort((a, b) => a - b),
      ).toEqual(Array.from({ length: 5000 }, (_, index) => index + 1))
      for (const part of parts) expect(part.length).toBeGreaterThan(300)
    },
  )

  test('counts are the same with workers of the server and without', async () => {
    const stream = streamNamed(streams, 'public.holes')
    const [begin] = await database.sql('SELECT txid_current()::text AS xid')
    await database.sql(`UPDATE holes SET v = 'again' WHERE id % 9 = 0`)
    const counts: unknown[] = []
    for (const readers of [0, 3]) {
      await using snapshot = await openSnapshot(source, [stream], {
        readers,
        limits: withLimits({ maxConnections: 8 }),
      })
      for (const back of [0n, 100n]) {
        const horizon = (parseXid8(begin?.['xid'] ?? '') - back) as Xid8
        const window = { horizon, xmax: parseXid8(snapshot.position.xmax), wholeLeaves: [] }
        counts.push(await snapshot.count(stream, { where: null, window }))
      }
    }
    expect(counts.slice(0, 2)).toEqual(counts.slice(2))
    const [row] = await database.sql('SELECT count(*) AS n FROM holes WHERE id % 9 = 0')
    expect(counts[0]).toMatchObject({ inWindow: Number(row?.['n']) })
  })
})
