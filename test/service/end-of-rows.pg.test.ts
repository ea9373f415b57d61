/** A part of the rows is never taken for all of them, and whoever leaves leaves nothing behind. */
import { beforeAll, expect, test } from 'vitest'
import type { ConnectionInput } from '../../src/config/connection-input.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { fullTable, linesOf, metricOf, openService, readerOf, until } from './open-service.js'
import { openRaw } from './raw-client.js'

const ROWS = 40_000
/** More than the buffers between the server and a client hold, all together. */
const WIDE_ROWS = 30_000

onNewestServer('The end of an extraction', (server) => {
  let database: TestDatabase
  let reader: ConnectionInput

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE t AS SELECT i AS id, 'x' || i AS x FROM generate_series(1, ${ROWS}) AS i;
      CREATE TABLE wide AS SELECT i AS id, repeat('x', 1000) AS x FROM generate_series(1, ${WIDE_ROWS}) AS i;
      CREATE VIEW failing AS SELECT id, x, 1 / (id - 20000) AS y FROM wide;
      CREATE VIEW failing_at_once AS SELECT 1 / (id - 1) AS x FROM t`)
    reader = await readerOf(database)
  })

  const open = (settings = {}) => openService({ connections: new Map([['shop', reader]]), settings })

  const readers = async (): Promise<number> => {
    const [row] = await database.sql<{ n: string }>(
      `SELECT count(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'trunkline%' AND state <> 'idle'`,
    )
    return Number(row?.n)
  }

  test('in order it has its last chunk, and trailers with the rows and the cursor', async () => {
    const service = await open()
    const full = await openRaw(service.url, fullTable('t')).rest()
    expect(full).toMatchObject({
      status: 200,
      complete: true,
      trailers: { 'Trunkline-Status': 'complete', 'Trunkline-Rows': String(ROWS) },
    })
    const incremental = { mode: { incremental: { entity: 't', cursorField: 'id', cursor: ROWS - 5 } } }
    const { trailers } = await openRaw(service.url, incremental).rest()
    expect(trailers).toMatchObject({ 'Trunkline-Rows': '5', 'Trunkline-Cursor': String(ROWS) })
  })

  test('with a last line asked for, that says it, too', async () => {
    const service = await open()
    const response = await service.extract({ ...fullTable('t'), limit: 3, trailer: true })
    const lines = linesOf(await response.text())
    expect(lines.at(-1)).toEqual({ _trunkline: { status: 'complete', rows: 3, cursor: null } })
    expect(lines).toHaveLength(4)
  })

  test('a read that fails in the middle is cut off, and its last line says why', async () => {
    const service = await open()
    const plain = await openRaw(service.url, fullTable('failing')).rest()
    expect(plain).toMatchObject({ status: 200, complete: false, trailers: {} })
    expect(linesOf(plain.body).length).toBeGreaterThan(0)
    const told = await openRaw(service.url, { ...fullTable('failing'), trailer: true }).rest()
    expect(told.complete).toBe(false)
    expect(linesOf(told.body).at(-1)).toMatchObject({
      _trunkline: { status: 'failed', error: { context: { sqlstate: '22012' } } },
    })
    await expect((await service.extract(fullTable('failing'))).text()).rejects.toThrow()
    await expect(
      (await service.extract({ ...fullTable('failing'), format: 'arrow' })).arrayBuffer(),
    ).rejects.toThrow()
    expect(
      await metricOf(service, 'trunkline_extractions_total{source="shop",format="jsonl",outcome="failed"}'),
    ).toBe(3)
    expect(await metricOf(service, 'postgres_errors_total{source="shop",class="22"}')).toBe(4)
  })

  test('a read that fails before its first rows is an error with a status', async () => {
    const service = await open()
    const response = await service.extract(fullTable('failing_at_once'))
    expect([response.status, await response.json()]).toMatchObject([422, { error: { code: 'QUERY_FAILED' } }])
  })

  test('a session that is ended in the middle cuts the rows off', async () => {
    const service = await open()
    const socket = openRaw(service.url, fullTable('wide'))
    await socket.answered
    socket.pause()
    await database.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'trunkline%'`,
    )
    expect((await socket.rest()).complete).toBe(false)
  })

  test('HTTP/1.0 cannot show it: it is refused unless the last line is asked for', async () => {
    const service = await open()
    expect(await openRaw(service.url, fullTable('t'), '1.0').rest()).toMatchObject({ status: 505 })
    const told = await openRaw(service.url, { ...fullTable('t'), trailer: true }, '1.0').rest()
    expect(linesOf(told.body).at(-1)).toMatchObject({ _trunkline: { status: 'complete', rows: ROWS } })
  })

  test('a client that leaves gives its connections and its place back', async () => {
    const service = await open({ maxExtractions: 1 })
    const socket = openRaw(service.url, fullTable('wide'))
    await socket.answered
    socket.pause()
    expect(await readers()).toBeGreaterThan(0)
    const refused = await service.extract(fullTable('t'))
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '2'])
    expect(await refused.json()).toMatchObject({ error: { code: 'BUSY', retry: 'backoff' } })
    socket.leave()
    await until(async () => (await readers()) === 0)
    await until(async () => (await service.extract(fullTable('t'))).status === 200)
    expect(
      await metricOf(service, 'trunkline_extractions_total{source="shop",format="jsonl",outcome="left"}'),
    ).toBe(1)
  })

  test('a client that takes nothing for too long is left', async () => {
    const service = await open({ clientTimeoutMs: 300 })
    const socket = openRaw(service.url, fullTable('wide'))
    await socket.answered
    socket.pause()
    await until(async () => (await readers()) === 0)
    expect((await socket.rest()).complete).toBe(false)
  })

  test('a slow client holds a snapshot no longer than max_snapshot_age', async () => {
    const service = await open({ limits: { maxSnapshotAgeMs: 500 } })
    const socket = openRaw(service.url, { ...fullTable('wide'), trailer: true })
    await socket.answered
    socket.pause()
    await until(async () => (await readers()) === 0)
    const { complete, body } = await socket.rest()
    expect(complete).toBe(false)
    expect(body).toMatch(/"code":"SNAPSHOT_TOO_OLD"/)
  })

  test('whoever wants to change the table does not wait for a slow client', async () => {
    const service = await open({ limits: { yieldToDdlMs: 200 } })
    const socket = openRaw(service.url, fullTable('wide'))
    await socket.answered
    socket.pause()
    await database.sql('ALTER TABLE wide ADD COLUMN y int')
    expect((await socket.rest()).complete).toBe(false)
  })

  test('a stop lets extractions end within the grace period, and cuts those that do not', async () => {
    const service = await open({ gracePeriodMs: 10_000 })
    const ending = openRaw(service.url, fullTable('t'))
    const whole = ending.rest()
    await ending.answered
    const stopped = service.stop()
    expect(await whole).toMatchObject({ complete: true })
    await stopped

    const hasty = await open({ gracePeriodMs: 100 })
    const slow = openRaw(hasty.url, fullTable('wide'))
    await slow.answered
    slow.pause()
    const end = hasty.stop()
    const refused = await hasty.extract(fullTable('t'))
    expect([refused.status, await refused.json()]).toMatchObject([503, { error: { code: 'STOPPING' } }])
    expect((await hasty.ask('/health/ready')).status).toBe(503)
    await end
    expect((await slow.rest()).complete).toBe(false)
    expect(await readers()).toBe(0)
  })
})
