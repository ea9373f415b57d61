import { afterAll, beforeAll, expect, test } from 'vitest'
import { onEachServer, type TestDatabase, type TestRole } from '../server/servers.js'
import { expectSameRows } from './compare.js'
import { CopyFile, failuresOf, streamOf } from './copy-file.js'

onEachServer('a role that may not read everything', (server) => {
  let db: TestDatabase
  let role: TestRole
  let copy: CopyFile
  beforeAll(async () => {
    db = await server.createDatabase()
    role = await db.createRole()
    copy = await CopyFile.create(role.url)
    await db.sql(`
      CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT g, 'a' || g FROM generate_series(1, 100) g;
      CREATE TABLE b (LIKE a INCLUDING ALL); INSERT INTO b SELECT * FROM a;
      CREATE TABLE secret (LIKE a INCLUDING ALL); INSERT INTO secret SELECT * FROM a;
      CREATE TABLE partly (id int PRIMARY KEY, v text, hidden text); INSERT INTO partly SELECT id, v, 'h' FROM a;
      CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (50);
      CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (50) TO (1000);
      INSERT INTO parted SELECT * FROM a;
      CREATE SCHEMA closed; CREATE TABLE closed.t (id int PRIMARY KEY);
      GRANT SELECT ON a, b, parted TO ${role.name}; GRANT SELECT (id, v) ON partly TO ${role.name}`)
  })
  afterAll(() => copy.remove())

  test('copies what it may read, and names each table and column that it may not', async () => {
    const report = await copy.run()
    expect(report.outcome).toBe('some_failed')
    expect(failuresOf(report)).toEqual({
      'public.secret': 'PERMISSION_DENIED',
      'public.partly': 'PERMISSION_DENIED',
    })
    expect(streamOf(report, 'public.secret').error?.hint).toContain('GRANT SELECT ON "public"."secret"')
    expect(streamOf(report, 'public.partly').error?.message).toContain('hidden')
    expect(streamOf(report, 'public.partly').error?.hint).toContain('exclude_columns')
    await expectSameRows(db, copy, 'public.a')
    await expectSameRows(db, copy, 'public.b')
    // A partition needs no grant of its own when it is read through its parent.
    await expectSameRows(db, copy, 'public.parted')
  })

  test('without the forbidden column the table is copied', async () => {
    await copy.run({ streams: { 'public.partly': { excludeColumns: ['hidden'] } } })
    const expected = await db.sql('SELECT id, v FROM partly ORDER BY id')
    expect(await copy.rows('SELECT id, v FROM public.partly ORDER BY id')).toEqual(expected)
    await db.sql(`UPDATE partly SET v = 'changed' WHERE id = 3; DELETE FROM partly WHERE id = 4`)
    await copy.run({ streams: { 'public.partly': { excludeColumns: ['hidden'] } } })
    expect(await copy.rows('SELECT id, v FROM public.partly ORDER BY id')).toEqual(
      await db.sql('SELECT id, v FROM partly ORDER BY id'),
    )
  })

  test('a partition named by itself needs its own grant', async () => {
    const name = { name: 'partitions', targetSchema: 'partitions', select: ['public.parted_1', 'public.b'] }
    expect(failuresOf(await copy.run(name))).toEqual({ 'public.parted_1': 'PERMISSION_DENIED' })
    await expectSameRows(db, copy, 'public.b', 'partitions.b')
    await db.sql(`GRANT SELECT ON parted_1 TO ${role.name}`)
    expect(failuresOf(await copy.run(name))).toEqual({})
    await expectSameRows(db, copy, 'public.parted_1', 'partitions.parted_1')
  })

  test('a privilege that is taken away leaves the copy as it was, and one given back goes on', async () => {
    // Transactions of other tests on this server hold the horizon back as long as they run.
    const outcome = async (): Promise<string> => streamOf(await copy.run(), 'public.b').outcome
    await expect.poll(outcome, { timeout: 60_000 }).toBe('unchanged')
    await db.sql(
      `REVOKE SELECT ON b FROM ${role.name}; UPDATE b SET v = 'new' WHERE id = 1; UPDATE a SET v = 'new' WHERE id = 1`,
    )
    const kept = await copy.rows('SELECT * FROM public.b ORDER BY id')
    const report = await copy.run()
    expect(failuresOf(report)).toMatchObject({ 'public.b': 'PERMISSION_DENIED' })
    expect(await copy.rows('SELECT * FROM public.b ORDER BY id')).toEqual(kept)
    await expectSameRows(db, copy, 'public.a')
    await db.sql(`GRANT SELECT ON b TO ${role.name}`)
    expect(streamOf(await copy.run(), 'public.b')).toMatchObject({ outcome: 'done', rowsRead: 1 })
    await expectSameRows(db, copy, 'public.b')
  })

  test('row security stops, or lands what the role sees and says so', async () => {
    await db.sql(`
      CREATE TABLE guarded (id int PRIMARY KEY, v text); INSERT INTO guarded SELECT * FROM a;
      ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY half ON guarded USING (id <= 50);
      GRANT SELECT ON guarded TO ${role.name}`)
    const stopped = await copy.run()
    expect(failuresOf(stopped)).toMatchObject({ 'public.guarded': 'ROW_SECURITY' })
    expect(streamOf(stopped, 'public.guarded').error?.hint).toContain('row_security: on')

    const on = { streams: { 'public.guarded': { rowSecurity: 'on' } } } as const
    const report = await copy.sync(on)
    expect(streamOf(report, 'public.guarded').promise).toMatch(/row security/i)
    const seen = await db.sql('SELECT id, v FROM guarded WHERE id <= 50 ORDER BY id')
    expect(await copy.rows('SELECT id, v FROM public.guarded ORDER BY id')).toEqual(seen)
    // A row that the role no longer sees may well be there: it is not deleted.
    for (const policy of [
      'id <= (SELECT count(*) FROM a) - 60',
      'id IN (SELECT id FROM b WHERE id < 30)',
      'false',
    ]) {
      await db.sql(`DROP POLICY half ON guarded; CREATE POLICY half ON guarded USING (${policy})`)
      await copy.sync(on)
      expect(await copy.rows('SELECT id, v FROM public.guarded ORDER BY id')).toEqual(seen)
    }
  })

  test('names what is missing, and what a pattern does not match', async () => {
    await expect(copy.run({ select: ['public.orderz', 'public.a'] })).rejects.toMatchObject({
      code: 'STREAM_MISSING',
      message: expect.stringContaining('public.orderz') as string,
    })
    await expect(copy.run({ select: ['nothing*.here'] })).rejects.toMatchObject({
      code: 'SELECTION_EMPTY',
      message: expect.stringContaining('nothing*.here') as string,
      hint: expect.stringContaining('public.a') as string,
    })
    await expect(copy.run({ select: ['public.aa'] })).rejects.toMatchObject({
      hint: 'Did you mean public.a?',
    })
  })
})
