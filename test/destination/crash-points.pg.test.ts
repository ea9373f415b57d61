/** Crash points of runs to PostgreSQL: before and after each statement and each piece of a COPY, the connections end. */
import { beforeAll, expect, test, vi } from 'vitest'
import { resolveSettings } from '../../src/connectors.js'
import { createPostgresDestination } from '../../src/destination/postgres/postgres-destination.js'
import { PostgresConnection, type Connection } from '../../src/postgres/connection.js'
import { CopyInWriter } from '../../src/postgres/copy-in.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { enumerateCrashPoints } from './crash-points/enumerate.js'
import { wrapMethods, mortal } from './crash-points/mortality.js'
import { makePostgresPlace } from './postgres/postgres-place.js'

/** Those of the mortal run, in the order in which they were used. */
const used = new Set<Connection>()

const FULL = process.env['TRUNKLINE_ORACLE'] === 'full'
vi.setConfig({ testTimeout: FULL ? 900_000 : 120_000 })

const EFFECTS = ['query', 'execute', 'queryAll', 'copyIn', 'copyOut'] as const

onNewestServer('a run to PostgreSQL, stopped at any effect, is made good by the next', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
    wrapMethods(PostgresConnection.prototype, EFFECTS, (connection) => {
      if (mortal.current !== null) used.add(connection as Connection)
    })
    wrapMethods(CopyInWriter.prototype, ['write', 'finish'])
  })

  test.each(['replace', 'upsert', 'append', 'resume'] as const)('by %s', async (mode) => {
    const settings = await resolveSettings({ url: database.url, options: {}, place: null }, {})
    const effects = await enumerateCrashPoints(
      {
        makePlace: () => makePostgresPlace(database, server.major),
        createMortal: () => createPostgresDestination({ settings }),
        async bury() {
          for (const connection of used) connection.destroy()
          used.clear()
        },
        every: FULL ? 1 : 5,
      },
      mode,
    )
    console.info(`postgresql, ${mode}: ${effects} effects`)
    expect(effects).toBeGreaterThan(20)
  })
})
