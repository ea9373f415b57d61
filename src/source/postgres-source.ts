/** The PostgreSQL source: connections, and what the contract asks of them. */
import type { Catalog, CatalogStream } from '../model/catalog.js'
import { silentLogger, type Logger } from '../model/log.js'
import type { Limits, Selection } from '../model/sync-spec.js'
import { DEFAULT_LIMITS } from '../model/thresholds.js'
import type { ConnectionObserver } from '../postgres/connection-observer.js'
import { divideBudget } from '../postgres/connection-budget.js'
import type { ConnectionSettings } from '../postgres/connection-settings.js'
import type { Connection } from '../postgres/connection.js'
import { greenplumOf } from '../postgres/dialect.js'
import { describeConnection } from '../postgres/resolve-connection.js'
import { beginReading, sessionPreamble } from '../postgres/session.js'
import { checkSource, refusePrivileged } from './check-source.js'
import { readColumnStatistics } from './column-statistics.js'
import { resolveCursor } from './cursor-field.js'
import { mapColumns } from './column-mapping.js'
import type {
  CheckOptions,
  ColumnStatistics,
  ConnectionStatus,
  Contact,
  DiscoverOptions,
  HealthOptions,
  ReadColumn,
  ResolvedCursor,
  Snapshot,
  SnapshotOptions,
  Source,
  SourceCheck,
  SourceHealth,
  TypeOptions,
} from './contract.js'
import { readContext, readRelations, readStreams } from './discover.js'
import { probeHealth } from './health.js'
import { openParts } from './open-snapshot.js'
import { explainingStall } from './greenplum/queue.js'
import { findReaderFile } from './reader-file.js'
import { describeQuery } from './query-stream.js'
import { emptySelection, selectRelations } from './selection.js'
import { formSnapshotGroups, lockBudget } from './snapshot-groups.js'
import { PostgresSnapshot } from './snapshot.js'
import { SourceConnections } from './source-connections.js'
import { checkCondition } from './where-check.js'

export interface PostgresSourceOptions {
  readonly logger?: Logger
  readonly limits?: Limits
  /** Where the reader's file is, in a program that is bundled into one file. */
  readonly readerWorker?: URL
  /** Asked afresh for each connection. */
  readonly password?: () => string | Promise<string>
  /** Schemas in which a query's unqualified names are looked for, after pg_catalog. */
  readonly searchPath?: readonly string[]
  /** Told what happens to connections, those of reader threads included. */
  readonly observer?: ConnectionObserver
  /** Default: as it comes. */
  readonly contact?: Contact
}

/** Connects when something is asked for, not before. */
export function createPostgresSource(
  settings: ConnectionSettings,
  options: PostgresSourceOptions = {},
): Source {
  return new PostgresSource(settings, options)
}

class PostgresSource implements Source {
  readonly description: string
  readonly database: string
  readonly #options: PostgresSourceOptions
  readonly #logger: Logger
  readonly #limits: Limits
  readonly #connections: SourceConnections
  /** Those that are open, with the connections that each may have. */
  readonly #snapshots = new Map<PostgresSnapshot, number>()
  /** Known from discovery; only a restart of the server changes it. */
  #lockSlots: number | null = null

  constructor(settings: ConnectionSettings, options: PostgresSourceOptions) {
    this.#options = options
    this.#logger = options.logger ?? silentLogger
    this.#limits = options.limits ?? DEFAULT_LIMITS
    this.#connections = new SourceConnections({
      settings,
      limits: this.#limits,
      logger: this.#logger,
      password: options.password,
      observer: options.observer,
      contact: options.contact,
    })
    this.description = describeConnection(settings)
    this.database = settings.database
  }

  async check(options: CheckOptions = {}): Promise<SourceCheck> {
    return this.#connections.borrow(options.signal, (connection) =>
      checkSource(connection, { ...options, stallTimeoutMs: this.#limits.stallTimeoutMs }),
    )
  }

  async health(options: HealthOptions = {}): Promise<SourceHealth> {
    return probeHealth((signal, work) => this.#connections.probe(signal, work), options)
  }

  async discover(selection: Selection, options: DiscoverOptions = {}): Promise<Catalog> {
    const { queries = [] } = options
    return this.#connections.borrow(options.signal, async (connection) => {
      const { lockTimeoutMs, stallTimeoutMs, statementTimeoutMs } = this.#limits
      const greenplum = greenplumOf(connection)
      const begin = sessionPreamble(connection.serverVersion, {
        lockTimeoutMs,
        statementTimeoutMs: greenplum === null ? statementTimeoutMs : stallTimeoutMs,
      })
      const { context, relations } =
        greenplum === null
          ? await readRelations(connection, [begin])
          : await explainingStall(this.#limits, async () => {
              await connection.execute(begin)
              return readRelations(connection)
            })
      this.#lockSlots = Number(context.lock_slots)
      if (queries.length > 0 && options.allowPrivilegedRole !== true) await refusePrivileged(connection)
      const selected = selectRelations(relations, selection)
      if (selected.length === 0 && queries.length === 0) throw emptySelection(relations, selection)
      const streams = await readStreams(
        connection,
        context,
        selected.map((relation) => relation.oid),
        queries.length === 0 ? [COMMIT] : [],
      )
      const described: CatalogStream[] = []
      for (const query of queries) {
        described.push(await describeQuery(connection, query, this.#options.searchPath ?? []))
      }
      if (queries.length > 0) await connection.execute(COMMIT)
      const order = new Map(selected.map((relation, index) => [relation.oid, index]))
      return {
        database: context.database,
        serverVersion: context.server_version,
        streams: [
          ...[...streams].sort((a, b) => (order.get(a.oid) ?? 0) - (order.get(b.oid) ?? 0)),
          ...described,
        ],
      }
    })
  }

  mapColumns(stream: CatalogStream, options: TypeOptions): readonly ReadColumn[] {
    return mapColumns(stream, options)
  }

  async openSnapshot(streams: readonly CatalogStream[], options: SnapshotOptions): Promise<Snapshot> {
    options.signal?.throwIfAborted()
    const { maxConnections } = options.limits
    const budget = divideBudget(maxConnections)
    const connections = this.#connections
    connections.allow(maxConnections)
    return connections.begin(options.signal, async (leader) => {
      const leases = [...(await connections.reserve(Math.min(options.readers, budget.readers)))]
      const release = (): void => {
        for (const lease of leases) lease.release()
      }
      try {
        const parts = await openParts(streams, {
          leader,
          readers: leases.length,
          reader: async () => ({
            file: findReaderFile(this.#options.readerWorker),
            connection: await connections.readerSettings(leader),
            ...(this.#options.observer === undefined ? {} : { observer: this.#options.observer }),
          }),
          snapshot: options,
          searchPath: this.#options.searchPath ?? [],
          logger: this.#logger,
        })
        const openSide = async (): Promise<Connection | null> => {
          const beside = await connections.openBeside(leader, 'watch')
          if (beside === null) return null
          leases.push(beside.lease)
          return beside.connection
        }
        const snapshot: PostgresSnapshot = new PostgresSnapshot({
          ...parts,
          openSide: budget.side ? openSide : null,
          release: async ([, ...others]) => {
            this.#snapshots.delete(snapshot)
            await Promise.all(others.map((connection) => connection.close()))
            release()
            await connections.giveBack(leader)
          },
        })
        this.#snapshots.set(snapshot, maxConnections)
        return snapshot
      } catch (error) {
        release()
        throw error
      }
    })
  }

  async formSnapshotGroups(
    streams: readonly CatalogStream[],
  ): Promise<readonly (readonly CatalogStream[])[]> {
    if (streams.length === 0) return []
    this.#lockSlots ??= await this.#connections.borrow(undefined, async (connection) => {
      const context = await readContext(connection)
      return Number(context.lock_slots)
    })
    return formSnapshotGroups(streams, lockBudget(this.#lockSlots))
  }

  async checkWhere(
    stream: CatalogStream,
    where: string,
    options: { readonly stable: boolean },
  ): Promise<void> {
    const settings = {
      ...options,
      searchPath: stream.kind === 'query' ? (this.#options.searchPath ?? []) : [],
    }
    const [held] = this.#snapshots
    // A run that has all its connections in use asks on one of them.
    if (held !== undefined && !this.#connections.hasRoom(held[1]))
      return held[0].checkWhere(stream, where, settings)
    await this.#connections.borrow(undefined, (connection) =>
      inTransaction(connection, this.#limits, () => checkCondition(connection, stream, where, settings)),
    )
  }

  columnStatistics(stream: CatalogStream): Promise<ReadonlyMap<string, ColumnStatistics>> {
    return this.#connections.borrow(undefined, (connection) => readColumnStatistics(connection, stream))
  }

  resolveCursor(
    stream: CatalogStream,
    cursor: { readonly field: string; readonly start: string | null },
  ): Promise<ResolvedCursor | null> {
    return resolveCursor(stream, cursor)
  }

  connectionStatus(): ConnectionStatus {
    return this.#connections.status
  }

  async close(): Promise<void> {
    for (const snapshot of this.#snapshots.keys()) await snapshot.close()
    await this.#connections.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

const COMMIT = 'COMMIT'

async function inTransaction<Result>(
  connection: Connection,
  limits: Limits,
  work: () => Promise<Result>,
): Promise<Result> {
  await beginReading(connection, limits)
  const result = await work()
  await connection.execute(COMMIT)
  return result
}
