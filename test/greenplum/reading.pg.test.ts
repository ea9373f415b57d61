import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { rows as rowsOf } from '../../src/batch/rows.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { Snapshot, SnapshotOptions, Source, Split } from '../../src/source/contract.js'
import { onOldestServer, type TestDatabase } from '../server/servers.js'
import {
  discoverOne,
  failureOf,
  openSnapshot,
  openSource,
  streamNamed,
  TYPE_OPTIONS,
  withLimits,
} from '../source/open-source.js'
import { describeTable, installDouble } from './double-schema.js'
import { startGreenplumDouble, type DoubleOptions, type GreenplumDouble } from './greenplum-double.js'

const ROWS = 12_000

onOldestServer('A Greenplum cluster as it is read, played', (server) => {
  let database: TestDatabase
  let double: GreenplumDouble
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    await installDouble(database)
    // Large enough to be divided among two segments.
    await database.sql(`
      CREATE TABLE large (id int PRIMARY KEY, pad text NOT NULL);
      ALTER TABLE large ALTER pad SET STORAGE PLAIN;
      INSERT INTO large SELECT g, repeat(chr(97 + g % 26), 900) FROM generate_series(1, ${ROWS}) g;
      CREATE TABLE copies (id int PRIMARY KEY, pad text NOT NULL);
      ALTER TABLE copies ALTER pad SET STORAGE PLAIN;
      INSERT INTO copies SELECT * FROM large;
      CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small SELECT generate_series(1, 10);
      CREATE TABLE feed (line text); INSERT INTO feed VALUES ('one');
      CREATE VIEW above AS SELECT * FROM small WHERE id > 5;
      CREATE VIEW far_above AS SELECT * FROM above WHERE id > 8;
      CREATE TABLE events (id int, at timestamptz);
      CREATE TABLE rewritten (id int); INSERT INTO rewritten VALUES (1);
      CREATE TABLE empty (id int);
      CREATE TABLE secret (id int)`)
    await describeTable(database, 'public.large', {})
    await describeTable(database, 'public.copies', { distribution: 'replicated' })
    await describeTable(database, 'public.small', {})
    await describeTable(database, 'public.feed', { storage: 'x' })
    await describeTable(database, 'public.events', { storage: 'c' })
    await describeTable(database, 'public.rewritten', { storage: 'a' })
    await describeTable(database, 'public.empty', { storage: 'a' })
    await describeTable(database, 'public.secret', {})
    await database.sql('INSERT INTO events VALUES (1, now())')
  })
  beforeEach(async () => {
    await begin()
  })
  afterEach(async () => {
    await source.close()
    await double.close()
  })

  async function begin(options: Partial<DoubleOptions> = {}): Promise<void> {
    double = await startGreenplumDouble({
      target: server,
      views: ['public.above', 'public.far_above'],
      ...options,
    })
    source = await openSource(double.url(database.name, 'postgres'))
  }

  async function beginAnew(options: Partial<DoubleOptions>): Promise<void> {
    await source.close()
    await double.close()
    await begin(options)
  }

  const sent = (): string => double.statements.map(({ sql }) => sql).join('\n;\n')

  async function open(
    name: string,
    options: Partial<SnapshotOptions> = {},
  ): Promise<[Snapshot, CatalogStream]> {
    const stream = await discoverOne(source, name)
    const snapshot = await openSnapshot(source, [stream], { readers: 2, ...options })
    const [present] = snapshot.streams
    if (present === undefined) throw snapshot.failed[0]?.error
    return [snapshot, present]
  }

  async function plan(snapshot: Snapshot, stream: CatalogStream): Promise<readonly Split[]> {
    return snapshot.plan({
      stream,
      columns: source.mapColumns(stream, TYPE_OPTIONS),
      rows: { kind: 'full' },
      where: null,
      withXmin: false,
      limits: withLimits({}),
    })
  }

  async function readIds(snapshot: Snapshot, splits: readonly Split[]): Promise<number[]> {
    const lists = await Promise.all(
      splits.map(async (split) => {
        const ids: number[] = []
        for await (const batch of snapshot.read(split))
          for (const { id } of rowsOf(batch)) ids.push(Number(id))
        return ids
      }),
    )
    return lists.flat().sort((a, b) => a - b)
  }

  it('reads one split per segment by a literal, side by side in one snapshot, and checks that the leader held it', async () => {
    const [snapshot, large] = await open('public.large')
    await using held = snapshot
    const splits = await plan(held, large)
    expect(splits.map(({ selectSql }) => /WHERE (.*)$/.exec(selectSql)?.[1])).toEqual([
      'gp_segment_id = 0',
      'gp_segment_id = 1',
    ])
    await database.sql(`INSERT INTO large VALUES (0, 'committed after the snapshot')`)
    const ids = await readIds(held, splits)
    await database.sql('DELETE FROM large WHERE id = 0')
    expect(ids).toEqual(Array.from({ length: ROWS }, (_, index) => index + 1))
    await held.assertUnchanged(large)
    // Each segment was read in a session of its own that imported the leader's snapshot before its first query.
    const readers = double.statements.filter(({ sql }) => /gp_segment_id = \d/.test(sql))
    expect(new Set(readers.map(({ session }) => session)).size).toBe(2)
    for (const { session } of readers) {
      const ofReader = double.statements.filter((statement) => statement.session === session)
      expect(ofReader[1]?.sql).toContain('SET TRANSACTION SNAPSHOT')
    }
    expect(sent()).not.toMatch(/\bctid\b|\bxmin::/)
  })

  it('locks before the snapshot is taken and exported', async () => {
    const [snapshot] = await open('public.large')
    await snapshot.close()
    const order = ['LOCK TABLE "public"."large"', 'txid_current_snapshot', 'pg_export_snapshot']
    const places = order.map((text) => double.statements.findIndex(({ sql }) => sql.includes(text)))
    expect(places.every((place) => place >= 0)).toBe(true)
    expect([...places].sort((a, b) => a - b)).toEqual(places)
  })

  it.each([
    ['a replicated table, which has no system columns', 'public.copies', ROWS],
    ['a table that is too small to be divided', 'public.small', 10],
  ])('reads in one piece %s', async (_, name, count) => {
    const [snapshot, stream] = await open(name)
    await using held = snapshot
    const splits = await plan(held, stream)
    expect(splits.map(({ range }) => range)).toEqual([{ kind: 'all' }])
    expect((await readIds(held, splits)).length).toBe(count)
    expect((await held.count(stream, { where: null, window: null })).total).toBe(count)
  })

  it.each([
    ['6.21.0', '9.4.26'],
    ['7.1.0', '12.12'],
    ['1.6.0', '14.4'],
  ])(
    'reads version %s, whose shared snapshots were not measured, by one connection unless told otherwise',
    async (version, base) => {
      await beginAnew({ version, base })
      const check = await source.check()
      expect(check.warnings.join()).toMatch(
        new RegExp(`${version} is read by one connection.*--allow-unverified-snapshot`),
      )
      // The catalog behind the played base is that of 9.4, which a newer one is not.
      if (base !== '9.4.26') return
      const [snapshot, large] = await open('public.large')
      await using alone = snapshot
      expect(alone.maxReaders).toBe(1)
      const splits = await plan(alone, large)
      expect(splits.map(({ range }) => range.kind)).toEqual(['all'])
      expect((await readIds(alone, splits)).length).toBe(ROWS)
      expect(sent()).not.toContain('pg_export_snapshot')
      await alone.close()
      const [shared, again] = await open('public.large', { allowUnverifiedSnapshot: true })
      await using several = shared
      expect((await plan(several, again)).map(({ range }) => range.kind)).toEqual(['segment', 'segment'])
    },
  )

  it('warns of nothing for a version that was measured, and tells it', async () => {
    const check = await source.check()
    expect(check.serverVersionText).toContain('Greenplum Database 6.24.3')
    expect(check.warnings.filter((warning) => warning.includes('Greenplum'))).toEqual([])
  })

  it('gives a snapshot up whose leader is in another transaction, though its session lives', async () => {
    const [snapshot, large] = await open('public.large')
    await using held = snapshot
    const ids = await readIds(held, await plan(held, large))
    expect(ids.length).toBe(ROWS)
    const leader = double.statements.find(({ sql }) => sql.includes('pg_export_snapshot'))?.session ?? -1
    await double.inject(leader, 'COMMIT')
    await double.inject(leader, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const failure = await failureOf(held.assertUnchanged(large))
    expect(failure.code).toBe('SNAPSHOT_LOST')
    expect(failure.message).toContain('another transaction')
    expect(held.signal.aborted).toBe(true)
  })

  it('asks the segments as well whether they still hold the snapshot', async () => {
    const [snapshot, large] = await open('public.large')
    await using held = snapshot
    await held.assertUnchanged(large)
    await database.sql('INSERT INTO gp_double.gp_id VALUES (NULL)')
    const [later, again] = await open('public.large')
    await using other = later
    const failure = await failureOf(other.assertUnchanged(again))
    await database.sql('DELETE FROM gp_double.gp_id WHERE gpname IS NULL')
    expect(failure).toMatchObject({ code: 'SNAPSHOT_LOST' })
    expect(failure.message).toContain('another number of segments')
  })

  it('locks the tables that a view reads, as a view cannot be locked', async () => {
    const [snapshot, stream] = await open('public.far_above')
    await using held = snapshot
    expect(sent()).toContain('LOCK TABLE "public"."small" IN ACCESS SHARE MODE')
    expect(sent()).not.toMatch(/LOCK TABLE [^;]*above/)
    expect(await readIds(held, await plan(held, stream))).toEqual([9, 10])
  })

  it('reads an external table that is named, and asks nothing of it before', async () => {
    const [snapshot, feed] = await open('public.feed')
    await using held = snapshot
    expect(sent()).not.toMatch(/FROM "public"\."feed"/)
    const [split] = await plan(held, feed)
    if (split === undefined) throw new Error('no split')
    for await (const batch of held.read(split)) expect([...rowsOf(batch)]).toEqual([{ line: 'one' }])
  })

  it('describes and reads a query without its catalog being newer than 9.4', async () => {
    const queries = [
      {
        name: 'big_ids',
        sql: 'SELECT id, id::numeric(8,2) AS price FROM public.above WHERE id > 8',
        primaryKey: ['id'],
      },
    ]
    const { streams } = await source.discover(
      { select: [], exclude: ['*'] },
      { queries, allowPrivilegedRole: true },
    )
    const [query] = streams
    expect(query?.columns.map(({ name, sqlType }) => [name, sqlType])).toEqual([
      ['id', 'integer'],
      ['price', 'numeric(8,2)'],
    ])
    if (query === undefined) throw new Error('no stream')
    const before = double.statements.length
    await using snapshot = await openSnapshot(source, [query], { readers: 2 })
    const [present] = snapshot.streams
    if (present === undefined) throw snapshot.failed[0]?.error
    expect(await readIds(snapshot, await plan(snapshot, present))).toEqual([9, 10])
    const locked = double.statements.slice(before).filter(({ sql }) => sql.includes('LOCK TABLE'))
    expect(locked.map(({ sql }) => /LOCK TABLE [^;\n]*/.exec(sql)?.[0])).toEqual([
      'LOCK TABLE "public"."small" IN ACCESS SHARE MODE',
    ])
  })

  it('accepts a condition on functions that 9.4 tells the kind of', async () => {
    const small = await discoverOne(source, 'public.small')
    await source.checkWhere(small, 'abs(id) > 3', { stable: true })
    const failure = await failureOf(source.checkWhere(small, 'count(id) > 3', { stable: true }))
    expect(failure.code).toBe('CONFIG_INVALID')
  })

  it('lets go of a table for a session that waits to change it', async () => {
    const stream = await discoverOne(source, 'public.large')
    await using snapshot = await openSnapshot(source, [stream], {
      limits: withLimits({ yieldToDdlMs: 200 }),
      readers: 2,
    })
    await database.sql('BEGIN; LOCK TABLE large IN ACCESS EXCLUSIVE MODE; ROLLBACK')
    expect(snapshot.signal.reason).toMatchObject({ code: 'YIELDED_TO_DDL' })
  })

  it('marks append-optimised tables before the snapshot, and heap tables not at all', async () => {
    const [snapshot, events] = await open('public.events')
    await snapshot.close()
    expect(events.greenplum?.changeMark).toMatch(/^[0-9a-f]{64}$/)
    const [mark, exported] = ['gp_toolkit.__gp_aocsseg', 'pg_export_snapshot'].map((text) =>
      double.statements.findIndex(({ sql }) => sql.includes(text)),
    )
    expect(mark).toBeGreaterThan(0)
    expect(mark).toBeLessThan(exported ?? 0)
    const [other, large] = await open('public.large')
    await other.close()
    expect(large.greenplum?.changeMark).toBeNull()
  })

  it('marks an empty table without counters, and not one that has rows without them, as a rewritten one does', async () => {
    const marks = await Promise.all(
      ['public.empty', 'public.rewritten'].map(async (name) => {
        const stream = await discoverOne(source, name)
        await using snapshot = await openSnapshot(source, [stream])
        return snapshot.streams[0]?.greenplum?.changeMark ?? null
      }),
    )
    expect(marks).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), null])
  })

  it('needs no more of a role than to read, and says what it may not read', async () => {
    const role = await database.createRole()
    await database.sql(`GRANT SELECT ON large, events TO ${role.name}`)
    await using reader = await openSource(double.url(database.name, role.name))
    const streams = (
      await reader.discover({ select: ['public.large', 'public.events', 'public.secret'], exclude: [] })
    ).streams
    await using snapshot = await openSnapshot(reader, streams, { readers: 2 })
    expect(snapshot.failed.map(({ stream, error }) => [stream, (error as { code?: string }).code])).toEqual([
      ['public.secret', 'PERMISSION_DENIED'],
    ])
    const events = streamNamed(snapshot.streams, 'public.events')
    expect(events.greenplum?.changeMark).toMatch(/^[0-9a-f]{64}$/)
    expect(
      (await readIds(snapshot, await plan(snapshot, streamNamed(snapshot.streams, 'public.large')))).length,
    ).toBe(ROWS)
    await snapshot.assertUnchanged(events)
  })
})

onOldestServer('A Greenplum cluster whose resource queue is full, played', (server) => {
  const KEY = 4711
  let database: TestDatabase
  let double: GreenplumDouble
  const limits = withLimits({ stallTimeoutMs: 300 })

  beforeAll(async () => {
    database = await server.createDatabase()
    await installDouble(database)
    await database.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)')
    await describeTable(database, 'public.t', {})
    double = await startGreenplumDouble({ target: server })
    await database.sql(`SELECT pg_advisory_lock(${KEY})`)
  })
  afterAll(() => double.close())

  const open = (): Promise<Source> => openSource(double.url(database.name, 'postgres'), { limits })

  it.each([
    ['a first look', (source: Source) => source.check()],
    ['discovery', (source: Source) => source.discover({ select: [], exclude: [] })],
  ])('says so at %s, within the time that silence may last', async (_, ask) => {
    await using source = await open()
    double.queueKey = KEY
    const failure = await failureOf(ask(source))
    double.queueKey = null
    expect(failure.code).toBe('SOURCE_PRESSURE')
    expect(failure.message).toContain('resource queue')
    expect(failure.hint).toContain('gp_toolkit.gp_resqueue_status')
  })

  it('says so when the snapshot is to be taken, with the locks taken before', async () => {
    await using source = await open()
    const stream = await discoverOne(source, 'public.t')
    double.queueKey = KEY
    const failure = await failureOf(openSnapshot(source, [stream], { limits }))
    double.queueKey = null
    expect(failure.code).toBe('SOURCE_PRESSURE')
    expect(double.statements.some(({ sql }) => sql.includes('LOCK TABLE "public"."t"'))).toBe(true)
  })

  it('says so at a count and at the last check of the leader, and the snapshot goes on', async () => {
    await using source = await open()
    const stream = await discoverOne(source, 'public.t')
    await using snapshot = await openSnapshot(source, [stream], { limits })
    const [present] = snapshot.streams
    if (present === undefined) throw new Error('not opened')
    double.queueKey = KEY
    expect((await failureOf(snapshot.count(present, { where: null, window: null }))).code).toBe(
      'SOURCE_PRESSURE',
    )
    expect((await failureOf(snapshot.assertUnchanged(present))).code).toBe('SOURCE_PRESSURE')
    double.queueKey = null
    expect((await snapshot.count(present, { where: null, window: null })).total).toBe(100)
    await snapshot.assertUnchanged(present)
  })

  it('says so when a read is not begun', async () => {
    await using source = await open()
    const stream = await discoverOne(source, 'public.t')
    await using snapshot = await openSnapshot(source, [stream], { limits, readers: 2 })
    const [present] = snapshot.streams
    if (present === undefined) throw new Error('not opened')
    const [split] = await snapshot.plan({
      stream: present,
      columns: source.mapColumns(present, TYPE_OPTIONS),
      rows: { kind: 'full' },
      where: null,
      withXmin: false,
      limits,
    })
    if (split === undefined) throw new Error('no split')
    double.queueKey = KEY
    const failure = await failureOf(snapshot.read(split)[Symbol.asyncIterator]().next())
    double.queueKey = null
    expect(failure.code).toBe('SOURCE_PRESSURE')
  })
})
