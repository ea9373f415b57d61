/** Masks, other names and added columns, from a real server into a real file, through every way that rows can take there. */
import { createHmac } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { StreamOptions } from '../../src/model/sync-spec.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { CopyFile, failuresOf, streamOf, type RunOptions } from './copy-file.js'
import { pauseOnce } from './pausing-source.js'

const MASK_KEY = 'a key that nobody may ever see'
/** Within every value of a masked column. */
const SECRET = 'canary'

const MASKED: StreamOptions = {
  mask: { email: `hmac:${MASK_KEY}`, phone: 'redact', note: 'null', name: 'hash', card: 'partial:2' },
}

const hmac = (text: string): string => createHmac('sha256', MASK_KEY).update(text).digest('hex')

onNewestServer('what is done to rows on their way', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeEach(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
  })
  afterEach(() => copy.remove())

  /** Wide and incompressible enough for parts to be written to files of their own. */
  async function createUsers(rows: number): Promise<void> {
    await db.sql(`
      CREATE TABLE users (email text PRIMARY KEY, name text, phone text, note text, card text, city text NOT NULL);
      INSERT INTO users SELECT 'canary' || g || '@example.org', 'canary name ' || g, '+49 canary ' || g,
        CASE WHEN g % 2 = 0 THEN 'a note on canary ' || g END, 'canary 4111 ' || g, 'city ' || md5(g::text)
        FROM generate_series(1, ${rows}) g`)
  }

  /** Every byte that is on the disk now, whoever has the files open. */
  function bytesOnDisk(): string {
    const entries = readdirSync(copy.folder, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(path.join(entry.parentPath, entry.name), 'latin1'))
      .join('\n')
  }

  /** A run that is looked at on its way: everything it says, and everything that it has written at any of the moments. */
  async function watch(options: RunOptions): Promise<{ readonly said: string; readonly written: string }> {
    const said: string[] = []
    const written: string[] = []
    const look = (): Promise<void> => {
      written.push(bytesOnDisk())
      return Promise.resolve()
    }
    const reading = pauseOnce('reading', look)
    const read = pauseOnce('read', look)
    const report = await copy.run({
      ...options,
      wrap: (source) => reading.wrap(read.wrap(source)),
      onProgress: (event) => {
        said.push(JSON.stringify(event))
        if (event.kind === 'stream_progress') written.push(bytesOnDisk())
      },
    })
    expect(failuresOf(report)).toEqual({})
    written.push(bytesOnDisk())
    said.push(JSON.stringify(report))
    const state = await copy.rows('SELECT * FROM _trunkline.state')
    expect(state.length).toBeGreaterThan(0)
    said.push(JSON.stringify(state))
    return { said: said.join('\n'), written: written.join('\n') }
  }

  test('nothing that is masked is in any byte of the destination, its log or its files on their way', async () => {
    await createUsers(8000)
    const limits = { batchRows: 2000 }
    const first = await watch({ streams: { 'public.users': MASKED }, limits, verify: true })
    await db.sql(`
      UPDATE users SET phone = 'canary changed' WHERE city < 'city 4';
      DELETE FROM users WHERE email LIKE '%7@example.org';
      INSERT INTO users VALUES ('canary-new@example.org', NULL, NULL, 'canary', 'canary', 'city')`)
    const second = await watch({
      streams: { 'public.users': MASKED },
      limits,
      verify: true,
      allowMassDelete: true,
    })
    for (const { said, written } of [first, second]) {
      expect(written.length).toBeGreaterThan(100_000)
      expect(written.includes(SECRET)).toBe(false)
      for (const text of [said, written]) expect(text.includes(MASK_KEY)).toBe(false)
      expect(said.includes(`${SECRET}1`)).toBe(false)
    }
    const [{ n } = {}] = await db.sql('SELECT count(*) AS n FROM users')
    expect(await copy.rows('SELECT count(*) AS n, count(DISTINCT email) AS keys FROM public.users')).toEqual([
      { n, keys: n },
    ])
    const [row] = await copy.rows(
      `SELECT * FROM public.users WHERE email = '${hmac('canary-new@example.org')}'`,
    )
    expect(row).toMatchObject({ name: null, phone: null, note: null, card: '****ry', city: 'city' })

    // The search would have found it: it does where nothing is masked, on the way and in the end.
    const control = await watch({ name: 'control', nameTemplate: 'plain_{table}', limits })
    expect(control.written.includes(SECRET)).toBe(true)
    expect(bytesOnDisk().includes(SECRET)).toBe(true)
  })

  test('a mirror goes on by masked keys under another name: changes, deletes and a comparison of all', async () => {
    await createUsers(50)
    const streams = { 'public.users': { ...MASKED, rename: { email: 'user_key', city: 'town' } } }
    await copy.sync({ streams, verify: true })
    await db.sql(`
      UPDATE users SET city = 'Rome' WHERE email = 'canary7@example.org';
      UPDATE users SET email = 'canary-other@example.org' WHERE email = 'canary8@example.org';
      DELETE FROM users WHERE email = 'canary9@example.org'`)
    const report = await copy.sync({ streams, verify: true })
    expect(streamOf(report, 'public.users')).toMatchObject({
      generation: 1,
      sourceCount: 49,
      destinationCount: 49,
      verified: { equal: true },
    })
    const rows = await copy.rows(`SELECT user_key, town FROM public.users WHERE town = 'Rome' OR user_key IN
      ('${hmac('canary8@example.org')}', '${hmac('canary9@example.org')}', '${hmac('canary-other@example.org')}') ORDER BY town`)
    expect(rows.map(({ user_key: key }) => key).sort()).toEqual(
      [hmac('canary7@example.org'), hmac('canary-other@example.org')].sort(),
    )
    const { promise } = streamOf(report, 'public.users')
    for (const part of [
      'email masked: a keyed hash',
      'name masked by a hash without a key, which is reversible',
      'city lands as town',
    ]) {
      expect(promise).toContain(part)
    }
  })

  test('another key of a mask loads everything anew, and the state tells keys apart without having one', async () => {
    await createUsers(20)
    const withKey = (key: string): RunOptions => ({
      streams: { 'public.users': { mask: { email: `hmac:${key}` } } },
    })
    await copy.sync(withKey('a first key of the mask'))
    const second = await copy.sync(withKey('a second key of the mask'))
    expect(streamOf(second, 'public.users')).toMatchObject({
      generation: 2,
      fullLoadReason: 'What is done to its rows changed: mask of email.',
    })
    expect(await copy.rows('SELECT count(*) AS n FROM public.users')).toEqual([{ n: '20' }])
    const third = await copy.sync(withKey('a second key of the mask'))
    expect(streamOf(third, 'public.users')).toMatchObject({ generation: 2, fullLoadReason: null })
    const state = JSON.stringify(await copy.rows('SELECT * FROM _trunkline.state'))
    expect(state).toContain('mask of email')
    expect(state).not.toContain('key of the mask')
  })

  test('rows that only the destination has are not mixed with differently treated ones', async () => {
    await createUsers(5)
    const kept: StreamOptions = { deletes: 'ignore' }
    await copy.sync({ streams: { 'public.users': kept } })
    const report = await copy.run({ streams: { 'public.users': { ...kept, rename: { city: 'town' } } } })
    expect(streamOf(report, 'public.users').error).toMatchObject({
      code: 'SCHEMA_FROZEN',
      hint: expect.stringContaining('state resync') as string,
    })
    expect(await copy.rows('SELECT count(city) AS n FROM public.users')).toEqual([{ n: '5' }])
  })

  test('another name in the configuration is another table, and one at the source is a new column', async () => {
    await createUsers(5)
    const names = async (): Promise<string[]> =>
      (await copy.rows(`SELECT column_name AS n FROM duckdb_columns() WHERE table_name = 'users'`)).map(
        ({ n }) => n!,
      )
    await copy.sync({ streams: { 'public.users': { rename: { city: 'town' } } } })
    expect(await names()).toEqual(['email', 'name', 'phone', 'note', 'card', 'town'])
    const report = await copy.sync({
      streams: { 'public.users': { rename: { city: 'place', name: 'called' } } },
    })
    expect(streamOf(report, 'public.users').generation).toBe(2)
    expect(await names()).toEqual(['email', 'called', 'phone', 'note', 'card', 'place'])
    await db.sql('ALTER TABLE users RENAME name TO full_name; ALTER TABLE users ADD extra int DEFAULT 7')
    // The name that is configured is gone at the source: nothing lands under a name that nobody chose.
    const gone = await copy.run({
      streams: { 'public.users': { rename: { city: 'place', name: 'called' } } },
    })
    expect(failuresOf(gone)).toEqual({ 'public.users': 'STREAM_MISSING' })
    await copy.sync({ streams: { 'public.users': { rename: { city: 'place', full_name: 'called' } } } })
    expect(await names()).toEqual(['email', 'called', 'phone', 'note', 'card', 'place', 'extra'])
  })

  test('added columns tell of row and run; only rows that changed tell of a later run, and comparisons know that', async () => {
    await createUsers(10)
    const options: StreamOptions = {
      mask: { email: `hmac:${MASK_KEY}` },
      addColumns: {
        _fivetran_id: { from: 'row_id' },
        _fivetran_synced: { from: 'run_at' },
        sync_timestamp: { from: 'epoch_seconds' },
        region: 'eu',
        since: { value: '2024-01-01T00:00:00Z', type: 'timestamp' },
      },
    }
    const run = { streams: { 'public.users': options }, verify: true }
    // Until no transaction of a test beside this one makes rows be read again that did not change.
    const settle = async (): Promise<string> => streamOf(await copy.sync(run), 'public.users').outcome
    await expect.poll(settle, { timeout: 60_000 }).toBe('unchanged')
    const types = await copy.rows(
      `SELECT string_agg(data_type, ', ' ORDER BY column_index) AS t FROM duckdb_columns() WHERE table_name = 'users' AND column_index > 6`,
    )
    expect(types).toEqual([
      { t: 'VARCHAR, TIMESTAMP WITH TIME ZONE, VARCHAR, TIMESTAMP WITH TIME ZONE, DOUBLE' },
    ])
    const look = (): Promise<Record<string, string | null>[]> =>
      copy.rows(
        'SELECT _fivetran_id, region, epoch(_fivetran_synced) = sync_timestamp AS agrees, sync_timestamp FROM public.users ORDER BY email',
      )
    const before = await look()
    expect(before.every(({ agrees, region }) => agrees === 'true' && region === 'eu')).toBe(true)
    expect(new Set(before.map(({ sync_timestamp: at }) => at)).size).toBe(1)
    await db.sql(
      `UPDATE users SET city = 'Rome' WHERE email = 'canary7@example.org'; ALTER TABLE users ADD extra int`,
    )
    await db.sql(`UPDATE users SET city = 'Oslo' WHERE email = 'canary7@example.org'`)
    const report = await copy.sync(run)
    expect(streamOf(report, 'public.users').verified).toEqual({ equal: true, missing: 0, unexpected: 0 })
    await db.sql(`UPDATE users SET extra = 1 WHERE email = 'canary8@example.org'`)
    expect(streamOf(await copy.sync(run), 'public.users').verified).toMatchObject({ equal: true })
    const after = await look()
    expect(after.map(({ _fivetran_id: id }) => id)).toEqual(before.map(({ _fivetran_id: id }) => id))
    const [latest] = await copy.rows(
      'SELECT max(sync_timestamp) AS at, min(sync_timestamp) AS first FROM public.users',
    )
    expect(after.filter(({ sync_timestamp: at }) => at === latest?.['at']).length).toBeLessThan(10)
    expect(latest?.['at']).not.toBe(latest?.['first'])
  })

  test('a column that comes later is masked and named as it is stated for all streams, before any of it lands', async () => {
    await createUsers(5)
    const streams: Record<string, StreamOptions> = {
      'public.*': { deletes: 'soft', mask: { iban: 'redact' }, rename: { iban: 'account' } },
    }
    await copy.sync({ streams })
    await db.sql(
      `ALTER TABLE users ADD iban text; UPDATE users SET iban = 'canary DE12' WHERE email < 'canary3'`,
    )
    const report = await copy.sync({ streams, verify: true })
    expect(streamOf(report, 'public.users')).toMatchObject({ generation: 1, verified: { equal: true } })
    expect(await copy.rows('SELECT account FROM public.users ORDER BY email')).toEqual(
      ['[redacted]', '[redacted]', null, null, null].map((account) => ({ account })),
    )
  })

  test('an appended log, a dated copy and a table without a key take the same way', async () => {
    await createUsers(10)
    await db.sql(
      'CREATE TABLE visits (who text, page text); INSERT INTO visits SELECT email, city FROM users',
    )
    const hidden: StreamOptions = { mask: { who: `hmac:${MASK_KEY}` }, rename: { page: 'place' } }
    const streams: Record<string, StreamOptions> = {
      'public.visits': { ...hidden, mode: 'incremental', landing: 'append' },
    }
    await copy.sync({ streams })
    await db.sql(`INSERT INTO visits VALUES ('canary1@example.org', 'home')`)
    await copy.sync({ streams })
    const ofOne = `who = '${hmac('canary1@example.org')}'`
    expect(
      await copy.rows(`SELECT count(*) AS n, count(*) FILTER (${ofOne}) AS one FROM public.visits`),
    ).toEqual([{ n: '11', one: '2' }])
    const dated = { 'public.visits': { ...hidden, mode: 'full_refresh', landing: 'append' } } as const
    for (let run = 0; run < 2; run++)
      await copy.sync({ name: 'dated', nameTemplate: 'dated_{table}', streams: dated })
    expect(
      await copy.rows(`SELECT count(*) AS n, count(*) FILTER (${ofOne}) AS one FROM public.dated_visits`),
    ).toEqual([{ n: '22', one: '4' }])
    const whole = { 'public.visits': { ...hidden, addColumns: { id: { from: 'row_id' } } } } as const
    const report = await copy.sync({
      name: 'whole',
      nameTemplate: 'whole_{table}',
      streams: whole,
      verify: true,
    })
    expect(streamOf(report, 'public.visits')).toMatchObject({
      mode: 'full_refresh',
      verified: { equal: true },
    })
    expect(await copy.rows('SELECT count(DISTINCT id) AS n FROM public.whole_visits')).toEqual([{ n: '11' }])
  })

  test('what cannot be kept is refused by name before anything is read', async () => {
    await createUsers(3)
    const refusal = async (options: StreamOptions): Promise<string> => {
      const report = await copy.run({ streams: { 'public.users': options } })
      const { error } = streamOf(report, 'public.users')
      return `${error?.code ?? 'none'} ${error?.message ?? ''}`
    }
    expect(await refusal({ mask: { email: 'redact' } })).toMatch(/^CONFIG_INVALID .*mask of "email"/)
    expect(await refusal({ mask: { email: 'hash' } })).toMatch(/^CONFIG_INVALID/)
    expect(await refusal({ mask: { mail: 'redact' } })).toMatch(/^STREAM_MISSING/)
    expect(await refusal({ rename: { email: 'Name' } })).toMatch(
      /^NAME_COLLISION Columns "email" \(as "Name"\) and "name" of public.users/,
    )
    expect(await refusal({ addColumns: { City: 'x' } })).toMatch(
      /^NAME_COLLISION .*"City" of public.users and its own "city"/,
    )
    expect(await refusal({ addColumns: { _trunkline_x: 1 } })).toMatch(/^NAME_COLLISION .*reserved/)
    expect(await refusal({ mask: { email: 'redact' }, mode: 'full_refresh' })).toBe('none ')
    // Of many streams, a mask is for those that have the column.
    const report = await copy.run({ streams: { 'public.*': { mask: { mail: 'redact', city: 'redact' } } } })
    expect(failuresOf(report)).toEqual({})
    expect(await copy.rows('SELECT DISTINCT city FROM public.users')).toEqual([{ city: '[redacted]' }])
  })

  test('a first load that was interrupted goes on masked', async () => {
    await db.sql(`
      CREATE TABLE big (id int PRIMARY KEY, secret text NOT NULL);
      INSERT INTO big SELECT g, 'canary ' || repeat(md5(g::text), 12) FROM generate_series(1, 100000) g`)
    const streams = { 'public.big': { mask: { secret: `hmac:${MASK_KEY}` }, rename: { id: 'key' } } }
    const stop = new AbortController()
    await copy.run({
      streams,
      signal: stop.signal,
      // Always due: what is read before the stop has been saved but for one part, however many readers there are.
      limits: { saveEveryMs: 0, batchRows: 2000 },
      onProgress: (event) => {
        if (event.kind === 'stream_progress' && event.rows > 60_000) stop.abort(new Error('enough'))
      },
    })
    await db.sql(`UPDATE big SET secret = 'canary changed' WHERE id % 5000 = 0; DELETE FROM big WHERE id < 5`)
    const report = await copy.sync({ streams, verify: true })
    expect(streamOf(report, 'public.big')).toMatchObject({ sourceCount: 99_996, verified: { equal: true } })
    expect(streamOf(report, 'public.big').fullLoadReason).toContain('Gone on with')
    expect(bytesOnDisk().includes(SECRET)).toBe(false)
  })
})
