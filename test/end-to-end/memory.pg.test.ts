import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type SpecialServer, startServer, type TestDatabase } from '../server/servers.js'
import { CopyFile } from './copy-file.js'

const MIB = 1024 * 1024
const SMALL = 1_000_000
const LARGE = 3_000_000
/** What one process takes more than another that does the same. The rows that the large table has more are 270 MiB. */
const MARGIN = 32 * MIB
/** DuckDB keeps written blocks as long as there is room under its limit, so that a run comes nearer to it with more rows. */
const SYNC_MARGIN = 96 * MIB
/** The promises, with one reader: for files, and for DuckDB. */
const READ_BOUND = 200 * MIB
const SYNC_BOUND = 512 * MIB

// One server: what it is asked for differs by version, what comes of it does not.
let server: SpecialServer
let db: TestDatabase
let copy: CopyFile
beforeAll(async () => {
  // Tables that are made and filled at once need no log there.
  server = await startServer({ major: 15, conf: { wal_level: 'minimal', max_wal_senders: 0 } })
  db = await server.createDatabase()
  copy = await CopyFile.create(db.url)
  await db.sql(`
    CREATE TABLE large AS SELECT g AS id, timestamptz '2026-01-01' + g * interval '1 second' AS at,
        'row ' || g || repeat(md5(g::text), 3) AS v FROM generate_series(1, ${LARGE}) g;
    CREATE TABLE small AS SELECT * FROM large WHERE id <= ${SMALL};
    ALTER TABLE large ADD PRIMARY KEY (id);
    ALTER TABLE small ADD PRIMARY KEY (id)`)
})
afterAll(async () => {
  await copy.remove()
  await server.close()
})

test('the memory that reading takes does not grow with the rows of a table', async () => {
  const small = await readInChild('public.small')
  const large = await readInChild('public.large')
  expect([small.rows, large.rows]).toEqual([SMALL, LARGE])
  expect(large.peakBytes).toBeLessThan(small.peakBytes * 1.1 + MARGIN)
  expect(large.peakBytes).toBeLessThan(READ_BOUND)
})

test('nor does the memory that a sync into DuckDB takes', async () => {
  const small = await copy.runInChild({ select: ['public.small'] })
  expect(small).toMatchObject({ error: null, report: { outcome: 'done', rowsLanded: SMALL } })
  const large = await copy.runInChild({ select: ['public.large'] })
  expect(large).toMatchObject({ error: null, report: { outcome: 'done', rowsLanded: LARGE } })
  expect(large.peakBytes).toBeLessThan(small.peakBytes * 1.1 + SYNC_MARGIN)
  expect(large.peakBytes).toBeLessThan(SYNC_BOUND)
  const digest = 'count(*) AS n, sum(id) AS ids, max(md5(v)) AS v, min(md5(v)) AS w'
  for (const table of ['public.small', 'public.large']) {
    const sql = `SELECT ${digest} FROM ${table}`
    expect(await copy.rows(sql)).toEqual(await db.sql(sql))
  }
})

async function readInChild(stream: string): Promise<{ readonly rows: number; readonly peakBytes: number }> {
  const program = fileURLToPath(new URL('read-child.mjs', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [program, db.url, stream])
  return JSON.parse(stdout) as { readonly rows: number; readonly peakBytes: number }
}
