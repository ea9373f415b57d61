/**
 * Crash points, enumerated: for each way of landing, a run is stopped before and after every effect that it has on the destination, and
 * whatever that left, readers see one version with its checkpoint, and the next run makes it the newest one, no row lost or doubled.
 */
import { cp, mkdtemp, rm, type FileHandle } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import path from 'node:path'
import { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createFilesDestination } from '../../src/destination/files/files-destination.js'
import { createArrowFormat } from '../../src/destination/files/arrow-format.js'
import { createParquetFormat } from '../../src/destination/files/parquet-format.js'
import { createCsvFormat } from '../../src/destination/files/csv-format.js'
import { createJsonlFormat } from '../../src/destination/files/jsonl-format.js'
import { createLocalStore } from '../../src/destination/stores/local-store.js'
import type { Store, StoreFile } from '../../src/destination/stores/store.js'
import type { FileFormat } from '../../src/destination/files/file-format.js'
import { enumerateCrashPoints, type Candidate } from './crash-points/enumerate.js'
import { runTo, type CrashMode } from './crash-points/history.js'
import { makeMortalStore, mortal, wrapMethods } from './crash-points/mortality.js'
import { readArrow } from './files/read-arrow.js'
import { makeDuckDbPlace, type DuckDbPlace } from './duckdb/duckdb-place.js'
import { makeFilesPlace, type FilesPlace } from './files/files-place.js'
import { makeS3Store } from '../store/open-s3-store.js'
import type { S3Server } from '../store/s3-server.js'
import { makeS3Place, startBucket, type S3Place } from './s3-place.js'

/** Files that a dead process has open; the system closes them. */
const handles = vi.hoisted((): FileHandle[] => [])

async function closeHandles(): Promise<void> {
  // Most are closed already.
  for (const handle of handles.splice(0)) await handle.close().catch(() => undefined)
}

/** Effects on files, those that DuckDB has itself excepted. What only looks is none. */
vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:fs/promises')>()
  const { mortal: who } = await import('./crash-points/mortality.js')
  const names = [
    'chmod',
    'copyFile',
    'link',
    'mkdir',
    'mkdtemp',
    'open',
    'rename',
    'rm',
    'rmdir',
    'writeFile',
  ] as const
  const wrapped = names.map((name) => [
    name,
    async (...args: unknown[]) => {
      who.current?.step()
      const result = await (original[name] as (...given: unknown[]) => unknown)(...args)
      if (name === 'open' && who.current !== null) handles.push(result as FileHandle)
      return result
    },
  ])
  return { ...original, ...Object.fromEntries(wrapped) }
})

/** Otherwise every few of the points where runs and looks take long. */
const FULL = process.env['TRUNKLINE_ORACLE'] === 'full'

// Hundreds of runs, where every point is looked at.
vi.setConfig({ testTimeout: FULL ? 900_000 : 120_000 })

/** How many effects each run has, for docs/guarantees.md. */
const measured: string[] = []
afterAll(() => {
  console.info(measured.join('\n'))
})

async function count(name: string, candidate: Candidate, mode: CrashMode): Promise<void> {
  const effects = await enumerateCrashPoints(candidate, mode)
  measured.push(`${name}, ${mode}: ${effects} effects`)
  expect(effects).toBeGreaterThan(10)
}

/** Connections as they are made: what a dead process leaves open is closed by the system. */
function keepConnections(): DuckDBConnection[] {
  const connections: DuckDBConnection[] = []
  const { connect } = DuckDBInstance.prototype
  DuckDBInstance.prototype.connect = async function () {
    const connection = await connect.call(this)
    if (mortal.current !== null) connections.push(connection)
    return connection
  }
  return connections
}

/** A process of this machine that does not run any more. */
const DEAD = { host: hostname(), pid: process.pid, processStartedAt: 0 }

describe('a run to a DuckDB file, stopped at any effect, is made good by the next', () => {
  wrapMethods(DuckDBConnection.prototype, ['run', 'runAndReadAll'])
  const connections = keepConnections()
  const prepared = new Map<string, string>()
  afterAll(async () => {
    for (const folder of prepared.values()) await rm(folder, { recursive: true, force: true })
  })

  /** A copy of a file that holds version 1: landing it takes as long as all that comes after. */
  async function makePlace(mode: CrashMode, publish: 'direct' | 'atomic'): Promise<DuckDbPlace> {
    let folder = prepared.get(mode)
    if (folder === undefined) {
      const first = await makeDuckDbPlace()
      await runTo(first.create(), { mode, to: 1, runId: 'first' })
      folder = first.folder
      prepared.set(mode, folder)
    }
    const copy = await mkdtemp(path.join(tmpdir(), 'trunkline-crash-'))
    await cp(folder, copy, { recursive: true })
    return makeDuckDbPlace({ folder: copy, publish })
  }

  test.each(['replace', 'upsert', 'append', 'resume'] as const)('by %s', async (mode) => {
    await count('duckdb', { ...duckDb('direct'), every: FULL ? 1 : 8 }, mode)
  })

  test.each(['replace', 'append'] as const)('by %s, in a copy that is published at its end', async (mode) => {
    await count('duckdb?publish=atomic', { ...duckDb('atomic'), every: FULL ? 1 : 25 }, mode)
  })

  function duckDb(publish: 'direct' | 'atomic'): Candidate {
    return {
      prepared: true,
      makePlace: (mode) => makePlace(mode, publish),
      createMortal: (place) => place.create(),
      // Its note would say that this very process is at it, which in truth is another one that is gone.
      async bury(place) {
        for (const connection of connections.splice(0)) connection.closeSync()
        await closeHandles()
        await rm(`${(place as DuckDbPlace).file}.trunkline-run.json`, { force: true })
      },
    }
  }
})

type FilesReading = NonNullable<Parameters<typeof makeFilesPlace>[1]>

describe('a run to files, stopped at any effect, is made good by the next', () => {
  const formats: readonly (readonly [string, () => Promise<FileFormat>, FilesReading])[] = [
    ['parquet', () => createParquetFormat({}), {}],
    ['csv', () => createCsvFormat({}), {}],
    ['arrow', () => createArrowFormat({}), { readFiles: readArrow }],
    ['jsonl', () => createJsonlFormat({}), { jsonByValue: true }],
  ]
  const modes = ['replace', 'append'] as const
  const cases = formats.flatMap(([name, make, place]) => modes.map((mode) => ({ name, mode, make, place })))

  test.each(cases)('$name, by $mode', async ({ name, mode, make, place }) => {
    const format = await make()
    const candidate: Candidate = {
      makePlace: () => makeFilesPlace(format, place),
      createMortal: (at, mortality) =>
        createFilesDestination({
          format,
          identity: DEAD,
          store: makeMortalStore(createLocalStore({ path: (at as FilesPlace).folder }), mortality),
        }),
      bury: closeHandles,
      readersMayLag: true,
      // What a run does to the store is the same with every format.
      every: FULL || name === 'jsonl' ? 1 : 6,
    }
    await count(name, candidate, mode)
  })
})

describe('a run to files in a bucket, stopped at any effect, is made good by the next', () => {
  let server: S3Server
  beforeAll(async () => {
    server = await startBucket()
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test.each(['replace', 'append'] as const)('by %s', async (mode) => {
    const candidate: Candidate = {
      makePlace: () => makeS3Place(server),
      createMortal: (place, mortality) =>
        (place as S3Place).create({ identity: DEAD, store: makeMortalStore(makeS3Store(server), mortality) }),
      readersMayLag: true,
      every: FULL ? 1 : 4,
    }
    await count('parquet in a bucket', candidate, mode)
  })
})

test('a destination that commits its state before its rows is found out', async () => {
  const format = await createJsonlFormat({})
  const candidate: Candidate = {
    makePlace: () => makeFilesPlace(format, { jsonByValue: true }),
    createMortal: (at, mortality) =>
      createFilesDestination({
        format,
        identity: DEAD,
        store: finishAfterCommit(
          makeMortalStore(createLocalStore({ path: (at as FilesPlace).folder }), mortality),
        ),
      }),
    bury: closeHandles,
    readersMayLag: true,
  }
  // Readers are told of files that are not there, or find too few rows.
  await expect(enumerateCrashPoints(candidate, 'append')).rejects.toThrow(/No files found|what readers see/)
})

/** Files are there only after the next file that must be new, which is how a run commits. */
function finishAfterCommit(store: Store): Store {
  const unfinished: StoreFile[] = []
  return {
    ...store,
    async create(path) {
      const file = await store.create(path)
      return { ...file, finish: async () => void unfinished.push(file) }
    },
    async putNew(path, content) {
      const isNew = await store.putNew(path, content)
      for (const file of unfinished.splice(0)) await file.finish()
      return isNew
    },
  }
}
