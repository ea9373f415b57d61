/** The PostgreSQL source: connections, and what the contract asks of them. */
import type { Catalog, CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import { silentLogger, type Logger } from '../model/log.js'
import type { Limits, Selection } from '../model/sync-spec.js'
import { DEFAULT_LIMITS } from '../model/thresholds.js'
import { connect } from '../postgres/connect.js'
import type { ConnectionObserver } from '../postgres/connection-observer.js'
import { divideBudget } from '../postgres/connection-budget.js'
import type { ConnectionSettings } from '../postgres/connection-settings.js'
import type { Connection } from '../postgres/connection.js'
import { greenplumOf } from '../postgres/dialect.js'
import { describeConnection } from '../postgres/resolve-connection.js'
import { beginReading, sessionPreamble } from '../postgres/session.js'
import { checkSource, refusePrivileged } from './check-source.js'
import { mapColumns } from './column-mapping.js'
import type {
  DiscoverOptions,
  CheckOptions,
  ReadColumn,
  HealthOptions,
  Snapshot,
  SnapshotOptions,
  Source,
  SourceCheck,
  TypeOptions,
  SourceHealth,
} from './contract.js'
import { readContext, readRelations, readStreams } from './discover.js'
import { openParts } from './open-snapshot.js'
import { probeHealth } from './health.js'
import { explainingStall } from './greenplum/queue.js'
import { findReaderFile } from './reader-file.js'
import { describeQuery } from './query-stream.js'
import { emptySelection, selectRelations } from './selection.js'
import { formSnapshotGroups, lockBudget } from './snapshot-groups.js'
import { PostgresSnapshot } from './snapshot.js'
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
  readonly #settings: ConnectionSettings
  readonly #options: PostgresSourceOptions
  readonly #logger: Logger
  readonly #limits: Limits
  /** At most one connection is kept between two uses. */
  #idle: Connection | null = null
  readonly #snapshots = new Set<Snapshot>()
  #closed = false
  /** Known from discovery; only a restart of the server changes it. */
  #lockSlots: number | null = null

  constructor(settings: ConnectionSettings, options: PostgresSourceOptions) {
    this.#settings = settings
    this.#options = options
    this.#logger = options.logger ?? silentLogger
    this.#limits = options.limits ?? DEFAULT_LIMITS
    this.description = describeConnection(settings)
    this.database = settings.database
  }

  async check(options: CheckOptions = {}): Promise<SourceCheck> {
    return this.#borrow(options.signal, (connection) =>
      checkSource(connection, { ...options, stallTimeoutMs: this.#limits.stallTimeoutMs }),
    )
  }

  async health(options: HealthOptions = {}): Promise<SourceHealth> {
    return probeHealth((signal, work) => this.#borrow(signal, work), options)
  }

  async discover(selection: Selection, options: DiscoverOptions = {}): Promise<Catalog> {
    const { queries = [] } = options
    return this.#borrow(options.signal, async (connection) => {
      const { lockTimeoutMs, stallTimeoutMs } = this.#limits
      const greenplum = greenplumOf(connection)
      const begin = sessionPreamble(connection.serverVersion, {
        lockTimeoutMs,
        ...(greenplum === null ? {} : { statementTimeoutMs: stallTimeoutMs }),
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
    const budget = divideBudget(options.limits.maxConnections)
    const readers = Math.min(options.readers, budget.readers)
    const leader = await this.#take(options.signal)
    const onAbort = (): void => {
      leader.destroy()
    }
    options.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const parts = await openParts(streams, {
        leader,
        readers,
        reader: async () => ({
          file: findReaderFile(this.#options.readerWorker),
          connection: await this.#readerSettings(leader),
          ...this.#observing(),
        }),
        snapshot: options,
        searchPath: this.#options.searchPath ?? [],
        logger: this.#logger,
      })
      const snapshot: Snapshot = new PostgresSnapshot({
        ...parts,
        openSide: budget.side ? () => this.#connectAgain(leader, 'watch') : null,
        release: async (connections) => {
          this.#snapshots.delete(snapshot)
          await this.#giveBack(connections)
        },
      })
      this.#snapshots.add(snapshot)
      return snapshot
    } catch (error) {
      leader.destroy()
      throw options.signal?.aborted === true ? options.signal.reason : error
    } finally {
      options.signal?.removeEventListener('abort', onAbort)
    }
  }

  async formSnapshotGroups(
    streams: readonly CatalogStream[],
  ): Promise<readonly (readonly CatalogStream[])[]> {
    if (streams.length === 0) return []
    this.#lockSlots ??= await this.#borrow(undefined, async (connection) => {
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
    await this.#borrow(undefined, (connection) =>
      inTransaction(connection, this.#limits, () =>
        checkCondition(connection, stream, where, {
          ...options,
          searchPath: stream.kind === 'query' ? (this.#options.searchPath ?? []) : [],
        }),
      ),
    )
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const snapshot of this.#snapshots) await snapshot.close()
    await this.#idle?.close()
    this.#idle = null
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The connection is dropped when `work` fails, whatever it left behind. */
  async #borrow<Result>(
    signal: AbortSignal | undefined,
    work: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    const connection = await this.#take(signal)
    const onAbort = (): void => {
      connection.destroy()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const result = await work(connection)
      await this.#keep(connection)
      return result
    } catch (error) {
      await connection.close()
      throw signal?.aborted === true ? signal.reason : error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async #take(signal: AbortSignal | undefined): Promise<Connection> {
    if (this.#closed) throw new TrunklineError('INTERNAL', 'The source is closed.')
    const idle = this.#idle
    this.#idle = null
    if (idle !== null && !idle.lost.aborted) return idle
    const { password } = this.#options
    return connect(this.#settings, {
      logger: this.#logger,
      ...(signal === undefined ? {} : { signal }),
      ...(password === undefined ? {} : { password }),
      ...this.#observing(),
    })
  }

  async #connectAgain(leader: Connection, purpose: string): Promise<Connection> {
    const { password } = this.#options
    return connect(leader.settings, {
      applicationName: `${leader.settings.applicationName} ${purpose}`,
      ...(password === undefined ? {} : { password }),
      ...this.#observing(),
    })
  }

  #observing(): { readonly observer?: ConnectionObserver } {
    const { observer } = this.#options
    return observer === undefined ? {} : { observer }
  }

  /** A password that is asked for by a function cannot be asked for in another thread. */
  async #readerSettings(leader: Connection): Promise<ConnectionSettings> {
    const password = await this.#options.password?.()
    return password === undefined ? leader.settings : { ...leader.settings, password }
  }

  async #keep(connection: Connection): Promise<void> {
    if (this.#closed || this.#idle !== null || connection.lost.aborted) await connection.close()
    else this.#idle = connection
  }

  async #giveBack(connections: readonly Connection[]): Promise<void> {
    const [leader, ...others] = connections
    await Promise.all(others.map((connection) => connection.close()))
    if (leader === undefined) return
    try {
      await leader.execute('ROLLBACK')
      await this.#keep(leader)
    } catch {
      leader.destroy()
    }
  }
}

const COMMIT = 'COMMIT'

async function inTransaction<Result>(
  connection: Connection,
  limits: Limits,
  work: () => Promise<Result>,
): Promise<Result> {
  await beginReading(connection, { lockTimeoutMs: limits.lockTimeoutMs })
  const result = await work()
  await connection.execute(COMMIT)
  return result
}
