import { beforeEach, expect, test } from 'vitest'
import { openDestination, resolveSettings } from '../../../src/connectors.js'
import type { Destination, StreamWriter } from '../../../src/destination/contract.js'
import { isCommitted, writeState } from '../../../src/destination/postgres/state-store.js'
import { beginWriting, inTransaction } from '../../../src/destination/postgres/write-session.js'
import { connect } from '../../../src/postgres/connect.js'
import { TrunklineError } from '../../../src/model/error.js'
import { landingOf, makeCheckpoint, orders, runOf } from '../../../src/testing/landings.js'
import { onNewestServer, startServer, type TestDatabase } from '../../server/servers.js'
import { rowsOf, streamOf, syncOnce, trySync } from './pg-to-pg.js'

const SESSIONS = `pg_stat_activity WHERE datname = current_database() AND application_name = 'trunkline destination'`

const PATIENTLY = { timeout: 30_000 }

/** Ends all sessions of destinations, and waits until they are gone. */
async function endSessions(database: TestDatabase): Promise<void> {
  await database.sql(`SELECT pg_terminate_backend(pid) FROM ${SESSIONS}`)
  await expect.poll(() => database.sql(`SELECT FROM ${SESSIONS}`), PATIENTLY).toEqual([])
}

/** What beginning comes to once it is noticed here that the server ended a connection. */
async function beginAgain(destination: Destination, expected: string): Promise<StreamWriter | null> {
  let writer: StreamWriter | null = null
  const attempt = async (): Promise<string> => {
    try {
      writer = await destination.begin(landingOf())
      return 'begun'
    } catch (error) {
      return error instanceof TrunklineError ? error.code : String(error)
    }
  }
  await expect.poll(attempt, PATIENTLY).toBe(expected)
  return writer
}

onNewestServer('Runs into a PostgreSQL database', (server) => {
  let source: TestDatabase
  let target: TestDatabase
  beforeEach(async () => {
    source = await server.createDatabase()
    target = await server.createDatabase()
  })
  const open = (): Promise<Destination> => openDestination(target.url, { env: {} })
  const same = async (table: string): Promise<void> => {
    expect(await rowsOf(target, table)).toEqual(await rowsOf(source, table))
  }

  test('make what the source has: keys, NOT NULL, identity, comments, and indexes where asked for', async () => {
    await source.sql(`
      CREATE TABLE items (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL UNIQUE, tags text[],
        price numeric(10,2), doubled numeric GENERATED ALWAYS AS (price * 2) STORED);
      INSERT INTO items (code, tags, price) VALUES ('a', '{x,y}', 1.10), ('b', NULL, NULL);
      COMMENT ON TABLE items IS 'What''s sold'; COMMENT ON COLUMN items.price IS E'net\\nof tax';
      CREATE INDEX items_tags ON items USING gin (tags);
      CREATE INDEX items_lower ON items (lower(code)); CREATE INDEX items_cheap ON items (price) WHERE price < 1`)
    await syncOnce(source, target, { defaults: { indexes: true } })
    await same('items')
    const facts = (of: TestDatabase): Promise<unknown> =>
      of.sql(`
        SELECT attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum) AS comment
          FROM pg_attribute WHERE attrelid = 'items'::regclass AND attnum > 0 ORDER BY attnum`)
    expect(await facts(target)).toEqual(await facts(source))
    const [table] = await target.sql(`
      SELECT obj_description('items'::regclass) AS comment, pg_get_serial_sequence('items', 'id') AS sequence,
             (SELECT array_agg(pg_get_indexdef(indexrelid)::text ORDER BY pg_get_indexdef(indexrelid)::text COLLATE "C")
                FROM pg_index WHERE indrelid = 'items'::regclass) AS indexes`)
    expect(table).toEqual({
      comment: "What's sold",
      sequence: 'public.items_id_seq',
      indexes: `{${[
        '"CREATE INDEX items_code_idx ON public.items USING btree (code)"',
        '"CREATE INDEX items_tags_idx ON public.items USING gin (tags)"',
        '"CREATE UNIQUE INDEX items_pkey ON public.items USING btree (id)"',
      ].join(',')}}`,
    })
    // Where the copy is written on, its numbers go on after those of the source.
    const [added] = await target.sql(`INSERT INTO items (code) VALUES ('c') RETURNING id`)
    expect(added?.['id']).toBe('3')
  })

  test('bring what changed, mark what was deleted where deletes are soft, and add columns', async () => {
    await source.sql(`CREATE TABLE notes (id int PRIMARY KEY, v text);
                      INSERT INTO notes SELECT i, 'v' || i FROM generate_series(1, 20) i`)
    const soft = { defaults: { deletes: 'soft' } } as const
    await syncOnce(source, target, soft)
    await source.sql(`UPDATE notes SET v = 'new' WHERE id = 3; DELETE FROM notes WHERE id > 18;
                      INSERT INTO notes VALUES (21, 'x'); ALTER TABLE notes ADD COLUMN w int; UPDATE notes SET w = 7 WHERE id = 21`)
    await syncOnce(source, target, soft)
    const marked = await target.sql(
      'SELECT id FROM notes WHERE _trunkline_deleted_at IS NOT NULL ORDER BY id',
    )
    expect(marked.map(({ id }) => id)).toEqual(['19', '20'])
    await target.sql('CREATE VIEW live AS SELECT id, v, w FROM notes WHERE _trunkline_deleted_at IS NULL')
    expect(await rowsOf(target, 'live')).toEqual(await rowsOf(source, 'notes'))
    const hard = await syncOnce(source, target, { defaults: { deletes: 'hard' }, verify: true })
    expect(streamOf(hard, 'public.notes')).toMatchObject({ verified: { equal: true } })
    expect(await rowsOf(target, 'live')).toHaveLength(19)
    expect(await target.sql('SELECT FROM notes')).toHaveLength(19)
  })

  test('leave rows alone that are in a table which somebody let inherit from theirs', async () => {
    const tables = { keyed: 'PRIMARY KEY', copied: 'PRIMARY KEY', bare: '', soft: 'PRIMARY KEY' }
    const syncs = [
      { name: 'changes', select: ['public.keyed'] },
      { name: 'marks', select: ['public.soft'], defaults: { deletes: 'soft' } },
      { name: 'copies', select: ['public.copied', 'public.bare'], defaults: { mode: 'full_refresh' } },
    ] as const
    const syncAll = async (): Promise<void> => {
      for (const sync of syncs) {
        const report = await syncOnce(source, target, { ...sync, select: [...sync.select], verify: true })
        for (const { verified } of report.streams) expect(verified).toMatchObject({ equal: true })
      }
    }
    for (const [table, key] of Object.entries(tables)) {
      await source.sql(`CREATE TABLE ${table} (id int ${key}, v text);
                        INSERT INTO ${table} VALUES (1, 'a'), (2, 'b'), (3, 'c')`)
    }
    await syncAll()
    for (const table of Object.keys(tables)) {
      await target.sql(`CREATE TABLE of_${table} () INHERITS (${table});
                        INSERT INTO of_${table} (id, v) VALUES (2, 'theirs'), (99, 'theirs')`)
      await source.sql(`DELETE FROM ${table} WHERE id = 3; UPDATE ${table} SET v = 'changed' WHERE id = 2`)
    }
    await syncAll()
    await syncAll()
    for (const table of Object.keys(tables)) {
      const live = table === 'soft' ? 'WHERE _trunkline_deleted_at IS NULL' : ''
      expect(await target.sql(`SELECT id, v FROM ONLY ${table} ${live} ORDER BY id`)).toEqual([
        { id: '1', v: 'a' },
        { id: '2', v: 'changed' },
      ])
      const theirs = table === 'soft' ? live : ''
      expect(await target.sql(`SELECT id, v FROM of_${table} ${theirs} ORDER BY id`)).toEqual([
        { id: '2', v: 'theirs' },
        { id: '99', v: 'theirs' },
      ])
    }
  })

  test('find out that an attempt of their own has committed a stream already', async () => {
    const destination = await open()
    await destination.open(runOf())
    const first = await destination.begin(landingOf())
    await first.write(orders([1, 'a']))
    await first.commit(makeCheckpoint('1'))
    const second = await destination.begin(landingOf())
    await second.write(orders([1, 'a']))
    await expect(second.commit(makeCheckpoint('2'))).rejects.toMatchObject({
      code: 'FENCED',
      message: expect.stringContaining('earlier attempt of this run') as string,
    })
    await destination.close()
  })

  test('refuse a table that would land on itself, adopted or not, and take another schema', async () => {
    await source.sql('CREATE TABLE notes (id int PRIMARY KEY); INSERT INTO notes VALUES (1)')
    for (const adopt of [false, true]) {
      const report = await trySync(source, source, { adopt })
      expect(streamOf(report, 'public.notes').error).toMatchObject({ code: 'TABLE_OWNED' })
    }
    expect(await rowsOf(source, 'notes')).toEqual(['["1"]'])
    await syncOnce(source, source, { targetSchema: 'copy', select: ['public.*'] })
    expect(await rowsOf(source, 'notes', { schema: 'copy' })).toEqual(['["1"]'])
    // What is kept there of copies is no stream.
    const again = await trySync(source, target, { name: 'other' })
    expect(again.streams.map(({ stream }) => stream).sort()).toEqual(['copy.notes', 'public.notes'])
  })

  test('of one sync come one after the other, and the lock goes with the session that holds it', async () => {
    const [first, second] = [await open(), await open()]
    await first.open(runOf())
    await expect(second.open(runOf({ runId: 'run-2' }))).rejects.toMatchObject({
      code: 'DESTINATION_LOCKED',
      retry: 'backoff',
    })
    // Nothing that VACUUM would have to wait for.
    const held = await target.sql(`SELECT backend_xmin, backend_xid FROM ${SESSIONS}`)
    expect(held.every((row) => row['backend_xmin'] === null && row['backend_xid'] === null)).toBe(true)
    const writer = await first.begin(landingOf())
    await writer.write(orders([1, 'a']))
    await endSessions(target)
    const state = await second.open(runOf({ runId: 'run-2' }))
    expect(state.epoch).toBe(2)
    await expect(writer.commit(makeCheckpoint('1'))).rejects.toMatchObject({
      code: 'DESTINATION_UNREACHABLE',
    })
    await beginAgain(first, 'DESTINATION_LOCKED')
    await second.close()
    await beginAgain(first, 'FENCED')
    await first.close()
  })

  test('go on with a new connection where the server ended all of them', async () => {
    const destination = await open()
    await destination.open(runOf())
    const lost = await destination.begin(landingOf())
    await lost.write(orders([1, 'a']))
    await endSessions(target)
    await expect(lost.commit(makeCheckpoint('1'))).rejects.toMatchObject({ code: 'DESTINATION_UNREACHABLE' })
    const writer = await beginAgain(destination, 'begun')
    const held = await target.sql(`SELECT backend_xmin, backend_xid FROM ${SESSIONS}`)
    expect(held.every((row) => row['backend_xmin'] === null && row['backend_xid'] === null)).toBe(true)
    await writer?.write(orders([1, 'a'], [2, 'b']))
    await writer?.commit(makeCheckpoint('2'))
    await destination.close()
    expect(await rowsOf(target, 'orders')).toEqual(['["1", "a"]', '["2", "b"]'])
  })

  test('give each stream a session of its own, also after a stream that could not begin', async () => {
    const destination = await open()
    await destination.open(runOf())
    const first = await destination.begin(landingOf())
    await first.write(orders([1, 'a']))
    await first.commit(makeCheckpoint('1'))
    await target.sql('ALTER TABLE orders ALTER COLUMN note TYPE varchar(9)')
    await expect(destination.begin(landingOf({ expectedRunSeq: 1 }))).rejects.toMatchObject({
      code: 'DESTINATION_FAILED',
    })
    const begin = (name: string): Promise<StreamWriter> =>
      destination.begin(landingOf({ stream: `public.${name}`, table: { schema: 'public', name } }))
    const writers = [await begin('one'), await begin('two')]
    // Those of the two streams, and the one that holds the lock.
    expect(await target.sql(`SELECT FROM ${SESSIONS} AND state = 'idle in transaction'`)).toHaveLength(3)
    for (const writer of writers) await writer.write(orders([1, 'a']))
    await writers[0]?.abort()
    await writers[1]?.commit(makeCheckpoint('1'))
    await destination.close()
    expect(await rowsOf(target, 'two')).toEqual(['["1", "a"]'])
  })

  test('whose connection is lost at the commit know that nothing was committed, and nothing is there', async () => {
    const destination = await open()
    await destination.open(runOf())
    const writer = await destination.begin(landingOf())
    await writer.write(orders([1, 'a']))
    // When all of the transaction is done but the commit itself, its own session is ended.
    await target.sql(`
      CREATE FUNCTION public.at_commit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE ON _trunkline.state
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.at_commit()`)
    await expect(writer.commit(makeCheckpoint('1'))).rejects.toMatchObject({
      code: 'DESTINATION_UNREACHABLE',
    })
    expect(await target.sql(`SELECT to_regclass('public.orders') AS oid`)).toEqual([{ oid: null }])
    await target.sql('DROP TRIGGER at_commit ON _trunkline.state')
    const again = await beginAgain(destination, 'begun')
    await again?.write(orders([1, 'a']))
    await again?.commit(makeCheckpoint('2'))
    await destination.close()
    expect(await rowsOf(target, 'orders')).toEqual(['["1", "a"]'])
  })

  test('whose answer is lost after the commit find out that it took place, once its transaction is over', async () => {
    const destination = await open()
    await destination.open(runOf())
    const settings = await resolveSettings({ url: target.url, options: {}, place: null }, {})
    await using writing = await connect(settings)
    await using asking = await connect(settings)
    const origin = {
      sync: 'shop',
      stream: 'public.orders',
      table: { schema: 'public', name: 'orders' },
      number: 1,
      generation: 1,
      expectedRunSeq: 0,
      epoch: 1,
      runId: 'run-1',
    }
    expect(await inTransaction(asking, () => isCommitted(asking, origin))).toBe(false)
    await beginWriting(writing)
    await writeState(writing, { ...origin, checkpoint: makeCheckpoint('1'), made: null })
    const answer = inTransaction(asking, () => isCommitted(asking, origin))
    await expect
      .poll(
        () => target.sql(`SELECT FROM pg_locks WHERE NOT granted AND pid = ${asking.backendPid}`),
        PATIENTLY,
      )
      .toHaveLength(1)
    await writing.execute('COMMIT')
    expect(await answer).toBe(true)
    await destination.close()
  })

  test('take up a load that was interrupted, and leave nothing of it', async () => {
    await source.sql(`CREATE TABLE big (id int PRIMARY KEY, v text);
                      INSERT INTO big SELECT i, repeat('v', 600) FROM generate_series(1, 60000) i`)
    const cut = await trySync(source, target, {
      limits: { saveEveryMs: 0, maxAttempts: 1 },
      wrap: failingAfterSave,
    })
    expect(streamOf(cut, 'public.big').error).toMatchObject({ code: 'INTERNAL' })
    await using destination = await open()
    const [saved] = await destination.readState('shop')
    expect(saved?.streams.get('public.big')?.partial?.progress.rows).toBeGreaterThan(0)
    await source.sql(`UPDATE big SET v = 'changed' WHERE id = 1; DELETE FROM big WHERE id = 2`)
    const report = await syncOnce(source, target)
    expect(streamOf(report, 'public.big').fullLoadReason).toContain('Gone on with')
    await same('big')
    const left = `SELECT relname FROM pg_class WHERE relnamespace = '_trunkline'::regnamespace AND relkind = 'r' AND relname ~ '^[0-9]'`
    expect(await target.sql(left)).toEqual([])
  })

  test('reach the target directly where the environment states a tunnel, which leads to the source', async () => {
    const env = { TRUNKLINE_SSH_TUNNEL: 'ssh://nobody@nowhere.invalid', TRUNKLINE_SSH_KEY: '/nowhere' }
    await using destination = await openDestination(target.url, { env })
    expect((await destination.open(runOf())).epoch).toBe(1)
  })

  test('whose role lacks a privilege say which it needs', async () => {
    const role = await target.createRole()
    await source.sql('CREATE TABLE notes (id int PRIMARY KEY)')
    await expect(trySync(source, role)).rejects.toMatchObject({
      code: 'DESTINATION_DENIED',
      hint: expect.stringContaining('CREATE on the database') as string,
    })
    await target.sql(
      `CREATE SCHEMA _trunkline AUTHORIZATION ${role.name}; GRANT CREATE ON SCHEMA public TO ${role.name}`,
    )
    await syncOnce(source, role)
    expect(await rowsOf(target, 'notes')).toEqual([])
  })
})

/** Fails in the first write after a save. */
function failingAfterSave(destination: Destination): Destination {
  return new Proxy(destination, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      if (key !== 'begin') return value.bind(target) as unknown
      return async (...args: Parameters<Destination['begin']>) => failing(await target.begin(...args))
    },
  })
}

function failing(writer: StreamWriter): StreamWriter {
  let saved = false
  return new Proxy(writer, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target)
      if (typeof member !== 'function') return member
      if (key === 'write') {
        return (...batch: Parameters<StreamWriter['write']>) =>
          saved ? Promise.reject(new Error('the disk of the test is full')) : target.write(...batch)
      }
      if (key === 'save') {
        return async (...progress: Parameters<StreamWriter['save']>) => {
          await target.save(...progress)
          saved = true
        }
      }
      return member.bind(target) as unknown
    },
  })
}

test('A server that restarts between two runs loses nothing', async () => {
  await using server = await startServer({ major: 18 })
  const [source, target] = [await server.createDatabase(), await server.createDatabase()]
  await source.sql('CREATE TABLE notes (id int PRIMARY KEY, v text); INSERT INTO notes VALUES (1, NULL)')
  await syncOnce(source, target)
  await server.restart()
  await source.sql(`INSERT INTO notes VALUES (2, 'b')`)
  await syncOnce(source, target)
  expect(await rowsOf(target, 'notes')).toEqual(await rowsOf(source, 'notes'))
})
