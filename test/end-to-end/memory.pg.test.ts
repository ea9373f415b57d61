import { afterAll, beforeAll, expect, test } from 'vitest'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import { CopyFile } from './copy-file.js'

const MIB = 1024 * 1024
const SMALL = 1_000_000
const LARGE = 4_000_000
/** What one process takes more than another that does the same. */
const MARGIN = 32 * MIB

onEachServer('memory', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeAll(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
    await db.sql(`
      CREATE TABLE small (id int PRIMARY KEY, at timestamptz, v text);
      CREATE TABLE large (id int PRIMARY KEY, at timestamptz, v text);
      INSERT INTO large SELECT g, timestamptz '2026-01-01' + g * interval '1 second', 'row ' || g FROM generate_series(1, ${LARGE}) g;
      INSERT INTO small SELECT * FROM large WHERE id <= ${SMALL}`)
  })
  afterAll(() => copy.remove())

  test('does not grow with the rows of a table', async () => {
    const small = await copy.runInChild({ select: ['public.small'] })
    expect(small).toMatchObject({ error: null, report: { outcome: 'done', rowsLanded: SMALL } })
    const large = await copy.runInChild({ select: ['public.large'] })
    expect(large).toMatchObject({ error: null, report: { outcome: 'done', rowsLanded: LARGE } })
    expect(large.peakBytes).toBeLessThan(small.peakBytes * 1.1 + MARGIN)
    expect(large.peakBytes).toBeLessThan(512 * MIB)
    const digest = `count(*) AS n, sum(id::bigint * length(v)) AS s, max(v) AS v, min(at)::text AS at`
    for (const table of ['small', 'large']) {
      expect(await copy.rows(`SELECT ${digest} FROM public.${table}`)).toEqual(
        await db.sql(`SELECT ${digest} FROM ${table}`),
      )
    }
  })
})
