import { beforeAll, expect, test } from 'vitest'
import { type TestDatabase, onEachServer } from './servers.js'

onEachServer('a test database', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
  })

  test('lives on the major that was asked for', async () => {
    const [row] = await database.sql("SELECT current_setting('server_version_num')::int / 10000 AS major")
    expect(row).toEqual({ major: String(server.major) })
  })

  test('gives every value as the text of the server', async () => {
    const rows = await database.sql(
      'SELECT true AS b, 1::int8 AS i, NULL AS n, ARRAY[1,2] AS a, \'{"x": 1}\'::jsonb AS j',
    )
    expect(rows).toEqual([{ b: 't', i: '1', n: null, a: '{1,2}', j: '{"x": 1}' }])
  })

  test('gives the rows of the last statement when there are several', async () => {
    expect(await database.sql('CREATE TABLE t (x int); INSERT INTO t VALUES (1); SELECT x FROM t')).toEqual([
      { x: '1' },
    ])
  })

  test('is copied from a template that is prepared once', async () => {
    let prepared = 0
    const template = {
      name: 'counted',
      prepare: async (inside: TestDatabase) => {
        prepared++
        await inside.sql('CREATE TABLE made AS SELECT 1 AS x')
      },
    }
    const copies = await Promise.all([
      server.createDatabase({ template }),
      server.createDatabase({ template }),
    ])
    for (const copy of copies) expect(await copy.sql('SELECT x FROM made')).toEqual([{ x: '1' }])
    expect(prepared).toBe(1)
    expect(new Set(copies.map((copy) => copy.name)).size).toBe(2)
  })

  test('is dropped although sessions, a prepared transaction and a slot hold it, and takes its roles along', async () => {
    const doomed = await server.createDatabase()
    // Before the prepared transaction, for whose end a new slot would wait.
    await doomed.sql(
      "SELECT pg_create_logical_replication_slot('held_' || current_database(), 'test_decoding')",
    )
    const role = await doomed.createRole("PASSWORD 'x'")
    await doomed.sql(`CREATE TABLE held (x int); GRANT SELECT ON held TO ${role.name}`)
    await doomed.connect()
    await doomed.sql("BEGIN; INSERT INTO held VALUES (1); PREPARE TRANSACTION 'held'")
    await doomed.close()
    const left = await database.sql(
      'SELECT datname::text AS name FROM pg_database WHERE datname = $1 UNION ALL SELECT rolname::text FROM pg_roles WHERE rolname = $2',
      [doomed.name, role.name],
    )
    expect(left).toEqual([])
  })
})
