import { afterAll, beforeAll, expect, it } from 'vitest'
import type { CatalogStream } from '../../src/model/catalog.js'
import { onOldestServer, type TestDatabase } from '../server/servers.js'
import { discover, openSource, streamNamed } from '../source/open-source.js'
import { describeTable, installDouble } from './double-schema.js'
import { startGreenplumDouble, type GreenplumDouble } from './greenplum-double.js'

onOldestServer('A Greenplum cluster as it is discovered, played', (server) => {
  let database: TestDatabase
  let double: GreenplumDouble
  let streams: readonly CatalogStream[]

  beforeAll(async () => {
    database = await server.createDatabase()
    await installDouble(database)
    await database.sql(`
      CREATE DOMAIN positive AS int CHECK (value > 0);
      CREATE DOMAIN small_positive AS positive;
      CREATE TYPE mood AS ENUM ('sad', 'ok');
      CREATE TABLE heap (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), price numeric(10,2), n small_positive, m mood, tags text[]);
      COMMENT ON TABLE heap IS 'a heap';
      CREATE TABLE by_row (id int, v text);
      CREATE TABLE by_column (id int, v text);
      CREATE TABLE scattered (v text);
      CREATE TABLE countries (code text PRIMARY KEY);
      CREATE TABLE loading (line text);
      CREATE TABLE sales (id int NOT NULL, day date NOT NULL, PRIMARY KEY (id, day));
      CREATE TABLE sales_1_prt_1 (PRIMARY KEY (id, day)) INHERITS (sales);
      CREATE TABLE sales_1_prt_2 (PRIMARY KEY (id, day)) INHERITS (sales);
      CREATE VIEW cheap AS SELECT * FROM heap WHERE price < 10;
      INSERT INTO sales_1_prt_1 VALUES (1, '2024-01-01');
      INSERT INTO sales_1_prt_2 VALUES (2, '2024-02-01');
    `)
    await describeTable(database, 'public.heap', {})
    await describeTable(database, 'public.by_row', { storage: 'a' })
    await describeTable(database, 'public.by_column', { storage: 'c' })
    await describeTable(database, 'public.scattered', { distribution: 'random' })
    await describeTable(database, 'public.countries', { distribution: 'replicated' })
    await describeTable(database, 'public.loading', { storage: 'x' })
    await describeTable(database, 'public.sales', { partitioned: true })
    await describeTable(database, 'public.sales_1_prt_1', {})
    await describeTable(database, 'public.sales_1_prt_2', {})
    double = await startGreenplumDouble({ target: server })
    await using source = await openSource(double.url(database.name, 'postgres'))
    streams = await discover(source, ['public.*'])
  })
  afterAll(() => double.close())

  it('offers tables by their kind of storage and distribution, and roots of partitioned tables without their leaves', () => {
    const found = streams.map(({ name, kind, oddity, greenplum }) => [
      name,
      kind,
      oddity,
      greenplum?.storage,
      greenplum?.distribution,
    ])
    expect(found).toEqual([
      ['public.by_column', 'table', 'greenplum', 'append_optimised_column', 'hashed'],
      ['public.by_row', 'table', 'greenplum', 'append_optimised_row', 'hashed'],
      ['public.cheap', 'view', 'greenplum', 'other', 'none'],
      ['public.countries', 'table', 'greenplum', 'heap', 'replicated'],
      ['public.heap', 'table', 'greenplum', 'heap', 'hashed'],
      ['public.sales', 'partitioned', 'greenplum', 'heap', 'hashed'],
      ['public.scattered', 'table', 'greenplum', 'heap', 'random'],
    ])
  })

  it('takes the key of a partitioned table, which holds over all its leaves, and adds up their sizes', () => {
    const sales = streamNamed(streams, 'public.sales')
    expect(sales.key?.columns).toEqual(['id', 'day'])
    expect(sales.leaves.map(({ name }) => name)).toEqual(['sales_1_prt_1', 'sales_1_prt_2'])
    expect(sales.bytes).toBe(2 * 8192)
  })

  it('knows columns, domains, enumerations, arrays and comments from a catalog of 9.4', () => {
    const heap = streamNamed(streams, 'public.heap')
    expect(heap.comment).toBe('a heap')
    const columns = heap.columns.map(({ name, typeName, sqlType, domain, nullable }) => [
      name,
      typeName,
      sqlType,
      domain,
      nullable,
    ])
    expect(columns).toEqual([
      ['id', 'int4', 'integer', null, false],
      ['at', 'timestamptz', 'timestamp with time zone', null, false],
      ['price', 'numeric', 'numeric(10,2)', null, true],
      ['n', 'int4', 'public.small_positive', 'small_positive', true],
      ['m', 'mood', 'public.mood', null, true],
      ['tags', '_text', 'text[]', null, true],
    ])
    expect(heap.columns[4]?.enumLabels).toEqual(['sad', 'ok'])
    expect(heap.columns[5]?.elementType).toBe('text')
    expect(heap.columns[1]?.default).toBe('now()')
  })

  it('takes nothing external and no leaf by default or by a pattern, and both by their names', async () => {
    await using source = await openSource(double.url(database.name, 'postgres'))
    const all = (await discover(source)).map(({ name }) => name)
    expect(all).not.toContain('public.loading')
    expect(all).not.toContain('public.sales_1_prt_1')
    expect(all.every((name) => name.startsWith('public.'))).toBe(true)
    expect((await discover(source, ['public.l*', 'public.heap'])).map(({ name }) => name)).toEqual([
      'public.heap',
    ])
    const named = await discover(source, ['public.loading', 'public.sales_1_prt_1'])
    expect(named.map(({ name, kind, oddity }) => [name, kind, oddity])).toEqual([
      ['public.loading', 'foreign', 'external'],
      ['public.sales_1_prt_1', 'table', 'greenplum'],
    ])
  })

  it('sends nothing that 9.4 does not know', () => {
    const sent = double.statements.map(({ sql }) => sql).join('\n')
    expect(sent).not.toMatch(
      /MATERIALIZED|to_regclass|SET LOCAL row_security|idle_in_transaction|RECURSIVE|SET LOCAL jit/,
    )
    expect(sent).toContain('SET LOCAL lock_timeout')
  })
})
