import { afterAll, beforeAll, expect, test } from 'vitest'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { expectSameRows } from './compare.js'
import { CopyFile } from './copy-file.js'

const MIB = 1024 * 1024
const LARGE = 100 * MIB
const TOO_LARGE = 300 * MIB
/** The promise for a DuckDB destination and one reader: 512 MiB and three times the largest field. */
const MEMORY_BOUND = 512 * MIB + 3 * LARGE

// What a field may have is counted and held here: every server sends a length and that many bytes.
onNewestServer('large fields', (server) => {
  let db: TestDatabase
  let copy: CopyFile
  beforeAll(async () => {
    db = await server.createDatabase()
    copy = await CopyFile.create(db.url)
    await db.sql(`
      CREATE TABLE texts (id int PRIMARY KEY, v text); CREATE TABLE bytes (id int PRIMARY KEY, v bytea);
      ALTER TABLE texts ALTER v SET STORAGE EXTERNAL; ALTER TABLE bytes ALTER v SET STORAGE EXTERNAL;
      CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small SELECT generate_series(1, 100);
      INSERT INTO texts VALUES (1, 'before'), (2, repeat('0123456789abcdef', ${LARGE / 16})), (3, 'after');
      INSERT INTO bytes SELECT id, convert_to(v, 'UTF8') FROM texts`)
  })
  afterAll(() => copy.remove())

  test.each(['public.texts', 'public.bytes'])(
    'one of 100 MiB in %s lands whole, in bounded memory',
    async (table) => {
      const { report, error, peakBytes } = await copy.runInChild({ select: [table] })
      expect(error).toBeNull()
      expect(report?.streams.map((stream) => stream.error)).toEqual([null])
      expect(peakBytes).toBeLessThan(MEMORY_BOUND)
      await expectDigest(table)
    },
  )

  test('one of 300 MiB is an error that names it, nothing of its table lands, and the others do', async () => {
    await db.sql(`
      INSERT INTO bytes VALUES (4, convert_to(repeat('0123456789abcdef', ${TOO_LARGE / 16}), 'UTF8'));
      INSERT INTO texts VALUES (4, repeat('0123456789abcdef', ${TOO_LARGE / 16}));
      INSERT INTO small VALUES (101)`)
    const { report, error, peakBytes } = await copy.runInChild()
    expect(error).toBeNull()
    expect(report?.outcome).toBe('some_failed')
    for (const name of ['public.texts', 'public.bytes']) {
      const stream = report?.streams.find((candidate) => candidate.stream === name)
      expect(stream?.error).toMatchObject({ code: 'FIELD_TOO_LARGE', context: { stream: name, field: 'v' } })
    }
    expect(peakBytes).toBeLessThan(MEMORY_BOUND)
    await expectSameRows(db, copy, 'public.small')
    await db.sql('DELETE FROM bytes WHERE id = 4; DELETE FROM texts WHERE id = 4')
    await expectDigest('public.texts')
    await expectDigest('public.bytes')
  })

  /** Of values that large, only a digest is carried into this process. */
  async function expectDigest(table: string): Promise<void> {
    const sql = `SELECT id, md5(v) AS v FROM ${table} ORDER BY id`
    expect(await copy.rows(sql)).toEqual(await db.sql(sql))
  }
})
