/** What is tried on a real cluster, where TRUNKLINE_TEST_GREENPLUM holds the URL of a database that tests may make schemas in. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { streamOf, Warehouse } from '../sync/real.js'

/** Registers nothing without a cluster, and says so: a test that is skipped looks like one that could run. */
export function onRealCluster(name: string, body: (url: string) => void): void {
  const url = process.env['TRUNKLINE_TEST_GREENPLUM'] ?? ''
  if (url === '') {
    process.stderr.write(`${name}: not tried on a real cluster, as TRUNKLINE_TEST_GREENPLUM names none.\n`)
    return
  }
  describe(`${name}, on the cluster of TRUNKLINE_TEST_GREENPLUM`, () => {
    body(url)
  })
}

const TABLES = ['by_column', 'by_row', 'copies', 'heap', 'parts', 'scattered'] as const

export function registerCopyTests(url: string): void {
  const schema = `trunkline_${randomBytes(4).toString('hex')}`
  const limits = { ...DEFAULT_LIMITS, firstRetryDelayMs: 50 }
  const spec = { selection: { select: [`${schema}.*`], exclude: [] }, limits, jobs: 2 }
  let admin: pg.Client
  let warehouse: Warehouse

  beforeAll(async () => {
    admin = new pg.Client(url)
    await admin.connect()
    const columns = 'id int NOT NULL, v text, price numeric(12,2), at timestamptz'
    const rows = `SELECT g, repeat(md5(g::text), 8), g * 1.25, timestamptz '2024-01-01' + g * interval '1 minute' FROM generate_series(1, 50000) g`
    const statements = [
      `CREATE SCHEMA ${schema}`,
      `SET search_path = ${schema}`,
      `CREATE TABLE heap (${columns}, PRIMARY KEY (id)) DISTRIBUTED BY (id)`,
      `CREATE TABLE by_row (${columns}) WITH (appendonly=true) DISTRIBUTED BY (id)`,
      `CREATE TABLE by_column (${columns}) WITH (appendonly=true, orientation=column) DISTRIBUTED BY (id)`,
      `CREATE TABLE scattered (${columns}) DISTRIBUTED RANDOMLY`,
      `CREATE TABLE copies (${columns}) DISTRIBUTED REPLICATED`,
      `CREATE TABLE parts (${columns}) WITH (appendonly=true) DISTRIBUTED BY (id)
         PARTITION BY RANGE (id) (START (1) END (60001) EVERY (20000))`,
      `CREATE EXTERNAL WEB TABLE never_read (line text) EXECUTE 'exit 1' ON MASTER FORMAT 'TEXT'`,
      ...TABLES.map((table) => `INSERT INTO ${table} ${rows}`),
    ]
    for (const statement of statements) await admin.query(statement)
    warehouse = await Warehouse.create(url)
  })
  afterAll(async () => {
    await admin.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    await admin.end()
    await warehouse.remove()
  })

  const contents = (table: string): string =>
    `SELECT count(*) AS n, sum(id) AS ids, sum(price) AS prices FROM ${schema}.${table}`

  it('lands every kind of table as it is, leaves hidden and external ones unread', async () => {
    const report = await warehouse.sync(spec)
    expect(report.streams.map(({ stream }) => stream)).toEqual(TABLES.map((table) => `${schema}.${table}`))
    for (const table of TABLES) {
      const { rows } = await admin.query<{ n: string; ids: string; prices: string }>(contents(table))
      expect(await warehouse.query(contents(table)), table).toEqual(rows)
    }
  })

  it('reads again what somebody changed, of append-optimised tables that alone', async () => {
    await admin.query(`UPDATE ${schema}.by_row SET v = 'changed' WHERE id = 1`)
    const report = await warehouse.sync(spec)
    const outcome = (table: string): string => streamOf(report, `${schema}.${table}`).outcome
    expect(['by_row', 'by_column', 'parts', 'heap'].map(outcome)).toEqual([
      'done',
      'unchanged',
      'unchanged',
      'done',
    ])
    expect(await warehouse.query(`SELECT v FROM ${schema}.by_row WHERE id = 1`)).toEqual([{ v: 'changed' }])
  })
}
