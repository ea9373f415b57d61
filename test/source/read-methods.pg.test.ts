/** The three ways to ask for rows give the same batches, end for the same reasons, and leave nothing behind. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { Limits, ReadMethod } from '../../src/model/sync-spec.js'
import type { Snapshot, Source, StreamRead } from '../../src/source/contract.js'
import { seededRandom, typeCases } from '../codec/every-type.js'
import { onOldestAndNewestServer, onNewestServer, startServer, type TestDatabase } from '../server/servers.js'
import { contentsOf } from './batch-contents.js'
import { discoverOne, failureOf, openSnapshot, openSource, TYPE_OPTIONS, withLimits } from './open-source.js'

const METHODS = ['copy', 'named', 'client'] as const satisfies readonly ReadMethod[]
const THROUGH_QUERIES = ['named', 'client'] as const satisfies readonly ReadMethod[]

interface How extends Partial<Pick<StreamRead, 'rows' | 'where' | 'withXmin'>> {
  readonly method: ReadMethod
  readonly limits?: Partial<Limits>
}

async function* readBatches(source: Source, snapshot: Snapshot, stream: CatalogStream, how: How) {
  const splits = await snapshot.plan({
    stream,
    columns: source.mapColumns(stream, { ...TYPE_OPTIONS, specialNumeric: 'null', specialTemporal: 'null' }),
    rows: { kind: 'full' },
    where: null,
    withXmin: false,
    ...how,
    limits: withLimits(how.limits ?? {}),
  })
  for (const split of splits) yield* snapshot.read(split)
}

/** One after the other, so that what is kept is a digest and not the batch. */
async function contentsBy(...[source, snapshot, stream, how]: Parameters<typeof readBatches>) {
  const contents: unknown[] = []
  for await (const batch of readBatches(source, snapshot, stream, how)) contents.push(contentsOf(batch))
  return contents
}

async function expectTheSame(
  source: Source,
  snapshot: Snapshot,
  stream: CatalogStream,
  how: Omit<How, 'method'> = {},
): Promise<readonly unknown[]> {
  const copied = await contentsBy(source, snapshot, stream, { ...how, method: 'copy' })
  for (const method of THROUGH_QUERIES) {
    expect(await contentsBy(source, snapshot, stream, { ...how, method }), method).toEqual(copied)
  }
  return copied
}

onOldestAndNewestServer('read methods', (server) => {
  let database: TestDatabase
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    const cases = typeCases(server.major)
    const random = seededRandom(7 + server.major)
    const inputs = cases.map((one) =>
      Array.from({ length: 700 }, (_, row) =>
        row < one.extremes.length ? one.extremes[row] : random.next() < 0.1 ? null : one.random(random),
      ),
    )
    await database.sql(
      `CREATE TABLE every (id int PRIMARY KEY, ${cases.map(({ column, sqlType }) => `"${column.name}" ${sqlType}`).join(', ')})`,
    )
    await database.sql(
      `INSERT INTO every SELECT n, ${cases.map(({ sqlType }, i) => `v${i}::${sqlType}`).join(', ')}
         FROM unnest(${cases.map((_, i) => `$${i + 1}::text[]`).join(', ')})
              WITH ORDINALITY AS u(${cases.map((_, i) => `v${i}`).join(', ')}, n)`,
      inputs,
    )
    const wide = Array.from({ length: 400 }, (_, i) => `${i % 3 === 0 ? `g::text` : `g * ${i}`} AS c${i}`)
    await database.sql(`
      CREATE TABLE nothing (id int, v text);
      CREATE TABLE many AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 25000) g;
      CREATE TABLE wide AS SELECT ${wide.join(', ')} FROM generate_series(1, 500) g;
      CREATE TABLE huge AS SELECT g AS id, repeat(md5(g::text), 1 << (g % 18)) AS v FROM generate_series(1, 40) g;
      CREATE TABLE parent (id int, v int) PARTITION BY RANGE (id);
      CREATE TABLE low PARTITION OF parent FOR VALUES FROM (0) TO (500);
      CREATE TABLE high PARTITION OF parent FOR VALUES FROM (500) TO (1000);
      INSERT INTO parent SELECT g, g % 7 FROM generate_series(0, 999) g;
      CREATE VIEW summed AS SELECT v, count(*) AS n FROM parent GROUP BY v ORDER BY v`)
    source = await openSource(`${database.url}?application_name=methods`)
  })
  afterAll(async () => {
    await source.close()
  })

  test('give the same batches of every type, whatever their bounds', async () => {
    const stream = await discoverOne(source, 'public.every')
    await using snapshot = await openSnapshot(source, [stream])
    for (const batchRows of [1, 64, 100_000]) {
      const batches = await expectTheSame(source, snapshot, stream, { limits: { batchRows } })
      expect(batches.length).toBe(Math.ceil(700 / batchRows))
    }
    expect(
      (await expectTheSame(source, snapshot, stream, { limits: { batchBytes: 10_000 } })).length,
    ).toBeGreaterThan(10)
  })

  test('give the same batches of tables without rows, with many, with wide ones, with huge values, of trees and views', async () => {
    for (const [name, batchRows, batches] of [
      ['nothing', 100, 0],
      // The last FETCH finds nothing, and is needed to know.
      ['many', 5000, 5],
      ['many', 4999, 6],
      ['wide', 100, 5],
      ['huge', 3, null],
      ['parent', 300, 4],
      ['summed', 3, 3],
    ] as const) {
      const stream = await discoverOne(source, `public.${name}`)
      await using snapshot = await openSnapshot(source, [stream])
      const contents = await expectTheSame(source, snapshot, stream, { limits: { batchRows } })
      if (batches !== null) expect(contents.length, name).toBe(batches)
      else expect(contents.length).toBeGreaterThan(10)
    }
  })

  test('give the same batches of ranges, of a window and of a condition, with the transaction ids', async () => {
    const stream = await discoverOne(source, 'public.many')
    await using before = await openSnapshot(source, [stream])
    await database.sql('UPDATE many SET v = v WHERE id % 100 = 0')
    await using snapshot = await openSnapshot(source, [stream])
    const [{ xmax = '' } = {}] = await database.sql<{ xmax: string }>(
      'SELECT txid_snapshot_xmax(txid_current_snapshot())::text AS xmax',
    )
    const window = { horizon: before.horizon, xmax: BigInt(xmax) as typeof before.horizon, wholeLeaves: [] }
    const changed = await expectTheSame(source, snapshot, stream, {
      rows: { kind: 'since', window },
      withXmin: true,
    })
    expect(changed.length).toBe(1)
    expect(
      await expectTheSame(source, snapshot, stream, { where: 'id % 2 = 1', limits: { batchRows: 10_000 } }),
    ).toHaveLength(2)
    if (server.major < 14) return
    const ranges = [0, 50, 100].map((from) => ({
      kind: 'blocks' as const,
      leaf: stream.oid,
      from,
      to: from === 100 ? null : from + 50,
    }))
    expect((await expectTheSame(source, snapshot, stream, { rows: { kind: 'full', ranges } })).length).toBe(3)
  })

  test('give the same batches of a query', async () => {
    const { streams } = await source.discover(
      { select: [], exclude: ['*'] },
      {
        allowPrivilegedRole: true,
        queries: [
          {
            name: 'q',
            sql: `SELECT id, v, id::numeric / 3 AS n FROM public.many WHERE id > 100 ORDER BY v -- by v`,
            primaryKey: null,
          },
        ],
      },
    )
    const [stream] = streams
    if (stream === undefined) throw new Error('there is no query')
    await using snapshot = await openSnapshot(source, streams)
    expect(await expectTheSame(source, snapshot, stream, { limits: { batchRows: 10_000 } })).toHaveLength(3)
  })

  test.each(THROUGH_QUERIES)('%s gives the same on readers of their own', async (method) => {
    const stream = await discoverOne(source, 'public.many')
    await using snapshot = await openSnapshot(source, [stream], { readers: 1 })
    const limits = { batchRows: 1000 }
    expect(await contentsBy(source, snapshot, stream, { method, limits })).toEqual(
      await contentsBy(source, snapshot, stream, { method: 'copy', limits }),
    )
  })

  test.each(METHODS)(
    '%s ends with the error that the server meets in the middle, and the snapshot goes on',
    async (method) => {
      await database.sql('CREATE OR REPLACE VIEW broken AS SELECT id, 1 / (15001 - id) AS v FROM many')
      const stream = await discoverOne(source, 'public.broken')
      await using snapshot = await openSnapshot(source, [stream])
      const limits = { batchRows: 1000 }
      let rows = 0
      const reading = (async () => {
        for await (const batch of readBatches(source, snapshot, stream, { method, limits }))
          rows += batch.rowCount
      })()
      const failure = await failureOf(reading)
      expect(failure).toMatchObject({ code: 'QUERY_FAILED' })
      expect(failure.message).toContain('22012')
      expect(rows).toBeLessThan(15_001)
      expect((await snapshot.count(stream, { where: null, window: null })).total).toBe(25_000)
      const good = await contentsBy(source, snapshot, stream, { method, limits, where: 'id < 15001' })
      expect(good.length).toBe(15)
    },
  )

  test.each(METHODS)('%s that is left early leaves the snapshot as it was', async (method) => {
    const stream = await discoverOne(source, 'public.many')
    await using snapshot = await openSnapshot(source, [stream])
    for (let times = 0; times < 10; times++) {
      for await (const batch of readBatches(source, snapshot, stream, {
        method,
        limits: { batchRows: 100 },
      })) {
        expect(batch.rowCount).toBe(100)
        break
      }
    }
    expect((await contentsBy(source, snapshot, stream, { method })).length).toBeGreaterThan(0)
  })
})

onNewestServer('read methods at the server', (server) => {
  let database: TestDatabase
  let url: string

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(
      `CREATE TABLE t AS SELECT g AS id, repeat('x', 1000) AS v FROM generate_series(1, 20000) g`,
    )
    url = `${database.url}?application_name=reading`
  })

  const sessions = (): Promise<{ pid: string; state: string; query: string }[]> =>
    database.sql(
      `SELECT pid, state, query FROM pg_stat_activity WHERE application_name LIKE 'reading%' ORDER BY pid`,
    )

  test('a cursor is read by FETCH of as many rows as a batch has, on one connection, which ends with the source', async () => {
    await using source = await openSource(url)
    const stream = await discoverOne(source, 'public.t')
    const limits = withLimits({ maxConnections: 1, batchRows: 250 })
    const snapshot = await openSnapshot(source, [stream], { limits })
    const seen = new Map<string, Set<string>>()
    let batches = 0
    for await (const batch of readBatches(source, snapshot, stream, { method: 'named', limits })) {
      expect(batch.rowCount).toBe(250)
      if (batches++ % 20 === 0)
        for (const { pid, query } of await sessions()) seen.set(pid, (seen.get(pid) ?? new Set()).add(query))
    }
    expect(batches).toBe(80)
    expect([...seen.values()].map((queries) => [...queries])).toEqual([
      ['FETCH FORWARD 250 FROM trunkline_read'],
    ])
    expect((await sessions()).map(({ state, query }) => [state, query])).toEqual([
      ['idle in transaction', expect.stringContaining('RELEASE SAVEPOINT')],
    ])
    await snapshot.close()
    expect((await sessions()).map(({ state }) => state)).toEqual(['idle'])
    await source.close()
    await expect.poll(sessions).toEqual([])
  })

  test.each(THROUGH_QUERIES)(
    '%s that is aborted while it waits for its first row ends at once at the server',
    async (method) => {
      await database.sql('CREATE OR REPLACE VIEW slow AS SELECT id, pg_sleep(60)::text AS v FROM t')
      await using source = await openSource(url)
      const stream = await discoverOne(source, 'public.slow')
      const other = await discoverOne(source, 'public.t')
      await using snapshot = await openSnapshot(source, [stream, other])
      const [split] = await snapshot.plan({
        stream,
        columns: source.mapColumns(stream, TYPE_OPTIONS),
        rows: { kind: 'full' },
        where: null,
        withXmin: false,
        method,
        limits: withLimits({}),
      })
      if (split === undefined) throw new Error('no split')
      const abort = new AbortController()
      const reading = (async () => {
        for await (const _batch of snapshot.read(split, { signal: abort.signal }));
      })()
      const reason = new Error('interrupted')
      setTimeout(() => {
        abort.abort(reason)
      }, 200)
      await expect(reading).rejects.toBe(reason)
      expect((await snapshot.count(other, { where: 'id < 10', window: null })).total).toBe(9)
      expect((await sessions()).filter(({ state }) => state === 'active')).toEqual([])
    },
  )

  test.each(THROUGH_QUERIES)(
    '%s goes on with another reader when one is ended in the middle',
    async (method) => {
      await using source = await openSource(url)
      const stream = await discoverOne(source, 'public.t')
      await using snapshot = await openSnapshot(source, [stream], { readers: 1 })
      const limits = { batchRows: 100 }
      const whole = await contentsBy(source, snapshot, stream, { method, limits })
      const contents: unknown[] = []
      let killed = 0
      for await (const batch of readBatches(source, snapshot, stream, { method, limits })) {
        contents.push(contentsOf(batch))
        if (contents.length === 5) {
          const rows = await database.sql(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reading'
              AND pid <> pg_backend_pid() AND query ~ '^(FETCH|SELECT "id")'`,
          )
          killed = rows.length
        }
      }
      expect(killed).toBe(1)
      expect(contents).toEqual(whole)
    },
  )
})

describe('read methods on a server that goes away', () => {
  test.each(THROUGH_QUERIES)(
    '%s fails when the server is killed in the middle, and reads all afterwards',
    async (method) => {
      await using server = await startServer({ major: 18 })
      const database = await server.createDatabase()
      await database.sql(
        `CREATE TABLE t AS SELECT g AS id, repeat('x', 1000) AS v FROM generate_series(1, 20000) g`,
      )
      await using source = await openSource(database.url)
      const stream = await discoverOne(source, 'public.t')
      // A cursor on the leader, a query on a reader of its own.
      const readers = method === 'named' ? 0 : 1
      const snapshot = await openSnapshot(source, [stream], { readers })
      const reading = failureOf(
        (async () => {
          for await (const _batch of readBatches(source, snapshot, stream, {
            method,
            limits: { batchRows: 10 },
          }))
            await sleep(5)
        })(),
      )
      await sleep(100)
      await server.restart('immediate')
      expect((await reading).code).toMatch(
        /^(SNAPSHOT_LOST|CONNECTION_LOST|SERVER_RESTARTING|COPY_INCOMPLETE)$/,
      )
      await snapshot.close()
      await using again = await openSnapshot(source, [stream])
      let rows = 0
      for await (const batch of readBatches(source, again, stream, { method })) rows += batch.rowCount
      expect(rows).toBe(20_000)
    },
  )
})
