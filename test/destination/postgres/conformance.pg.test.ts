import { beforeAll, it } from 'vitest'
import { runCase, sortCases } from '../../../src/testing/conformance.js'
import { onEachServer, type TestDatabase } from '../../server/servers.js'
import { makePlaceOnPaper, makePostgresPlace } from './postgres-place.js'

const { offered } = await sortCases(makePlaceOnPaper)

onEachServer('PostgreSQL keeps the promises of a destination', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
  })
  for (const one of offered) it(one.name, () => runCase(one, () => makePostgresPlace(database)))
})
