/**
 * One run in a process of its own that kills itself (SIGKILL) at a commit. From the environment: CURSOR_URL, CURSOR_FILE, CURSOR_SPEC
 * (JSON, over the tests' own), CURSOR_COMMITS (to let pass), CURSOR_DELAY_MS (after the next one began).
 */
import process from 'node:process'
import { createDuckDbDestination } from '../../src/destination/duckdb/duckdb-destination.js'
import type { SyncSpec } from '../../src/model/sync-spec.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import { createPostgresSource } from '../../src/source/postgres-source.js'
import { runSync } from '../../src/sync/engine.js'
import { SPEC } from './model/world.js'

function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}

let toPass = Number(setting('CURSOR_COMMITS'))
const settings = await resolveConnection({
  url: setting('CURSOR_URL'),
  env: {},
  homeDir: '/',
  userName: 'nobody',
})
const source = createPostgresSource(settings)
const destination = createDuckDbDestination({ path: setting('CURSOR_FILE'), publish: 'direct' })
const begin = destination.begin.bind(destination)
destination.begin = async (landing) => {
  const writer = await begin(landing)
  const commit = writer.commit.bind(writer)
  writer.commit = async (checkpoint) => {
    if (toPass-- === 0)
      setTimeout(() => process.kill(process.pid, 'SIGKILL'), Number(setting('CURSOR_DELAY_MS')))
    await commit(checkpoint)
  }
  return writer
}
await runSync({
  source,
  destination,
  // On this thread.
  spec: { ...SPEC, jobs: 0, ...(JSON.parse(setting('CURSOR_SPEC')) as Partial<SyncSpec>) },
})
process.kill(process.pid, 'SIGKILL')
