/**
 * One run in a process of its own that kills itself (SIGKILL) at a moment of a phase. From the environment: CRASH_URL,
 * CRASH_FILE, CRASH_READER (the reader's file), CRASH_PHASE (read, stage, commit, deletes), CRASH_SKIP (calls of the phase to
 * let pass), CRASH_DELAY_MS (after the call began).
 */
import process from 'node:process'
import type { StreamLanding, StreamWriter } from '../../src/destination/contract.js'
import { createDuckDbDestination } from '../../src/destination/duckdb/duckdb-destination.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import { createPostgresSource } from '../../src/source/postgres-source.js'
import { runSync } from '../../src/sync/engine.js'
import { SPEC } from './model/world.js'

function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}

let toSkip = Number(setting('CRASH_SKIP'))
function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

/** Called as a phase's work begins. */
function enter(phase: string): void {
  if (phase !== setting('CRASH_PHASE') || toSkip-- > 0) return
  toSkip = Infinity
  setTimeout(die, Number(setting('CRASH_DELAY_MS')))
}

function watch(writer: StreamWriter): StreamWriter {
  return {
    write(batch) {
      enter('stage')
      return writer.write(batch)
    },
    reconcileKeys(keys, guard) {
      enter('deletes')
      return writer.reconcileKeys(keys, guard)
    },
    commit(checkpoint) {
      enter('commit')
      return writer.commit(checkpoint)
    },
    save(progress) {
      enter('save')
      return writer.save(progress)
    },
    replaceByKey: (rows) => writer.replaceByKey(rows),
    liveCount: () => writer.liveCount(),
    alter: (change) => writer.alter(change),
    verify: (rows) => writer.verify(rows),
    abort: () => writer.abort(),
  }
}

const settings = await resolveConnection({
  url: setting('CRASH_URL'),
  env: {},
  homeDir: '/',
  userName: 'nobody',
})
const source = createPostgresSource(settings, { readerWorker: new URL(setting('CRASH_READER')) })
const destination = createDuckDbDestination({ path: setting('CRASH_FILE'), publish: 'direct' })
const begin = destination.begin.bind(destination)
destination.begin = async (landing: StreamLanding) => watch(await begin(landing))
await runSync({
  source,
  destination,
  spec: {
    ...SPEC,
    name: 'crash',
    selection: { select: ['public.t', 'public.u'], exclude: [] },
    // Both tables at once, each by readers of its own.
    jobs: 4,
    limits: { ...DEFAULT_LIMITS, batchRows: 4096, maxConnections: 6 },
    allowMassDelete: true,
  },
  onProgress(event) {
    if (event.kind === 'stream_started' || event.kind === 'stream_progress') enter('read')
  },
})
// The run was faster than the delay: it dies after its commit, which is a moment, too.
die()
