/** Several readers under one snapshot: whatever their number and whatever happens to them, the copy is the same. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { streamOf, Warehouse } from './real.js'

/** Large enough to be divided: some 80 MB of heap over four partitions and as much in one table. */
const ROWS = 80_000
const limits = { ...DEFAULT_LIMITS, maxConnections: 8, batchRows: 2048, firstRetryDelayMs: 50 }
const TABLES = ['public.items', 'public.parts', 'public.small_1', 'public.small_2', 'public.empty']

onNewestServer('four readers', (server) => {
  let db: TestDatabase
  beforeAll(async () => {
    db = await server.createDatabase()
    const columns = `id int PRIMARY KEY, amount numeric(12,2) NOT NULL, shipped date, note text, pad text NOT NULL`
    const rows = `SELECT g, g * 1.25, date '2020-01-01' + g % 1000, CASE WHEN g % 7 = 0 THEN NULL ELSE md5(g::text) END,
      repeat(chr(97 + g % 26), 800) FROM generate_series(1, ${ROWS}) g`
    await db.sql(`
      CREATE TABLE items (${columns}); ALTER TABLE items ALTER pad SET STORAGE PLAIN;
      INSERT INTO items ${rows};
      CREATE TABLE parts (${columns}) PARTITION BY RANGE (id);
      ${[0, 1, 2, 3].map((n) => `CREATE TABLE parts_${n} PARTITION OF parts FOR VALUES FROM (${n * 25_000}) TO (${(n + 1) * 25_000});`).join('\n')}
      INSERT INTO parts ${rows};
      CREATE TABLE small_1 (id int PRIMARY KEY, v text); INSERT INTO small_1 SELECT g, md5(g::text) FROM generate_series(1, 500) g;
      CREATE TABLE small_2 (id int PRIMARY KEY); INSERT INTO small_2 SELECT generate_series(1, 100);
      CREATE TABLE empty (id int PRIMARY KEY)`)
  })
  const warehouses: Warehouse[] = []
  const create = async (): Promise<Warehouse> => {
    const warehouse = await Warehouse.create(db.url)
    warehouses.push(warehouse)
    return warehouse
  }
  afterAll(() => Promise.all(warehouses.map((warehouse) => warehouse.remove())))

  /** The same for the same rows, in whatever order they lie. */
  async function contentOf(warehouse: Warehouse): Promise<unknown[]> {
    const found: unknown[] = []
    for (const table of TABLES) {
      const [row] = await warehouse.query(
        `SELECT count(*) AS rows, count(DISTINCT id) AS ids, bit_xor(hash(t)) AS content FROM ${table} t`,
      )
      found.push({ table, ...row })
    }
    return found
  }

  test('land what one and two land', async () => {
    const contents: unknown[] = []
    for (const jobs of [1, 2, 4]) {
      const warehouse = await create()
      const report = await warehouse.sync({ jobs, limits })
      expect(report.readers).toBe(jobs)
      contents.push(await contentOf(warehouse))
      // And so does a run that finds nothing, and one that finds a change in one of many.
      const nothing = await warehouse.sync({ jobs, limits })
      expect(new Set(nothing.streams.map(({ outcome }) => outcome))).toEqual(new Set(['unchanged']))
    }
    expect(contents[1]).toEqual(contents[0])
    expect(contents[2]).toEqual(contents[0])
    expect(contents[0]).toMatchObject([
      { rows: String(ROWS), ids: String(ROWS) },
      { rows: String(ROWS) },
      {},
      {},
      {},
    ])
  })

  /** Ends the session of the run that is `which` once rows arrive. */
  function endOnce(which: string) {
    let ended: Promise<unknown> | null = null
    return {
      ended: () => ended,
      onProgress: (event: { readonly kind: string }): void => {
        if (event.kind !== 'stream_progress' || ended !== null) return
        ended = db.sql(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name LIKE 'trunkline%' AND ${which} ORDER BY backend_start LIMIT 1`,
        )
      },
    }
  }

  test('go on when the session of one of them is ended', async () => {
    const warehouse = await create()
    const { ended, onProgress } = endOnce(`query LIKE 'COPY%'`)
    const report = await warehouse.sync({ jobs: 4, limits, verify: true }, { onProgress })
    expect(await ended()).toHaveLength(1)
    expect(report.snapshots).toHaveLength(1)
    for (const table of TABLES) expect(streamOf(report, table).verified).toMatchObject({ equal: true })
  })

  test('end with a new snapshot when the session that holds it is ended', async () => {
    const warehouse = await create()
    // The one that connected first: readers are asked for once there is a snapshot for them.
    const { ended, onProgress } = endOnce(`application_name = 'trunkline'`)
    const report = await warehouse.sync({ jobs: 4, limits, verify: true }, { onProgress })
    expect(await ended()).toHaveLength(1)
    expect(report.snapshots.length).toBeGreaterThan(1)
    for (const table of TABLES) expect(streamOf(report, table).verified).toMatchObject({ equal: true })
  })
})
