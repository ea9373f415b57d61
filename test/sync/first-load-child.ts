/**
 * A run in a process of its own that saves its first load again and again, until it is killed. From the environment: LOAD_URL,
 * LOAD_FILE, LOAD_READER (the reader's file), LOAD_SAVE_MS. Says `saved N of M` on stdout for each save, stops (SIGSTOP) at the first one that leaves
 * something to do, and ends on SIGINT.
 */
import process from 'node:process'
import type { StreamLanding, StreamWriter } from '../../src/destination/contract.js'
import { createDuckDbDestination } from '../../src/destination/duckdb/duckdb-destination.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import { createPostgresSource } from '../../src/source/postgres-source.js'
import { runSync } from '../../src/sync/engine.js'
import { SPEC } from './model/world.js'

function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}

let hasStopped = false
function tell(writer: StreamWriter): StreamWriter {
  return new Proxy(writer, {
    get(target, name) {
      if (name !== 'save') {
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      }
      return async (...saved: Parameters<StreamWriter['save']>): Promise<void> => {
        await target.save(...saved)
        const [{ parts, remaining }] = saved
        process.stdout.write(`saved ${parts - remaining.length} of ${parts}\n`)
        if (remaining.length === 0 || hasStopped) return
        hasStopped = true
        process.kill(process.pid, 'SIGSTOP')
      }
    },
  })
}

const stop = new AbortController()
process.once('SIGINT', () => {
  stop.abort(new Error('interrupted'))
})
const settings = await resolveConnection({
  url: setting('LOAD_URL'),
  env: {},
  homeDir: '/',
  userName: 'nobody',
})
await using source = createPostgresSource(settings, { readerWorker: new URL(setting('LOAD_READER')) })
await using destination = createDuckDbDestination({ path: setting('LOAD_FILE'), publish: 'direct' })
const begin = destination.begin.bind(destination)
destination.begin = async (landing: StreamLanding) => tell(await begin(landing))
const report = await runSync({
  source,
  destination,
  spec: { ...SPEC, name: 'load', selection: { select: ['public.*'], exclude: [] } },
  saveEveryMs: Number(setting('LOAD_SAVE_MS')),
  signal: stop.signal,
})
process.stdout.write(`ended ${report.outcome}\n`)
