import { tableFromIPC } from 'apache-arrow'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ConnectionInput } from '../../src/config/connection-input.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { TOKEN, fullTable, linesOf, openService, readerOf, until } from './open-service.js'

/** More than one batch and than one page of the original's 10,000 rows. */
const ROWS = 25_000

onNewestServer('Extracting over HTTP', (server) => {
  let database: TestDatabase
  let reader: ConnectionInput

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE users (id int PRIMARY KEY, name text, updated_at timestamptz NOT NULL);
      INSERT INTO users SELECT i, 'user ' || i, '2023-01-01Z'::timestamptz + i * interval '1 minute'
        FROM generate_series(1, ${ROWS}) AS i;
      CREATE VIEW recent AS SELECT id, name FROM users WHERE id > ${ROWS - 10};
      CREATE SCHEMA sales;
      CREATE TABLE sales.orders (id int);
      CREATE TABLE nothing (id int, "odd ""name" text)`)
    reader = await readerOf(database)
  })

  const open = (settings = {}) => openService({ connections: new Map([['shop', reader]]), settings })

  test('a full table gives all records, one JSON object a line, and says that they are complete', async () => {
    const service = await open()
    const response = await service.extract({ mode: { fullTable: { entity: 'users' } } })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/x-ndjson; charset=utf-8')
    expect(response.headers.get('trunkline-stream')).toBe('public.users')
    const rows = linesOf(await response.text())
    expect(rows).toHaveLength(ROWS)
    expect(rows[0]).toEqual({ id: 1, name: 'user 1', updated_at: '2023-01-01T00:01:00Z' })
  })
})
