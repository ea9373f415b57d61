/** A user's own code between source and destination: from a module of a configuration file, and from a program. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sync, type HookRow, type StreamOptions, type TransformRow } from '../../src/index.js'
import { runCli } from '../cli/run-cli.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { CopyFile, failuresOf, streamOf } from './copy-file.js'

const EXAMPLE = fileURLToPath(new URL('../../examples/hooks/', import.meta.url))

onNewestServer('hooks', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeEach(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url, 'shop.duckdb')
    await db.sql(`
      CREATE TABLE orders (id int PRIMARY KEY, region text, total numeric(10,2));
      INSERT INTO orders VALUES (1, 'fdx55', 1.5), (2, 'weg45', 2.5), (3, 'Europe', 3.5), (4, 'Asia', 4.5), (5, NULL, 5.5);
      CREATE TABLE customers (id int PRIMARY KEY, email text, phone text, notes text);
      INSERT INTO customers VALUES (7, 'ada@example.org', '+49 1234', 'likes tea');
      CREATE TABLE internal_queue (id int PRIMARY KEY)`)
  })
  afterEach(() => copy.remove())

  const look = async (columns = 'id, region'): Promise<string[]> =>
    (await copy.rows(`SELECT ${columns} FROM public.orders ORDER BY id`)).map((row) =>
      Object.values(row).join(' '),
    )

  test('the example translates regions, leaves out rows and tables, and masks customers', async () => {
    const folder = path.join(copy.folder, 'examples')
    await mkdir(folder)
    for (const name of ['region.mjs', 'trunkline.yaml'])
      await copyFile(path.join(EXAMPLE, name), path.join(folder, name))
    const run = (env: Readonly<Record<string, string>>, command = 'sync'): ReturnType<typeof runCli> =>
      runCli([command, '-c', 'examples/trunkline.yaml'], {
        cwd: copy.folder,
        env: { DATABASE_URL: `${db.url}?sslmode=disable`, MASK_KEY: 'a key of enough characters', ...env },
      })
    const first = await run({})
    expect(first).toMatchObject({ code: 0 })
    // 1 is of this copy's region by its old code, 2 by the code of Europe.
    expect(await look()).toEqual(['1 Europe', '2 Europe', '3 Europe'])
    const tables = await copy.rows(
      `SELECT table_name AS t FROM duckdb_tables() WHERE schema_name = 'public' ORDER BY t`,
    )
    expect(tables).toEqual([{ t: 'customers' }, { t: 'orders' }])
    const [customer] = await copy.rows('SELECT * FROM public.customers')
    expect(customer).toMatchObject({ customer_id: '7', phone: '******34', notes: '[redacted]' })
    expect(customer?.['email']).toMatch(/^[0-9a-f]{64}$/)

    // Other options of the module are another hook.
    expect(await run({ REGION: 'Asia' })).toMatchObject({ code: 0 })
    expect(await look()).toEqual(['1 Asia', '4 Asia'])
    const plan = await run({ REGION: 'Asia' }, 'plan')
    expect(plan.stdout + plan.stderr).toContain('transformRow of region.mjs')
    expect(plan.stdout + plan.stderr).not.toContain('a key of enough characters')
  })

  test('a function of a program changes rows, counted and compared as they come out', async () => {
    const transformRow: TransformRow = (row, { stream, fields }) => {
      expect(stream).toBe('public.orders')
      expect(fields.map(({ name }) => name)).toEqual(['id', 'region', 'total', 'double'])
      if (row['region'] === null) return null
      return { ...row, total: '9.99', double: Number(row['total']) * 2 }
    }
    const streams: Record<string, StreamOptions> = {
      'public.orders': { transformRow, addColumns: { double: { value: null, type: 'double' } } },
    }
    const report = await sync({ source: db.url, destination: `duckdb:${copy.file}`, streams, verify: true })
    expect(streamOf(report, 'public.orders')).toMatchObject({
      error: null,
      mode: 'full_refresh',
      rowsRead: 5,
      rowsLanded: 4,
      sourceCount: 5,
      destinationCount: 4,
      verified: { equal: true },
    })
    expect(streamOf(report, 'public.orders').promise).toContain('without those that it leaves out')
    expect(await look('id, total, double')).toEqual(['1 9.99 3', '2 9.99 5', '3 9.99 7', '4 9.99 9'])
  })

  test('a mirror takes a hook that leaves no row out, and refuses one that does with nothing landed', async () => {
    const upper: TransformRow = (row) => ({ ...row, region: String(row['region']).toUpperCase() })
    const mirror = (transformRow: TransformRow): Record<string, StreamOptions> => ({
      'public.orders': { mode: 'mirror', transformRow, hookVersion: '1' },
    })
    await copy.sync({ streams: mirror(upper), verify: true })
    await db.sql(`UPDATE orders SET region = 'weg46' WHERE id = 2; DELETE FROM orders WHERE id = 3`)
    const report = await copy.sync({ streams: mirror(upper), verify: true })
    expect(streamOf(report, 'public.orders')).toMatchObject({ generation: 1, verified: { equal: true } })
    expect(await look()).toEqual(['1 FDX55', '2 WEG46', '4 ASIA', '5 NULL'])
    await db.sql(`UPDATE orders SET region = 'gone' WHERE id = 1`)
    const dropping = await copy.run({ streams: mirror((row) => (row['id'] === 1 ? null : row)) })
    expect(streamOf(dropping, 'public.orders').error).toMatchObject({
      code: 'HOOK_FAILED',
      message: expect.stringContaining('left out a row') as string,
      hint: expect.stringContaining('where') as string,
    })
    expect(await look()).toEqual(['1 FDX55', '2 WEG46', '4 ASIA', '5 NULL'])
  })

  test('rows that are kept although the source lost them stay also where a hook leaves out others', async () => {
    const kept: StreamOptions = { mode: 'incremental', landing: 'upsert', hookVersion: '1' }
    const transformRow: TransformRow = (row) => (row['region'] === 'Asia' ? null : row)
    const streams = { 'public.orders': { ...kept, transformRow } }
    await copy.sync({ streams })
    await db.sql(
      `DELETE FROM orders WHERE id = 1; UPDATE orders SET region = 'Asia' WHERE id = 2; INSERT INTO orders VALUES (6, 'x', 0)`,
    )
    await copy.sync({ streams })
    expect(await look('id')).toEqual(['1', '2', '3', '5', '6'])
    expect(await copy.rows('SELECT region FROM public.orders WHERE id = 2')).toEqual([{ region: 'weg45' }])
  })

  test('a load by cursor is counted without the rows that its segments left out', async () => {
    await db.sql(`
      CREATE TABLE visits (id int PRIMARY KEY, who text NOT NULL, at timestamptz NOT NULL);
      INSERT INTO visits SELECT g, 'canary ' || g, '2024-01-01Z'::timestamptz + g * interval '1 hour' FROM generate_series(1, 5000) g;
      CREATE VIEW seen AS SELECT * FROM visits`)
    const streams: Record<string, StreamOptions> = {
      'public.seen': {
        mode: 'incremental',
        cursorField: 'at',
        lookback: { kind: 'duration', ms: 3_600_000 },
        primaryKey: ['id'],
        batchSize: 1000,
        mask: { who: 'hash' },
        rename: { at: 'seen_at' },
        transformRow: (row) => (Number(row['id']) % 10 === 0 ? null : row),
        hookVersion: '1',
      },
    }
    const first = await copy.sync({ streams })
    expect(streamOf(first, 'public.seen')).toMatchObject({
      generation: 1,
      rowsRead: 5000,
      rowsLanded: 4500,
    })
    await db.sql(`INSERT INTO visits SELECT g, 'canary', now() FROM generate_series(5001, 5020) g`)
    await copy.sync({ streams })
    const landed = `SELECT count(*) AS n, count(*) FILTER (who LIKE '%canary%') AS plain, max(seen_at) > now() - INTERVAL 1 DAY AS later FROM public.seen`
    expect(await copy.rows(landed)).toEqual([{ n: '4518', plain: '0', later: 'true' }])
    expect(JSON.stringify(await copy.rows('SELECT checkpoint FROM _trunkline.state'))).not.toContain('canary')
  })

  test('another hook loads its streams anew, and the same one does not', async () => {
    const streams = (transformRow: TransformRow): Record<string, StreamOptions> => ({
      'public.orders': { mode: 'mirror', transformRow },
    })
    const one = (row: HookRow): HookRow => ({ ...row, region: 'one' })
    await copy.sync({ streams: streams(one) })
    expect(streamOf(await copy.sync({ streams: streams(one) }), 'public.orders')).toMatchObject({
      generation: 1,
    })
    const report = await copy.sync({ streams: streams((row) => ({ ...row, region: 'two' })) })
    expect(streamOf(report, 'public.orders')).toMatchObject({
      generation: 2,
      fullLoadReason: 'What is done to its rows changed: row hook.',
    })
    expect(new Set(await look('region'))).toEqual(new Set(['two']))
  })

  test('a hook that fails says where in its file, and shows no value of the row', async () => {
    const module = path.join(copy.folder, 'hooks.mjs')
    await writeFile(
      module,
      `export function transformRow(row) {\n  return BigInt(row.region + ' was the region')\n}\n`,
    )
    const report = await copy.run({ streams: { 'public.orders': { hooks: module } } })
    expect(streamOf(report, 'public.orders').error).toMatchObject({
      code: 'HOOK_FAILED',
      message: 'transformRow of hooks.mjs threw SyntaxError at hooks.mjs:2:10, for public.orders.',
    })
    expect(JSON.stringify(report)).not.toContain('was the region')
    expect(JSON.stringify(report)).not.toContain('fdx55')
  })

  test.each([
    ['is missing', null, /The hooks module hooks\.mjs cannot be loaded/],
    ['cannot be parsed', 'export const = 1', /hooks\.mjs cannot be loaded: /],
    ['exports nothing of use', 'export const a = 1', /exports no hook/],
    [
      'exports what is no function',
      'export const transformRow = 1',
      /exports transformRow, which is no function/,
    ],
  ])('a module that %s is refused before anything is read', async (_, text, message) => {
    const module = path.join(copy.folder, 'hooks.mjs')
    if (text !== null) await writeFile(module, text)
    await expect(copy.run({ streams: { 'public.orders': { hooks: module } } })).rejects.toMatchObject({
      code: 'HOOK_FAILED',
      message: expect.stringMatching(message) as string,
    })
  })

  test('which streams are read is asked once for each, and has to be answered', async () => {
    const asked: string[] = []
    const report = await copy.run({
      defaults: {
        shouldReadStream: (stream) => {
          asked.push(stream.name)
          return stream.table === 'orders'
        },
      },
    })
    expect(report.streams.map(({ stream }) => stream)).toEqual(['public.orders'])
    expect(failuresOf(report)).toEqual({})
    expect(asked.sort()).toEqual(['public.customers', 'public.internal_queue', 'public.orders'])
    const unanswered = { shouldReadStream: () => Promise.resolve(true) } as unknown as StreamOptions
    await expect(copy.run({ defaults: unanswered })).rejects.toMatchObject({ code: 'HOOK_FAILED' })
  })
})
