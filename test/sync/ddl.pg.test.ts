import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import type { RunReport } from '../../src/model/report.js'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import { streamOf, Warehouse } from './real.js'

/** Slow enough that a statement issued in the middle of the read is still in the middle of it when it has waited enough. */
const limits = { ...DEFAULT_LIMITS, maxReadBytesPerSecond: 1_500_000, batchRows: 2000, yieldToDdlMs: 500 }
const selection = { select: ['public.t'], exclude: [] }

onEachServer('a table that changes while it is read', (server) => {
  let db: TestDatabase
  let warehouse: Warehouse
  beforeAll(async () => {
    db = await server.createDatabase()
    await db.sql(`
      CREATE TABLE t (id int PRIMARY KEY, pad text);
      INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(1, 40000) g`)
    warehouse = await Warehouse.create(db.url)
  })
  afterAll(() => warehouse.remove())

  /** Runs, and issues the statement in the middle of the first read; what ended first. */
  async function runWhile(statement: string): Promise<{ report: RunReport; first: 'statement' | 'run' }> {
    const order: ('statement' | 'run')[] = []
    const issued: Promise<unknown>[] = []
    const report = await warehouse.sync(
      {
        selection,
        limits,
        allowMassDelete: true,
        verify: true,
        streams: { 'public.t': { mode: 'full_refresh' } },
      },
      {
        onProgress(event) {
          if (event.kind !== 'stream_progress' || issued.length > 0) return
          issued.push(db.sql(statement).then(() => order.push('statement')))
        },
      },
    )
    order.push('run')
    await Promise.all(issued)
    const [first] = order
    if (first === undefined) throw new Error('nothing ended')
    return { report, first }
  }

  test('an ALTER is let through, and the end state is the altered table', async () => {
    const { report, first } = await runWhile(`ALTER TABLE t ADD COLUMN state text NOT NULL DEFAULT 'new'`)
    expect(first).toBe('statement')
    expect(report.snapshots.map(({ yielded }) => yielded)).toEqual([true, false])
    expect(streamOf(report, 'public.t').attempts).toBeGreaterThan(1)
    expect(streamOf(report, 'public.t')).toMatchObject({ rowsLanded: 40_000, verified: { equal: true } })
    expect(
      await warehouse.query('SELECT count(*) AS n, min(state) AS a, max(state) AS b FROM public.t'),
    ).toEqual([{ n: '40000', a: 'new', b: 'new' }])
  })

  test('a TRUNCATE is let through, and the copy is never half of the table', async () => {
    const { report, first } = await runWhile('TRUNCATE t')
    expect(first).toBe('statement')
    expect(report.snapshots[0]?.yielded).toBe(true)
    expect(await warehouse.query('SELECT count(*) AS n FROM public.t')).toEqual([{ n: '0' }])
  })
})
