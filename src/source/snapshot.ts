/** One MVCC snapshot that streams are counted and read in: the leader's transaction, its readers and its watch. */
import type { Batch } from '../batch/batch.js'
import { keepBuffer } from '../codec/idle-buffers.js'
import type { CatalogStream } from '../model/catalog.js'
import type { SourcePosition } from '../model/checkpoint.js'
import { TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { SourcePressure } from '../model/source-pressure.js'
import type { Limits } from '../model/sync-spec.js'
import { parseLsn, type Xid8 } from '../model/xid.js'
import type { Connection } from '../postgres/connection.js'
import type {
  CountOptions,
  CursorBound,
  InFlight,
  Snapshot,
  Split,
  StreamCount,
  StreamRead,
} from './contract.js'
import { cursorBoundsSql, cursorCountSql } from './cursor-count-sql.js'
import { awaitFlushed } from './durability.js'
import { guarded } from './guarded.js'
import { watchAsGoodGuest } from './good-guest.js'
import { WAITERS_SQL as GREENPLUM_WAITERS_SQL } from './greenplum/catalog-sql.js'
import { assertHeld, type HeldTransaction } from './greenplum/leader.js'
import { awaitSlot, explainStall } from './greenplum/queue.js'
import { createHandover } from './handover.js'
import { giveBack, lend } from './lent-buffers.js'
import { planSplits, whatToAsk } from './plan-splits.js'
import { createPace, type ReadPace } from './read-pace.js'
import { type ReadSettings, withReadSettings } from './read-settings.js'
import { readPressure } from './read-pressure.js'
import { readSplit } from './read-split.js'
import { countSql } from './read-sql.js'
import { readSurvivingLosses } from './read-surviving-losses.js'
import type { ReaderPool } from './reader-pool.js'
import { startReplay, type Given } from './replay.js'
import { isReadSequentially, NO_SURVEY, rangeColumn, readKeyBounds, type Survey } from './survey-stream.js'
import { assertTreeUnchanged } from './tree-check.js'
import { assertCondition, checkCondition, type ConditionRules } from './where-check.js'

interface CountRow {
  readonly total: string
  readonly in_window: string | null
}

interface CursorRow {
  readonly value: string | null
  readonly low: string | null
  readonly nulls: string
  readonly infinite: string
}

export interface SnapshotParts {
  readonly id: string
  readonly inFlight: InFlight | null
  readonly position: SourcePosition
  readonly horizon: Xid8
  readonly horizonAgeSeconds: number | null
  readonly streams: readonly CatalogStream[]
  readonly failed: readonly { readonly stream: string; readonly error: unknown }[]
  readonly leader: Connection
  /** Opens a connection for the watch; null where the budget has none. */
  readonly openSide: (() => Promise<Connection | null>) | null
  /** Null where the leader reads. */
  readonly readers: ReaderPool | null
  /** Bytes of a block of the server. */
  readonly blockSize: number
  readonly limits: Limits
  /** Streams that are read as row security filters them. */
  readonly filtered: ReadonlySet<string>
  readonly searchPath: readonly string[]
  readonly logger: Logger
  /** On Greenplum, whose snapshot is only as long what it was as the leader's transaction lasts; null elsewhere. */
  readonly held: HeldTransaction | null
  /** False where the server has no flush position to ask for. */
  readonly canAwaitFlush: boolean
  /** Gives connections back, or to nobody when they are broken. */
  readonly release: (connections: readonly Connection[]) => Promise<void>
}

/** Before, a long list of values is compared one by one. */
const FIRST_WITH_HASHED_LISTS = 140_000
/** Before, a partition joins a table of Greenplum only under a lock that ours is in the way of. */
const FIRST_WITH_ATTACHED_PARTITIONS = 120_000

export class PostgresSnapshot implements Snapshot {
  readonly id: string
  readonly position: SourcePosition
  readonly horizon: Xid8
  readonly horizonAgeSeconds: number | null
  readonly inFlight: InFlight | null
  readonly serverVersion?: number
  readonly streams: readonly CatalogStream[]
  readonly failed: readonly { readonly stream: string; readonly error: unknown }[]
  readonly #parts: SnapshotParts
  readonly #lost = new AbortController()
  readonly #closed = new AbortController()
  readonly #stopWatch: () => void
  #side: Promise<Connection | null> | null = null
  #waitingSessions = 0
  /** A server that does not know the question is not asked again. */
  #tellsPressure = true
  readonly #pace: ReadPace
  /** The leader does one thing at a time; a read on it lasts until its last batch is taken. */
  #tail: Promise<void> = Promise.resolve()
  #busy = 0
  #closing: Promise<void> | null = null

  constructor(parts: SnapshotParts) {
    this.#parts = parts
    this.#pace = parts.readers?.pace ?? createPace()
    this.id = parts.id
    this.position = parts.position
    this.horizon = parts.horizon
    this.horizonAgeSeconds = parts.horizonAgeSeconds
    this.inFlight = parts.inFlight
    if (parts.held === null) this.serverVersion = parts.leader.serverVersion
    this.streams = parts.streams
    this.failed = parts.failed
    this.#stopWatch = watchAsGoodGuest({
      limits: parts.limits,
      standby: parts.position.standby,
      logger: parts.logger,
      backendPids: () => [parts.leader.backendPid, ...(parts.readers?.backendPids ?? [])],
      ask: (sql, values) => this.#ask(sql, values),
      ...(parts.held === null ? {} : { waitersSql: GREENPLUM_WAITERS_SQL }),
      ping: () => this.#ping(),
      giveUp: (reason) => {
        this.#giveUp(reason)
      },
      onWaiting: (sessions) => {
        this.#waitingSessions = sessions
      },
    })
    const { lost } = parts.leader
    const onLost = (): void => {
      const cause: unknown = lost.reason
      const why = cause instanceof Error ? cause.message : String(cause)
      this.#giveUp(
        new TrunklineError('SNAPSHOT_LOST', `The session that holds the snapshot ended: ${why}`, {
          hint: 'A retry goes on in a new snapshot.',
          cause,
        }),
      )
    }
    // Only as long as the snapshot: the connection is used again.
    if (lost.aborted) onLost()
    else lost.addEventListener('abort', onLost, { once: true, signal: this.#closed.signal })
  }

  get maxReaders(): number {
    return Math.max(1, this.#parts.readers?.size ?? 1)
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  async count(stream: CatalogStream, options: CountOptions): Promise<StreamCount> {
    if (options.where !== null) await assertCondition(stream, options.where)
    // With the leader's own process as many of the server as there may be readers. The segments are processes enough.
    const { held, limits } = this.#parts
    const workers = held === null ? this.maxReaders - 1 : 0
    const parallel = workers > 0 && this.#parts.leader.serverVersion >= FIRST_WITH_HASHED_LISTS
    const { where, window, cursor } = options
    const { serverVersion } = this.#parts.leader
    const sql =
      cursor === undefined
        ? countSql(stream, where, window, { parallel })
        : cursorCountSql(stream, where, window, cursor, serverVersion)
    const settings = { ...this.#settings(stream), workers }
    const [row] = await this.#onLeader(options.signal, async (leader, active) => {
      if (held !== null) await awaitSlot(leader, limits)
      return withReadSettings(leader, settings, () =>
        cancellable(leader, active, () => leader.query<CountRow & Partial<CursorRow>>(sql)),
      )
    })
    if (row === undefined) throw new Error('an aggregate gave no row')
    const counted = {
      total: Number(row.total),
      inWindow: row.in_window === null ? null : Number(row.in_window),
    }
    if (cursor === undefined) return counted
    const { value = null, low = null, nulls, infinite } = row
    return { ...counted, cursor: { value, low, nulls: Number(nulls), infinite: Number(infinite) } }
  }

  async divideByCursor(
    stream: CatalogStream,
    { where, question, parts }: Parameters<Snapshot['divideByCursor']>[1],
  ): Promise<readonly CursorBound[]> {
    if (where !== null) await assertCondition(stream, where)
    const sql = cursorBoundsSql(stream, where, question, parts, this.#parts.leader.serverVersion)
    return this.#onLeader(undefined, (leader, active) =>
      withReadSettings(leader, this.#settings(stream), () =>
        cancellable(leader, active, () => leader.query<CursorBound>(sql)),
      ),
    )
  }

  /** As the source does it, on the leader, when there is no other connection. */
  async checkWhere(stream: CatalogStream, where: string, rules: ConditionRules): Promise<void> {
    await this.#onLeader(undefined, (leader) =>
      guarded(leader, () => checkCondition(leader, stream, where, rules)),
    )
  }

  async plan(read: StreamRead): Promise<readonly Split[]> {
    if (read.where !== null) await assertCondition(read.stream, read.where)
    const { leader, blockSize } = this.#parts
    const facts = { readers: this.maxReaders, serverVersion: leader.serverVersion }
    const survey = await this.#survey(read, whatToAsk(read, facts))
    return planSplits(read, { ...facts, settings: this.#settings(read.stream), blockSize, survey })
  }

  async #survey(read: StreamRead, question: 'scan' | 'key_bounds' | null): Promise<Survey> {
    if (question === null) return NO_SURVEY
    const column = rangeColumn(read.stream)
    return this.#onLeader(undefined, (leader) =>
      withReadSettings(leader, this.#settings(read.stream), async () => {
        if (question === 'scan') return { ...NO_SURVEY, sequential: await isReadSequentially(leader, read) }
        const keyBounds = column === null ? null : await readKeyBounds(leader, read.stream, column)
        return { ...NO_SURVEY, keyBounds }
      }),
    )
  }

  async *read(split: Split, options: Parameters<Snapshot['read']>[1] = {}): AsyncGenerator<Batch, void> {
    const { onRead } = options
    const signal = this.#combine(options.signal)
    const { readers, logger } = this.#parts
    const readOnLeader = (given: Readonly<Given>): AsyncGenerator<Batch, void> =>
      this.#readOnLeader(split, given, signal)
    let given = 0
    try {
      const batches =
        readers === null
          ? readOnLeader({ batches: 0, digest: 0 })
          : readSurvivingLosses(split, { readers, readOnLeader, signal, onRead, logger })
      for await (const batch of batches) {
        given++
        yield batch
      }
    } catch (error) {
      // What broke the read may be that the snapshot is gone, and then that is what happened.
      if (this.signal.aborted) throw this.signal.reason
      throw this.#parts.held !== null && given === 0 ? explainStall(error, this.#parts.limits) : error
    }
  }

  giveBack(batch: Batch): void {
    giveBack(batch)
  }

  async assertUnchanged(stream: CatalogStream): Promise<void> {
    await this.#onLeader(undefined, async (leader) => {
      await this.#assertHeld(leader)
      if (this.#parts.held !== null && leader.serverVersion < FIRST_WITH_ATTACHED_PARTITIONS) return
      await withReadSettings(leader, this.#settings(stream), () => assertTreeUnchanged(leader, stream))
    })
  }

  /** Where the snapshot ended with the leader's transaction, nothing of what was read in it may be landed. */
  async #assertHeld(leader: Connection): Promise<void> {
    const { held, limits } = this.#parts
    if (held === null) return
    try {
      await assertHeld(leader, held, limits)
    } catch (error) {
      if (error instanceof TrunklineError && error.code === 'SNAPSHOT_LOST') this.#giveUp(error)
      throw error
    }
  }

  async pressure(): Promise<SourcePressure | null> {
    // The watch has opened it by then. An error on the leader would cost the snapshot.
    const side = (await this.#side) ?? null
    if (!this.#tellsPressure || side === null || side.lost.aborted || this.signal.aborted) return null
    try {
      return await readPressure((sql) => side.query(sql), this.#waitingSessions)
    } catch (error) {
      this.#tellsPressure = false
      this.#parts.logger.debug({ error: String(error) }, 'the server does not tell how hard it is pressed')
      return null
    }
  }

  limitReaders(most: number): void {
    this.#parts.readers?.limit(most)
  }

  async awaitDurable(
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly durable: boolean; readonly waitedMs: number }> {
    const { position, canAwaitFlush, held, logger } = this.#parts
    // Only what is flushed reaches a standby. What waits on Greenplum has no horizon to keep.
    if (position.standby || held !== null) return { durable: true, waitedMs: 0 }
    if (!canAwaitFlush || position.lsn === null) {
      logger.warn(
        {},
        'the server does not say how far its log is on disk; the horizon stays where it is and changed rows are read again',
      )
      return { durable: false, waitedMs: 0 }
    }
    const signal = this.#combine(options.signal)
    return awaitFlushed({
      target: parseLsn(position.lsn),
      signal,
      readFlushed: async () => {
        const [row] = await this.#onLeader(signal, (leader) =>
          leader.query<{ lsn: string | null }>('SELECT pg_catalog.pg_current_wal_flush_lsn()::text AS lsn'),
        )
        return row?.lsn ?? null
      },
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#stopWatch()
    const { leader, readers, release } = this.#parts
    this.#closed.abort(new TrunklineError('ABORTED', 'The snapshot is closed.'))
    await (this.signal.aborted ? readers?.terminate() : readers?.close())
    await this.#tail
    const side = (await this.#side) ?? null
    await release([leader, ...(side === null ? [] : [side])])
  }

  /** Our locks go at once, whatever whoever uses the snapshot is doing. */
  #giveUp(reason: TrunklineError): void {
    if (this.signal.aborted) return
    this.#lost.abort(reason)
    this.#stopWatch()
    const { leader, readers, logger } = this.#parts
    logger.info({ code: reason.code }, reason.message)
    // A backend learns of a closed socket only when it sends; the cancel reaches it in the middle of a count.
    void leader.cancel().finally(() => {
      leader.destroy()
    })
    void readers?.terminate()
  }

  async #ask<Row>(sql: string, values: readonly unknown[]): Promise<readonly Row[] | null> {
    const { leader } = this.#parts
    this.#side ??= this.#openSide()
    const side = await this.#side
    if (side !== null && !side.lost.aborted) return side.query<Row>(sql, values)
    // Without a connection of its own the watch asks the leader, between its work.
    return this.#busy > 0 ? null : this.#onLeader(undefined, () => leader.query<Row>(sql, values))
  }

  /** When the watch first asks: a short run does without. */
  async #openSide(): Promise<Connection | null> {
    const { openSide, logger } = this.#parts
    try {
      const side = (await openSide?.()) ?? null
      // Every connection that we may have is in use at this moment: the next look tries again.
      if (side === null) this.#side = null
      return side
    } catch (error) {
      logger.warn({ error: String(error) }, 'the watch for waiting sessions could not connect')
      return null
    }
  }

  async #ping(): Promise<void> {
    if (this.#busy === 0) await this.#onLeader(undefined, (leader) => leader.execute('SELECT 1'))
  }

  async *#readOnLeader(
    split: Split,
    given: Readonly<Given>,
    signal: AbortSignal,
  ): AsyncGenerator<Batch, void> {
    const handover = createHandover<Batch>()
    const stop = new AbortController()
    const replay = startReplay(given)
    const emit = async (batch: Batch): Promise<void> => {
      if (replay.accept(batch)) await handover.give(batch)
    }
    const reading = this.#onLeader(AbortSignal.any([signal, stop.signal]), async (leader, active) => {
      await readSplit(leader, split, { emit, signal: active, pace: this.#pace })
      replay.finish()
    }).then(
      () => {
        handover.end(null)
      },
      (error: unknown) => {
        handover.end({ error })
      },
    )
    try {
      for (;;) {
        const batch = await handover.take()
        if (batch === null) break
        yield lend(batch, keepHere)
      }
    } finally {
      stop.abort(new TrunklineError('ABORTED', 'The read was left early.'))
      handover.stop()
      await reading
    }
  }

  /** In turn; rejects with the signal's reason after an abort, which `work` has to act on. */
  async #onLeader<Result>(
    signal: AbortSignal | undefined,
    work: (leader: Connection, signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const active = this.#combine(signal)
    active.throwIfAborted()
    const before = this.#tail
    let release = (): void => undefined
    this.#tail = new Promise((resolve) => {
      release = resolve
    })
    this.#busy++
    try {
      await before
      active.throwIfAborted()
      return await work(this.#parts.leader, active)
    } catch (error) {
      throw active.aborted ? active.reason : error
    } finally {
      this.#busy--
      release()
    }
  }

  #settings(stream: CatalogStream): ReadSettings {
    const { filtered, searchPath } = this.#parts
    return {
      rowSecurity: filtered.has(stream.name),
      searchPath: stream.kind === 'query' ? searchPath : [],
    }
  }

  #combine(signal: AbortSignal | undefined): AbortSignal {
    return AbortSignal.any([...(signal === undefined ? [] : [signal]), this.signal, this.#closed.signal])
  }
}

/** By a transfer, so that whoever still has the batch finds it empty instead of the next one's rows. */
function keepHere(buffer: ArrayBuffer): void {
  keepBuffer(structuredClone(buffer, { transfer: [buffer] }))
}

/** An abort cancels at the server what runs there. */
async function cancellable<Result>(
  connection: Connection,
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  const onAbort = (): void => {
    void connection.cancel()
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await work()
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
