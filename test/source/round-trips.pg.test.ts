import { beforeAll, expect, test } from 'vitest'
import { onEachServer, type TestDatabase } from '../server/servers.js'
import { startTurnCounter } from '../server/turn-counter.js'
import { discover, openSnapshot, openSource } from './open-source.js'

onEachServer('Round trips', (server) => {
  let database: TestDatabase

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE a (id int PRIMARY KEY, name text);
      CREATE TABLE b (id int PRIMARY KEY, name text);
      INSERT INTO a SELECT g, 'n' || g FROM generate_series(1, 10) AS g`)
  })

  test('connecting, checking, discovering and opening a snapshot take few, however many tables there are', async () => {
    await using counter = await startTurnCounter(database)
    const url = `postgresql://${database.user}@127.0.0.1:${counter.port}/${database.name}`
    const source = await openSource(url)
    await source.check()
    // The request for TLS, the start-up message, the role, and which backend it is now.
    expect(counter.take()).toBe(4)
    const streams = await discover(source, ['public.*'])
    expect(counter.take()).toBe(2)
    await source.formSnapshotGroups(streams)
    expect(counter.take()).toBe(0)
    // BEGIN, the locks, the snapshot with its position, the streams under the lock. And the age of the oldest transaction,
    // while a test beside this one has one open.
    await expect
      .poll(
        async () => {
          const snapshot = await openSnapshot(source, streams)
          const turns = counter.take()
          await snapshot.close()
          counter.take()
          return snapshot.horizonAgeSeconds === 0 ? turns : 'somebody has a transaction open'
        },
        { timeout: 60_000 },
      )
      .toBe(4)
    await source.close()
  })

  test('what the server hides from a role is left out of the position, and the rest is told', async () => {
    const role = await database.createRole()
    await database.sql(`
      GRANT SELECT ON a TO ${role.name};
      REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC`)
    const source = await openSource(role.url)
    const snapshot = await openSnapshot(source, await discover(source, ['public.a']))
    const { position, streams } = snapshot
    expect(streams.map(({ name }) => name)).toEqual(['public.a'])
    expect(position).toMatchObject({ systemIdentifier: null, timeline: 1, database: database.name })
    expect(position.lsn).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
    expect(await snapshot.awaitDurable()).toMatchObject({ durable: true })
    await snapshot.close()
    await source.close()
  })
})
