import { afterEach, beforeEach, expect, test } from 'vitest'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { expectSameRows, quote, quoted } from './compare.js'
import { CopyFile, failuresOf, streamOf } from './copy-file.js'

/** 63 bytes is the longest name PostgreSQL keeps; the last one is 63 bytes of characters that take four each, and three. */
const NAMES = [
  'with "double" quotes',
  `it's 'single'`,
  'a.dot and a space ',
  ' semi;colon -- comment /* and */ $1 ${x} %s',
  'back\\slash',
  'tab\tand\nnew line',
  'star*and?mark',
  'Größe 日本語',
  '🦆🐘',
  'UPPER',
  'select',
  'x'.repeat(63),
  '🐘'.repeat(15) + 'abc',
]

onNewestServer('names', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeEach(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
  })
  afterEach(() => copy.remove())

  test('of schemas, tables and columns are kept, whatever they are', async () => {
    const tables = NAMES.map((name, index) => ({ schema: NAMES[(index + 1) % NAMES.length] ?? '', name }))
    for (const table of tables) {
      const columns = NAMES.map((name) => `${quote(name)} text`).join(', ')
      await db.sql(
        `CREATE SCHEMA ${quote(table.schema)}; CREATE TABLE ${quoted(table)} ("the ""key" int PRIMARY KEY, ${columns})`,
      )
      await db.sql(
        `INSERT INTO ${quoted(table)} ("the ""key", ${quote('select')}, ${quote('🦆🐘')}) SELECT g, 's' || g, 'd' || g FROM generate_series(1, 20) g`,
      )
    }
    await copy.sync()
    for (const table of tables) await expectSameRows(db, copy, table)

    // Transactions of other tests on this server hold the horizon back as long as they run.
    const isSettled = async (): Promise<boolean> =>
      (await copy.sync()).streams.every(({ outcome }) => outcome === 'unchanged')
    await expect.poll(isSettled, { timeout: 60_000 }).toBe(true)
    for (const table of tables) {
      await db.sql(`UPDATE ${quoted(table)} SET ${quote(NAMES[0] ?? '')} = 'new' WHERE "the ""key" < 5`)
      await db.sql(`DELETE FROM ${quoted(table)} WHERE "the ""key" > 18`)
    }
    const report = await copy.sync()
    for (const stream of report.streams)
      expect(stream).toMatchObject({ mode: 'mirror', rowsRead: 4, rowsDeleted: 2 })
    for (const table of tables) await expectSameRows(db, copy, table)
  })

  test('that differ only by case: of tables and schemas, each says so and the others land', async () => {
    await db.sql(`
      CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1);
      CREATE TABLE "Orders" (id int PRIMARY KEY); INSERT INTO "Orders" VALUES (2);
      CREATE SCHEMA "Public"; CREATE TABLE "Public".t (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY);
      CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (3)`)
    const report = await copy.run()
    expect(failuresOf(report)).toEqual({
      'public.orders': 'NAME_COLLISION',
      'public.Orders': 'NAME_COLLISION',
      'public.t': 'NAME_COLLISION',
      'Public.t': 'NAME_COLLISION',
    })
    expect(streamOf(report, 'public.Orders').error?.message).toContain('public.orders')
    await expectSameRows(db, copy, 'public.other')
    // One alone lands under its own name; when the other comes to it, the first goes on.
    await copy.sync({ select: ['public.Orders'] })
    await expectSameRows(db, copy, 'public.Orders')
    await db.sql('INSERT INTO "Orders" VALUES (20)')
    expect(failuresOf(await copy.run({ select: ['public.*'] }))).toMatchObject({
      'public.orders': 'NAME_COLLISION',
    })
    await expectSameRows(db, copy, 'public.Orders')
  })

  test('of columns that differ only by case stop their table, and no other', async () => {
    await db.sql(`
      CREATE TABLE t (id int PRIMARY KEY, a int, "A" int); INSERT INTO t VALUES (1, 2, 3);
      CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (3)`)
    const report = await copy.run()
    expect(failuresOf(report)).toEqual({ 'public.t': 'NAME_COLLISION' })
    expect(streamOf(report, 'public.t').error?.hint).toContain('exclude_columns')
    await expectSameRows(db, copy, 'public.other')
    await copy.sync({ streams: { 'public.t': { excludeColumns: ['A'] }, 'public.other': {} } })
    expect(await copy.rows('SELECT id, a FROM public.t')).toEqual([{ id: '1', a: '2' }])
  })

  test('of the file, its schema and its table may be one and the same', async () => {
    const shop = await CopyFile.create(db.url, 'shop.duckdb')
    try {
      await db.sql(
        'CREATE SCHEMA shop; CREATE TABLE shop.shop (shop int PRIMARY KEY); INSERT INTO shop.shop VALUES (1), (2)',
      )
      await shop.sync()
      await expectSameRows(db, shop, 'shop.shop')
      await db.sql('DELETE FROM shop.shop WHERE shop = 1; INSERT INTO shop.shop VALUES (3)')
      await shop.sync()
      await expectSameRows(db, shop, 'shop.shop')
    } finally {
      await shop.remove()
    }
  })

  test('of a schema that DuckDB has itself, and of what is ours, do no harm', async () => {
    await db.sql(`
      CREATE SCHEMA main; CREATE TABLE main.t (id int PRIMARY KEY); INSERT INTO main.t VALUES (1);
      CREATE SCHEMA temp; CREATE TABLE temp.t (id int PRIMARY KEY); INSERT INTO temp.t VALUES (2);
      CREATE SCHEMA system; CREATE TABLE system.t (id int PRIMARY KEY); INSERT INTO system.t VALUES (3);
      CREATE SCHEMA _trunkline; CREATE TABLE _trunkline.tables (id int PRIMARY KEY)`)
    const report = await copy.run()
    expect(failuresOf(report)).toEqual({})
    // What is kept of copies that land in the database is not copied on.
    expect(report.streams.filter(({ stream }) => stream.startsWith('_trunkline'))).toEqual([])
    for (const schema of ['main', 'temp', 'system']) {
      const [catalog] = await copy.rows('SELECT current_catalog() AS name')
      expect(await copy.rows(`SELECT id FROM ${quote(catalog?.['name'] ?? '')}.${schema}.t`)).toEqual(
        await db.sql(`SELECT id FROM ${schema}.t`),
      )
    }
  })
})
