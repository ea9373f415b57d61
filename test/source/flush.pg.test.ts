/** What a read may write to the log of an idle server is flushed soon after it: the next run waits for nothing. */
import { expect, test } from 'vitest'
import { startServer } from '../server/servers.js'
import { discoverOne, openSnapshot, openSource, readRows } from './open-source.js'

test('after a read an idle server flushes its log, by leader and by reader', async () => {
  await using server = await startServer({ major: 18, conf: { wal_writer_delay: '200ms' } })
  const database = await server.createDatabase()
  await database.sql(`CREATE TABLE t (id int) WITH (autovacuum_enabled = off);
    CREATE TABLE u (id int) WITH (autovacuum_enabled = off)`)
  const unflushed = async (): Promise<number> => {
    const [row] = await database.sql<{ bytes: string }>(
      'SELECT pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() AS bytes',
    )
    return Number(row?.bytes)
  }
  for (const [name, readers] of [
    ['t', 0],
    ['u', 1],
  ] as const) {
    // Rows whose transaction no scan has looked up yet; the first that does marks them, and pages are written whole after a checkpoint.
    await database.sql(`INSERT INTO ${name} SELECT generate_series(1, 5000)`)
    await database.sql('CHECKPOINT')
    await expect.poll(unflushed, { timeout: 20_000 }).toBe(0)
    const [before] = await database.sql<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn')
    await using source = await openSource(database.url)
    const stream = await discoverOne(source, `public.${name}`)
    const snapshot = await openSnapshot(source, [stream], { readers })
    expect((await readRows(source, snapshot, stream)).length).toBe(5000)
    await snapshot.close()
    const [after] = await database.sql<{ written: string }>(
      `SELECT pg_current_wal_insert_lsn() - '${before?.lsn ?? ''}'::pg_lsn AS written`,
    )
    expect(Number(after?.written)).toBeGreaterThan(0)
    await expect.poll(unflushed, { timeout: 5000 }).toBe(0)
  }
})
