import { afterAll, beforeAll, expect, test } from 'vitest'
import { onOldestAndNewestServer, type TestDatabase } from '../server/servers.js'
import { expectSameRows } from './compare.js'
import { CopyFile, failuresOf, streamOf } from './copy-file.js'

onOldestAndNewestServer('odd tables', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeAll(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
    await db.sql(
      `CREATE TABLE good (id int PRIMARY KEY, v text); INSERT INTO good SELECT g, 'g' || g FROM generate_series(1, 50) g`,
    )
  })
  afterAll(() => copy.remove())

  test('an empty table lands as one, fills, and is emptied again', async () => {
    await db.sql('CREATE TABLE empty (id int PRIMARY KEY, v text, at timestamptz)')
    await copy.sync({ select: ['public.empty'] })
    await expectSameRows(db, copy, 'public.empty')
    await db.sql(`INSERT INTO empty VALUES (1, 'one', '2026-01-01 12:00:00+00')`)
    await copy.sync({ select: ['public.empty'] })
    await expectSameRows(db, copy, 'public.empty')
    await db.sql('DELETE FROM empty')
    await copy.sync({ select: ['public.empty'] })
    await expectSameRows(db, copy, 'public.empty')
  })

  test('a table of no columns is named and stops nobody', async () => {
    await db.sql('CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES')
    const report = await copy.run({ select: ['public.nothing', 'public.good'] })
    expect(failuresOf(report)).toEqual({ 'public.nothing': 'STREAM_UNSUPPORTED' })
    await expectSameRows(db, copy, 'public.good')
    await db.sql('DROP TABLE nothing')
  })

  test('a table that loses all its columns keeps its copy', async () => {
    await db.sql(`CREATE TABLE stripped (a int); INSERT INTO stripped VALUES (1), (2)`)
    await copy.sync({ select: ['public.stripped'] })
    await db.sql('ALTER TABLE stripped DROP COLUMN a')
    const report = await copy.run({ select: ['public.stripped'] })
    expect(failuresOf(report)).toEqual({ 'public.stripped': 'STREAM_UNSUPPORTED' })
    expect(await copy.rows('SELECT a FROM public.stripped ORDER BY a')).toEqual([{ a: '1' }, { a: '2' }])
  })

  test('inheritance is one stream with all its rows, children by their name', async () => {
    await db.sql(`
      CREATE TABLE animal (id int PRIMARY KEY, name text);
      CREATE TABLE dog (breed text) INHERITS (animal); CREATE TABLE puppy () INHERITS (dog);
      INSERT INTO animal VALUES (1, 'a'); INSERT INTO dog VALUES (2, 'd', 'x'); INSERT INTO puppy VALUES (3, 'p', 'y')`)
    const select = ['public.animal', 'public.dog']
    await copy.sync({ select })
    await expectSameRows(db, copy, 'public.animal')
    await expectSameRows(db, copy, 'public.dog')
    // No index spans the family: the same id may be there twice, and must land twice.
    await db.sql(
      `INSERT INTO dog VALUES (1, 'twin', 'z'); UPDATE puppy SET name = 'new'; DELETE FROM animal WHERE name = 'd'`,
    )
    await copy.sync({ select })
    await expectSameRows(db, copy, 'public.animal')
    await expectSameRows(db, copy, 'public.dog')
  })

  test('mirror without a key is refused with a way out, and the way out works', async () => {
    await db.sql(
      `CREATE TABLE keyless (a int NOT NULL, v text); INSERT INTO keyless SELECT g, 'k' FROM generate_series(1, 20) g`,
    )
    const select = ['public.keyless', 'public.good']
    const refused = await copy.run({ select, streams: { 'public.keyless': { mode: 'mirror' } } })
    expect(failuresOf(refused)).toEqual({ 'public.keyless': 'KEY_MISSING' })
    expect(streamOf(refused, 'public.keyless').error?.hint).toContain('--primary-key public.keyless=')
    const declared = { select, streams: { 'public.keyless': { mode: 'mirror', primaryKey: ['a'] } } } as const
    await copy.sync(declared)
    await expectSameRows(db, copy, 'public.keyless')
    await db.sql(`UPDATE keyless SET v = 'new' WHERE a < 3; DELETE FROM keyless WHERE a = 20`)
    await copy.sync(declared)
    await expectSameRows(db, copy, 'public.keyless')
  })

  test('a declared key that is not unique is found out: at first, among what changed, and against what is there', async () => {
    await db.sql(
      `CREATE TABLE doubled (a int NOT NULL, v text); INSERT INTO doubled VALUES (1, 'x'), (1, 'y')`,
    )
    const options = {
      select: ['public.doubled'],
      streams: { 'public.doubled': { mode: 'mirror', primaryKey: ['a'] } },
    } as const
    expect(failuresOf(await copy.run(options))).toEqual({ 'public.doubled': 'KEY_DUPLICATE' })
    await db.sql(`DELETE FROM doubled WHERE v = 'y'`)
    await copy.sync(options)
    await expectSameRows(db, copy, 'public.doubled')
    await db.sql(`INSERT INTO doubled VALUES (2, 'p'), (2, 'q')`)
    expect(failuresOf(await copy.run(options))).toEqual({ 'public.doubled': 'KEY_DUPLICATE' })
    expect(await copy.rows('SELECT * FROM public.doubled')).toEqual([{ a: '1', v: 'x' }])
    await db.sql(`DELETE FROM doubled WHERE v = 'q'; INSERT INTO doubled VALUES (1, 'second')`)
    const report = await copy.run(options)
    expect(Object.values(failuresOf(report)).join()).toMatch(/^(KEY_DUPLICATE|COUNT_MISMATCH)$/)
    expect(await copy.rows('SELECT * FROM public.doubled')).toEqual([{ a: '1', v: 'x' }])
    await db.sql(`DELETE FROM doubled WHERE v = 'second'`)
    await copy.sync(options)
    await expectSameRows(db, copy, 'public.doubled')
  })

  test('NaN in numeric(10,2) names column and row, and special_numeric says what to do with it', async () => {
    await db.sql(
      `CREATE TABLE prices (id int PRIMARY KEY, price numeric(10,2)); INSERT INTO prices VALUES (1, 1.5), (2, 2.5)`,
    )
    const select = ['public.prices', 'public.good']
    await copy.sync({ select })
    await db.sql(`INSERT INTO prices VALUES (4711, 'NaN'), (5, 5)`)
    const report = await copy.run({ select })
    expect(failuresOf(report)).toEqual({ 'public.prices': 'VALUE_UNREPRESENTABLE' })
    const { error } = streamOf(report, 'public.prices')
    expect(error?.context).toMatchObject({ stream: 'public.prices', field: 'price' })
    expect(error?.context.rowNumber).toBeGreaterThan(0)
    expect(error?.message).toContain('price')
    expect(error?.hint).toContain('special_numeric')
    expect(await copy.rows('SELECT * FROM public.prices ORDER BY id')).toEqual([
      { id: '1', price: '1.50' },
      { id: '2', price: '2.50' },
    ])

    await copy.sync({ select, defaults: { specialNumeric: 'null' } })
    expect(await copy.rows('SELECT * FROM public.prices ORDER BY id')).toEqual([
      { id: '1', price: '1.50' },
      { id: '2', price: '2.50' },
      { id: '5', price: '5.00' },
      { id: '4711', price: null },
    ])
    await copy.sync({ select, defaults: { specialNumeric: 'text' } })
    await expectSameRows(db, copy, 'public.prices')
    await expectSameRows(db, copy, 'public.good')
  })

  test('special_numeric: null changed back to an error does not leave the nulls there unsaid', async () => {
    const select = ['public.prices']
    await copy.sync({ select, defaults: { specialNumeric: 'null' } })
    await db.sql(`UPDATE prices SET price = 9 WHERE id = 5`)
    const report = await copy.run({ select })
    // The NaN is at the source and a NULL at the destination: either it is read again and named, or it is exact.
    expect(failuresOf(report)).toEqual({ 'public.prices': 'VALUE_UNREPRESENTABLE' })
  })

  test('types of which nothing is known land as the text of the server', async () => {
    await db.sql(`
      CREATE TYPE pair AS (a int, b text); CREATE TYPE shade AS ENUM ('light', 'dark');
      CREATE DOMAIN zip AS varchar(10) CHECK (value <> ''); CREATE TYPE span AS RANGE (subtype = float8);
      CREATE FUNCTION own_in(cstring) RETURNS own LANGUAGE internal IMMUTABLE STRICT AS 'textin';
      CREATE FUNCTION own_out(own) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
      CREATE TYPE own (INPUT = own_in, OUTPUT = own_out, LIKE = text);
      CREATE TABLE unknown (id int PRIMARY KEY, o own, s shade, z zip, r span, n inet, g point, x xml, t tsvector, p pair);
      INSERT INTO unknown VALUES (1, 'own one', 'dark', '1010', '[1,2)', '10.0.0.0/8', '(1,2)', '<a/>', 'b a', NULL),
        (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (3, '', 'light', ' ', 'empty', '::1', '(0,0)', 'text', '', NULL)`)
    await copy.sync({ select: ['public.unknown'] })
    await expectSameRows(db, copy, 'public.unknown')
    await db.sql(`UPDATE unknown SET o = 'changed', p = (1, 'x "y"') WHERE id = 1`)
    await copy.sync({ select: ['public.unknown'] })
    const [source] = await db.sql('SELECT o::text, to_json(p)::text AS p FROM unknown WHERE id = 1')
    expect(await copy.rows('SELECT o, p FROM public.unknown WHERE id = 1')).toEqual([source])
  })
})
