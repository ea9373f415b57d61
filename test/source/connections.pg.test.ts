/** The connections of a source as its server sees them: used again, renewed, bounded, given back. */
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { silentLogger } from '../../src/model/log.js'
import { createContact } from '../../src/sync/source-contacts.js'
import { onNewestServer, startServer, type TestDatabase } from '../server/servers.js'
import { discoverOne, failureOf, openSnapshot, openSource, readRows, withLimits } from './open-source.js'

onNewestServer('the connections of a source', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 100) g;
      CREATE VIEW slow AS SELECT pg_sleep(0.3)::text AS v`)
  })

  const named = (name: string): string => `${database.url}?application_name=${name}`
  const pidsOf = async (name: string): Promise<string[]> => {
    const rows = await database.sql<{ pid: string }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name LIKE '${name}%' ORDER BY pid`,
    )
    return rows.map(({ pid }) => pid)
  }

  test('one serves contact after contact, until it is too old: then the next one has another', async () => {
    for (const [maxAgeMs, distinct] of [
      [3 * 60 * 60 * 1000, 1],
      [0, 5],
    ] as const) {
      const pids = new Set<string>()
      const limits = withLimits({ connectionMaxAgeMs: maxAgeMs, maxConnections: 1 })
      await using source = await openSource(named('renewed'), { limits })
      const stream = await discoverOne(source, 'public.t')
      for (let times = 0; times < 5; times++) {
        await using snapshot = await openSnapshot(source, [stream], { limits })
        const before = await pidsOf('renewed')
        // However old it becomes in between, a transaction stays where it is.
        await sleep(20)
        expect((await readRows(source, snapshot, stream)).length).toBe(100)
        expect(await pidsOf('renewed')).toEqual(before)
        expect(before).toHaveLength(1)
        pids.add(before[0] ?? '')
      }
      expect(pids.size).toBe(distinct)
    }
  })

  test('those that nobody uses are closed after a while, down to what is kept', async () => {
    const limits = withLimits({ minConnections: 1, idleTimeoutMs: 300, maxConnections: 4 })
    await using source = await openSource(named('idling'), { limits })
    const stream = await discoverOne(source, 'public.t')
    const snapshots = await Promise.all([1, 2, 3].map(() => openSnapshot(source, [stream], { limits })))
    for (const snapshot of snapshots) await snapshot.close()
    expect(source.connectionStatus?.()).toEqual({ open: 3, idle: 3, waiting: 0, max: 4 })
    await expect.poll(() => pidsOf('idling'), { timeout: 10_000 }).toHaveLength(1)
    expect(source.connectionStatus?.()).toEqual({ open: 1, idle: 1, waiting: 0, max: 4 })
  })

  test('there are never more than allowed, however many ask at a time, and all of them come back', async () => {
    const limits = withLimits({ maxConnections: 2 })
    await using source = await openSource(named('crowd'), { limits })
    let most = 0
    let over = false
    const watching = (async () => {
      for (; !over; await sleep(5)) most = Math.max(most, (await pidsOf('crowd')).length)
    })()
    const stream = await discoverOne(source, 'public.slow')
    const reads = Array.from({ length: 8 }, async () => {
      await using snapshot = await openSnapshot(source, [stream], { limits })
      return (await readRows(source, snapshot, stream)).length
    })
    expect(await Promise.all(reads)).toEqual(Array<number>(8).fill(1))
    over = true
    await watching
    expect(most).toBe(2)
    expect(source.connectionStatus?.()).toMatchObject({ open: 2, idle: 2, waiting: 0 })
  })

  test('readers take the room of those that are kept, and give it back', async () => {
    const limits = withLimits({ maxConnections: 4, minConnections: 4 })
    await using source = await openSource(named('room'), { limits })
    const stream = await discoverOne(source, 'public.t')
    await expect.poll(() => pidsOf('room')).toHaveLength(4)
    const snapshot = await openSnapshot(source, [stream], { readers: 2, limits })
    expect(snapshot.maxReaders).toBe(2)
    expect((await readRows(source, snapshot, stream)).length).toBe(100)
    expect((await pidsOf('room')).length).toBeLessThanOrEqual(4)
    await snapshot.close()
    expect(source.connectionStatus?.().open).toBeLessThanOrEqual(4)
    await expect.poll(() => source.connectionStatus?.().waiting).toBe(0)
  })

  test('a condition is checked on the connection of the snapshot when there is no other', async () => {
    const limits = withLimits({ maxConnections: 1 })
    // The source itself may have more; the snapshot is what is bound.
    await using source = await openSource(named('alone'))
    const stream = await discoverOne(source, 'public.t')
    await using snapshot = await openSnapshot(source, [stream], { limits })
    await source.checkWhere(stream, 'id > 5', { stable: true })
    expect(await failureOf(source.checkWhere(stream, 'nothing > 5', { stable: true }))).toMatchObject({
      code: 'CONFIG_INVALID',
    })
    expect(await pidsOf('alone')).toHaveLength(1)
    expect((await readRows(source, snapshot, stream)).length).toBe(100)
  })

  test('what fails gives its connection back, or ends it', async () => {
    await using source = await openSource(named('failing'))
    for (let times = 0; times < 6; times++)
      expect(await failureOf(source.discover({ select: ['public.absent'], exclude: [] }))).toMatchObject({
        code: 'STREAM_MISSING',
      })
    expect(source.connectionStatus?.()).toMatchObject({ open: 0, idle: 0, waiting: 0 })
    await expect.poll(() => pidsOf('failing')).toEqual([])
  })
})

test('a source that is away is left alone after so many failures, and found again when it is back', async () => {
  await using server = await startServer({ major: 18 })
  const database = await server.createDatabase()
  const admin = await server.connect()
  // Long enough for two refusals on any machine.
  const limits = withLimits({ breakerFailures: 3, breakerPauseMs: 2000, maxConnections: 1 })
  const contact = createContact({ limits, name: 'shop', logger: silentLogger })
  await using source = await openSource(database.url, { limits, contact })
  // Nobody but superusers may connect: the server answers, and has no connection for us.
  await admin.query(`ALTER DATABASE ${database.name} CONNECTION LIMIT 0; CREATE ROLE reader LOGIN`)
  const url = new URL(database.url)
  url.username = 'reader'
  await using refused = await openSource(url.href, { limits, contact })
  for (let failures = 0; failures < 3; failures++)
    expect(await failureOf(refused.check())).toMatchObject({ code: 'SERVER_BUSY' })
  expect(await failureOf(refused.check())).toMatchObject({
    code: 'CIRCUIT_OPEN',
    message: expect.stringContaining('shop failed 3 times in a row') as string,
  })
  // Of a kind that says nothing of the source; and no contact is made meanwhile.
  expect(await failureOf(source.check())).toMatchObject({ code: 'CIRCUIT_OPEN' })
  const codeOf = async (): Promise<string> => (await failureOf(refused.check())).code
  await expect.poll(codeOf, { timeout: 60_000 }).toBe('SERVER_BUSY')
  expect(await codeOf()).toBe('CIRCUIT_OPEN')
  await admin.query(`ALTER DATABASE ${database.name} CONNECTION LIMIT -1`)
  await admin.end()
  const roleOf = async (): Promise<string> =>
    refused.check().then(
      ({ role }) => role,
      (error: unknown) => (error as { code: string }).code,
    )
  await expect.poll(roleOf, { timeout: 60_000 }).toBe('reader')
  expect((await source.check()).role).not.toBe('reader')
})
