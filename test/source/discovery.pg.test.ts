import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Source } from '../../src/source/contract.js'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import { discover, discoverOne, failureOf, openSource } from './open-source.js'

const SCHEMA = `
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'glad');
ALTER TYPE app.mood ADD VALUE 'fine' BEFORE 'glad';
CREATE DOMAIN app.cents AS numeric(12,2) CHECK (VALUE >= 0);
CREATE DOMAIN app.price AS app.cents NOT NULL;
CREATE DOMAIN app.codes AS text[];
CREATE TYPE app.place AS (street text, zip int);
CREATE TABLE app.plain (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  code char(3) NOT NULL DEFAULT 'abc',
  amount numeric(10,4),
  cost app.price,
  feel app.mood,
  tags text[],
  codes app.codes,
  home app.place,
  twice bigint GENERATED ALWAYS AS (1 * 2) STORED,
  note varchar(20)
);
COMMENT ON TABLE app.plain IS 'What it is';
COMMENT ON COLUMN app.plain.code IS 'Three letters';

`

onEachServer('discovery', (server) => {
  let database: TestDatabase
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(SCHEMA)
    source = await openSource(database.url)
  })
  afterAll(async () => {
    await source.close()
  })

  test('a table has its columns with types, modifiers, domains, labels, defaults and comments', async () => {
    const stream = await discoverOne(source, 'app.plain')
    expect(stream).toMatchObject({ kind: 'table', oddity: null, comment: 'What it is', rowSecurity: false })
    expect(stream.key).toEqual({ columns: ['id'], from: 'primary_key', index: 'plain_pkey' })
    const byName = Object.fromEntries(stream.columns.map((column) => [column.name, column]))
    expect(byName['id']).toMatchObject({ typeName: 'int8', nullable: false, identity: 'always', number: 1 })
    expect(byName['code']).toMatchObject({
      typeName: 'bpchar',
      sqlType: 'character(3)',
      default: "'abc'::bpchar",
      comment: 'Three letters',
      nullable: false,
    })
    expect(byName['amount']).toMatchObject({ sqlType: 'numeric(10,4)', modifier: ((10 << 16) | 4) + 4 })
    expect(byName['cost']).toMatchObject({
      typeName: 'numeric',
      typeSchema: 'pg_catalog',
      typeKind: 'base',
      sqlType: 'app.price',
      domain: 'price',
      modifier: ((12 << 16) | 2) + 4,
    })
    expect(byName['feel']).toMatchObject({ typeKind: 'enum', enumLabels: ['sad', 'ok', 'fine', 'glad'] })
    expect(byName['tags']).toMatchObject({ typeName: '_text', elementType: 'text' })
    expect(byName['codes']).toMatchObject({ typeName: '_text', elementType: 'text', domain: 'codes' })
    expect(byName['home']).toMatchObject({ typeKind: 'composite', typeName: 'place' })
    expect(byName['twice']).toMatchObject({ generated: 'stored', default: null })
    expect(byName['note']).toMatchObject({
      sqlType: 'character varying(20)',
      nullable: true,
      selectable: true,
    })
  })

  test('partitions of partitions are leaves of one stream, with their sizes, indexes and estimates', async () => {
    await database.sql(`
      CREATE TABLE app.parts (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
      CREATE TABLE app.parts_a PARTITION OF app.parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
      CREATE TABLE app.parts_b PARTITION OF app.parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (id);
      CREATE TABLE app.parts_b1 PARTITION OF app.parts_b DEFAULT;
      INSERT INTO app.parts SELECT g, date '2024-01-01' + g % 700 FROM generate_series(1, 5000) g;
      ANALYZE app.parts_a; ANALYZE app.parts_b1;`)
    const streams = await discover(source, ['app.parts*'])
    expect(streams.map((stream) => stream.name)).toEqual(['app.parts'])
    const [stream] = streams
    expect(stream).toMatchObject({ kind: 'partitioned', oddity: null, estimatedRows: 5000 })
    expect(stream?.leaves.map((leaf) => leaf.name)).toEqual(['parts_a', 'parts_b1'])
    expect(stream?.leaves.every((leaf) => leaf.filenode !== null && leaf.bytes > 0)).toBe(true)
    expect(stream?.bytes).toBe(stream?.leaves.reduce((sum, leaf) => sum + leaf.bytes, 0))
    // Four relations with an index each.
    expect(stream?.lockCount).toBe(8)
    expect(stream?.key?.columns).toEqual(['id', 'day'])
    const leaf = await discoverOne(source, 'app.parts_a')
    expect(leaf).toMatchObject({ kind: 'table', name: 'app.parts_a' })
  })

  test('a table with inheritance children is one stream without a key, and the children are hidden unless named', async () => {
    await database.sql(`
      CREATE TABLE app.animals (id int PRIMARY KEY);
      CREATE TABLE app.cats (lives int) INHERITS (app.animals);
      CREATE TABLE app.lions () INHERITS (app.cats);`)
    const streams = await discover(source, ['app.animals', 'app.*'])
    expect(streams.map((stream) => stream.table)).not.toContain('cats')
    const animals = streams.find((stream) => stream.table === 'animals')
    expect(animals).toMatchObject({ kind: 'inherited', key: null })
    expect(animals?.leaves.map((leaf) => leaf.name)).toEqual(['animals', 'cats', 'lions'])
    expect(await discoverOne(source, 'app.cats')).toMatchObject({ kind: 'inherited' })
    expect(await discoverOne(source, 'app.lions')).toMatchObject({ kind: 'table' })
  })

  test('views and foreign tables are taken by pattern or name, tables and materialized views by default', async () => {
    await database.sql(`
      CREATE VIEW app.a_view AS SELECT 1 AS one;
      CREATE MATERIALIZED VIEW app.a_matview AS SELECT generate_series(1, 10) AS n;
      ANALYZE app.a_matview;
      CREATE FOREIGN DATA WRAPPER nothing;
      CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
      CREATE FOREIGN TABLE app.a_foreign (id int) SERVER nowhere;`)
    const byDefault = (await discover(source)).map((stream) => stream.table)
    expect(byDefault).toContain('a_matview')
    expect(byDefault).not.toContain('a_view')
    expect(byDefault).not.toContain('a_foreign')
    const kinds = Object.fromEntries(
      (await discover(source, ['app.a_*'])).map((stream) => [stream.table, stream]),
    )
    expect(kinds['a_view']).toMatchObject({ kind: 'view', leaves: [], key: null })
    expect(kinds['a_matview']).toMatchObject({ kind: 'matview', estimatedRows: 10 })
    expect(kinds['a_foreign']).toMatchObject({ kind: 'foreign', leaves: [] })
  })

  test('a foreign partition, a foreign access method and the catalogs of TimescaleDB and Citus are oddities', async () => {
    await database.sql(`
      CREATE TABLE app.mixed (id int) PARTITION BY LIST (id);
      CREATE TABLE app.mixed_here PARTITION OF app.mixed DEFAULT;
      CREATE FOREIGN DATA WRAPPER nothing2;
      CREATE SERVER nowhere2 FOREIGN DATA WRAPPER nothing2;
      CREATE FOREIGN TABLE app.mixed_there PARTITION OF app.mixed FOR VALUES IN (1) SERVER nowhere2;
      CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
      CREATE TABLE app.other_storage (id int) USING heap2;
      CREATE TABLE app.metrics (at timestamptz NOT NULL);
      CREATE SCHEMA _timescaledb_catalog;
      CREATE TABLE _timescaledb_catalog.hypertable (schema_name name, table_name name);
      INSERT INTO _timescaledb_catalog.hypertable VALUES ('app', 'metrics');`)
    expect(await discoverOne(source, 'app.mixed')).toMatchObject({ oddity: 'foreign_leaf' })
    expect(await discoverOne(source, 'app.other_storage')).toMatchObject({ oddity: 'unknown_access_method' })
    expect(await discoverOne(source, 'app.metrics')).toMatchObject({ oddity: 'hypertable' })
    expect(await discoverOne(source, 'app.mixed_here')).toMatchObject({ oddity: null })
    await database.sql('DROP SCHEMA _timescaledb_catalog CASCADE')
  })

  test('system and temporary schemas are not there, and what an extension owns only by its name', async () => {
    const other = await database.connect()
    await other.query('CREATE TEMP TABLE passing (id int)')
    await database.sql(`
      CREATE TABLE app.owned (id int);
      INSERT INTO pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
      SELECT 'pg_class'::regclass, 'app.owned'::regclass, 0, 'pg_extension'::regclass, oid, 0, 'e' FROM pg_extension LIMIT 1`)
    const names = (await discover(source, ['*.*'])).map((stream) => stream.name)
    expect(names.filter((name) => /^(pg_|information_schema)|passing|owned/.test(name))).toEqual([])
    expect(await discoverOne(source, 'app.owned')).toMatchObject({ name: 'app.owned' })
    await other.end()
  })

  test('foreign keys and indexes are listed with their columns', async () => {
    await database.sql(`
      CREATE TABLE app.target (a int, b int, PRIMARY KEY (b, a));
      CREATE TABLE app.pointing (x int, y int, z text, CONSTRAINT there FOREIGN KEY (y, x) REFERENCES app.target (b, a));
      CREATE UNIQUE INDEX pointing_lower ON app.pointing (lower(z), x);
      CREATE INDEX pointing_some ON app.pointing (x) WHERE y > 0;`)
    const stream = await discoverOne(source, 'app.pointing')
    expect(stream.foreignKeys).toEqual([
      {
        name: 'there',
        columns: ['y', 'x'],
        references: { schema: 'app', table: 'target', columns: ['b', 'a'] },
      },
    ])
    expect(stream.indexes).toEqual([
      {
        name: 'pointing_lower',
        columns: [null, 'x'],
        unique: true,
        partial: false,
        valid: true,
        method: 'btree',
      },
      { name: 'pointing_some', columns: ['x'], unique: false, partial: true, valid: true, method: 'btree' },
    ])
    expect(stream.key).toBeNull()
  })

  test('without a primary key the replica identity is the key, else the unique index of fewest columns', async () => {
    await database.sql(`
      CREATE TABLE app.keys (a int NOT NULL, b int NOT NULL, c int NOT NULL, d int);
      CREATE UNIQUE INDEX keys_ab ON app.keys (a, b);
      CREATE UNIQUE INDEX keys_d ON app.keys (d);
      CREATE UNIQUE INDEX keys_part ON app.keys (b) WHERE a > 0;
      ALTER TABLE app.keys ADD CONSTRAINT keys_late UNIQUE (a) DEFERRABLE;
      CREATE UNIQUE INDEX keys_c ON app.keys (c);`)
    expect((await discoverOne(source, 'app.keys')).key).toEqual({
      columns: ['c'],
      from: 'unique_index',
      index: 'keys_c',
    })
    await database.sql('ALTER TABLE app.keys REPLICA IDENTITY USING INDEX keys_ab')
    expect((await discoverOne(source, 'app.keys')).key).toEqual({
      columns: ['a', 'b'],
      from: 'replica_identity',
      index: 'keys_ab',
    })
  })

  test('names with spaces, quotes, dots, emoji, 63 bytes and names that differ by case are told apart', async () => {
    const long = 'x'.repeat(63)
    const names = ['with space', 'with"quote', 'with.dot', 'with*star', '🦆', long, 'Case', 'case', 'CASE']
    await database.sql('CREATE SCHEMA "Odd names"')
    for (const name of names) {
      await database.sql(`CREATE TABLE "Odd names"."${name.replaceAll('"', '""')}" ("a ""b" int)`)
    }
    const streams = await discover(source, ['Odd names.*'])
    expect(streams.map((stream) => stream.table).sort()).toEqual([...names].sort())
    for (const stream of streams) {
      const again = await discover(source, [stream.name])
      expect(again.map((one) => one.oid)).toEqual([stream.oid])
    }
  })

  test('a name that is missing is an error with the closest one', async () => {
    const failure = await failureOf(discover(source, ['app.plan']))
    expect(failure).toMatchObject({ code: 'STREAM_MISSING', hint: 'Did you mean app.plain?' })
    const unqualified = await failureOf(discover(source, ['plian']))
    expect(unqualified).toMatchObject({ code: 'STREAM_MISSING', hint: 'Did you mean app.plain?' })
  })

  test('a pattern that matches nothing is an error that lists what there is', async () => {
    const failure = await failureOf(discover(source, ['nowhere.*']))
    expect(failure.code).toBe('SELECTION_EMPTY')
    expect(failure.message).toContain('nowhere.*')
    expect(failure.hint).toContain('app.plain')
    const excluded = await failureOf(discover(source, ['app.plain'], ['*.plain']))
    expect(excluded.code).toBe('SELECTION_EMPTY')
  })

  test('privileges are those of the role: on tables, on columns, on partitions, and row security', async () => {
    const role = await database.createRole()
    await database.sql(`
      CREATE SCHEMA guarded; CREATE SCHEMA closed;
      CREATE TABLE guarded.open (id int);
      CREATE TABLE guarded.columns (id int PRIMARY KEY, secret text);
      CREATE TABLE guarded.parts (id int) PARTITION BY LIST (id);
      CREATE TABLE guarded.parts_1 PARTITION OF guarded.parts DEFAULT;
      CREATE TABLE guarded.filtered (id int);
      ALTER TABLE guarded.filtered ENABLE ROW LEVEL SECURITY;
      CREATE TABLE closed.hidden (id int);
      GRANT USAGE ON SCHEMA guarded TO "${role.name}";
      GRANT SELECT ON guarded.open, guarded.parts, guarded.filtered TO "${role.name}";
      GRANT SELECT (id) ON guarded.columns TO "${role.name}"`)
    await using reader = await openSource(role.url)
    const streams = await discover(reader)
    const byName = Object.fromEntries(streams.map((stream) => [stream.name, stream]))
    expect(Object.keys(byName).sort()).toEqual([
      'guarded.columns',
      'guarded.filtered',
      'guarded.open',
      'guarded.parts',
    ])
    expect(byName['guarded.open']).toMatchObject({ tablePrivilege: true, rowSecurity: false })
    expect(byName['guarded.filtered']).toMatchObject({ tablePrivilege: true, rowSecurity: true })
    expect(byName['guarded.parts']).toMatchObject({ tablePrivilege: true })
    expect(byName['guarded.columns']).toMatchObject({ tablePrivilege: false })
    expect(byName['guarded.columns']?.columns.map((column) => column.selectable)).toEqual([true, false])
    expect((await discoverOne(source, 'guarded.filtered')).rowSecurity).toBe(false)
  })

  test('a table that another session holds exclusively is discovered without waiting for it', async () => {
    await database.sql('CREATE TABLE app.held (id int DEFAULT 1 PRIMARY KEY)')
    const other = await database.connect()
    await other.query('BEGIN; LOCK TABLE app.held IN ACCESS EXCLUSIVE MODE')
    await using impatient = await openSource(database.url, {
      limits: { ...(await import('../../src/model/thresholds.js')).DEFAULT_LIMITS, lockTimeoutMs: 100 },
    })
    expect(await discoverOne(impatient, 'app.held')).toMatchObject({
      kind: 'table',
      key: { columns: ['id'] },
    })
    await other.query('ROLLBACK')
    await other.end()
  })

  if (server.major >= 18) {
    test('a virtual column is one, and a NOT NULL constraint that is not valid makes no column not null', async () => {
      await database.sql(`
        CREATE TABLE app.new (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL);
        INSERT INTO app.new VALUES (NULL);
        ALTER TABLE app.new ADD CONSTRAINT a_there NOT NULL a NOT VALID;
        CREATE UNIQUE INDEX ON app.new (a);`)
      const stream = await discoverOne(source, 'app.new')
      expect(stream.columns.map(({ nullable, generated }) => ({ nullable, generated }))).toEqual([
        { nullable: true, generated: null },
        { nullable: true, generated: 'virtual' },
      ])
      expect(stream.key).toBeNull()
    })
  }

  test('two thousand tables take as many queries as two', async () => {
    const many = await server.createDatabase()
    await many.sql(`DO $$ BEGIN
      FOR i IN 1..2000 LOOP EXECUTE format('CREATE TABLE t_%s (id int, v text)', i); END LOOP;
    END $$`)
    const count = async (select: readonly string[]): Promise<number> => {
      const statements: string[] = []
      await using counting = await openSource(many.url)
      const { PostgresConnection } = await import('../../src/postgres/connection.js')
      const original = PostgresConnection.prototype.query
      PostgresConnection.prototype.query = function <Row>(
        this: InstanceType<typeof PostgresConnection>,
        sql: string,
        values?: readonly unknown[],
      ): Promise<readonly Row[]> {
        statements.push(sql)
        return original.call(this, sql, values) as Promise<readonly Row[]>
      }
      try {
        const streams = await discover(counting, select)
        expect(streams.length).toBe(select.length === 0 ? 2000 : 2)
        return statements.length
      } finally {
        PostgresConnection.prototype.query = original
      }
    }
    const forTwo = await count(['public.t_1', 'public.t_2'])
    expect(await count([])).toBe(forTwo)
    expect(forTwo).toBeLessThan(10)
  })
})
