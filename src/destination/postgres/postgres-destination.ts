/** A PostgreSQL database as a destination. */
import { TrunklineError } from '../../model/error.js'
import { silentLogger, type Logger } from '../../model/log.js'
import { connect } from '../../postgres/connect.js'
import type { ConnectionSettings } from '../../postgres/connection-settings.js'
import type { Connection } from '../../postgres/connection.js'
import { dialectOf } from '../../postgres/dialect.js'
import { quoteIdent } from '../../postgres/quote.js'
import { describeConnection } from '../../postgres/resolve-connection.js'
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
import { nothingSaved, notOpen } from '../refusals.js'
import { askUntilAnswered, settleCommit } from './commit-outcome.js'
import { addEnumLabels } from './enum-labels.js'
import { toTargetError } from './errors.js'
import { Lease } from './lease.js'
import {
  assertNames,
  cannotGoOn,
  columnTaken,
  landsOnItself,
  notATable,
  notTheTable,
  ownedByOther,
  partialGone,
  tableGone,
} from './refusals.js'
import type { Place } from './state-layout.js'
import { createStateTables, forgetForeignOids, formatTable, hasStateTables } from './state-layout.js'
import type { PartialKey } from './state-store.js'
import {
  applyStateEdit,
  assertLease,
  dropPartial,
  isCommitted,
  isSaved,
  nextTableNumber,
  readPartials,
  readSyncStates,
} from './state-store.js'
import { PostgresStreamWriter } from './stream-writer.js'
import { isTheirs, readOwner, readTable, readTypes } from './target-table.js'
import { confirmStreams } from './unchanged-streams.js'
import { inReading, inTransaction } from './write-session.js'
import type { WriterContext } from './writer-context.js'

export interface PostgresDestinationOptions {
  readonly settings: ConnectionSettings
  readonly logger?: Logger
  /** Asked afresh for each connection. */
  readonly password?: () => string | Promise<string>
}

const CAPABILITIES: DestinationCapabilities = {
  landings: new Set(['replace', 'upsert', 'append'] as const),
  deletes: true,
  verify: true,
  resume: true,
  foldName: (name) => name,
  maxNameBytes: 63,
  serverText: true,
  defaultSchema: 'public',
}

/** Below it nothing was tried. */
const FIRST_VERSION = 120_000
/** Connections that wait for the next stream. */
const MOST_IDLE = 4

export function createPostgresDestination(options: PostgresDestinationOptions): Destination {
  return new PostgresDestination(options)
}

interface Identity extends Place {
  readonly database: string
}

interface OpenRun {
  readonly control: () => Promise<Connection>
  readonly lease: Lease
  readonly adopt: boolean
  readonly identity: Identity
  /** Present generations, by stream. */
  readonly generations: Map<string, number>
  /** What interrupted loads left, by stream: the lease keeps others from adding to it. */
  readonly partials: Map<string, PartialKey>
  readonly signal: AbortSignal | undefined
}

class PostgresDestination implements Destination {
  readonly capabilities = CAPABILITIES
  readonly description: string
  readonly #options: PostgresDestinationOptions
  readonly #writers = new Set<StreamWriter>()
  readonly #idle: Connection[] = []
  /** Taken and not given back yet. */
  readonly #taken = new Set<Connection>()
  #control: Connection | null = null
  #run: OpenRun | null = null
  /** What is done on the control connection, one after the other. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: PostgresDestinationOptions) {
    this.#options = options
    this.description = `postgresql://${describeConnection(options.settings)}`
  }

  async open(options: OpenOptions): Promise<SyncState> {
    if (this.#run) throw new TrunklineError('INTERNAL', `${this.description} is already open.`)
    const { signal } = options
    const connecting = (): Promise<Connection> => this.#connect(signal)
    const open = async (): Promise<SyncState> => {
      const control = await this.#openControl(signal)
      try {
        await createStateTables(control)
        const lease = await Lease.take(control, options, {
          connect: connecting,
          description: this.description,
        })
        const { states, partials, identity } = await inTransaction(control, async () => {
          const here = await readIdentity(control)
          await forgetForeignOids(control, here)
          return {
            states: (await readSyncStates(control, options.sync))[0],
            partials: await readPartials(control, options.sync),
            identity: here,
          }
        }).catch(async (error: unknown) => {
          await lease.release(null)
          throw error
        })
        if (!states) throw new TrunklineError('INTERNAL', 'The state just written is gone.')
        this.#run = {
          control: () => this.#openControl(signal),
          lease,
          adopt: options.adopt,
          identity,
          generations: new Map([...states.streams].map(([stream, { generation }]) => [stream, generation])),
          partials: new Map(partials.map((partial) => [partial.stream, partial])),
          signal,
        }
        return states
      } catch (error) {
        await this.#closeControl()
        throw error
      }
    }
    return this.#explained('opening', () => this.#interruptible(signal, open))
  }

  async begin(landing: StreamLanding): Promise<StreamWriter> {
    const run = this.#requireRun()
    assertNames(landing)
    return this.#explained(`beginning ${landing.stream}`, async () => {
      const connection = await this.#take(run.signal)
      try {
        const context = await this.#alone(() =>
          this.#interruptible(run.signal, () => this.#prepare(run, landing, connection)),
        )
        const writer = await PostgresStreamWriter.open(context, landing)
        this.#writers.add(writer)
        return writer
      } catch (error) {
        this.#give(connection)
        throw error
      }
    })
  }

  async #prepare(run: OpenRun, landing: StreamLanding, connection: Connection): Promise<WriterContext> {
    await run.lease.hold()
    const control = await run.control()
    const { stream, table } = landing
    const { sync, runId, epoch } = run.lease
    const fresh = run.generations.get(stream) !== landing.generation
    const facts = await inTransaction(control, async () => {
      const present = await readTable(control, table)
      const owner = await readOwner(control, table)
      const named = owner?.sync === sync && owner.stream === stream
      if (present !== null && !named && !run.adopt) throw ownedByOther(landing, present, owner)
      const ours = named && (present === null || owner.oid === null || owner.oid === present.oid)
      if (named && !ours && !run.adopt) throw notTheTable(landing)
      // We make tables: what else has the name of ours came after somebody renamed or dropped that.
      if (present !== null && /^[vmf]$/.test(present.kind) && !run.adopt)
        throw ownedByOther(landing, present, null)
      if (present !== null && !/^[rpvmf]$/.test(present.kind)) throw notATable(landing)
      if (present !== null && isItself(landing, present.oid, run.identity)) throw landsOnItself(landing)
      if (!fresh && (present === null || !/^[rp]$/.test(present.kind))) throw tableGone(landing)
      if (!fresh && !ours) throw cannotGoOn(landing)
      const made = ours ? owner.made : null
      const taken = landing.fields.find(({ name }) => isTheirs(name, present, made))
      if (taken !== undefined && !run.adopt) throw columnTaken(landing, taken.name)
      const resumed = await this.#settlePartial(run, control, landing)
      const number = resumed ?? (named ? owner.number : await nextTableNumber(control))
      const known = await readTypes(control, landing.origin)
      const labelled = await addEnumLabels(control, landing.origin, { present, types: known })
      const types = labelled ? await readTypes(control, landing.origin) : known
      return { present, ours, made, resumed: resumed !== null, number, types }
    })
    if (!facts.resumed) run.partials.delete(stream)
    return {
      connection,
      description: this.description,
      sync,
      runId,
      epoch,
      fresh,
      ...facts,
      signal: run.signal,
      isCommitted: (origin) => this.#ask(run, (asking) => isCommitted(asking, origin)),
      isSaved: (saved) => this.#ask(run, (asking) => isSaved(asking, saved)),
      onSaved: (partial) => {
        run.partials.set(stream, partial)
      },
      onCommitted: () => {
        run.partials.delete(stream)
        run.generations.set(stream, landing.generation)
      },
      onEnd: (writer, used, usable) => {
        this.#writers.delete(writer)
        if (usable) this.#give(used)
        else if (this.#taken.delete(used)) used.destroy()
      },
    }
  }

  /** The number of the partial load that the landing goes on in; null where it starts anew, and then nothing is left of an earlier one. */
  async #settlePartial(run: OpenRun, control: Connection, landing: StreamLanding): Promise<number | null> {
    const saved = run.partials.get(landing.stream)
    if (landing.resume === true) {
      const same =
        saved?.generation === landing.generation && formatTable(saved.table) === formatTable(landing.table)
      if (same) return saved.number
      throw partialGone(landing.stream)
    }
    if (!saved) return null
    await assertLease(control, run.lease.sync, run.lease.epoch)
    await dropPartial(control, saved)
    return null
  }

  confirmUnchanged(streams: readonly UnchangedStream[]): Promise<ReadonlySet<string>> {
    const run = this.#requireRun()
    const { sync, epoch } = run.lease
    return this.#explained('confirming what did not change', async () => {
      let confirmed: ReadonlySet<string> = new Set()
      try {
        return await this.#alone(() =>
          this.#interruptible(run.signal, async () => {
            await run.lease.hold()
            const control = await run.control()
            return inTransaction(control, async () => {
              await assertLease(control, sync, epoch)
              confirmed = await confirmStreams(control, run.lease, streams)
              return confirmed
            })
          }),
        )
      } catch (error) {
        // One transaction, so that one of them tells of all.
        const one = streams.find(({ stream }) => confirmed.has(stream))
        if (one === undefined) throw error
        const origin = { sync, epoch, ...one }
        await settleCommit(one.stream, error, () => this.#ask(run, (asking) => isCommitted(asking, origin)))
        return confirmed
      }
    })
  }

  /** Whether a commit took place whose answer was lost: on the control connection, which is made again where it was lost, too. */
  #ask(run: OpenRun, question: (asking: Connection) => Promise<boolean>): Promise<boolean> {
    const ask = async (): Promise<boolean> => {
      const asking = await run.control()
      return inTransaction(asking, () => question(asking))
    }
    return askUntilAnswered(() => this.#alone(ask), { signal: run.signal })
  }

  /** What goes on here on the control connection ends with the signal, and the connection with it. */
  async #interruptible<Result>(
    signal: AbortSignal | undefined,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const onAbort = (): void => {
      const control = this.#control
      this.#control = null
      void control?.cancel()
      control?.destroy()
    }
    signal?.throwIfAborted()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return await work()
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  exampleQuery(table: TableName): string {
    const part = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteIdent(name))
    return `SELECT * FROM ${part(table.schema)}.${part(table.name)} LIMIT 10`
  }

  readState(sync: string | null): Promise<readonly SyncState[]> {
    return this.#explained('reading the state', () =>
      this.#withControl((control) => inReading(control, () => readSyncStates(control, sync))),
    )
  }

  editState(sync: string, stream: string, edit: StateEdit): Promise<void> {
    return this.#explained('changing the state', () =>
      this.#withControl(async (control) => {
        await inTransaction(control, async () => {
          if (!(await hasStateTables(control))) throw nothingSaved(sync, stream)
          await applyStateEdit(control, sync, stream, edit)
        })
        if (edit.kind === 'resync') this.#run?.partials.delete(stream)
      }),
    )
  }

  async close(): Promise<void> {
    const run = this.#run
    this.#run = null
    try {
      if (!run) return
      for (const writer of [...this.#writers]) await writer.abort()
      await this.#queue
      const control = this.#control?.lost.aborted === false ? this.#control : null
      // That a run is over is told also where its interruption took the connection.
      const again = control === null && run.signal?.aborted === true
      this.#control = again ? await this.#connect(undefined).catch(() => null) : control
      await run.lease.release(this.#control)
    } catch (error) {
      throw this.#failure('closing', error)
    } finally {
      for (const connection of this.#idle.splice(0)) await connection.close()
      await this.#closeControl()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Outside of a run the connection is closed again. */
  #withControl<Result>(work: (control: Connection) => Promise<Result>): Promise<Result> {
    return this.#alone(async () => {
      const control = await this.#openControl(this.#run?.signal)
      try {
        return await work(control)
      } finally {
        if (!this.#run) await this.#closeControl()
      }
    })
  }

  async #openControl(signal: AbortSignal | undefined): Promise<Connection> {
    if (this.#control?.lost.aborted === false) return this.#control
    this.#control = await this.#connect(signal)
    return this.#control
  }

  async #closeControl(): Promise<void> {
    const control = this.#control
    this.#control = null
    await control?.close()
  }

  async #take(signal: AbortSignal | undefined): Promise<Connection> {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.lost.aborted) continue
      this.#taken.add(connection)
      return connection
    }
    const connection = await this.#connect(signal)
    this.#taken.add(connection)
    return connection
  }

  /** What is given back already, or was given up, is left alone: two streams must never share a transaction. */
  #give(connection: Connection): void {
    if (!this.#taken.delete(connection)) return
    if (this.#run !== null && this.#idle.length < MOST_IDLE && !connection.lost.aborted) {
      this.#idle.push(connection)
    } else {
      void connection.close()
    }
  }

  async #connect(signal: AbortSignal | undefined): Promise<Connection> {
    const { settings, logger = silentLogger, password } = this.#options
    const connection = await connect(settings, {
      logger,
      applicationName: 'trunkline destination',
      ...(signal === undefined ? {} : { signal }),
      ...(password === undefined ? {} : { password }),
    })
    if (connection.serverVersion >= FIRST_VERSION && dialectOf(connection).kind === 'postgres')
      return connection
    await connection.close()
    throw new TrunklineError(
      'DESTINATION_INVALID',
      `${this.description}: the server is not PostgreSQL 12 or newer.`,
      { hint: 'Name another server; Greenplum can be read, and not be written.' },
    )
  }

  #requireRun(): OpenRun {
    if (this.#run) return this.#run
    throw notOpen(this.description)
  }

  #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }

  async #explained<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work()
    } catch (error) {
      throw this.#failure(doing, error)
    }
  }

  #failure(doing: string, error: unknown): TrunklineError {
    return toTargetError(error, { description: this.description, doing })
  }
}

/** The table that is read is the one that would be written. Where a server hides which it is, by all else that can be told. */
function isItself({ origin }: StreamLanding, oid: number, here: Identity): boolean {
  if (origin === undefined) return false
  const { relation } = origin
  const sameSystem =
    relation.systemIdentifier === null ||
    here.systemIdentifier === null ||
    relation.systemIdentifier === here.systemIdentifier
  return sameSystem && relation.database === here.database && relation.oid === oid
}

async function readIdentity(connection: Connection): Promise<Identity> {
  const [row] = await connection.query<{ database: string; oid: number; may_ask: boolean }>(
    `SELECT datname::text AS database, oid,
            has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_ask
       FROM pg_catalog.pg_database WHERE datname = current_database()`,
  )
  const [system] =
    row?.may_ask === true
      ? await connection.query<{ identifier: string }>(
          'SELECT system_identifier AS identifier FROM pg_catalog.pg_control_system()',
        )
      : []
  return {
    systemIdentifier: system?.identifier ?? null,
    database: row?.database ?? '',
    databaseOid: row?.oid ?? 0,
  }
}
