import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { rows as rowsOf } from '../../src/batch/rows.js'
import type { SplitRange } from '../../src/model/split-range.js'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { Snapshot, Source, Split } from '../../src/source/contract.js'
import { onOldestAndNewestServer, type TestDatabase } from '../server/servers.js'
import {
  bundleReader,
  discoverOne,
  failureOf,
  openSnapshot,
  openSource,
  TYPE_OPTIONS,
  withLimits,
} from './open-source.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

const ROWS = 40_000
const LIMITS = withLimits({ maxConnections: 6, batchRows: 500 })

/** Eight splits of about equal size, on every server. */
async function planEight(
  source: Source,
  snapshot: Snapshot,
  stream: CatalogStream,
): Promise<readonly Split[]> {
  const bounds = [1, 2, 3, 4, 5, 6, 7].map((part) => [String((part * ROWS) / 8)])
  const ranges = [null, ...bounds].map((from, index): SplitRange => ({
    kind: 'keys',
    columns: ['id'],
    from,
    to: bounds[index] ?? null,
  }))
  return snapshot.plan({
    stream,
    columns: source.mapColumns(stream, TYPE_OPTIONS),
    rows: { kind: 'full', ranges },
    where: null,
    withXmin: false,
    limits: LIMITS,
  })
}

/** All splits side by side; `onBatch` with how many batches came so far. */
async function readIds(
  snapshot: Snapshot,
  splits: readonly Split[],
  onBatch: (batches: number) => Promise<void>,
): Promise<readonly number[]> {
  const ids: number[] = []
  let batches = 0
  await Promise.all(
    splits.map(async (split) => {
      for await (const batch of snapshot.read(split)) {
        for (const row of rowsOf(batch)) ids.push(Number(row['id']))
        await onBatch(++batches)
      }
    }),
  )
  return ids.sort((a, b) => a - b)
}

const EVERY_ID = Array.from({ length: ROWS }, (_, index) => index + 1)

onOldestAndNewestServer('readers that are lost', (server) => {
  let database: TestDatabase
  let source: Source
  let stream: CatalogStream

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE t (id int PRIMARY KEY, v text);
      INSERT INTO t SELECT g, repeat('x', 900) FROM generate_series(1, ${ROWS}) g`)
    source = await openSource(`${database.url}?application_name=losing`)
    stream = await discoverOne(source, 'public.t')
  })
  afterAll(async () => {
    await source.close()
  })

  /** The leader is the session that came first. */
  async function terminate(which: 'a reader' | 'the leader'): Promise<number> {
    const rows = await database.sql(
      `SELECT pg_terminate_backend(pid) FROM (
         SELECT pid FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'losing'
          ORDER BY backend_start OFFSET ${which === 'the leader' ? 0 : 1} LIMIT 1) AS found`,
    )
    return rows.length
  }

  test.each([[[1]], [[7, 30]], [[10, 11, 12, 60]]])(
    'after batches %j every row comes once all the same',
    async (places) => {
      await using snapshot = await openSnapshot(source, [stream], { readers: 4, limits: LIMITS })
      expect(snapshot.maxReaders).toBe(4)
      const splits = await planEight(source, snapshot, stream)
      let killed = 0
      const ids = await readIds(snapshot, splits, async (batches) => {
        if (places.includes(batches)) killed += await terminate('a reader')
      })
      expect(killed).toBeGreaterThan(0)
      expect(ids).toEqual(EVERY_ID)
      expect(snapshot.signal.aborted).toBe(false)
    },
  )

  test('a thread that ends by itself is a loss like any other', async () => {
    const folder = makeTemporaryFolder('dying')
    const file = join(folder, 'reader.mjs')
    await writeFile(
      file,
      `import { existsSync, writeFileSync } from 'node:fs'
       import { parentPort } from 'node:worker_threads'
       await import(${JSON.stringify((await bundleReader()).href)})
       let credits = 0
       parentPort.on('message', ({ kind }) => {
         if (kind !== 'credit' || ++credits !== 5 || existsSync(${JSON.stringify(join(folder, 'died'))})) return
         writeFileSync(${JSON.stringify(join(folder, 'died'))}, '')
         process.exit(1)
       })`,
    )
    await using dying = await openSource(database.url, { readerWorker: pathToFileURL(file) })
    await using snapshot = await openSnapshot(dying, [stream], { readers: 2, limits: LIMITS })
    const splits = await planEight(dying, snapshot, stream)
    expect(await readIds(snapshot, splits, () => Promise.resolve())).toEqual(EVERY_ID)
  })

  test('with the leader everything ends at once, with the reason, and nothing hangs', async () => {
    await using snapshot = await openSnapshot(source, [stream], { readers: 4, limits: LIMITS })
    const splits = await planEight(source, snapshot, stream)
    let killed = 0
    const reads = splits.map((split) =>
      failureOf(
        (async () => {
          for await (const _batch of snapshot.read(split)) {
            if (killed === 0) {
              killed++
              expect(await terminate('the leader')).toBe(1)
            }
            await sleep(20)
          }
        })(),
      ),
    )
    for (const failure of await Promise.all(reads)) expect(failure.code).toBe('SNAPSHOT_LOST')
    expect(snapshot.signal.reason).toMatchObject({ code: 'SNAPSHOT_LOST', retry: 'safe' })
  })

  test.each([1, 2, 4])(
    'where the role has %i connections, everything is read by as many as there are',
    async (connections) => {
      const role = await database.createRole(`CONNECTION LIMIT ${connections}`)
      await database.sql(`GRANT SELECT ON t TO "${role.name}"`)
      const warnings: string[] = []
      await using tight = await openSource(role.url, {
        logger: {
          debug: () => undefined,
          info: () => undefined,
          warn: (_facts, message) => warnings.push(message),
          error: () => undefined,
        },
      })
      await using snapshot = await openSnapshot(tight, [stream], { readers: 4, limits: LIMITS })
      const splits = await planEight(tight, snapshot, stream)
      expect(await readIds(snapshot, splits, () => Promise.resolve())).toEqual(EVERY_ID)
      // All may be read before the last one has its answer.
      await expect
        .poll(() => warnings.filter((message) => message.includes('reader')), { timeout: 20_000 })
        .toEqual(['a reader could not connect; going on with fewer'])
      // One may have gone to the watch.
      expect(snapshot.maxReaders).toBeGreaterThanOrEqual(Math.max(1, connections - 2))
      expect(snapshot.maxReaders).toBeLessThanOrEqual(Math.max(1, connections - 1))
    },
  )
})
