/** First loads from a real server that are killed, interrupted or overtaken by DDL, with writers at work, and then go on. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { StreamReport } from '../../src/model/report.js'
import { onOldestAndNewestServer, type TestDatabase } from '../server/servers.js'
import { buildChild, type BuiltChild } from './build-child.js'
import { streamOf, Warehouse } from './real.js'

const ROOT = path.resolve(import.meta.dirname, '../..')
const ROWS = 30_000
const SPEC = {
  name: 'load',
  selection: { select: ['public.*'], exclude: [] },
  verify: true,
  allowMassDelete: false,
}

onOldestAndNewestServer('a first load that is interrupted', (server) => {
  let child: BuiltChild
  let db: TestDatabase
  let warehouse: Warehouse

  beforeAll(async () => {
    child = await buildChild('first-load-child')
  })
  afterAll(() => child.remove())

  beforeEach(async () => {
    db = await server.createDatabase()
    // Few rows on many pages: more than 16 MiB of heap several times over, so that it is divided.
    await db.sql(`
      CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, pad text NOT NULL) WITH (fillfactor = 10);
      INSERT INTO t SELECT g, 0, repeat('x', 300) FROM generate_series(1, ${ROWS}) g`)
    warehouse = await Warehouse.create(db.url)
  })
  afterEach(() => warehouse.remove())

  function startLoad(): { readonly process: ChildProcess; readonly saved: () => Promise<void> } {
    const loading = spawn(process.execPath, [child.file], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        LOAD_URL: db.url,
        LOAD_FILE: warehouse.file,
        LOAD_READER: pathToFileURL(path.join(ROOT, 'dist/source/reader-worker.js')).href,
        LOAD_SAVE_MS: '0',
      },
    })
    const lines = createInterface({ input: loading.stdout })[Symbol.asyncIterator]()
    return {
      process: loading,
      async saved() {
        const { value, done } = await lines.next()
        if (done === true || !String(value).startsWith('saved')) throw new Error(`it said ${String(value)}`)
      },
    }
  }

  async function end(loading: ChildProcess, signal: 'SIGKILL' | 'SIGINT'): Promise<void> {
    const gone = once(loading, 'exit')
    loading.kill(signal)
    // It stands still since it saved; what ends it by asking, it hears only when it goes on.
    loading.kill('SIGCONT')
    await gone
  }

  /** Changes of every kind all over the table, in the parts that are there and in those that are not. */
  async function change(seed: number): Promise<void> {
    await db.sql(`
      UPDATE t SET v = v + 1 WHERE id % 101 = ${seed};
      DELETE FROM t WHERE id % 103 = ${seed};
      UPDATE t SET id = id + 10000000 WHERE id % 107 = ${seed} AND id < 10000000;
      INSERT INTO t SELECT g, ${seed}, 'new' FROM generate_series(${20_000_000 + seed * 1000}, ${20_000_500 + seed * 1000}) g`)
  }

  async function finish(): Promise<StreamReport> {
    const report = streamOf(await warehouse.sync(SPEC), 'public.t')
    expect(report.verified).toEqual({ equal: true, missing: 0, unexpected: 0 })
    const [truth] = await db.sql('SELECT count(*)::text AS n FROM t')
    const [counts] = await warehouse.query('SELECT count(*) AS n, count(DISTINCT id) AS ids FROM public.t')
    expect(counts).toEqual({ n: truth?.['n'], ids: truth?.['n'] })
    const [left] = await warehouse.query(
      "SELECT count(*) AS n FROM duckdb_tables() WHERE table_name LIKE '\\_trunk%' ESCAPE '\\'",
    )
    expect(left).toEqual({ n: '0' })
    return report
  }

  // Before 14 a table has no ranges of places, and is read as one.
  const divided = server.major >= 14

  test('goes on after kill -9, twice, while the table is written', async () => {
    for (const round of [1, 2]) {
      const loading = startLoad()
      if (divided) await loading.saved()
      else await new Promise((resolve) => setTimeout(resolve, 500))
      // Where it has not saved, it does not stand still by itself: however long the changes take, it must not come to its end meanwhile.
      loading.process.kill('SIGSTOP')
      await change(round)
      await end(loading.process, 'SIGKILL')
      await change(round + 10)
    }
    const report = await finish()
    const total = report.sourceCount ?? 0
    if (divided) {
      expect(report.fullLoadReason).toMatch(/Gone on with: \d+ of \d+ parts were there/)
      expect(report.rowsRead).toBeLessThan(total)
    }
    await db.sql('UPDATE t SET v = -1 WHERE id = 7')
    expect((await finish()).fullLoadReason).toBeNull()
  })

  test('goes on after Ctrl-C', async () => {
    const loading = startLoad()
    if (divided) await loading.saved()
    await end(loading.process, 'SIGINT')
    await change(3)
    const report = await finish()
    if (divided) expect(report.fullLoadReason).toMatch(/Gone on with/)
  })

  test.each(['TRUNCATE t', 'VACUUM FULL t', 'ALTER TABLE t ADD COLUMN more int DEFAULT 5'])(
    'begins anew after %s',
    async (ddl) => {
      const loading = startLoad()
      if (divided) await loading.saved()
      await end(loading.process, 'SIGKILL')
      await db.sql(ddl)
      await change(4)
      const report = await finish()
      if (divided) expect(report.fullLoadReason).toMatch(/of no use/)
    },
  )
})
