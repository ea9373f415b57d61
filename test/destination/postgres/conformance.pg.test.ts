import { beforeAll, it } from 'vitest'
import { runCase, sortCases } from '../../../src/testing/conformance.js'
import { onOldestAndNewestServer, type TestDatabase } from '../../server/servers.js'
import { makePlaceOnPaper, makePostgresPlace, READS_LONG_INTERVALS_SINCE } from './postgres-place.js'

const { offered } = await sortCases(makePlaceOnPaper)

onOldestAndNewestServer('PostgreSQL keeps the promises of a destination', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
  })
  for (const one of offered) {
    // There an interval of that length lands where all columns go in binary form, and is refused beside one that goes as text.
    if (one.name.startsWith('refuses the values') && server.major < READS_LONG_INTERVALS_SINCE) continue
    it(one.name, () => runCase(one, () => makePostgresPlace(database, server.major)))
  }
})
