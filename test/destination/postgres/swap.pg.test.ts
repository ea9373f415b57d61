import { beforeEach, describe, expect, test } from 'vitest'
import { onEachServer, onNewestServer, type TestDatabase, type TestServer } from '../../server/servers.js'
import { rowsOf, streamOf, syncOnce, trySync } from './pg-to-pg.js'

const FULL = { mode: 'full_refresh' } as const
const replace = { defaults: FULL }

/** A table of five rows that was landed once. */
async function landOrders(server: TestServer): Promise<{ source: TestDatabase; target: TestDatabase }> {
  const [source, target] = [await server.createDatabase(), await server.createDatabase()]
  await source.sql(`
    CREATE TABLE orders (id integer PRIMARY KEY, note text, total numeric(10,2) NOT NULL);
    INSERT INTO orders SELECT i, 'note ' || i, i FROM generate_series(1, 5) AS i`)
  await syncOnce(source, target, replace)
  return { source, target }
}

const CHANGE = `DELETE FROM orders WHERE id = 1; UPDATE orders SET note = 'changed' WHERE id = 2;
                INSERT INTO orders VALUES (9, 'new', 9)`

async function oidIn(target: TestDatabase, table = 'orders'): Promise<string | null | undefined> {
  return (await target.sql('SELECT to_regclass($1)::oid AS oid', [`public.${table}`]))[0]?.['oid']
}

async function expectLanded(source: TestDatabase, target: TestDatabase): Promise<void> {
  expect(await rowsOf(target, 'orders')).toEqual(await rowsOf(source, 'orders'))
  const left = await target.sql(
    `SELECT relname FROM pg_class WHERE relnamespace = '_trunkline'::regnamespace AND relkind = 'r' AND relname ~ '^[0-9]'`,
  )
  expect(left).toEqual([])
}

onEachServer('A new generation that takes the name of a table', (server) => {
  test('gets its grants, those of columns, owner, comments, plain indexes and what all of it is called', async () => {
    const { source, target } = await landOrders(server)
    const reader = await target.createRole()
    const owner = await target.createRole()
    await target.sql(`
      GRANT SELECT ON orders TO ${reader.name} WITH GRANT OPTION;
      GRANT UPDATE (note) ON orders TO ${reader.name};
      GRANT INSERT ON orders TO PUBLIC;
      GRANT CREATE, USAGE ON SCHEMA public TO ${owner.name};
      ALTER TABLE orders OWNER TO ${owner.name};
      ALTER TABLE orders RENAME CONSTRAINT orders_pkey TO "the Key";
      COMMENT ON TABLE orders IS 'what''s mine'; COMMENT ON COLUMN orders.note IS 'mine, too';
      CREATE INDEX "by Note" ON orders (note DESC NULLS LAST) INCLUDE (total);
      CREATE UNIQUE INDEX once ON orders (note); CREATE INDEX twice ON orders (note); CREATE INDEX again ON orders (note);
      CREATE UNIQUE INDEX ${'long'.repeat(15)} ON orders (total DESC, note)${server.major >= 15 ? ' NULLS NOT DISTINCT' : ''};
      CREATE INDEX by_total ON orders USING brin (total)`)
    const facts = (): Promise<unknown> =>
      target.sql(`
        SELECT pg_get_userbyid(relowner) AS owner, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(relacl) AS a) AS acl,
               (SELECT array_agg(attacl::text) FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL) AS of_columns,
               (SELECT array_agg(d ORDER BY d) FROM pg_index, pg_get_indexdef(indexrelid) AS d WHERE indrelid = c.oid) AS indexes,
               (SELECT array_agg(conname::text ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid) AS constraints,
               obj_description(oid, 'pg_class') AS comment, col_description(oid, 2) AS of_column
          FROM pg_class c WHERE oid = 'orders'::regclass`)
    const before = await facts()
    const oid = await oidIn(target)
    await source.sql(CHANGE)
    await syncOnce(source, target, replace)
    await expectLanded(source, target)
    expect(await oidIn(target)).not.toBe(oid)
    expect(await facts()).toEqual(before)
  })
})

onNewestServer('A new generation of a PostgreSQL table', (server) => {
  let source: TestDatabase
  let target: TestDatabase
  beforeEach(async () => {
    ;({ source, target } = await landOrders(server))
  })

  const change = (): Promise<unknown> => source.sql(CHANGE)
  const oidOf = (table = 'orders'): Promise<string | null | undefined> => oidIn(target, table)
  const expectEqual = (): Promise<void> => expectLanded(source, target)

  describe('takes the name of the one before', () => {
    test('and the privileges that are given by default to tables of the schema, when it is the first', async () => {
      const reader = await target.createRole()
      await target.sql(
        `CREATE SCHEMA reports; ALTER DEFAULT PRIVILEGES IN SCHEMA reports GRANT SELECT ON TABLES TO ${reader.name}`,
      )
      await syncOnce(source, target, { ...replace, name: 'other', targetSchema: 'reports' })
      const [may] = await target.sql(`SELECT has_table_privilege($1, 'reports.orders', 'SELECT') AS may`, [
        reader.name,
      ])
      expect(may?.['may']).toBe('t')
    })

    test('where columns came, went and changed their types', async () => {
      await source.sql(`ALTER TABLE orders DROP COLUMN note, ADD COLUMN at date DEFAULT '2026-01-02';
                        ALTER TABLE orders ALTER COLUMN total TYPE text`)
      await syncOnce(source, target, replace)
      await expectEqual()
      const columns = await target.sql(
        `SELECT attname AS name FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped`,
      )
      expect(columns.map(({ name }) => name)).toEqual(['id', 'total', 'at'])
    })
  })

  describe('takes the rows of the one before where more hangs on it', () => {
    /** $ is the name of the table. */
    const HANGING: readonly string[] = [
      'CREATE VIEW on_$ AS SELECT * FROM $',
      'CREATE MATERIALIZED VIEW on_$ AS SELECT count(*) FROM $',
      'CREATE TABLE on_$ (id int REFERENCES $); INSERT INTO on_$ VALUES (2), (3)',
      `CREATE FUNCTION on_$() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
       CREATE TRIGGER on_$ BEFORE INSERT ON $ FOR EACH ROW EXECUTE FUNCTION on_$()`,
      'ALTER TABLE $ ENABLE ROW LEVEL SECURITY; CREATE POLICY on_$ ON $ USING (true)',
      'CREATE PUBLICATION on_$ FOR TABLE $',
      `CREATE FUNCTION on_$() RETURNS SETOF $ LANGUAGE sql AS 'SELECT * FROM public.$'`,
      'CREATE TABLE on_$ (one $)',
      'CREATE STATISTICS on_$ ON id, total FROM $',
      'CREATE INDEX on_$ ON $ (id) WHERE note IS NOT NULL',
      'CREATE INDEX on_$ ON $ (lower(note))',
      `ALTER TABLE $ ALTER COLUMN note SET DEFAULT 'x'`,
      'ALTER TABLE $ ADD CHECK (id > 0)',
      'ALTER TABLE $ SET (fillfactor = 70)',
      'CREATE TABLE on_$ () INHERITS ($)',
      'CREATE RULE on_$ AS ON DELETE TO $ DO ALSO NOTIFY on_$',
    ]
    const tables = HANGING.map((_, index) => `t${index}`)

    test.each([['with a key'], ['without a key']])('whatever it is, %s', async (how) => {
      const copied = how === 'with a key' ? 'INCLUDING ALL' : ''
      const hanging = HANGING.map((sql, index) => sql.replaceAll('$', `t${index}`))
      // A foreign key and a publication that tells of deletes need one.
      const usable = hanging.map((sql) => copied !== '' || !/REFERENCES|PUBLICATION/.test(sql))
      for (const table of tables) {
        await source.sql(`CREATE TABLE ${table} (LIKE orders ${copied}); INSERT INTO ${table} TABLE orders`)
      }
      await syncOnce(source, target, replace)
      for (const [index, sql] of hanging.entries()) if (usable[index]) await target.sql(sql)
      const oids: unknown[] = []
      for (const table of tables) oids.push(await oidOf(table))
      for (const table of tables) {
        await source.sql(`DELETE FROM ${table} WHERE id = 1; UPDATE ${table} SET note = 'changed' WHERE id = 2;
                          INSERT INTO ${table} VALUES (9, 'new', 9)`)
      }
      await syncOnce(source, target, replace)
      for (const [index, table] of tables.entries()) {
        expect(await rowsOf(target, table)).toEqual(await rowsOf(source, table))
        expect([hanging[index], (await oidOf(table)) === oids[index]]).toEqual([
          hanging[index],
          usable[index],
        ])
      }
    })

    test('so that a view goes on answering, with new rows, and sees a column that was added', async () => {
      await target.sql('CREATE VIEW recent AS SELECT id, note FROM orders WHERE id > 1')
      await source.sql(`ALTER TABLE orders ADD COLUMN at date NOT NULL DEFAULT '2026-01-02'`)
      await change()
      await syncOnce(source, target, replace)
      await expectEqual()
      expect(await target.sql('SELECT id, note FROM recent ORDER BY id')).toEqual([
        { id: '2', note: 'changed' },
        { id: '3', note: 'note 3' },
        { id: '4', note: 'note 4' },
        { id: '5', note: 'note 5' },
        { id: '9', note: 'new' },
      ])
    })

    test('and is refused where the view needs a column that is gone', async () => {
      await target.sql('CREATE VIEW recent AS SELECT id, note FROM orders')
      await source.sql('ALTER TABLE orders DROP COLUMN note')
      const report = await trySync(source, target, replace)
      expect(streamOf(report, 'public.orders').error).toMatchObject({
        code: 'DESTINATION_FAILED',
        hint: expect.stringContaining('drop it') as string,
      })
      expect(await rowsOf(target, 'recent')).toHaveLength(5)
    })

    test('and leaves rows alone that are the same', async () => {
      await target.sql('CREATE VIEW recent AS SELECT id FROM orders')
      const versions = (): Promise<Record<string, string | null>[]> =>
        target.sql('SELECT id, xmin::text FROM orders WHERE id IN (3, 4, 5) ORDER BY id')
      const before = await versions()
      await change()
      await syncOnce(source, target, replace)
      await expectEqual()
      expect(await versions()).toEqual(before)
    })
  })

  test('is adopted into a partitioned table and in the place of a view, and not without being told', async () => {
    await source.sql('CREATE TABLE users AS SELECT 1 AS id; CREATE TABLE tags AS SELECT 2 AS id')
    await target.sql(`CREATE TABLE users (id integer, extra text) PARTITION BY RANGE (id);
                      CREATE TABLE users_1 PARTITION OF users DEFAULT; INSERT INTO users VALUES (77, 'old');
                      CREATE VIEW tags AS SELECT 77 AS id`)
    const refused = await trySync(source, target, replace)
    for (const name of ['public.users', 'public.tags']) {
      expect(streamOf(refused, name).error).toMatchObject({ code: 'TABLE_OWNED' })
    }
    expect(streamOf(refused, 'public.users').error?.message).toContain('partitioned table')
    await syncOnce(source, target, { ...replace, adopt: true })
    expect(await rowsOf(target, 'users')).toEqual(['["1"]'])
    expect(await rowsOf(target, 'tags')).toEqual(['["2"]'])
    expect(await rowsOf(target, 'users_1')).toEqual(['["1"]'])
  })

  test('leaves a view alone that somebody put in the place of its table', async () => {
    await target.sql('ALTER TABLE orders RENAME TO mine; CREATE VIEW orders AS SELECT * FROM mine')
    const refused = await trySync(source, target, replace)
    expect(streamOf(refused, 'public.orders').error).toMatchObject({ code: 'TABLE_OWNED' })
    expect(await rowsOf(target, 'orders')).toHaveLength(5)
  })

  test('waits for whoever holds the table without keeping those behind it', async () => {
    const holder = await target.connect()
    await holder.query('BEGIN; SELECT count(*) FROM orders')
    await change()
    const run = syncOnce(source, target, replace)
    run.catch(() => undefined)
    const waits = `SELECT FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted`
    for (let looks = 0; looks < 3; looks++) {
      await expect.poll(() => target.sql(waits), { timeout: 30_000 }).toHaveLength(1)
      // Whoever comes now stands behind the one that waits, until that gives way.
      expect(await rowsOf(target, 'orders')).toHaveLength(5)
    }
    await holder.query('COMMIT')
    await run
    await expectEqual()
  })
})
