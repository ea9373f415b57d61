import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rows as rowsOf, type Value } from '../../src/batch/rows.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { Snapshot, Source, Split, StreamRead } from '../../src/source/contract.js'
import { planSplits } from '../../src/source/plan-splits.js'
import { onEachServer, type TestDatabase } from '../server/servers.js'
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
    { settings: { rowSecurity: false }, readers, serverVersion, blockSize: BLOCK * MAGNIFIED },
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
  rows.map((row) => JSON.stringify(Object.values(row))).sort()

onEachServer('splits', (server) => {
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
  })
})
