/**
 * Runs are killed (SIGKILL) at random moments of each phase; the next run makes the copy exact, without duplicates.
 *
 * Each phase two or three times, on the newest server; TRUNKLINE_ORACLE=full: ten times, on each. TRUNKLINE_CRASH_SEED varies the moments.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { onEachServer, onNewestServer, type TestDatabase } from '../server/servers.js'
import { buildChild, type BuiltChild } from './build-child.js'
import { streamOf, Warehouse } from './real.js'
import { makeRandom } from './writers.js'

const FULL = process.env['TRUNKLINE_ORACLE'] === 'full'
const ROWS = 40_000
const ROOT = path.resolve(import.meta.dirname, '../..')
const SEED = Number(process.env['TRUNKLINE_CRASH_SEED'] ?? 1)
/** Where a process dies is a matter of the destination, so the newest server is enough unless all are asked for. */
const onServers = FULL ? onEachServer : onNewestServer

interface Phase {
  readonly name: 'read' | 'stage' | 'commit' | 'deletes'
  /** Calls of a run that can be let pass. */
  readonly calls: number
  readonly longestMs: number
  readonly firstLoad: boolean
  readonly kills: number
}

const PHASES: readonly Phase[] = [
  { name: 'read', calls: 8, longestMs: 20, firstLoad: true, kills: FULL ? 10 : 2 },
  { name: 'read', calls: 1, longestMs: 60, firstLoad: false, kills: FULL ? 10 : 2 },
  { name: 'stage', calls: 8, longestMs: 30, firstLoad: true, kills: FULL ? 10 : 2 },
  { name: 'stage', calls: 1, longestMs: 30, firstLoad: false, kills: FULL ? 10 : 2 },
  { name: 'commit', calls: 1, longestMs: 150, firstLoad: true, kills: FULL ? 10 : 2 },
  { name: 'commit', calls: 1, longestMs: 100, firstLoad: false, kills: FULL ? 10 : 2 },
  { name: 'deletes', calls: 1, longestMs: 150, firstLoad: false, kills: FULL ? 10 : 3 },
]

onServers('kill -9', (server) => {
  let db: TestDatabase
  let child: BuiltChild
  beforeAll(async () => {
    child = await buildChild('crash-child')
    db = await server.createDatabase()
    await db.sql(`
      CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, pad text NOT NULL);
      INSERT INTO t SELECT g, 0, repeat('x', 50) FROM generate_series(1, ${ROWS}) g;
      CREATE TABLE u (id int PRIMARY KEY, v int NOT NULL);
      INSERT INTO u SELECT g, 0 FROM generate_series(1, ${ROWS}) g`)
  })

  async function runAndDie(warehouse: Warehouse, phase: Phase, random: () => number): Promise<string | null> {
    const dying = spawn(process.execPath, [child.file], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        CRASH_URL: db.url,
        CRASH_FILE: warehouse.file,
        CRASH_READER: pathToFileURL(path.join(ROOT, 'dist/source/reader-worker.js')).href,
        CRASH_PHASE: phase.name,
        CRASH_SKIP: String(Math.floor(random() * phase.calls)),
        CRASH_DELAY_MS: String(Math.floor(random() * phase.longestMs)),
      },
    })
    const [, signal] = (await once(dying, 'exit')) as [number | null, string | null]
    return signal
  }

  /** A thousand rows each changed, deleted and inserted. */
  async function change(seed: number): Promise<void> {
    await db.sql(`
      UPDATE t SET v = v + 1 WHERE id % 40 = ${seed % 40};
      UPDATE u SET v = v + 1 WHERE id % 40 = ${seed % 40};
      DELETE FROM t WHERE id % 40 = ${(seed + 1) % 40};
      INSERT INTO t SELECT g, ${seed}, 'new' FROM generate_series(1, ${ROWS}) g WHERE g % 40 = ${(seed + 2) % 40}
        ON CONFLICT DO NOTHING`)
  }

  for (const [index, phase] of PHASES.entries()) {
    const what = `${phase.name} of ${phase.firstLoad ? 'a first load' : 'a later run'}`
    test(`during ${what}, ${phase.kills} times: the next run is exact`, async () => {
      const random = makeRandom(SEED * 100 + index)
      const warehouse = await Warehouse.create(db.url)
      const spec = {
        name: 'crash',
        selection: { select: ['public.t', 'public.u'], exclude: [] },
        allowMassDelete: true,
        verify: true,
      }
      try {
        if (!phase.firstLoad) await warehouse.sync(spec)
        for (let kill = 0; kill < phase.kills; kill++) {
          await change(index * 10 + kill)
          expect(await runAndDie(warehouse, phase, random)).toBe('SIGKILL')
          if (phase.firstLoad && kill < phase.kills - 1) continue
          await db.sql(`UPDATE t SET v = v + 1 WHERE id <= 10`)
          const report = await warehouse.sync(spec)
          for (const table of ['public.t', 'public.u'])
            expect(streamOf(report, table).verified).toMatchObject({ equal: true })
          const [counts] = await warehouse.query(
            'SELECT count(*) AS n, count(DISTINCT id) AS ids FROM public.t',
          )
          const [truth] = await db.sql('SELECT count(*)::text AS n FROM t')
          expect(counts).toEqual({ n: truth?.['n'], ids: truth?.['n'] })
        }
      } finally {
        await warehouse.remove()
      }
    })
  }
  afterAll(() => child.remove())
})
