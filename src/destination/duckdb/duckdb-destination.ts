/** A DuckDB file as a destination. */
import { realpath } from 'node:fs/promises'
import path from 'node:path'
import { availableParallelism } from 'node:os'
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
} from '../contract.js'
import { Database, createFile, exists } from './database.js'
import { toDestinationError } from './errors.js'
import { CATALOG, foldName, formatTable, quoteName } from './quote.js'
import {
  applyStateEdit,
  assertLease,
  createStateTables,
  findTable,
  highestTableNumber,
  readSyncStates,
  releaseLease,
  takeLease,
} from './state-store.js'
import { DuckDbStreamWriter } from './stream-writer.js'

export interface DuckDbOptions {
  readonly path: string
  /** `direct` writes the file itself; `atomic` works in a private copy that takes its place when the run is over. */
  readonly publish: 'direct' | 'atomic'
  readonly logger?: Logger
  readonly memoryLimitBytes?: number
  readonly threads?: number
}

const MIB = 1024 * 1024
/** Leaves room for the rest of the process under the promise of 512 MiB. */
const DEFAULT_MEMORY_LIMIT_BYTES = 256 * MIB

const CAPABILITIES: DestinationCapabilities = {
  landings: new Set(['replace', 'upsert', 'append'] as const),
  deletes: true,
  verify: true,
  foldName,
  maxNameBytes: 1_000_000,
}

/** Files that this process has open: DuckDB does not notice a second opening by the same process, and damages the file. */
const openFiles = new Set<string>()

export function createDuckDbDestination(options: DuckDbOptions): Destination {
  return new DuckDbDestination(options)
}

interface OpenRun {
  readonly database: Database
  readonly control: DuckDBConnection
  readonly file: string
  readonly sync: string
  readonly runId: string
  readonly epoch: number
  readonly adopt: boolean
  readonly states: SyncState
  nextNumber: number
}

class DuckDbDestination implements Destination {
  readonly capabilities = CAPABILITIES
  readonly description: string
  readonly #options: DuckDbOptions
  readonly #writers = new Set<StreamWriter>()
  #run: OpenRun | null = null
  /** Commits, and statements on the control connection, one after another. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: DuckDbOptions) {
    this.#options = options
    this.description = `duckdb:${options.path}`
  }

  async open(options: OpenOptions): Promise<SyncState> {
    if (this.#run) throw new TrunklineError('INTERNAL', `${this.description} is already open.`)
    const { path: file } = this.#options
    let claimed: string | null = null
    try {
      await createFile(file)
      const real = await realpath(file)
      claim(real)
      claimed = real
      const database = await this.#openDatabase(real, false)
      const control = await database.connect()
      await createStateTables(control)
      const epoch = await takeLease(database.api, control, options)
      const [states] = await readSyncStates(control, options.sync)
      if (!states) throw new TrunklineError('INTERNAL', 'The state just written is gone.')
      this.#run = {
        database,
        control,
        file: real,
        sync: options.sync,
        runId: options.runId,
        epoch,
        adopt: options.adopt,
        states,
        nextNumber: (await highestTableNumber(control)) + 1,
      }
      return states
    } catch (error) {
      if (claimed !== null) openFiles.delete(claimed)
      throw toDestinationError(error, { doing: 'opening', path: file })
    }
  }

  async begin(landing: StreamLanding): Promise<StreamWriter> {
    const run = this.#requireRun()
    const state = run.states.streams.get(landing.stream)
    const fresh = state?.generation !== landing.generation
    return this.#alone(async () => {
      const { exists: present, owner } = await findTable(run.control, landing.table)
      const ours = owner?.sync === run.sync && owner.stream === landing.stream
      if (present !== null && !ours && !run.adopt) throw ownedByOther(landing, owner)
      if (!fresh && present !== 'table') {
        throw new TrunklineError(
          'DESTINATION_INVALID',
          `${this.#options.path}: the table ${formatTable(landing.table)} of ${landing.stream} is gone.`,
          {
            hint: `Load it anew: trunkline state resync ${landing.stream}`,
            context: { stream: landing.stream, path: this.#options.path },
          },
        )
      }
      await run.control.run(
        `CREATE SCHEMA IF NOT EXISTS ${quoteName(CATALOG)}.${quoteName(landing.table.schema)}`,
      )
      const writer: StreamWriter = await DuckDbStreamWriter.open(
        {
          database: run.database,
          path: this.#options.path,
          sync: run.sync,
          runId: run.runId,
          epoch: run.epoch,
          number: ours ? owner.number : run.nextNumber++,
          fresh,
          present,
          commitAlone: (commit) =>
            this.#alone(async () => {
              await assertLease(run.control, run.sync, run.epoch)
              await commit()
            }),
          onEnd: () => this.#writers.delete(writer),
        },
        landing,
      )
      this.#writers.add(writer)
      return writer
    })
  }

  exampleQuery(table: TableName): string {
    const part = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteName(name))
    const catalog = path.parse(this.#options.path).name
    const prefix = foldName(catalog) === foldName(table.schema) ? `${part(catalog)}.` : ''
    return `FROM ${prefix}${part(table.schema)}.${part(table.name)}`
  }

  async readState(sync: string | null): Promise<readonly SyncState[]> {
    if (this.#run) {
      const { control } = this.#run
      return this.#alone(() => readSyncStates(control, sync))
    }
    if (!(await exists(this.#options.path))) {
      return sync === null ? [] : [{ sync, epoch: 0, streams: new Map() }]
    }
    return this.#withFile(true, (connection) => readSyncStates(connection, sync))
  }

  async editState(sync: string, stream: string, edit: StateEdit): Promise<void> {
    if (this.#run) {
      const { control } = this.#run
      return this.#alone(() => applyStateEdit(control, sync, stream, edit))
    }
    await this.#withFile(false, (connection) => applyStateEdit(connection, sync, stream, edit))
  }

  async close(): Promise<void> {
    const run = this.#run
    if (!run) return
    this.#run = null
    try {
      for (const writer of [...this.#writers]) await writer.abort()
      await releaseLease(run.database.api, run.control, run.sync, run.epoch)
      run.control.closeSync()
      await run.database.close()
    } catch (error) {
      throw toDestinationError(error, { doing: 'closing', path: this.#options.path })
    } finally {
      openFiles.delete(run.file)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #withFile<T>(readOnly: boolean, use: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const file = await realpath(this.#options.path)
    claim(file)
    try {
      const database = await this.#openDatabase(file, readOnly)
      try {
        const connection = await database.connect()
        try {
          return await use(connection)
        } finally {
          connection.closeSync()
        }
      } finally {
        await database.close()
      }
    } catch (error) {
      throw toDestinationError(error, { doing: 'reading the state', path: this.#options.path })
    } finally {
      openFiles.delete(file)
    }
  }

  #openDatabase(file: string, readOnly: boolean): Promise<Database> {
    return Database.open({
      path: file,
      readOnly,
      memoryLimitBytes: this.#options.memoryLimitBytes ?? DEFAULT_MEMORY_LIMIT_BYTES,
      threads: this.#options.threads ?? availableParallelism(),
      scratchDir: `${file}.trunkline-tmp`,
    })
  }

  #requireRun(): OpenRun {
    if (this.#run) return this.#run
    throw new TrunklineError('FENCED', `${this.description} is not open.`, { hint: 'Open it first.' })
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }
}

function claim(file: string): void {
  if (!openFiles.has(file)) {
    openFiles.add(file)
    return
  }
  throw new TrunklineError('DESTINATION_LOCKED', `${file} is already open in this process.`, {
    hint: 'Let the run that has it open finish first.',
    context: { path: file },
  })
}

function ownedByOther(
  landing: StreamLanding,
  owner: { readonly sync: string; readonly stream: string } | null,
): TrunklineError {
  const table = formatTable(landing.table)
  const message =
    owner === null
      ? `The table ${table} is already there and was not made by Trunkline.`
      : `The table ${table} belongs to the stream ${owner.stream} of the sync ${owner.sync}.`
  return new TrunklineError('TABLE_OWNED', message, {
    hint: 'Land under another name with --name-template (for example {schema}_{table}), or take the table over with --adopt.',
    context: { stream: landing.stream },
  })
}
