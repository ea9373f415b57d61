/** Runs whose connection, server or patience ends in the middle: what is told of it is true, and the next run goes on from there. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Destination, StreamWriter } from '../../../src/destination/contract.js'
import { onNewestServer, startServer, type TestDatabase } from '../../server/servers.js'
import { startLosingProxy } from './losing-proxy.js'
import { rowsOf, streamOf, syncOnce, trySync } from './pg-to-pg.js'

const SESSIONS = `pg_stat_activity WHERE datname = current_database() AND application_name = 'trunkline destination'`
const GENERATIONS = `SELECT relname FROM pg_class
  WHERE relnamespace = '_trunkline'::regnamespace AND relkind = 'r' AND relname ~ '^[0-9]'`
const PATIENTLY = { timeout: 30_000 }
/** Few rows on many pages: large enough to be read in parts. */
const BIG = `
  CREATE TABLE big (id bigint PRIMARY KEY, v integer NOT NULL, pad text NOT NULL) WITH (fillfactor = 10);
  INSERT INTO big SELECT g, 0, repeat('x', 700) || g FROM generate_series(1, 7000) g`
const QUICK = { firstRetryDelayMs: 50, maxRetryDelayMs: 400 }

onNewestServer('A run into PostgreSQL that is interrupted', (server) => {
  let source: TestDatabase
  let target: TestDatabase
  beforeEach(async () => {
    source = await server.createDatabase()
    target = await server.createDatabase()
  })
  const same = async (table: string): Promise<void> => {
    expect(await rowsOf(target, table)).toEqual(await rowsOf(source, table))
  }

  describe('by the loss of an answer finds out what took place,', () => {
    test('of a commit, and of one that says of several streams that nothing changed', async () => {
      await source.sql(`CREATE TABLE a AS SELECT 1 AS id; ALTER TABLE a ADD PRIMARY KEY (id);
                        CREATE TABLE b AS TABLE a; ALTER TABLE b ADD PRIMARY KEY (id)`)
      await using proxy = await startLosingProxy(target)
      const through = { url: proxy.through(target.url) }
      for (const [text, outcome] of [
        ['INSERT INTO _trunkline.tables', 'done'],
        ['UPDATE _trunkline.state AS s', 'unchanged'],
      ] as const) {
        const before = proxy.lost
        proxy.loseCommitAfter(text)
        const report = await syncOnce(source, through, { limits: QUICK })
        expect(proxy.lost).toBe(before + 1)
        expect(report.streams.map((stream) => stream.outcome)).toEqual([outcome, outcome])
      }
      expect(await target.sql('SELECT DISTINCT run_seq FROM _trunkline.state')).toEqual([{ run_seq: '2' }])
      await same('a')
      await same('b')
    })

    // Older sources are read in parts only by several readers.
    if (server.major < 14) return
    test('of a save: it goes on with what was saved', async () => {
      await source.sql(BIG)
      await using proxy = await startLosingProxy(target)
      proxy.loseCommitAfter('INSERT INTO _trunkline.partials')
      const report = await syncOnce(
        source,
        { url: proxy.through(target.url) },
        { limits: { ...QUICK, saveEveryMs: 0 } },
      )
      expect(proxy.lost).toBe(1)
      expect(streamOf(report, 'public.big').fullLoadReason).toMatch(/Gone on with: [1-9]\d* of \d+ parts/)
      await same('big')
      expect(await target.sql(GENERATIONS)).toEqual([])
    })
  })

  describe('by its owner ends at once, and leaves nothing behind,', () => {
    const MIRROR = { defaults: { mode: 'mirror' } } as const
    const FULL = { defaults: { mode: 'full_refresh' } } as const
    const APPEND = { defaults: { mode: 'incremental', landing: 'append' } } as const
    test.each([
      ['where changes wait for the table', MIRROR, 'LOCK TABLE notes IN ACCESS EXCLUSIVE MODE', 'notes'],
      ['where a new generation waits for its name', FULL, 'LOCK TABLE notes IN ACCESS SHARE MODE', 'notes'],
      ['where rows are copied straight into the table', APPEND, 'LOCK TABLE notes IN SHARE MODE', 'notes'],
      [
        'where it begins',
        MIRROR,
        'LOCK TABLE _trunkline.tables IN ACCESS EXCLUSIVE MODE',
        '_trunkline.tables',
      ],
    ])('%s', async (_, options, lock, locked) => {
      await source.sql('CREATE TABLE notes (id int PRIMARY KEY, v text); INSERT INTO notes VALUES (1, NULL)')
      await syncOnce(source, target, options)
      await source.sql(`INSERT INTO notes VALUES (2, 'b')`)
      const before = await rowsOf(target, 'notes')
      const holder = await target.connect()
      await holder.query(`BEGIN; ${lock}`)
      const ending = new AbortController()
      const run = trySync(source, target, { ...options, signal: ending.signal })
      run.catch(() => undefined)
      const waiting = `SELECT FROM pg_locks WHERE relation = '${locked}'::regclass AND NOT granted`
      await expect.poll(() => target.sql(waiting), PATIENTLY).toHaveLength(1)
      ending.abort()
      expect(await run).toMatchObject({ outcome: 'aborted' })
      // The lock is still held: nobody waits for it any more.
      await expect.poll(() => target.sql(`SELECT FROM ${SESSIONS}`), PATIENTLY).toEqual([])
      await holder.query('COMMIT')
      expect(await rowsOf(target, 'notes')).toEqual(before)
      expect(await target.sql(GENERATIONS)).toEqual([])
      expect(await target.sql('SELECT FROM _trunkline.syncs WHERE released_at IS NULL')).toEqual([])
      await syncOnce(source, target, options)
      await same('notes')
    })
  })
})

type Moment = 'write' | 'save' | 'commit'

test('A target server that is killed in the middle of a run, and comes back, has every row once after the next', async () => {
  await using server = await startServer({ major: 18, durable: true })
  await using other = await startServer({ major: 18 })
  const [from, target] = [await other.createDatabase(), await server.createDatabase()]
  await from.sql(BIG)
  const killed: Moment[] = []
  const kill = async (moment: Moment): Promise<void> => {
    killed.push(moment)
    await server.kill()
    await server.start()
  }
  /** Before the rows that follow a save; and while a commit is under way, which may take place or not. */
  const wraps = [
    (destination: Destination): Destination => {
      let saved = false
      return withWriter(destination, async (called, work) => {
        if (called === 'write' && saved && killed.length === 0) await kill(called)
        await work()
        saved ||= called === 'save'
      })
    },
    (destination: Destination): Destination =>
      withWriter(destination, async (called, work) => {
        const call = work()
        call.catch(() => undefined)
        if (called === 'commit' && killed.length === 1) await kill(called)
        await call
      }),
  ]
  const limits = { ...QUICK, saveEveryMs: 0, batchRows: 500 }
  for (const [round, wrap] of wraps.entries()) {
    const [name, targetSchema] = [`sync ${round}`, `copy_${round}`]
    await trySync(from, target, { name, targetSchema, limits, wrap })
    await from.sql(`UPDATE big SET v = v + 1 WHERE id % 97 = ${round}; DELETE FROM big WHERE id % 89 = ${round};
                    INSERT INTO big SELECT g, 0, 'new' FROM generate_series(${30_000 + round * 100}, ${30_050 + round * 100}) g`)
    await syncOnce(from, target, { name, targetSchema, limits })
    expect(await rowsOf(target, 'big', { schema: targetSchema })).toEqual(await rowsOf(from, 'big'))
  }
  expect(killed).toEqual(['write', 'commit'])
  expect(await target.sql(GENERATIONS)).toEqual([])
  expect(await target.sql('SELECT FROM _trunkline.partials')).toEqual([])
})

/** Tells of each call of a writer that may take long. */
function withWriter(
  destination: Destination,
  tell: (called: Moment, work: () => Promise<void>) => Promise<void>,
): Destination {
  const begin = destination.begin.bind(destination)
  destination.begin = async (landing): Promise<StreamWriter> => {
    const writer = await begin(landing)
    const { write, save, commit } = writer
    writer.write = (batch) => tell('write', () => write.call(writer, batch))
    writer.save = (progress) => tell('save', () => save.call(writer, progress))
    writer.commit = (checkpoint) => tell('commit', () => commit.call(writer, checkpoint))
    return writer
  }
  return destination
}
