/**
 * Writers of every unpleasant kind, a vacuum that freezes and rewrites, and runs in between: after each run the copy is
 * compared with the source value by value in the run's own snapshot. Beside it, two cursors read what they would have read;
 * they must lose rows, or the test has shown nothing.
 *
 * Short by default, on the oldest and the newest server; TRUNKLINE_ORACLE=full is the long one, on five majors, primary and standby. TRUNKLINE_ORACLE_SEED varies it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  oldestAndNewestMajors,
  startServer,
  type SpecialServer,
  type TestDatabase,
} from '../server/servers.js'
import { CursorCopy } from './cursor-copy.js'
import { streamOf, Warehouse } from './real.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { SCHEMA, Writers } from './writers.js'

/** Read and landed at the same time as the other. */
const BESIDE = `;
  CREATE TABLE beside (id int PRIMARY KEY, v text);
  INSERT INTO beside SELECT g, md5(g::text) FROM generate_series(1, 2000) g`

const FULL = process.env['TRUNKLINE_ORACLE'] === 'full'
const SEED = Number(process.env['TRUNKLINE_ORACLE_SEED'] ?? 1)
const MAJORS = FULL
  ? (process.env['TRUNKLINE_ORACLE_MAJORS'] ?? '12,14,16,17,18').split(',').map(Number)
  : oldestAndNewestMajors()
const WRITERS = FULL ? 24 : 12
/** As long as it takes to see this many late commits, within limits. */
const LATE_COMMITS = FULL ? 200 : 40
const LONGEST_MS = FULL ? 240_000 : 60_000
const SHORTEST_MS = FULL ? 60_000 : 10_000

const CONF = {
  max_prepared_transactions: 50,
  autovacuum_naptime: '1s',
  autovacuum_vacuum_threshold: 5,
  autovacuum_vacuum_scale_factor: 0.01,
  vacuum_freeze_min_age: 0,
  vacuum_freeze_table_age: 0,
  wal_writer_delay: '500ms',
}

interface Result {
  runs: number
  wrongRuns: number
}

async function race(
  db: TestDatabase,
  readUrl: string,
  options: { readonly settle: () => Promise<void> },
): Promise<Result & { readonly writers: Writers; readonly byTime: number; readonly byId: number }> {
  const warehouse = await Warehouse.create(readUrl)
  const reader = new pg.Client({ connectionString: readUrl })
  await reader.connect()
  const [byTime, byId] = [new CursorCopy('updated_at'), new CursorCopy('id')]
  const writers = new Writers({ connect: () => db.connect(), count: WRITERS, seed: SEED, prepare: true })
  const result: Result = { runs: 0, wrongRuns: 0 }
  const run = async (): Promise<void> => {
    const report = await warehouse.sync(
      {
        selection: { select: ['public.w', 'public.beside'], exclude: [] },
        jobs: 4,
        limits: { ...DEFAULT_LIMITS, maxConnections: 8 },
        verify: true,
        allowMassDelete: true,
      },
      {
        onProgress(event) {
          if (event.kind === 'run_started') writers.beforeSnapshot()
          if (event.kind === 'stream_started') writers.afterSnapshot()
        },
      },
    )
    result.runs++
    if (streamOf(report, 'public.w').verified?.equal !== true) result.wrongRuns++
    await byTime.read(reader)
    await byId.read(reader)
  }
  try {
    writers.start()
    const started = performance.now()
    const elapsed = (): number => performance.now() - started
    while (elapsed() < SHORTEST_MS || (writers.counts.lateCommits < LATE_COMMITS && elapsed() < LONGEST_MS)) {
      await run()
      await sleep(50)
    }
    await writers.stop()
    await options.settle()
    await run()
    const source = await reader.query<Record<string, string>>(
      `SELECT id::text, v::text, ver::text, (extract(epoch FROM updated_at) * 1000000)::bigint::text AS at, note
       FROM w ORDER BY w.id`,
    )
    const landed = await warehouse.query(
      `SELECT id::text AS id, v::text AS v, ver::text AS ver, epoch_us(updated_at)::text AS at, note
       FROM public.w AS w ORDER BY w.id`,
    )
    expect(landed).toEqual(source.rows)
    return { ...result, writers, byTime: await byTime.lost(reader), byId: await byId.lost(reader) }
  } finally {
    await writers.stop().catch(() => undefined)
    await reader.end()
    await warehouse.remove()
  }
}

function report(name: string, found: Awaited<ReturnType<typeof race>>): void {
  const { runs, wrongRuns, byTime, byId, writers } = found
  process.stderr.write(
    `oracle ${name}: ${JSON.stringify({ runs, wrongRuns, lostByTimestamp: byTime, lostById: byId, ...writers.counts })}\n`,
  )
  expect(wrongRuns).toBe(0)
  expect(writers.counts.lateCommits).toBeGreaterThanOrEqual(LATE_COMMITS)
  expect(writers.counts.prepared).toBeGreaterThan(0)
  expect(writers.counts.vacuums).toBeGreaterThan(0)
  expect(byTime, 'the timestamp cursor lost nothing, so nothing was shown').toBeGreaterThan(0)
  expect(byId, 'the id cursor lost nothing, so nothing was shown').toBeGreaterThan(0)
}

for (const major of MAJORS) {
  describe(`late commits on PostgreSQL ${major}`, () => {
    let server: SpecialServer
    beforeAll(async () => {
      server = await startServer({ major, conf: CONF })
    })
    afterAll(() => server.close())

    test(
      'every run equals its snapshot, while cursors lose rows',
      async () => {
        const db = await server.createDatabase()
        await db.sql(SCHEMA + BESIDE)
        report(`${major} primary`, await race(db, db.url, { settle: () => Promise.resolve() }))
        await db.close()
      },
      LONGEST_MS * 2,
    )

    if (FULL) {
      test(
        'every run on a standby equals its snapshot, while cursors lose rows',
        async () => {
          const db = await server.createDatabase()
          await db.sql(SCHEMA + BESIDE)
          const standby = await server.startStandby({ conf: { max_standby_streaming_delay: '30s' } })
          await standby.catchUp()
          const found = await race(db, standby.url(db.name), { settle: () => standby.catchUp() })
          report(`${major} standby`, found)
          await standby.close()
          await db.close()
        },
        LONGEST_MS * 2,
      )
    }
  })
}
