import { expect, test } from 'vitest'
import { onNewestServer } from '../server/servers.js'
import { connectionTo, openService, readerOf } from './open-service.js'

onNewestServer('Health over HTTP', (server) => {
  test('is the documented object, and no more than a look every two seconds', async () => {
    const database = await server.createDatabase()
    await database.sql('CREATE TABLE a (id int); CREATE TABLE b (id int)')
    const service = await openService({ connections: new Map([['shop', await readerOf(database)]]) })
    const response = await service.ask('/health')
    const health = (await response.json()) as Record<string, unknown>
    expect(response.status).toBe(200)
    expect(Object.keys(health)).toEqual([
      'status',
      'connected',
      'response_time_ms',
      'last_check',
      'database_size_bytes',
      'table_count',
      'postgresql_version',
      'schema',
      'capabilities',
    ])
    expect(health).toMatchObject({ status: 'healthy', connected: true, table_count: 2, schema: 'public' })
    expect(health['response_time_ms']).toBeGreaterThan(0)
    expect(health['last_check']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(health['database_size_bytes']).toBeGreaterThan(1e6)
    expect(health['postgresql_version']).toMatch(/^PostgreSQL \d+/)
    expect(health['capabilities']).toEqual({
      incremental: true,
      schema_discovery: true,
      batch_reading: true,
      custom_queries: true,
    })
    const again = await Promise.all([1, 2, 3].map(async () => (await service.ask('/health')).json()))
    expect(new Set(again.map((one) => JSON.stringify(one))).size).toBe(1)
  })

  test('a database that is away is unhealthy, with the reason, and the service lives but is not ready', async () => {
    const database = await server.createDatabase()
    const service = await openService({
      connections: new Map([['shop', connectionTo(`${database.url}_missing`)]]),
    })
    const response = await service.ask('/health')
    expect([response.status, await response.json()]).toMatchObject([
      503,
      { status: 'unhealthy', connected: false, error: { code: 'DATABASE_MISSING' } },
    ])
    expect((await service.ask('/health/live')).status).toBe(200)
    expect((await service.ask('/health/ready')).status).toBe(503)
  })

  test('of several sources one can be asked for, and all are told', async () => {
    const database = await server.createDatabase()
    const connections = new Map([
      ['here', await readerOf(database)],
      ['away', connectionTo(`${database.url}_missing`)],
    ])
    const service = await openService({ connections })
    expect((await service.ask('/health?source=here')).status).toBe(200)
    expect((await service.ask('/health?source=away')).status).toBe(503)
    const all = await service.ask('/health')
    expect([all.status, await all.json()]).toMatchObject([
      503,
      { status: 'unhealthy', sources: { here: { status: 'healthy' }, away: { status: 'unhealthy' } } },
    ])
    expect((await service.ask('/health/ready')).status).toBe(200)
    expect((await service.ask('/health?source=nowhere')).status).toBe(404)
  })
})
