import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Source } from '../../src/source/contract.js'
import { startFaultProxy } from '../server/fault-proxy.js'
import { onEachServer, onNewestServer, type TestDatabase } from '../server/servers.js'
import { openSource, withLimits } from './open-source.js'

onEachServer('the health of a source', (server) => {
  let database: TestDatabase
  let source: Source

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE orders (id int PRIMARY KEY, note text);
      CREATE TABLE events (id int, day date NOT NULL) PARTITION BY RANGE (day);
      CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
      CREATE VIEW shown AS SELECT * FROM orders;
      CREATE SCHEMA empty_one;
      CREATE SCHEMA shop;
      CREATE TABLE shop.items AS SELECT g AS id, repeat('x', 100) AS text FROM generate_series(1, 3000) g;
      CREATE TABLE shop.raw (id int);`)
    source = await openSource(database.url)
  })
  afterAll(() => source.close())

  test('is an object of these keys and types, with what the server says of itself', async () => {
    const before = Date.now()
    const health = await source.health()
    const [facts] = await database.sql(
      'SELECT version() AS version, pg_database_size(current_database())::text AS bytes',
    )
    expect(health).toEqual({
      status: 'healthy',
      connected: true,
      response_time_ms: expect.any(Number) as number,
      last_check: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/) as string,
      database_size_bytes: expect.any(Number) as number,
      table_count: 2,
      postgresql_version: facts?.['version'],
      schema: 'public',
      capabilities: { incremental: true, schema_discovery: true, batch_reading: true, custom_queries: true },
    })
    expect(health.response_time_ms).toBeGreaterThan(0)
    expect(health.database_size_bytes).toBeGreaterThan(Number(facts?.['bytes']) / 2)
    expect(Date.parse(health.last_check)).toBeGreaterThanOrEqual(before)
  })

  test('counts the tables of the schema that is asked for', async () => {
    expect(await source.health({ schema: 'shop' })).toMatchObject({ schema: 'shop', table_count: 2 })
    expect(await source.health({ schema: 'empty_one' })).toMatchObject({
      schema: 'empty_one',
      table_count: 0,
    })
  })

  test('is also given to a role that may read nothing', async () => {
    const role = await database.createRole()
    await using poor = await openSource(role.url)
    expect(await poor.health()).toMatchObject({ status: 'healthy', table_count: 2 })
  })

  test('statistics tell tables, sizes, rows, dead rows and the last ANALYZE by schema', async () => {
    await database.sql('DELETE FROM shop.items WHERE id <= 1000')
    // The server's counters arrive a little later than the statement that they count.
    await vi.waitFor(
      async () => {
        await database.sql('ANALYZE shop.items')
        const { statistics } = await source.check({ statistics: true })
        expect(statistics).toMatchObject([
          { schema: 'public', tables: 2, lastAnalyzedAt: null },
          { schema: 'shop', tables: 2, estimatedRows: 2000, deadRows: 1000, neverAnalyzed: 1 },
        ])
      },
      { timeout: 20_000, interval: 200 },
    )
    const { statistics } = await source.check({ statistics: true })
    const shop = statistics?.find(({ schema }) => schema === 'shop')
    expect(shop?.bytes).toBeGreaterThan(300_000)
    expect(shop?.lastAnalyzedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  })

  test('check tells how long connecting and a query take, and statistics only when asked', async () => {
    const check = await source.check()
    expect(check.connectMs).toBeGreaterThan(0)
    expect(check.queryMs).toBeGreaterThan(0)
    expect(check).not.toHaveProperty('statistics')
  })
})

onNewestServer('the health of a source that cannot be used', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
  })

  const at = (port: number, name = database.name): string => `postgresql://postgres@127.0.0.1:${port}/${name}`

  test('is unhealthy with the reason where nothing listens, and throws nothing', async () => {
    const free = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => free.once('listening', resolve))
    const { port } = free.address() as AddressInfo
    await new Promise((resolve) => free.close(resolve))
    await using source = await openSource(at(port))
    const health = await source.health({ schema: 'sales' })
    expect(health).toMatchObject({
      status: 'unhealthy',
      connected: false,
      database_size_bytes: null,
      table_count: null,
      postgresql_version: null,
      schema: 'sales',
      error: { code: 'CONNECT_FAILED', hint: expect.any(String) as string },
    })
    expect(health.capabilities.incremental).toBe(true)
  })

  test('is unhealthy where the database does not exist', async () => {
    await using source = await openSource(at(database.port, 'not_there'))
    expect(await source.health()).toMatchObject({
      status: 'unhealthy',
      connected: false,
      error: { code: 'DATABASE_MISSING' },
    })
  })

  test('is unhealthy after its time limit where the server takes the connection and is silent', async () => {
    await using proxy = await startFaultProxy(database)
    proxy.faults = { blackHoleAfterBytes: 0 }
    await using source = await openSource(at(proxy.port))
    expect(await source.health({ timeoutMs: 300 })).toMatchObject({
      status: 'unhealthy',
      connected: false,
      error: { code: 'CONNECT_TIMEOUT', message: 'The server could not be connected to within 0.3 s.' },
    })
  })

  test('is unhealthy after its time limit where a connection that was good no longer answers', async () => {
    await using proxy = await startFaultProxy(database)
    await using source = await openSource(at(proxy.port))
    expect(await source.health()).toMatchObject({ status: 'healthy' })
    for (const connection of proxy.connections) connection.blackHole()
    expect(await source.health({ timeoutMs: 300 })).toMatchObject({
      status: 'unhealthy',
      connected: true,
      error: { code: 'CONNECT_TIMEOUT', message: 'The server did not answer a query within 0.3 s.' },
    })
    expect(await source.health()).toMatchObject({ status: 'healthy' })
  })

  test('is healthy again at once when sessions were ended, as by a restart', async () => {
    await using source = await openSource(database.url)
    expect(await source.health()).toMatchObject({ status: 'healthy' })
    await database.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'trunkline%'`,
    )
    expect(await source.health()).toMatchObject({ status: 'healthy' })
  })

  test('is told while every connection of the source reads, without waiting for one', async () => {
    await database.sql('CREATE TABLE long AS SELECT g AS id FROM generate_series(1, 10) g')
    const limits = withLimits({ maxConnections: 1 })
    await using source = await openSource(database.url, { limits })
    const { streams } = await source.discover({ select: ['public.long'], exclude: [] })
    await using snapshot = await source.openSnapshot(streams, { limits, readers: 0 })
    expect(snapshot.maxReaders).toBe(1)
    expect(await source.health({ timeoutMs: 5000 })).toMatchObject({ status: 'healthy', connected: true })
    await expect
      .poll(
        () =>
          database.sql(
            `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'trunkline%'`,
          ),
        { timeout: 10_000 },
      )
      .toEqual([{ n: '1' }])
  })

  test('rejects with the reason of a signal of the caller', async () => {
    await using source = await openSource(database.url)
    await expect(source.health({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
  })
})
