/** A run from a real server whose effects on the destination are told one by one, in this process or in one that is to be killed. */
import { createFilesDestination } from '../../../src/destination/files/files-destination.js'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { createParquetFormat } from '../../../src/destination/files/parquet-format.js'
import { createPostgresDestination } from '../../../src/destination/postgres/postgres-destination.js'
import type { Destination, StreamLanding, StreamWriter } from '../../../src/destination/contract.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import { createS3Store } from '../../../src/destination/stores/s3-store.js'
import type { Store } from '../../../src/destination/stores/store.js'
import { silentLogger } from '../../../src/model/log.js'
import type { RunReport } from '../../../src/model/report.js'
import type { SyncSpec } from '../../../src/model/sync-spec.js'
import { PostgresConnection } from '../../../src/postgres/connection.js'
import type { ConnectionSettings } from '../../../src/postgres/connection-settings.js'
import { CopyInWriter } from '../../../src/postgres/copy-in.js'
import { resolveConnection } from '../../../src/postgres/resolve-connection.js'
import { createPostgresSource } from '../../../src/source/postgres-source.js'
import { runSync } from '../../../src/sync/engine.js'
import { SPEC } from '../../sync/model/world.js'
import { makeMortalStore, wrapMethods } from '../crash-points/mortality.js'

/** As JSON for another process. */
export interface Job {
  /** URL of the source. */
  readonly source: string
  readonly place: JobPlace
  /** Over the tests' own. */
  readonly spec: Partial<SyncSpec>
  readonly saveEveryMs?: number
  /** The reader's file, where it cannot be found. */
  readonly reader?: string
}

export type JobPlace =
  | { readonly kind: 'folder'; readonly format: 'parquet' | 'jsonl'; readonly path: string }
  /** Parquet; credentials come from the environment. `host`: where the run says that it runs; absent: here. */
  | { readonly kind: 'bucket'; readonly endpoint: string; readonly prefix: string; readonly host?: string }
  | { readonly kind: 'postgresql'; readonly url: string }

/** `begun` and `ended`: commits of a stream. `saved`: a load that goes on. `effect`: any, as it begins. */
export type OnMoment = (moment: 'effect' | 'begun' | 'ended' | 'saved', stream: string | null) => void

/** Files of a run are several, so that there is something between them. */
const FILE_ROWS = 1000

export async function runWatched(job: Job, onMoment: OnMoment): Promise<RunReport> {
  const { spec, saveEveryMs, reader } = job
  const settings = await settingsOf(job.source)
  await using source = createPostgresSource(
    settings,
    reader === undefined ? {} : { readerWorker: new URL(reader) },
  )
  await using destination = await openWatched(job.place, () => {
    onMoment('effect', null)
  })
  const begin = destination.begin.bind(destination)
  destination.begin = async (landing: StreamLanding) => tell(await begin(landing), landing.stream, onMoment)
  return await runSync({
    source,
    destination,
    spec: { ...SPEC, ...spec },
    ...(saveEveryMs === undefined ? {} : { saveEveryMs }),
  })
}

function settingsOf(url: string): Promise<ConnectionSettings> {
  return resolveConnection({ url, env: {}, homeDir: '/', userName: 'nobody' })
}

async function openWatched(place: JobPlace, onEffect: () => void): Promise<Destination> {
  if (place.kind === 'postgresql') {
    const settings = await settingsOf(place.url)
    watchDatabase(settings.database, onEffect)
    return createPostgresDestination({ settings })
  }
  const jsonl = place.kind === 'folder' && place.format === 'jsonl'
  const elsewhere = place.kind === 'bucket' && place.host !== undefined ? place.host : null
  return createFilesDestination({
    format: await (jsonl ? createJsonlFormat({}) : createParquetFormat({})),
    store: makeMortalStore(openStore(place), { step: onEffect, dead: false }),
    layout: { maxFileRows: FILE_ROWS },
    ...(elsewhere === null ? {} : { identity: { pid: process.pid, host: elsewhere, processStartedAt: 0 } }),
  })
}

function openStore(place: Exclude<JobPlace, { kind: 'postgresql' }>): Store {
  if (place.kind === 'folder') return createLocalStore({ path: place.path })
  const { endpoint, prefix } = place
  const rest = { region: null, profile: null, encryption: null, storageClass: null, singleWriter: false }
  return createS3Store(
    { bucket: 'lake', prefix, endpoint, pathStyle: true, ...rest },
    { logger: silentLogger },
  )
}

/** Whom the effects of connections to a database are told to, by its name: they are wrapped once for all. */
const watchers = new Map<string, () => void>()
let wrapped = false

function watchDatabase(database: string, onEffect: () => void): void {
  watchers.set(database, onEffect)
  if (wrapped) return
  wrapped = true
  wrapMethods(PostgresConnection.prototype, ['query', 'execute', 'queryAll', 'copyIn'], (connection) => {
    watchers.get((connection as PostgresConnection).settings.database)?.()
  })
  // The only COPY into a table is that of the destination.
  wrapMethods(CopyInWriter.prototype, ['write', 'finish'], () => {
    for (const watcher of watchers.values()) watcher()
  })
}

function tell(writer: StreamWriter, stream: string, onMoment: OnMoment): StreamWriter {
  const commit = writer.commit.bind(writer)
  writer.commit = async (checkpoint) => {
    onMoment('begun', stream)
    await commit(checkpoint)
    onMoment('ended', stream)
  }
  const save = writer.save.bind(writer)
  writer.save = async (progress) => {
    await save(progress)
    onMoment('saved', stream)
  }
  return writer
}
