import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import type { RunReport } from '../../src/model/report.js'
import { pauseOnce } from '../end-to-end/pausing-source.js'
import { onOldestAndNewestServer, type TestDatabase } from '../server/servers.js'
import { streamOf, Warehouse } from './real.js'

const limits = { ...DEFAULT_LIMITS, batchRows: 500, yieldToDdlMs: 500 }
const ROWS = 10_000
const selection = { select: ['public.t'], exclude: [] }

onOldestAndNewestServer('a table that changes while it is read', (server) => {
  let db: TestDatabase
  let warehouse: Warehouse
  beforeAll(async () => {
    db = await server.createDatabase()
    await db.sql(`
      CREATE TABLE t (id int PRIMARY KEY, pad text);
      INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(1, ${ROWS}) g`)
    warehouse = await Warehouse.create(db.url)
  })
  afterAll(() => warehouse.remove())

  /** Runs, and stands still in the middle of the first read until the statement has been let through, or for ever. */
  async function runWhile(statement: string): Promise<RunReport> {
    const pause = pauseOnce('reading', async () => void (await db.sql(statement)))
    const report = await warehouse.sync(
      {
        selection,
        limits,
        allowMassDelete: true,
        verify: true,
        streams: { 'public.t': { mode: 'full_refresh' } },
      },
      { wrap: pause.wrap },
    )
    expect(pause.reached()).toBe(true)
    return report
  }

  test('an ALTER is let through, and the end state is the altered table', async () => {
    const report = await runWhile(`ALTER TABLE t ADD COLUMN state text NOT NULL DEFAULT 'new'`)
    expect(report.snapshots.map(({ yielded }) => yielded)).toEqual([true, false])
    expect(streamOf(report, 'public.t').attempts).toBeGreaterThan(1)
    expect(streamOf(report, 'public.t')).toMatchObject({ rowsLanded: ROWS, verified: { equal: true } })
    expect(
      await warehouse.query('SELECT count(*) AS n, min(state) AS a, max(state) AS b FROM public.t'),
    ).toEqual([{ n: String(ROWS), a: 'new', b: 'new' }])
  })

  test('a TRUNCATE is let through, and the copy is never half of the table', async () => {
    const report = await runWhile('TRUNCATE t')
    expect(report.snapshots[0]?.yielded).toBe(true)
    expect(await warehouse.query('SELECT count(*) AS n FROM public.t')).toEqual([{ n: '0' }])
  })
})
