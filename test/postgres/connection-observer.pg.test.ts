import { expect, test } from 'vitest'
import type { ConnectionEvent } from '../../src/postgres/connection-observer.js'
import { connect } from '../../src/postgres/connect.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import { onNewestServer } from '../server/servers.js'
import { discoverOne, openSnapshot, openSource, planRead } from '../source/open-source.js'

const settingsOf = (url: string) =>
  resolveConnection({ url, env: {}, homeDir: '/nonexistent', userName: 'nobody' })

/** Opened less closed. */
const openIn = (events: readonly ConnectionEvent[]): number =>
  events.reduce((open, { kind }) => open + (kind === 'opened' ? 1 : kind === 'closed' ? -1 : 0), 0)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

onNewestServer('A connection observer', (server) => {
  test('is told of the login, each statement with its SQLSTATE, and the end', async () => {
    const database = await server.createDatabase()
    const events: ConnectionEvent[] = []
    const connection = await connect(await settingsOf(database.url), {
      observer: (event) => events.push(event),
    })
    await connection.query('SELECT pg_sleep(0.05)')
    await connection.query('SELECT nothing_of_this_name').catch(() => undefined)
    await connection.execute('SELECT 1')
    await connection.close()
    expect(events.map(({ kind }) => kind)).toEqual([
      'opened',
      'statement',
      'statement',
      'statement',
      'closed',
    ])
    expect(events[1]).toMatchObject({ protocol: 'query', outcome: 'done', sqlstate: null })
    expect(events[2]).toMatchObject({ outcome: 'failed', sqlstate: '42703' })
    const [, first] = events
    expect(first?.kind === 'statement' ? first.seconds : 0).toBeGreaterThanOrEqual(0.05)
  })

  test('is told that no connection came about', async () => {
    const database = await server.createDatabase()
    const events: ConnectionEvent[] = []
    const settings = await settingsOf(`${database.url}_that_is_not_there`)
    await expect(connect(settings, { observer: (event) => events.push(event) })).rejects.toMatchObject({
      code: 'DATABASE_MISSING',
    })
    expect(events).toEqual([{ kind: 'refused', code: 'DATABASE_MISSING' }])
  })

  test('is told once of the end when the server ends the session', async () => {
    const database = await server.createDatabase()
    const events: ConnectionEvent[] = []
    const connection = await connect(await settingsOf(database.url), {
      observer: (event) => events.push(event),
    })
    await database.sql(`SELECT pg_terminate_backend(${connection.backendPid})`)
    await until(() => connection.lost.aborted)
    connection.destroy()
    await connection.close()
    expect(events.filter(({ kind }) => kind === 'closed')).toHaveLength(1)
  })

  test('knows a COPY that was left from one that failed, and hears of readers in their threads', async () => {
    const database = await server.createDatabase()
    await database.sql(
      'CREATE TABLE t AS SELECT i, repeat(md5(i::text), 20) AS text FROM generate_series(1, 30000) AS i',
    )
    const events: ConnectionEvent[] = []
    const source = await openSource(database.url, { observer: (event) => events.push(event) })
    const stream = await discoverOne(source, 'public.t')
    const copies = (): readonly ConnectionEvent[] =>
      events.filter((event) => event.kind === 'statement' && event.protocol === 'copy')
    {
      await using snapshot = await openSnapshot(source, [stream])
      for await (const batch of snapshot.read(await planRead(source, snapshot, stream)))
        if (batch.rowCount > 0) break
    }
    expect(copies()).toMatchObject([{ outcome: 'cancelled' }])
    {
      await using snapshot = await openSnapshot(source, [stream], { readers: 1 })
      let rows = 0
      const split = await planRead(source, snapshot, stream)
      for await (const batch of snapshot.read(split)) rows += batch.rowCount
      expect(rows).toBe(30_000)
      expect(
        copies()
          .slice(1)
          .every((event) => event.kind === 'statement' && event.outcome === 'done'),
      ).toBe(true)
      expect(copies().length).toBeGreaterThan(1)
    }
    await source.close()
    await until(() => openIn(events) === 0)
  })
})
