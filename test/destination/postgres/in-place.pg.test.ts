/** Tables that stay what they are, with what hangs on them, while their rows change: by full loads and by changes. */
import { beforeEach, describe, expect, test } from 'vitest'
import { openDestination } from '../../../src/connectors.js'
import { onNewestServer, type TestDatabase } from '../../server/servers.js'
import { rowsOf, streamOf, syncOnce, trySync } from './pg-to-pg.js'

const FULL = { defaults: { mode: 'full_refresh' } } as const

onNewestServer('A table that a view hangs on', (server) => {
  test('takes full loads whose key has another type, other columns, or is gone', async () => {
    const [source, target] = [await server.createDatabase(), await server.createDatabase()]
    // Each with what becomes of it, and the primary key that it has then.
    const tables: Readonly<Record<string, readonly [change: string, key: string | null]>> = {
      wider: ['ALTER TABLE wider ALTER COLUMN id TYPE bigint', 'id'],
      cast: ['ALTER TABLE cast_ ALTER COLUMN id TYPE text', 'id'],
      anew: ["ALTER TABLE anew ALTER COLUMN id TYPE date USING '2026-01-01'::date + id", 'id'],
      more: [
        `ALTER TABLE more DROP CONSTRAINT more_pkey, ADD PRIMARY KEY (region, id);
         INSERT INTO more VALUES (1, 'south', 'same id')`,
        'id,region',
      ],
      less: [
        `ALTER TABLE less DROP CONSTRAINT less_pkey, ALTER COLUMN id DROP NOT NULL;
         INSERT INTO less VALUES (1, 'x', 'same id'), (NULL, 'y', 'none')`,
        null,
      ],
      kept: ['ALTER TABLE kept DROP CONSTRAINT kept_pkey', 'id'],
    }
    const nameOf = (table: string): string => (table === 'cast' ? 'cast_' : table)
    for (const table of Object.keys(tables).map(nameOf)) {
      await source.sql(`CREATE TABLE ${table} (id int PRIMARY KEY, region text NOT NULL, note text);
                        INSERT INTO ${table} SELECT g, 'r' || g, 'note ' || g FROM generate_series(1, 4) g`)
    }
    await syncOnce(source, target, FULL)
    for (const table of Object.keys(tables).map(nameOf)) {
      await target.sql(`CREATE VIEW on_${table} AS SELECT note FROM ${table}`)
    }
    // A key that others refer to stays theirs where its type can be changed.
    await target.sql('CREATE TABLE of_wider (id int REFERENCES wider); INSERT INTO of_wider VALUES (2)')
    for (const [change] of Object.values(tables)) await source.sql(change)
    await source.sql(`UPDATE wider SET note = 'changed' WHERE id = 1; DELETE FROM wider WHERE id = 3`)
    for (let run = 0; run < 2; run++) {
      await syncOnce(source, target, FULL)
      for (const [table, [, key]] of Object.entries(tables).map(
        ([name, facts]) => [nameOf(name), facts] as const,
      )) {
        expect(await rowsOf(target, table), table).toEqual(await rowsOf(source, table))
        expect(await target.sql(`SELECT note FROM on_${table}`), table).not.toEqual([])
        const [found] = await target.sql(
          `SELECT string_agg(a.attname, ',' ORDER BY a.attname) AS key FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
            WHERE i.indrelid = '${table}'::regclass AND i.indisprimary`,
        )
        expect([table, found?.['key']]).toEqual([table, key])
      }
      const [type] = await target.sql(`SELECT pg_typeof(id)::text AS of FROM wider LIMIT 1`)
      expect(type).toEqual({ of: 'bigint' })
    }
  })
})

onNewestServer('A table that more hangs on', (server) => {
  let source: TestDatabase
  let target: TestDatabase
  beforeEach(async () => {
    source = await server.createDatabase()
    target = await server.createDatabase()
  })
  const same = async (table: string): Promise<void> => {
    expect(await rowsOf(target, table)).toEqual(await rowsOf(source, table))
  }

  test('whose key a foreign key needs as it was fails alone, and says what to do', async () => {
    await source.sql(`CREATE TABLE a (id int PRIMARY KEY, v int NOT NULL); INSERT INTO a VALUES (1, 1);
                      CREATE TABLE z (id int PRIMARY KEY); INSERT INTO z VALUES (1)`)
    await syncOnce(source, target, FULL)
    await target.sql('CREATE TABLE of_a (id int REFERENCES a); INSERT INTO of_a VALUES (1)')
    await source.sql(
      `ALTER TABLE a DROP CONSTRAINT a_pkey, ADD PRIMARY KEY (id, v); INSERT INTO z VALUES (2)`,
    )
    const report = await trySync(source, target, FULL)
    expect(streamOf(report, 'public.a').error).toMatchObject({
      code: 'DESTINATION_FAILED',
      hint: expect.stringContaining('a foreign key') as string,
    })
    expect(streamOf(report, 'public.z').error).toBe(null)
    await same('z')
    await target.sql('DROP TABLE of_a')
    await syncOnce(source, target, FULL)
    await same('a')
  })

  test('whose column was altered there fails alone, and lands after a resync', async () => {
    await source.sql(`CREATE TABLE a (id int PRIMARY KEY, note text); INSERT INTO a VALUES (1, 'x');
                      CREATE TABLE z (id int PRIMARY KEY); INSERT INTO z VALUES (1)`)
    await syncOnce(source, target)
    await target.sql('ALTER TABLE a ALTER COLUMN note TYPE varchar(9)')
    await source.sql(`INSERT INTO a VALUES (2, 'y'); INSERT INTO z VALUES (2)`)
    const report = await trySync(source, target)
    expect(streamOf(report, 'public.a').error).toMatchObject({
      code: 'DESTINATION_FAILED',
      hint: expect.stringContaining('resync public.a') as string,
    })
    await same('z')
    await resync('public.a')
    await syncOnce(source, target)
    await same('a')
  })

  test('keeps the key that a partitioned table was adopted with, load after load', async () => {
    await source.sql(
      `CREATE TABLE a (id int PRIMARY KEY, region text NOT NULL); INSERT INTO a VALUES (1, 'n'), (2, 's')`,
    )
    await target.sql(`CREATE TABLE a (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
                      CREATE TABLE a_n PARTITION OF a FOR VALUES IN ('n'); CREATE TABLE a_rest PARTITION OF a DEFAULT`)
    await syncOnce(source, target, { ...FULL, adopt: true })
    await source.sql(`UPDATE a SET region = 'n' WHERE id = 2; INSERT INTO a VALUES (3, 'e')`)
    await syncOnce(source, target, FULL)
    await same('a')
    const [key] = await target.sql(
      `SELECT pg_get_constraintdef(oid) AS key FROM pg_constraint WHERE conrelid = 'a'::regclass AND contype = 'p'`,
    )
    expect(key).toEqual({ key: 'PRIMARY KEY (id, region)' })
  })

  test('goes on numbering after the rows that came, and never goes back', async () => {
    await source.sql(`CREATE TABLE a (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v int);
                      CREATE TABLE b (LIKE a INCLUDING ALL); INSERT INTO a (v) VALUES (1); INSERT INTO b (v) VALUES (1)`)
    await syncOnce(source, target, FULL)
    await target.sql(`CREATE VIEW on_a AS SELECT v FROM a; CREATE VIEW on_b AS SELECT v FROM b;
                      SELECT setval('b_id_seq', 50)`)
    await source.sql('INSERT INTO a VALUES (7, 7); INSERT INTO b VALUES (7, 7)')
    await syncOnce(source, target, FULL)
    expect(await target.sql('INSERT INTO a (v) VALUES (0) RETURNING id')).toEqual([{ id: '8' }])
    expect(await target.sql('INSERT INTO b (v) VALUES (0) RETURNING id')).toEqual([{ id: '51' }])
  })

  test('keeps rows that are marked as deleted, and have no value where one is wanted by now', async () => {
    const soft = { defaults: { deletes: 'soft' } } as const
    for (const table of ['a', 'b']) {
      await source.sql(`CREATE TABLE ${table} (id int PRIMARY KEY, note text, v int);
                        INSERT INTO ${table} VALUES (1, 'x', 1), (2, NULL, 2)`)
    }
    await syncOnce(source, target, soft)
    await target.sql('CREATE VIEW on_b AS SELECT id FROM b')
    for (const table of ['a', 'b']) await source.sql(`DELETE FROM ${table} WHERE id = 2`)
    await syncOnce(source, target, soft)
    for (const table of ['a', 'b']) {
      await source.sql(`ALTER TABLE ${table} ALTER COLUMN note SET NOT NULL, ALTER COLUMN v SET NOT NULL`)
      await resync(`public.${table}`)
    }
    await syncOnce(source, target, soft)
    for (const table of ['a', 'b']) {
      const rows = await target.sql(
        `SELECT id, note, v, _trunkline_deleted_at IS NOT NULL AS gone FROM ${table} ORDER BY id`,
      )
      expect(rows).toEqual([
        { id: '1', note: 'x', v: '1', gone: 'f' },
        { id: '2', note: null, v: '2', gone: 't' },
      ])
      const strict = await target.sql(
        `SELECT attname AS name FROM pg_attribute WHERE attrelid = '${table}'::regclass AND attnum > 0 AND attnotnull ORDER BY attnum`,
      )
      expect(strict.map(({ name }) => name)).toEqual(['id', 'v'])
    }
  })

  describe('by triggers of others', () => {
    const AUDIT = (table: string): string => `
      CREATE FUNCTION on_${table}() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO audit VALUES (TG_TABLE_NAME, TG_OP); RETURN NULL; END $$;
      CREATE TRIGGER on_${table} AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION on_${table}();
      CREATE CONSTRAINT TRIGGER late_on_${table} AFTER INSERT ON ${table} DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION on_${table}()`

    test('lets them find what they name, as in any other session', async () => {
      const syncs = [
        { name: 'merged', select: ['public.merged'], defaults: { mode: 'mirror' } },
        { name: 'whole', select: ['public.whole'], defaults: { mode: 'full_refresh' } },
        { name: 'added', select: ['public.added'], defaults: { mode: 'incremental', landing: 'append' } },
      ] as const
      const syncAll = async (): Promise<void> => {
        for (const sync of syncs) await syncOnce(source, target, { ...sync, select: [...sync.select] })
      }
      for (const { name } of syncs) {
        await source.sql(
          `CREATE TABLE ${name} (id int PRIMARY KEY, v int); INSERT INTO ${name} VALUES (1, 1), (2, 2)`,
        )
      }
      await syncAll()
      await target.sql('CREATE TABLE audit (name text, op text)')
      for (const { name } of syncs) await target.sql(AUDIT(name))
      for (const { name } of syncs) await source.sql(`INSERT INTO ${name} VALUES (3, 3)`)
      for (const name of ['merged', 'whole']) {
        await source.sql(`UPDATE ${name} SET v = 9 WHERE id = 1; DELETE FROM ${name} WHERE id = 2`)
      }
      await syncAll()
      for (const { name } of syncs) await same(name)
      const told = await target.sql(
        `SELECT name, string_agg(op, ' ' ORDER BY op) AS ops FROM audit GROUP BY name ORDER BY name`,
      )
      expect(told).toEqual([
        { name: 'added', ops: 'INSERT INSERT' },
        { name: 'merged', ops: 'DELETE INSERT INSERT UPDATE' },
        { name: 'whole', ops: 'DELETE INSERT INSERT UPDATE' },
      ])
    })

    test('loses no row to one that keeps it back: the stream fails, and says so', async () => {
      const append = {
        name: 'added',
        select: ['public.b'],
        defaults: { mode: 'incremental', landing: 'append' },
      } as const
      const whole = { name: 'whole', select: ['public.a'], ...FULL } as const
      await source.sql(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)`)
      for (const sync of [whole, append])
        await syncOnce(source, target, { ...sync, select: [...sync.select] })
      await target.sql(`CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
                          $$ BEGIN IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$`)
      for (const table of ['a', 'b']) {
        await target.sql(`CREATE TRIGGER skip BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION skip()`)
        await source.sql(`INSERT INTO ${table} VALUES (1), (2)`)
      }
      for (const sync of [whole, append]) {
        const [stream] = (await trySync(source, target, { ...sync, select: [...sync.select] })).streams
        expect(stream?.error).toMatchObject({
          code: 'DESTINATION_FAILED',
          message: expect.stringContaining('keeps rows back') as string,
        })
      }
      expect(await target.sql('SELECT FROM a UNION ALL SELECT FROM b')).toEqual([])
    })
  })

  test('by a unique index of its owner says which one refuses a row', async () => {
    await source.sql(`CREATE TABLE a (id int PRIMARY KEY, code text); INSERT INTO a VALUES (1, 'x')`)
    await syncOnce(source, target)
    await target.sql('CREATE UNIQUE INDEX "by Code" ON a (code)')
    await source.sql(`INSERT INTO a VALUES (2, 'x')`)
    const report = await trySync(source, target)
    expect(streamOf(report, 'public.a').error).toMatchObject({
      code: 'DESTINATION_FAILED',
      message: expect.stringContaining('by Code') as string,
      hint: expect.stringContaining('Drop it') as string,
    })
    await target.sql('DROP INDEX "by Code"')
    await syncOnce(source, target)
    await same('a')
  })

  describe('with an enum that gets a label at the source', () => {
    const MOOD = `CREATE TYPE mood AS ENUM ('good', 'bad')`
    const prepare = async (): Promise<void> => {
      await source.sql(
        `${MOOD}; CREATE TABLE a (id int PRIMARY KEY, m mood); INSERT INTO a VALUES (1, 'bad')`,
      )
      await target.sql(MOOD)
    }
    const grow = (): Promise<unknown> => source.sql(`ALTER TYPE mood ADD VALUE 'fair' BEFORE 'bad'`)

    test('has it, too, in its place, where the type is the role’s own', async () => {
      await prepare()
      await syncOnce(source, target)
      await grow()
      await source.sql(`INSERT INTO a VALUES (2, 'fair')`)
      await syncOnce(source, target)
      await same('a')
      expect(await target.sql('SELECT enum_range(NULL::mood)::text AS labels')).toEqual([
        { labels: '{good,fair,bad}' },
      ])
      expect(await target.sql('SELECT pg_typeof(m)::text AS type FROM a LIMIT 1')).toEqual([{ type: 'mood' }])
    })

    test('takes all other rows where the type is somebody else’s, and says what a row of the label needs', async () => {
      await prepare()
      const role = await target.createRole()
      await target.sql(`CREATE SCHEMA _trunkline AUTHORIZATION ${role.name};
                        GRANT CREATE, USAGE ON SCHEMA public TO ${role.name}`)
      await syncOnce(source, role)
      await grow()
      await source.sql(`INSERT INTO a VALUES (2, 'good')`)
      await syncOnce(source, role)
      await same('a')
      await source.sql(`INSERT INTO a VALUES (3, 'fair')`)
      const report = await trySync(source, role)
      expect(streamOf(report, 'public.a').error).toMatchObject({
        code: 'VALUE_UNREPRESENTABLE',
        hint: expect.stringContaining('ALTER TYPE public.mood ADD VALUE') as string,
      })
      await target.sql(`ALTER TYPE mood ADD VALUE 'fair'`)
      await syncOnce(source, role)
      await same('a')
    })
  })

  /** As `trunkline state resync`. */
  async function resync(stream: string): Promise<void> {
    await using destination = await openDestination(target.url, { env: {} })
    await destination.editState('shop', stream, { kind: 'resync' })
  }
})
