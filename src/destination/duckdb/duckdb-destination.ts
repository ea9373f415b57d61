/** A DuckDB file as a destination. */
import path from 'node:path'
import { availableParallelism } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import type { DuckDBConnection } from '@duckdb/node-api'
import { TrunklineError } from '../../model/error.js'
import type { Logger } from '../../model/log.js'
import type {
  Destination,
  DestinationCapabilities,
  OpenOptions,
  StateEdit,
  StreamLanding,
  StreamWriter,
  SyncState,
  TableName,
  UnchangedStream,
} from '../contract.js'
import type { DatabaseLimits } from './database.js'
import { Database } from './database.js'
import { toDestinationError } from './errors.js'
import { claimFile } from './file-claim.js'
import type { DestinationFile } from './inspect-file.js'
import { assertDuckDb, inspectFile } from './inspect-file.js'
import type { PartialKey } from './partial-store.js'
import { dropPartial, readPartials } from './partial-store.js'
import { CATALOG, foldName, formatTable, quoteName } from './quote.js'
import { KnownTables } from './known-tables.js'
import { countColumns, fillMemory, memoryForColumns, memoryLimit, memoryOfCommitted } from './memory-room.js'
import { nothingSaved, notOpen } from '../refusals.js'
import { ownedByOther } from './refusals.js'
import { RunFile } from './run-file.js'
import { createStateTables, hasStateTables } from './state-layout.js'
import {
  applyStateEdit,
  assertLease,
  highestTableNumber,
  readSyncStates,
  releaseLease,
  takeLease,
} from './state-store.js'
import { DuckDbStreamWriter } from './stream-writer.js'
import { assertDistinctNames } from './table-columns.js'
import { confirmStreams } from './unchanged-streams.js'
import type { Workspace } from './workspace.js'
import { openAtomic, openDirect } from './workspace.js'

export interface DuckDbOptions {
  readonly path: string
  /** `direct` writes the file itself; `atomic` works in a private copy that takes its place when the run is over. */
  readonly publish: 'direct' | 'atomic'
  readonly logger?: Logger
  readonly memoryLimitBytes?: number
  readonly threads?: number
}

const CAPABILITIES: DestinationCapabilities = {
  landings: new Set(['replace', 'upsert', 'append'] as const),
  deletes: true,
  verify: true,
  resume: true,
  foldName,
  maxNameBytes: 1_000_000,
}

/** A file of such a name is opened by DuckDB as `<name>_db`. */
const RESERVED_CATALOGS = new Set(['main', 'temp', 'system'])

export function createDuckDbDestination(options: DuckDbOptions): Destination {
  return new DuckDbDestination(options)
}

interface OpenRun {
  readonly database: Database
  readonly workspace: Workspace
  readonly control: DuckDBConnection
  readonly runFile: RunFile
  readonly scratchDir: string
  readonly sync: string
  readonly runId: string
  readonly epoch: number
  readonly adopt: boolean
  /** Present generations, by stream. */
  readonly generations: Map<string, number>
  /** What interrupted loads left, by stream: read once, as the lease keeps others from adding to it. */
  readonly partials: Map<string, PartialKey>
  /** How many columns each open writer lands. */
  readonly columnCounts: Map<StreamWriter, number>
  readonly known: KnownTables
  /** Columns of new tables whose rows are in the log and in memory, and not yet in their blocks. */
  columnsInMemory: number
  nextNumber: number
  /** Something was committed: there is something to publish. */
  changed: boolean
}

class DuckDbDestination implements Destination {
  readonly capabilities = CAPABILITIES
  readonly description: string
  readonly folder: string
  readonly #options: DuckDbOptions
  readonly #writers = new Set<StreamWriter>()
  #run: OpenRun | null = null
  /** An instance without a file, for the next `open`. */
  #prepared: Promise<Database> | null = null
  /** Commits, and statements on the control connection, one after another. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: DuckDbOptions) {
    this.#options = options
    this.description = `duckdb:${options.path}`
    this.folder = path.dirname(path.resolve(options.path))
  }

  prepare(): void {
    if (this.#run || this.#prepared) return
    // Loading DuckDB holds this thread: what was begun before gets its turn first.
    this.#prepared = setImmediate().then(() => Database.start(this.#limits()))
    this.#prepared.catch(() => undefined)
  }

  async open(options: OpenOptions): Promise<SyncState> {
    if (this.#run) throw new TrunklineError('INTERNAL', `${this.description} is already open.`)
    try {
      options.signal?.throwIfAborted()
      const target = await inspectFile(this.#options.path, true)
      const prepared = this.#prepared
      this.#prepared = null
      const database = await (prepared ?? Database.start(this.#limits()))
      try {
        const workspace = await this.#openWorkspace(database, target)
        try {
          return await this.#takeOver(options, database, workspace, target.path)
        } catch (error) {
          workspace.release()
          throw error
        }
      } catch (error) {
        await database.close().catch(() => undefined)
        throw error
      }
    } catch (error) {
      throw await this.#failure('opening', error)
    }
  }

  #openWorkspace(database: Database, target: DestinationFile): Promise<Workspace> {
    return this.#options.publish === 'atomic' ? openAtomic(database, target) : openDirect(database, target)
  }

  async #takeOver(
    options: OpenOptions,
    database: Database,
    workspace: Workspace,
    target: string,
  ): Promise<SyncState> {
    const scratchDir = await database.confine(workspace.file, target)
    const control = await database.connect()
    try {
      await database.makeLogPrivate()
      await createStateTables(control)
      const epoch = await takeLease(database.api, control, options)
      const [states] = await readSyncStates(control, options.sync)
      if (!states) throw new TrunklineError('INTERNAL', 'The state just written is gone.')
      const partials = await readPartials(control)
      const ours = partials.filter(({ sync }) => sync === options.sync)
      const highest = await highestTableNumber(control)
      const runFile = new RunFile(target, options)
      await runFile.start()
      this.#run = {
        database,
        workspace,
        control,
        runFile,
        scratchDir,
        sync: options.sync,
        runId: options.runId,
        epoch,
        adopt: options.adopt,
        generations: new Map([...states.streams].map(([stream, { generation }]) => [stream, generation])),
        partials: new Map(ours.map((partial) => [partial.stream, partial])),
        columnCounts: new Map(),
        known: new KnownTables(control),
        columnsInMemory: 0,
        nextNumber: Math.max(highest, ...partials.map(({ number }) => number)) + 1,
        changed: workspace.unpublished,
      }
      return states
    } catch (error) {
      control.closeSync()
      throw error
    }
  }

  async begin(landing: StreamLanding): Promise<StreamWriter> {
    const run = this.#requireRun()
    assertDistinctNames(landing)
    const fresh = run.generations.get(landing.stream) !== landing.generation
    return this.#alone(async () => {
      const { exists: present, owner } = await run.known.find(landing.table)
      const ours = owner?.sync === run.sync && owner.stream === landing.stream
      if (present !== null && !ours && !run.adopt) throw ownedByOther(landing, owner)
      if (!fresh && present !== 'table') {
        throw new TrunklineError(
          'DESTINATION_FAILED',
          `${this.#options.path}: the table ${formatTable(landing.table)} of ${landing.stream} is gone.`,
          {
            hint: `Load it anew: trunkline state resync ${landing.stream}`,
            context: { stream: landing.stream, path: this.#options.path },
          },
        )
      }
      const partial = await this.#settlePartial(run, landing)
      await run.control.run(
        `CREATE SCHEMA IF NOT EXISTS ${quoteName(CATALOG)}.${quoteName(landing.table.schema)}`,
      )
      await this.#makeRoom(run, countColumns(landing.fields))
      const number = partial ?? (ours ? owner.number : run.nextNumber++)
      let committed = false
      const writer = await DuckDbStreamWriter.open(
        {
          database: run.database,
          path: this.#options.path,
          scratchDir: run.scratchDir,
          threads: this.#limits().threads,
          sync: run.sync,
          runId: run.runId,
          epoch: run.epoch,
          number,
          fresh,
          resumed: partial !== null,
          present,
          ours,
          makeRoomFor: (bytes) => this.#makeRoomFor(run, bytes),
          onRows: (rows) => {
            run.runFile.addRows(rows)
          },
          commitAlone: (commit) =>
            this.#alone(async () => {
              await assertLease(run.control, run.sync, run.epoch)
              await run.database.makeLogPrivate()
              await commit()
              run.changed = true
              if (fresh) await this.#empty(run, countColumns(landing.fields))
            }),
          hasPartial: () => run.partials.has(landing.stream),
          onSaved: (partial) => {
            run.partials.set(landing.stream, partial)
          },
          onCommitted: () => {
            committed = true
            const { sync } = run
            const { stream, generation } = landing
            run.known.committed(landing.table, { sync, stream, number, generation })
            run.partials.delete(landing.stream)
            run.generations.set(stream, generation)
            run.runFile.addCommit()
          },
          onEnd: (ended) => {
            // A commit that failed may have been one all the same: the file knows.
            if (!committed) run.known.forget()
            this.#writers.delete(ended)
            run.columnCounts.delete(ended)
          },
        },
        landing,
      )
      this.#writers.add(writer)
      run.columnCounts.set(writer, countColumns(landing.fields))
      return writer
    })
  }

  /**
   * The number of the partial load that the landing goes on in; null where it starts anew, and then nothing is left of an earlier
   * one, whose blocks the new load can use.
   */
  async #settlePartial(run: OpenRun, landing: StreamLanding): Promise<number | null> {
    if (landing.resume === true) return requirePartial(run, landing)
    const saved = run.partials.get(landing.stream)
    if (!saved) return null
    await dropPartial(run.control, saved)
    run.partials.delete(landing.stream)
    run.changed = true
    return null
  }

  confirmUnchanged(streams: readonly UnchangedStream[]): Promise<ReadonlySet<string>> {
    const run = this.#requireRun()
    return this.#alone(async () => {
      const ours: UnchangedStream[] = []
      for (const stream of streams) {
        const { exists, owner } = await run.known.find(stream.table)
        const same = owner?.sync === run.sync && owner.stream === stream.stream
        if (exists === 'table' && same && !run.partials.has(stream.stream)) ours.push(stream)
      }
      await assertLease(run.control, run.sync, run.epoch)
      await run.database.makeLogPrivate()
      await run.control.run('BEGIN')
      try {
        const confirmed = await confirmStreams(run.database.api, run.control, run, ours)
        await run.control.run('COMMIT')
        if (confirmed.size > 0) run.changed = true
        for (const _ of confirmed) run.runFile.addCommit()
        return confirmed
      } catch (error) {
        await run.control.run('ROLLBACK').catch(() => undefined)
        throw await this.#failure('confirming what did not change', error)
      }
    })
  }

  /** Small tables never fill the log to the size at which DuckDB writes its rows to their blocks, and so would fill the memory. */
  async #empty(run: OpenRun, columnCount: number): Promise<void> {
    run.columnsInMemory += columnCount
    if (!fillMemory(run.columnsInMemory)) return
    try {
      await run.control.run(`CHECKPOINT ${quoteName(CATALOG)}`)
      run.columnsInMemory = 0
    } catch {
      // Refused while another stream is being written: the next commit tries again, and until then there has to be room.
      if (this.#options.memoryLimitBytes !== undefined) return
      await run.database.allowMemory(this.#limits().memoryLimitBytes + memoryOfCommitted(run.columnsInMemory))
    }
  }

  exampleQuery(table: TableName): string {
    const part = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteName(name))
    const stem = path.parse(this.#options.path).name
    const catalog = RESERVED_CATALOGS.has(foldName(stem)) ? `${stem}_db` : stem
    const prefix = foldName(catalog) === foldName(table.schema) ? `${part(catalog)}.` : ''
    return `FROM ${prefix}${part(table.schema)}.${part(table.name)}`
  }

  async readState(sync: string | null): Promise<readonly SyncState[]> {
    if (this.#run) {
      const { control } = this.#run
      return this.#alone(() => readSyncStates(control, sync))
    }
    try {
      const target = await inspectFile(this.#options.path, false)
      if (!target.exists) return sync === null ? [] : [{ sync, epoch: 0, streams: new Map() }]
      // In atomic mode nobody writes the published file, so there is nothing to wait for.
      const noteOf = this.#options.publish === 'atomic' ? null : target.path
      const claim = await claimFile(target.path, 'read', noteOf)
      try {
        if (claim.alone) await assertDuckDb(target, 'read')
        return await this.#withDatabase(async (database) => {
          await database.attach(target.path, { readOnly: true })
          return useConnection(database, (connection) => readSyncStates(connection, sync))
        })
      } finally {
        claim.release()
      }
    } catch (error) {
      throw await this.#failure('reading the state', error)
    }
  }

  async editState(sync: string, stream: string, edit: StateEdit): Promise<void> {
    if (this.#run) {
      const { control } = this.#run
      return this.#alone(() => applyStateEdit(control, sync, stream, edit))
    }
    try {
      const target = await inspectFile(this.#options.path, true)
      if (!target.exists) throw nothingSaved(sync, stream)
      await this.#withDatabase(async (database) => {
        const workspace = await this.#openWorkspace(database, target)
        try {
          await database.makeLogPrivate()
          await useConnection(database, async (connection) => {
            if (!(await hasStateTables(connection))) throw nothingSaved(sync, stream)
            await applyStateEdit(connection, sync, stream, edit)
          })
          await database.detach()
          await workspace.publish(true)
        } finally {
          workspace.release()
        }
      })
    } catch (error) {
      throw await this.#failure('changing the state', error)
    }
  }

  async close(): Promise<void> {
    const prepared = this.#prepared
    this.#prepared = null
    await prepared?.then((database) => database.close()).catch(() => undefined)
    const run = this.#run
    if (!run) return
    this.#run = null
    try {
      for (const writer of [...this.#writers]) await writer.abort()
      await this.#queue
      await run.database.makeLogPrivate()
      await releaseLease(run.database.api, run.control, run.sync, run.epoch)
      run.control.closeSync()
      await run.database.detach()
      await run.workspace.publish(run.changed)
    } catch (error) {
      throw await this.#failure('closing', error)
    } finally {
      await run.database.close().catch(() => undefined)
      await run.runFile.remove()
      run.workspace.release()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #withDatabase<T>(work: (database: Database) => Promise<T>): Promise<T> {
    const database = await Database.start(this.#limits())
    try {
      return await work(database)
    } finally {
      await database.close().catch(() => undefined)
    }
  }

  #limits(): DatabaseLimits {
    const threads = this.#options.threads ?? defaultThreads()
    return {
      memoryLimitBytes: this.#options.memoryLimitBytes ?? memoryLimit(threads),
      threads,
    }
  }

  /** For the columns that are landed at once, unless the limit was given. */
  async #makeRoom(run: OpenRun, columnCount: number): Promise<void> {
    if (this.#options.memoryLimitBytes !== undefined) return
    const columns = [...run.columnCounts.values()].reduce((sum, count) => sum + count, columnCount)
    await run.database.allowMemory(memoryForColumns(columns, this.#limits().threads))
  }

  /** For long rows, unless the limit was given. */
  async #makeRoomFor(run: OpenRun, bytes: number): Promise<void> {
    if (this.#options.memoryLimitBytes !== undefined || bytes === 0) return
    await run.database.allowMemory(this.#limits().memoryLimitBytes + bytes)
  }

  #requireRun(): OpenRun {
    if (this.#run) return this.#run
    throw notOpen(this.description)
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }

  #failure(doing: string, error: unknown): Promise<TrunklineError> {
    return toDestinationError(error, { doing, path: this.#options.path })
  }
}

/** @throws DESTINATION_FAILED where the partial load is not the one that the landing means, or is gone. */
function requirePartial(run: OpenRun, landing: StreamLanding): number {
  const saved = run.partials.get(landing.stream)
  const same =
    saved?.generation === landing.generation &&
    foldName(formatTable(saved.table)) === foldName(formatTable(landing.table))
  if (same) return saved.number
  throw new TrunklineError('DESTINATION_FAILED', `What was loaded of ${landing.stream} is gone.`, {
    hint: `Load it anew: trunkline state resync ${landing.stream}`,
    context: { stream: landing.stream },
  })
}

/**
 * One core is left to reading. On two cores a single thread is also the cheaper way to load: two take a fifth more processor in
 * all and leave the reader and the server none.
 */
function defaultThreads(): number {
  return Math.max(1, availableParallelism() - 1)
}

async function useConnection<T>(
  database: Database,
  work: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const connection = await database.connect()
  try {
    return await work(connection)
  } finally {
    connection.closeSync()
  }
}
