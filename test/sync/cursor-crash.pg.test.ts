/** Runs by cursor are killed (SIGKILL) between and in their commits; the next one goes on after the last segment. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { StreamOptions, SyncSpec } from '../../src/model/sync-spec.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { buildChild, type BuiltChild } from './build-child.js'
import { streamOf, Warehouse } from './real.js'
import { makeRandom } from './writers.js'

const ROWS = 5000
const SEGMENT = 500

onNewestServer('kill -9 of a run by cursor', (server) => {
  let db: TestDatabase
  let child: BuiltChild
  beforeAll(async () => {
    child = await buildChild('cursor-child')
    db = await server.createDatabase()
  })
  afterAll(() => child.remove())

  async function runAndDie(
    warehouse: Warehouse,
    spec: Partial<SyncSpec>,
    at: { readonly commits: number; readonly delayMs: number },
  ): Promise<void> {
    const dying = spawn(process.execPath, [child.file], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        CURSOR_URL: db.url,
        CURSOR_FILE: warehouse.file,
        CURSOR_SPEC: JSON.stringify(spec),
        CURSOR_COMMITS: String(at.commits),
        CURSOR_DELAY_MS: String(at.delayMs),
      },
    })
    const [, signal] = (await once(dying, 'exit')) as [number | null, string | null]
    expect(signal).toBe('SIGKILL')
  }

  test.each([
    ['upsert', { primaryKey: ['id'] }],
    ['append', { landing: 'append' }],
  ] as const)('keeps what was committed and lands every row once: %s', async (name, landing) => {
    await db.sql(`
      CREATE TABLE ${name}_base (id int PRIMARY KEY, at timestamptz, v text);
      INSERT INTO ${name}_base SELECT g, CASE WHEN g % 100 > 0 THEN timestamptz '2024-01-01Z' + g / 7 * interval '1 s' END, 'v' || g
        FROM generate_series(1, ${ROWS}) g;
      CREATE VIEW ${name}_seen AS SELECT * FROM ${name}_base`)
    const stream = `public.${name}_seen`
    const options: StreamOptions = { mode: 'incremental', cursorField: 'at', batchSize: SEGMENT, ...landing }
    const spec: Partial<SyncSpec> = {
      name,
      selection: { select: [stream], exclude: [] },
      streams: { [stream]: options },
    }
    const warehouse = await Warehouse.create(db.url)
    try {
      const random = makeRandom(11)
      await runAndDie(warehouse, spec, { commits: 4, delayMs: 0 })
      const [partial] = await warehouse.query(`SELECT count(*) AS n FROM ${stream}`)
      expect(Number(partial?.['n'])).toBeGreaterThanOrEqual(4 * (SEGMENT - 100))
      expect(Number(partial?.['n'])).toBeLessThan(ROWS)
      // The cursor rises with each change, whether the run before still came to commit its last segment or not.
      for (const [day, commits] of [1, 2, 0, 3].entries()) {
        const changed = Math.floor(random() * ROWS)
        await db.sql(`UPDATE ${name}_base SET v = v || '+', at = '2025-01-01Z'::timestamptz + ${day} * interval '1 day'
          WHERE id BETWEEN ${changed} AND ${changed + 40}`)
        await runAndDie(warehouse, spec, { commits, delayMs: Math.floor(random() * 40) })
      }
      const last = streamOf(await warehouse.sync(spec), stream)
      expect(last.fullLoadReason).toBeNull()
      const versions = await warehouse.query(`SELECT id, v, count(*) AS n FROM ${stream} GROUP BY ALL`)
      expect(versions.filter((row) => row['n'] !== '1')).toEqual([])
      const landed = new Set(versions.map((row) => `${row['id']} ${row['v']}`))
      const source = await db.sql(`SELECT id, v FROM ${name}_base`)
      expect(source.filter((row) => !landed.has(`${row['id']} ${row['v']}`))).toEqual([])
      if (name === 'upsert') expect(versions).toHaveLength(ROWS)
    } finally {
      await warehouse.remove()
    }
  })
})
