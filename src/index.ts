/**
 * Trunkline as a library: connect to PostgreSQL, discover, read consistent snapshots as batches, sync to DuckDB.
 *
 * Nothing here exits the process, handles signals, prints or keeps global state. Errors are {@link TrunklineError}s with a
 * stable `code`. What waits takes a `signal`; what holds something is `AsyncDisposable` and has `close()`.
 */
import type { ConnectionInput } from './config/connection-input.js'
import type { Environment } from './config/interpolate.js'
import type { SyncOptions } from './config/sync-options.js'
import { toSyncSpec } from './config/sync-options.js'
import { openDestination, openSource, resolveSettings } from './connectors.js'
import type { Destination } from './destination/contract.js'
import type { Logger } from './model/log.js'
import type { ProgressEvent, RunReport } from './model/report.js'
import type { Limits } from './model/sync-spec.js'
import { DEFAULT_LIMITS } from './model/thresholds.js'
import { SOURCE, createReadableSource } from './reading.js'
import type { ReadableSource } from './reading.js'

export type {
  AdaptiveOptions,
  AdaptiveSettings,
  SizeCategory,
  SizeFigures,
} from './model/adaptive-options.js'
export { adaptiveParameters, reduceBatchRows, reduceReaders } from './sync/adaptive.js'
export type { AdaptiveParameters, Busyness } from './sync/adaptive.js'
export { monitorResources } from './sync/resource-monitor.js'
export type { ResourceStatus } from './sync/resource-monitor.js'
export { readValue, rows } from './batch/rows.js'
export type { Value } from './batch/rows.js'
export type { Batch, Column, Span } from './batch/batch.js'
export type { SyncOptions } from './config/sync-options.js'
export type { Destination } from './destination/contract.js'
export type {
  Catalog,
  CatalogColumn,
  CatalogIndex,
  CatalogStream,
  ForeignKey,
  Leaf,
  RelationKind,
  RelationOddity,
  StreamKey,
} from './model/catalog.js'
export type { SourcePosition } from './model/checkpoint.js'
export { DATE_INFINITY, TIMESTAMP_INFINITY } from './model/column-type.js'
export type { ColumnKind, ColumnType, Field } from './model/column-type.js'
export { DecodeError, ERROR_CODES, TrunklineError } from './model/error.js'
export type { ErrorArea, ErrorCode, ErrorContext, ErrorData, Retry } from './model/error.js'
export type {
  AddedColumn,
  AddedConstant,
  AddedFact,
  ConstantType,
  IfPresent,
  RowFact,
} from './model/added-column.js'
export type {
  HookContext,
  HookModule,
  HookRow,
  RowValue,
  ShouldReadStream,
  TransformRow,
} from './model/hooks.js'
export type { LogFields, Logger } from './model/log.js'
export type {
  ProgressEvent,
  RunReport,
  SnapshotReport,
  StreamOutcome,
  StreamReport,
  VerifyResult,
} from './model/report.js'
export type {
  Deletes,
  Landing,
  Limits,
  Mode,
  OnSchemaChange,
  ReadMethod,
  SpecialValue,
  StreamOptions,
} from './model/sync-spec.js'
export type {
  DiscoverOptions,
  ReadOptions,
  ReadableSnapshot,
  ReadableSource,
  SnapshotOptions,
} from './reading.js'
export type {
  CheckOptions,
  HealthOptions,
  SchemaStatistics,
  SourceCheck,
  SourceHealth,
} from './source/contract.js'

export interface ConnectOptions {
  /** `postgresql://…` or libpq's `keyword=value` pairs; what it leaves out comes from the environment, as with psql. */
  readonly url?: string | undefined
  /** libpq's keywords, over those of `url`: `{ host: 'db', sslmode: 'verify-full' }`. */
  readonly keywords?: Readonly<Record<string, string>> | undefined
  /** Asked afresh for each connection, for tokens that expire. */
  readonly password?: (() => string | Promise<string>) | undefined
  /** Runs in a shell for each connection; its first line is the password. */
  readonly passwordCommand?: string | undefined
  /** A way through an SSH server; needs the package `ssh2`. */
  readonly sshTunnel?: SshTunnelOptions | undefined
  /** Schemas in which unqualified names of `sql` streams are looked for. */
  readonly searchPath?: readonly string[] | undefined
  readonly limits?: Partial<Limits> | undefined
  readonly logger?: Logger | undefined
  /** Where `trunkline/reader-worker` is, for programs bundled into one file. */
  readonly readerWorker?: URL | undefined
  /** In place of `process.env`. */
  readonly env?: Environment | undefined
  readonly signal?: AbortSignal | undefined
}

export interface SshTunnelOptions {
  /** `ssh://user@host:port` */
  readonly url: string
  /** The path of a private key, or the key itself; else the agent and the usual keys are tried. */
  readonly key?: string | undefined
  readonly passphrase?: string | undefined
  readonly password?: string | undefined
  /** Runs in a shell; its first line is the password. */
  readonly passwordCommand?: string | undefined
  /** A path; else `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`. */
  readonly knownHosts?: string | undefined
}

/**
 * Connects and makes sure that the server answers.
 * @throws the errors of configuration, connection, TLS and authentication
 */
export async function connect(options: ConnectOptions = {}): Promise<ReadableSource> {
  const input: ConnectionInput = {
    options: options.keywords ?? {},
    place: null,
    ...(options.url === undefined ? {} : { url: options.url }),
    ...(options.passwordCommand === undefined ? {} : { passwordCommand: options.passwordCommand }),
    ...(options.sshTunnel === undefined
      ? {}
      : { ssh: { ...options.sshTunnel, tunnel: options.sshTunnel.url } }),
  }
  const stated = options.limits === undefined ? {} : { limits: options.limits }
  const limits: Limits = { ...DEFAULT_LIMITS, ...(await checkStated(stated)).limits }
  const settings = await resolveSettings(input, options.env ?? process.env)
  const source = await openSource(settings, {
    limits,
    searchPath: options.searchPath,
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(options.logger === undefined ? {} : { logger: options.logger }),
    ...(options.readerWorker === undefined ? {} : { readerWorker: options.readerWorker }),
  })
  try {
    await source.check(options.signal === undefined ? {} : { signal: options.signal })
  } catch (error) {
    await source.close()
    throw error
  }
  return createReadableSource(source, limits)
}

export interface SyncCall extends SyncOptions {
  /** From {@link connect}, or a connection string. Yours to close when you opened it. */
  readonly source: ReadableSource | string
  /** `duckdb:shop.duckdb`, or one that implements `trunkline/destination`. Yours to close when you opened it. */
  readonly destination: Destination | string
  readonly signal?: AbortSignal | undefined
  readonly logger?: Logger | undefined
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined
}

/**
 * Runs a sync once. Streams fail one by one: look at `outcome` of the report and of its streams.
 * @throws what keeps the whole run from starting
 */
export async function sync(call: SyncCall): Promise<RunReport> {
  const { source: statedSource, destination: statedDestination, signal, logger, onProgress, ...stated } = call
  const options = await checkStated(stated)
  const { runSync } = await import('./sync/engine.js')
  const own: AsyncDisposable[] = []
  try {
    const readable =
      typeof statedSource === 'string' ? await connect(connectOptions(statedSource, call)) : statedSource
    if (typeof statedSource === 'string') own.push(readable)
    const source = readable[SOURCE]
    const destination =
      typeof statedDestination === 'string'
        ? await openDestination(statedDestination, logger === undefined ? {} : { logger })
        : statedDestination
    if (typeof statedDestination === 'string') own.push(destination)
    return await runSync({
      source,
      destination,
      spec: toSyncSpec(options, source.database),
      ...(signal === undefined ? {} : { signal }),
      ...(logger === undefined ? {} : { logger }),
      ...(onProgress === undefined ? {} : { onProgress }),
    })
  } finally {
    for (const resource of own.reverse()) await resource[Symbol.asyncDispose]()
  }
}

/** What checks options takes as long to load as everything else: only where there are some. */
async function checkStated(options: SyncOptions): Promise<SyncOptions> {
  if (Object.keys(options).length === 0) return options
  const { checkSyncOptions } = await import('./config/check-options.js')
  return checkSyncOptions(options)
}

function connectOptions(url: string, { limits, logger, signal }: SyncCall): ConnectOptions {
  return {
    url,
    ...(limits === undefined ? {} : { limits }),
    ...(logger === undefined ? {} : { logger }),
    ...(signal === undefined ? {} : { signal }),
  }
}
