import { beforeEach, expect, test } from 'vitest'
import type { Destination } from '../../../src/destination/contract.js'
import { onNewestServer, onOldestAndNewestServer, type TestDatabase } from '../../server/servers.js'
import { type RunOptions, rowsOf, streamOf, syncOnce, trySync } from './pg-to-pg.js'

const MIRROR: RunOptions = {}
const FULL: RunOptions = { defaults: { mode: 'full_refresh' } }
const ORDERS = `CREATE TABLE orders (id integer PRIMARY KEY, note text);
                INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 3) AS i`
/** Somebody takes the name of ours for a table of their own, which looks the same. */
const TAKE_NAME = `ALTER TABLE orders RENAME TO mine; CREATE TABLE orders (LIKE mine INCLUDING ALL);
                   INSERT INTO orders SELECT id, 'theirs' FROM mine`
const THEIRS = ['["1", "theirs"]', '["2", "theirs"]', '["3", "theirs"]']

onOldestAndNewestServer('A table that took the name of one that Trunkline made', (server) => {
  let source: TestDatabase
  let target: TestDatabase
  beforeEach(async () => {
    source = await server.createDatabase()
    target = await server.createDatabase()
    await source.sql(ORDERS)
  })
  const expectRefused = async (options: RunOptions, hint = '--adopt'): Promise<void> => {
    const report = await trySync(source, target, options)
    expect(streamOf(report, 'public.orders').error).toMatchObject({
      code: 'TABLE_OWNED',
      hint: expect.stringContaining(hint) as string,
    })
    expect(await rowsOf(target, 'orders')).toEqual(THEIRS)
  }

  test('is not touched, whether or not anything changed, and taken over where that is said', async () => {
    for (const [options, name] of [
      [FULL, 'full'],
      [MIRROR, 'mirror'],
    ] as const) {
      await target.sql('DROP TABLE IF EXISTS orders, mine')
      await syncOnce(source, target, { ...options, name })
      await target.sql(TAKE_NAME)
      // Nothing changed at the source, and then something did.
      await expectRefused({ ...options, name })
      await source.sql(`UPDATE orders SET note = note || '!'`)
      await expectRefused({ ...options, name })
    }
    // Changes alone would not make it what the source is.
    await expectRefused({ ...MIRROR, name: 'mirror', adopt: true }, 'state resync')
    await syncOnce(source, target, { ...FULL, name: 'full', adopt: true })
    expect(await rowsOf(target, 'orders')).toEqual(await rowsOf(source, 'orders'))
    await syncOnce(source, target, { ...FULL, name: 'full' })
  })
})

onNewestServer('What somebody does to a table that Trunkline made', (server) => {
  let source: TestDatabase
  let target: TestDatabase
  beforeEach(async () => {
    source = await server.createDatabase()
    target = await server.createDatabase()
    await source.sql(ORDERS)
  })
  const expectOwned = async (options: RunOptions, words: string): Promise<void> => {
    const report = await trySync(source, target, options)
    const { error } = streamOf(report, 'public.orders')
    expect(error).toMatchObject({ code: 'TABLE_OWNED' })
    expect(error?.message).toContain(words)
  }

  test.each([
    ['full loads', FULL],
    ['changes', MIRROR],
  ])('while it is landed by %s is found out: another table of its name is left alone', async (_, options) => {
    await syncOnce(source, target, options)
    await source.sql(`INSERT INTO orders VALUES (4, 'new')`)
    const report = await trySync(source, target, {
      ...options,
      wrap: afterBegin(() => target.sql(TAKE_NAME)),
    })
    expect(streamOf(report, 'public.orders').error).toMatchObject({ code: 'TABLE_OWNED' })
    expect(await rowsOf(target, 'orders')).toEqual(THEIRS)
    expect(await rowsOf(target, 'mine')).toHaveLength(3)
  })

  test('before it was kept which table it is, is taken for ours once, and known from then on', async () => {
    await syncOnce(source, target, FULL)
    // As the first format was.
    await target.sql(`ALTER TABLE _trunkline.tables DROP COLUMN oid, DROP COLUMN made;
                      ALTER TABLE _trunkline.layout DROP COLUMN place; UPDATE _trunkline.layout SET format = 1`)
    await syncOnce(source, target, FULL)
    const kept = await target.sql(
      `SELECT oid = 'public.orders'::regclass AS same, made::text, (SELECT format FROM _trunkline.layout) FROM _trunkline.tables`,
    )
    expect(kept).toEqual([{ same: 't', made: '{"columns":["id","note"],"primaryKey":["id"]}', format: '2' }])
    await target.sql(TAKE_NAME)
    await expectOwned(FULL, 'is not the table that Trunkline made')
  })

  test('in another database means nothing to a copy of it, whose tables are others', async () => {
    await syncOnce(source, target, MIRROR)
    const copy = await server.createDatabase()
    // As a dump and its restoration leave it: the same rows, other oids, the place of the first.
    await syncOnce(source, copy, MIRROR)
    const [place] = await target.sql(`SELECT place FROM _trunkline.layout`)
    await copy.sql(`UPDATE _trunkline.layout SET place = $1`, [String(place?.['place']).replace(/\d+$/, '1')])
    await copy.sql('UPDATE _trunkline.tables SET oid = 1')
    await source.sql(`INSERT INTO orders VALUES (4, 'new')`)
    await syncOnce(source, copy, MIRROR)
    expect(await rowsOf(copy, 'orders')).toHaveLength(4)
    await copy.sql(TAKE_NAME)
    expect(streamOf(await trySync(source, copy, MIRROR), 'public.orders').error).toMatchObject({
      code: 'TABLE_OWNED',
    })
  })

  test('by adding columns stays, with its values, through full loads and changes', async () => {
    await syncOnce(source, target, FULL)
    await target.sql(`ALTER TABLE orders ADD COLUMN mark text, ADD COLUMN length int GENERATED ALWAYS AS (length(note)) STORED;
                      UPDATE orders SET mark = 'mine ' || id`)
    await source.sql(`DELETE FROM orders WHERE id = 1; UPDATE orders SET note = 'changed' WHERE id = 2;
                      INSERT INTO orders VALUES (4, 'new'); ALTER TABLE orders ADD COLUMN at date`)
    const expected = [
      { id: '2', note: 'changed', mark: 'mine 2', length: '7', at: null },
      { id: '3', note: 'note 3', mark: 'mine 3', length: '6', at: null },
      { id: '4', note: 'new', mark: null, length: '3', at: null },
    ]
    const rows = (): Promise<unknown> =>
      target.sql('SELECT id, note, mark, length, at FROM orders ORDER BY id')
    for (let run = 0; run < 2; run++) {
      await syncOnce(source, target, FULL)
      expect(await rows()).toEqual(expected)
    }
    await syncOnce(source, target, MIRROR)
    await source.sql('ALTER TABLE orders ADD COLUMN mark text')
    for (const options of [FULL, MIRROR]) {
      await expectOwned(options, 'somebody has added a column mark')
      expect(await rows()).toEqual(expected)
    }
  })

  test('by filling columns of their own, which no key tells the rows of, is not lost', async () => {
    await source.sql('ALTER TABLE orders DROP CONSTRAINT orders_pkey')
    await syncOnce(source, target, FULL)
    await target.sql(`ALTER TABLE orders ADD COLUMN seen boolean DEFAULT false, ADD COLUMN shown json`)
    await syncOnce(source, target, FULL)
    expect(await target.sql('SELECT seen FROM orders')).toHaveLength(3)
    await target.sql('UPDATE orders SET seen = true WHERE id = 2')
    await expectOwned(FULL, 'the column seen')
    await target.sql(`UPDATE orders SET seen = false, shown = '{}'`)
    await expectOwned(FULL, 'the column shown')
    expect(await target.sql('SELECT FROM orders WHERE shown IS NOT NULL')).toHaveLength(3)
  })

  test('by giving it a primary key stays, also where the source has none, or rows that it does not go with', async () => {
    await source.sql('ALTER TABLE orders DROP CONSTRAINT orders_pkey, ALTER COLUMN id DROP NOT NULL')
    await syncOnce(source, target, FULL)
    await target.sql('ALTER TABLE orders ADD CONSTRAINT mine PRIMARY KEY (id)')
    const keys = (): Promise<unknown> =>
      target.sql(`SELECT conname FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'p'`)
    await source.sql(`INSERT INTO orders VALUES (4, 'new')`)
    await syncOnce(source, target, FULL)
    expect(await rowsOf(target, 'orders')).toEqual(await rowsOf(source, 'orders'))
    expect(await keys()).toEqual([{ conname: 'mine' }])
    for (const misfit of [
      `INSERT INTO orders VALUES (NULL, 'none')`,
      'UPDATE orders SET id = 5 WHERE id IS NULL OR id = 4',
    ]) {
      await source.sql(misfit)
      const report = await trySync(source, target, FULL)
      expect(streamOf(report, 'public.orders').error).toMatchObject({
        code: 'DESTINATION_FAILED',
        message: expect.stringContaining('the primary key mine') as string,
      })
      expect(await rowsOf(target, 'orders')).toHaveLength(4)
    }
    expect(await keys()).toEqual([{ conname: 'mine' }])
  })
})

/** Does something when a stream was looked at and none of its rows was landed yet. */
function afterBegin(work: () => Promise<unknown>): (destination: Destination) => Destination {
  return (destination) =>
    new Proxy(destination, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function') return value
        if (key !== 'begin') return value.bind(target) as unknown
        return async (...args: Parameters<Destination['begin']>) => {
          const writer = await target.begin(...args)
          await work()
          return writer
        }
      },
    })
}
