/** Arrays that land as lists, from a real server into a real file. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { CopyFile, failuresOf, streamOf } from './copy-file.js'

const COLUMNS = {
  flags: 'boolean[]',
  small: 'smallint[]',
  numbers: 'integer[]',
  large: 'bigint[]',
  ratios: 'double precision[]',
  prices: 'numeric(9,2)[]',
  totals: 'numeric(30,4)[]',
  days: 'date[]',
  times: 'time[]',
  moments: 'timestamptz[]',
  spans: 'interval[]',
  tags: 'text[]',
  documents: 'jsonb[]',
  codes: 'uuid[]',
  contents: 'bytea[]',
  networks: 'inet[]',
} as const
const NAMES = Object.keys(COLUMNS)
const LISTS: StreamOptions = { types: Object.fromEntries(NAMES.map((name) => [name, 'list'])) }

/** A value of each type for a number \`g\`. */
const VALUES = `
  ARRAY[g % 2 = 0, NULL], ARRAY[g % 1000]::smallint[], CASE WHEN g % 5 > 0 THEN ARRAY[g, NULL, -g] END,
  ARRAY[g::bigint << 40], ARRAY['NaN', '-0', '0', 'Infinity', NULL, g / 3.0]::float8[], ARRAY[g + 0.25, NULL]::numeric(9,2)[],
  ARRAY[g * 1e20 + 0.0001]::numeric(30,4)[], ARRAY['2024-01-01'::date + g % 1000, 'infinity', NULL],
  ARRAY['24:00:00', make_time(g % 24, 0, 0.5)]::time[], ARRAY['-infinity', '2024-01-01Z'::timestamptz + g * '1 s'::interval],
  ARRAY['1 month', '30 days', '-1 day 00:00:00.000001', NULL]::interval[],
  CASE WHEN g % 3 > 0 THEN array_fill('tag "' || g || '"', ARRAY[g % 4]) END,
  ARRAY['{"a": [1, null]}', NULL, '"text"']::jsonb[], ARRAY[md5(g::text)::uuid, NULL], ARRAY['\\x00ff', '']::bytea[],
  ARRAY['10.0.0.1', '::1/64']::inet[]`

onNewestServer('arrays as lists in a DuckDB file', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeEach(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
  })
  afterEach(() => copy.remove())

  async function createRows(count: number): Promise<void> {
    const columns = Object.entries(COLUMNS).map(([name, type]) => `${name} ${type}`)
    await db.sql(`CREATE TABLE notes (id int PRIMARY KEY, ${columns.join(', ')});
      INSERT INTO notes SELECT g, ${VALUES} FROM generate_series(1, ${count}) g;
      INSERT INTO notes (id) VALUES (0);
      INSERT INTO notes SELECT -1, ${NAMES.map(() => `'{}'`).join(', ')}`)
  }

  /** Both as JSON, each by its own database. */
  async function expectSameLists(): Promise<void> {
    const compared = ['flags', 'small', 'numbers', 'large', 'tags', 'codes', 'networks']
    const fromServer = compared.map((name) => `replace(to_json(${name})::text, '": ', '":') AS ${name}`)
    const fromFile = compared.map((name) => `to_json(${name})::VARCHAR AS ${name}`)
    const source = await db.sql(`SELECT id::text, ${fromServer.join(', ')} FROM notes ORDER BY id`)
    const landed = await copy.rows(
      `SELECT id::VARCHAR AS id, ${fromFile.join(', ')} FROM public.notes ORDER BY id`,
    )
    expect(landed).toEqual(source)
  }

  test('are those of the source, every type, after a first load and after changes, and are compared value for value', async () => {
    await createRows(1500)
    const streams = { 'public.notes': LISTS }
    const first = streamOf(await copy.sync({ streams, verify: true }), 'public.notes')
    expect(first).toMatchObject({ mode: 'mirror', rowsLanded: 1502, verified: { equal: true } })
    expect(first.promise).toContain('networks as far as the landing type can hold')
    await expectSameLists()
    const types = await copy.rows(
      'SELECT column_name AS name, column_type AS type FROM (DESCRIBE public.notes)',
    )
    expect(Object.fromEntries(types.map(({ name, type }) => [name, type]))).toMatchObject({
      numbers: 'INTEGER[]',
      prices: 'DECIMAL(9,2)[]',
      totals: 'DECIMAL(30,4)[]',
      moments: 'TIMESTAMP WITH TIME ZONE[]',
      spans: 'INTERVAL[]',
      documents: 'JSON[]',
      codes: 'UUID[]',
      contents: 'BLOB[]',
      networks: 'VARCHAR[]',
    })
    const [row] = await copy.rows(
      `SELECT ratios::VARCHAR AS ratios, spans::VARCHAR AS spans, days::VARCHAR AS days, documents::VARCHAR AS documents
         FROM public.notes WHERE id = 3`,
    )
    expect(row).toEqual({
      ratios: '[nan, -0.0, 0.0, inf, NULL, 1.0]',
      spans: `[1 month, 30 days, '-1 day 00:00:00.000001', NULL]`,
      days: '[2024-01-04, infinity, NULL]',
      documents: expect.stringContaining('NULL') as string,
    })

    await db.sql(`UPDATE notes SET tags = tags || NULL::text, numbers = '{}', ratios = '{-0,NULL}' WHERE id % 7 = 0;
      DELETE FROM notes WHERE id % 11 = 0; INSERT INTO notes SELECT g, ${VALUES} FROM generate_series(4000, 4100) g`)
    const second = streamOf(await copy.sync({ streams, verify: true }), 'public.notes')
    expect(second).toMatchObject({ fullLoadReason: null, generation: 1, verified: { equal: true } })
    await expectSameLists()
  })

  test('differ where one element does: another sign of zero, NULL for a value, another order', async () => {
    await db.sql(`CREATE TABLE public.few (id int PRIMARY KEY, ratios float8[], spans interval[], words text[]);
      INSERT INTO few VALUES (1, '{0,1}', '{1 month}', '{a,b}')`)
    const streams = { 'public.few': { types: { ratios: 'list', spans: 'list', words: 'list' } } }
    expect(streamOf(await copy.sync({ streams, verify: true }), 'public.few').verified).toMatchObject({
      equal: true,
    })
    // As long as somebody else's transaction is open, what was written since is read again, and mends what is changed below.
    await expect
      .poll(async () => streamOf(await copy.sync({ streams }), 'public.few').outcome)
      .toBe('unchanged')
    for (const change of [
      `ratios = ['-0'::DOUBLE, 1::DOUBLE]`,
      `spans = [INTERVAL 30 days]`,
      `words = ['b', 'a']`,
      `words = ['a', NULL]`,
    ]) {
      const instance = await DuckDBInstance.create(copy.file)
      const connection = await instance.connect()
      const before = await connection.runAndReadAll('SELECT * FROM public.few')
      expect(before.currentRowCount).toBe(1)
      await connection.run(
        `UPDATE public.few SET ratios = [0.0, 1.0], spans = [INTERVAL 1 month], words = ['a', 'b']`,
      )
      await connection.run(`UPDATE public.few SET ${change}`)
      connection.closeSync()
      instance.closeSync()
      const report = await copy.run({ streams, verify: true })
      expect(streamOf(report, 'public.few').verified, change).toMatchObject({ equal: false })
    }
  })

  test('that are asked for later are another generation, as is the way back', async () => {
    await db.sql(
      `CREATE TABLE public.few (id int PRIMARY KEY, words text[]); INSERT INTO few VALUES (1, '{a,b}'), (2, NULL)`,
    )
    const asked = { 'public.few': { types: { words: 'list' } } }
    expect(streamOf(await copy.sync(), 'public.few')).toMatchObject({ generation: 1 })
    const lists = streamOf(await copy.sync({ streams: asked }), 'public.few')
    expect(lists).toMatchObject({ generation: 2, rowsLanded: 2 })
    expect(lists.fullLoadReason).toMatch(/column "words" is now list of text, was json/i)
    expect(await copy.rows('SELECT words[2] AS word FROM public.few WHERE id = 1')).toEqual([{ word: 'b' }])
    expect(streamOf(await copy.sync({ streams: asked }), 'public.few')).toMatchObject({
      fullLoadReason: null,
    })
    const back = streamOf(await copy.sync(), 'public.few')
    expect(back).toMatchObject({ generation: 3 })
    expect(back.fullLoadReason).toMatch(/column "words" is now json, was list of text/i)
  })

  test('can be a key, and two keys that differ by nothing but what is lost are told', async () => {
    await db.sql(`CREATE TABLE public.keyed (path int[] PRIMARY KEY, name text);
      INSERT INTO keyed VALUES ('{1,NULL}', 'a'), ('{}', 'b'), ('{1,2}', 'c')`)
    const streams = { 'public.keyed': { types: { path: 'list' } } }
    await copy.sync({ streams })
    await db.sql(
      `UPDATE keyed SET name = 'changed' WHERE path = '{1,NULL}'; DELETE FROM keyed WHERE path = '{}'`,
    )
    const second = streamOf(await copy.sync({ streams, verify: true, allowMassDelete: true }), 'public.keyed')
    expect(second).toMatchObject({ fullLoadReason: null, verified: { equal: true } })
    expect(await copy.rows('SELECT path::VARCHAR AS path, name FROM public.keyed ORDER BY name')).toEqual([
      { path: '[1, 2]', name: 'c' },
      { path: '[1, NULL]', name: 'changed' },
    ])
    await db.sql(`INSERT INTO keyed VALUES ('[0:1]={1,2}', 'd')`)
    expect(failuresOf(await copy.run({ streams }))).toEqual({ 'public.keyed': 'KEY_DUPLICATE' })
  })

  test('are arrays to a hook, which may change them, and text to a mask', async () => {
    await db.sql(`CREATE TABLE public.hooked (id int PRIMARY KEY, words text[], numbers int[], secrets text[]);
      INSERT INTO hooked VALUES (1, '{a,NULL}', '{1,2}', '{x,y}'), (2, NULL, '{}', NULL), (3, '{c}', '{3}', '{}')`)
    await writeFile(
      path.join(copy.folder, 'hook.mjs'),
      `export const transformRow = (row) => {
         if (row.words !== null) row.words = row.words.map((word) => word === null ? 'none' : word.toUpperCase())
         if (row.id === 3) row.numbers.push(4)
         return row
       }`,
    )
    const options: StreamOptions = {
      types: { words: 'list', numbers: 'list', secrets: 'list' },
      mask: { secrets: 'partial:2' },
      hooks: { module: path.join(copy.folder, 'hook.mjs') },
    }
    await copy.sync({ streams: { 'public.hooked': options }, verify: true })
    expect(
      await copy.rows(
        'SELECT words::VARCHAR AS words, numbers::VARCHAR AS numbers, secrets FROM public.hooked ORDER BY id',
      ),
    ).toEqual([
      { words: '[A, none]', numbers: '[1, 2]', secrets: '***y}' },
      { words: null, numbers: '[]', secrets: null },
      { words: '[C]', numbers: '[3, 4]', secrets: '**' },
    ])

    await writeFile(
      path.join(copy.folder, 'wrong.mjs'),
      `export const transformRow = (row) => ({ ...row, numbers: [1, 'two'] })`,
    )
    const wrong = { ...options, hooks: { module: path.join(copy.folder, 'wrong.mjs') } }
    const report = await copy.run({
      name: 'other',
      nameTemplate: 'o_{table}',
      streams: { 'public.hooked': wrong },
    })
    expect(streamOf(report, 'public.hooked').error).toMatchObject({
      code: 'HOOK_FAILED',
      message: expect.stringContaining(
        'an array where an array in which each is a whole number of 32 bits belongs',
      ) as string,
    })
  })
})
