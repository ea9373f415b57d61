/**
 * One stream in one snapshot: reads what the plan says, lands it, proves the counts, commits rows and checkpoint together.
 *
 * Everything before `commit` can be thrown away; an error anywhere leaves the destination as the last commit made it.
 */
import type { Checkpoint } from '../model/checkpoint.js'
import { unreachable } from '../model/column-type.js'
import { TrunklineError } from '../model/error.js'
import type { VerifyResult } from '../model/report.js'
import { MASS_DELETE_MIN_ROWS, MASS_DELETE_SHARE } from '../model/thresholds.js'
import { epochOf, formatXid8, parseXid8 } from '../model/xid.js'
import type { Destination, StreamState, StreamWriter } from '../destination/contract.js'
import type { ReadColumn, RowWindow, Snapshot, StreamRead } from '../source/contract.js'
import { AppendFilter } from './append-filter.js'
import type { LandedColumns } from './column-fingerprint.js'
import { decideLoad, fingerprintOf, type Load } from './fingerprint.js'
import type { StreamPlan } from './plan.js'
import type { Progress } from './progress.js'
import { readSplits } from './read-splits.js'
import { SeenSet } from './seen-set.js'

export interface StreamRunInput {
  readonly snapshot: Snapshot
  readonly destination: Destination
  readonly plan: StreamPlan
  /** Null for a stream that was never committed. */
  readonly state: StreamState | null
  readonly runAt: Date
  readonly readers: number
  readonly verify: boolean
  readonly allowMassDelete: boolean
  readonly acceptNewSource: boolean
  /** Aborts with the reason why this stream must stop: the run's own or the snapshot's. */
  readonly signal: AbortSignal
  readonly progress: Progress
}

export interface StreamResult {
  readonly outcome: 'done' | 'unchanged'
  readonly fullLoadReason: string | null
  readonly generation: number
  readonly runSeq: number
  readonly rowsRead: number
  readonly rowsLanded: number
  readonly rowsDeleted: number
  readonly bytesRead: number
  readonly sourceCount: number | null
  readonly destinationCount: number | null
  readonly verified: VerifyResult | null
  readonly fenceMs: number | null
  readonly warnings: readonly string[]
}

/** @throws TrunklineError; nothing of this attempt is at the destination then. */
export async function runStream(input: StreamRunInput): Promise<StreamResult> {
  const { plan, snapshot, state } = input
  const load = decideLoad({
    plan,
    position: snapshot.position,
    saved: state?.checkpoint ?? null,
    acceptNewSource: input.acceptNewSource,
  })
  try {
    return await new StreamRun(input, load).run()
  } catch (error) {
    const again = load.kind === 'since' && plan.landing === 'upsert' && isCountMismatch(error)
    if (!again) throw error
    input.progress.warn(plan.stream.name, `${error.message} Loading it anew.`)
    const reason = 'The counts of the last load did not agree.'
    const anew: Load =
      plan.deletes === 'hard'
        ? { kind: 'new_generation', reason, columns: load.change.columns }
        : { kind: 'full_upsert', reason, change: load.change }
    return await new StreamRun(input, anew).run()
  }
}

/** One attempt, from `begin` to `commit` or `abort`. */
class StreamRun {
  readonly #input: StreamRunInput
  readonly #load: Load
  readonly #warnings: string[] = []
  #rowsRead = 0
  #rowsLanded = 0
  #rowsDeleted = 0
  #bytesRead = 0
  #total = 0
  #live: number | null = null
  #seen: SeenSet | null = null

  constructor(input: StreamRunInput, load: Load) {
    this.#input = input
    this.#load = load
  }

  async run(): Promise<StreamResult> {
    const { plan, snapshot, state, signal, progress } = this.#input
    const load = this.#load
    const window = load.kind === 'since' ? load.window : null
    const count = await snapshot.count(plan.stream, { where: plan.where, window, signal })
    this.#total = count.total
    const expected = window === null ? count.total : (count.inWindow ?? 0)
    progress.emit({
      kind: 'stream_started',
      stream: plan.stream.name,
      mode: plan.mode,
      expectedRows: expected,
      full: window === null,
    })
    if (load.kind === 'since') this.#warnings.push(...load.warnings)

    const generation = this.#generation()
    const writer = await this.#begin(generation)
    try {
      const added = 'change' in load ? load.change.added : []
      if (added.length > 0 && !this.#isFresh())
        await writer.alter({ add: added.map((column) => column.field) })
      if (expected > 0) await this.#land(writer, expected)
      const reconciled = await this.#proveCounts(writer)
      const verified = this.#input.verify ? await this.#verify(writer) : null
      const fenceMs = await this.#awaitDurable()
      await snapshot.assertUnchanged(plan.stream)
      signal.throwIfAborted()
      await writer.commit(this.#checkpoint())
      const untouched = load.kind === 'since' && expected === 0 && added.length === 0 && !reconciled
      return {
        outcome: untouched ? 'unchanged' : 'done',
        fullLoadReason: 'reason' in load ? load.reason : null,
        generation,
        runSeq: (state?.runSeq ?? 0) + 1,
        rowsRead: this.#rowsRead,
        rowsLanded: this.#rowsLanded,
        rowsDeleted: this.#rowsDeleted,
        bytesRead: this.#bytesRead,
        sourceCount: this.#total,
        destinationCount: this.#live,
        verified,
        fenceMs,
        warnings: [...plan.warnings, ...this.#warnings],
      }
    } catch (error) {
      await writer.abort()
      throw error
    }
  }

  /** The table of this load is made by it. */
  #isFresh(): boolean {
    const kind = this.#load.kind
    return (
      kind === 'new_generation' || (kind === 'dated_copy' && (this.#input.state?.checkpoint ?? null) === null)
    )
  }

  #generation(): number {
    const present = this.#input.state?.generation ?? 0
    return this.#isFresh() ? present + 1 : present
  }

  #begin(generation: number): Promise<StreamWriter> {
    const { plan, destination, state, runAt } = this.#input
    const columns = this.#columns()
    const names = new Set(columns.map((column) => column.source))
    const comments = plan.stream.columns.flatMap((column) =>
      column.comment !== null && names.has(column.name) ? [[column.name, column.comment] as const] : [],
    )
    return destination.begin({
      stream: plan.stream.name,
      table: plan.table,
      fields: columns.map((column) => column.field),
      comments: { table: plan.stream.comment, columns: Object.fromEntries(comments) },
      key: plan.key,
      keyEnforced: !plan.keyDeclared,
      landing: plan.landing,
      generation,
      expectedRunSeq: state?.runSeq ?? 0,
      deletes: plan.deletes,
      runAt: plan.dated ? runAt : null,
    })
  }

  #columns(): readonly ReadColumn[] {
    return landedColumns(this.#load).columns
  }

  async #land(writer: StreamWriter, expected: number): Promise<void> {
    const { plan, snapshot, signal, progress } = this.#input
    const load = this.#load
    const appends = plan.landing === 'append' && !plan.dated
    const filter = appends ? AppendFilter.for(load, snapshot, plan.stream.name) : null
    const passes = filter?.passes ?? [{ window: load.kind === 'since' ? load.window : null, filter: null }]
    let rowsOfFirst = 0
    for (const [index, pass] of passes.entries()) {
      const read = this.#read(this.#columns(), pass.window, filter !== null)
      for await (const batch of readSplits(snapshot, read, { readers: this.#input.readers, signal })) {
        this.#rowsRead += batch.rowCount
        this.#bytesRead += batch.buffer.byteLength
        if (index === 0) rowsOfFirst += batch.rowCount
        const landed = filter === null ? batch : filter.apply(batch, index)
        this.#rowsLanded += landed.rowCount
        if (landed.rowCount > 0) await writer.write(landed)
        signal.throwIfAborted()
        progress.emit({
          kind: 'stream_progress',
          stream: plan.stream.name,
          rows: this.#rowsRead,
          bytes: this.#bytesRead,
        })
      }
    }
    if (rowsOfFirst !== expected) {
      throw countMismatch(plan, `${rowsOfFirst} rows arrived where the snapshot holds ${expected}`)
    }
    this.#seen = filter?.nextSeen() ?? null
  }

  #read(columns: readonly ReadColumn[], window: RowWindow | null, withXmin: boolean): StreamRead {
    const { plan } = this.#input
    return {
      stream: plan.stream,
      columns,
      rows: window === null ? { kind: 'full' } : { kind: 'since', window },
      where: plan.where,
      withXmin,
      limits: plan.limits,
    }
  }

  /**
   * After rows were landed by key, the destination holds every key of the source and perhaps more: equal counts mean equal
   * keys, and only unequal ones make it worth fetching the keys to find what was deleted.
   */
  async #proveCounts(writer: StreamWriter): Promise<boolean> {
    const { plan } = this.#input
    const load = this.#load
    if (plan.landing === 'append') return false
    this.#live = await writer.liveCount()
    if (load.kind === 'new_generation') {
      if (this.#live !== this.#total) throw this.#unequal(this.#live)
      return false
    }
    if (this.#live < this.#total) throw this.#unequal(this.#live)
    if (plan.deletes === 'ignore') return false
    const forced = load.kind === 'since' && load.reconcile
    if (this.#live === this.#total && !forced) return false
    await this.#reconcile(writer, this.#live)
    this.#live = await writer.liveCount()
    if (this.#live !== this.#total) throw this.#unequal(this.#live)
    return true
  }

  async #reconcile(writer: StreamWriter, live: number): Promise<void> {
    const { plan, snapshot, signal, allowMassDelete, readers } = this.#input
    const guarded = !allowMassDelete && live >= MASS_DELETE_MIN_ROWS
    const maxDeleted = guarded ? Math.floor(live * MASS_DELETE_SHARE) : Number.MAX_SAFE_INTEGER
    if (live - this.#total > maxDeleted) throw massDelete(plan, live - this.#total, live)
    const key = plan.key ?? []
    const columns = key.flatMap((name) => this.#columns().filter((column) => column.field.name === name))
    const keys = readSplits(snapshot, this.#read(columns, null, false), { readers, signal })
    const { deleted } = await writer.reconcileKeys(keys, { maxDeleted })
    this.#rowsDeleted += deleted
  }

  async #verify(writer: StreamWriter): Promise<VerifyResult | null> {
    const { plan, snapshot, signal, destination, readers } = this.#input
    if (plan.landing === 'append' || !destination.capabilities.verify) return null
    const rows = readSplits(snapshot, this.#read(this.#columns(), null, false), { readers, signal })
    const found = await writer.verify(rows)
    if (plan.deletes !== 'ignore' || found.unexpected === 0) return found
    return { ...found, unexpected: 0, equal: found.missing === 0 }
  }

  /**
   * Before a horizon is advanced, what the snapshot saw must be on the server's disk: a server that crashes gives the
   * transaction ids of what it lost to others, whose rows would then lie below the horizon and never be read.
   */
  async #awaitDurable(): Promise<number | null> {
    const { plan, snapshot, signal } = this.#input
    if (plan.mode === 'full_refresh') return null
    const { durable, waitedMs } = await snapshot.awaitDurable({ signal })
    if (durable) return waitedMs
    throw new TrunklineError(
      'SOURCE_PRESSURE',
      `The server has not written what this run of ${plan.stream.name} saw to its disk within ${Math.round(waitedMs / 1000)} s.`,
      {
        hint: 'Nothing was landed. Look at the disk of the server and at wal_writer_delay.',
        context: { stream: plan.stream.name },
      },
    )
  }

  #checkpoint(): Checkpoint {
    const { plan, snapshot } = this.#input
    const common = {
      format: 1 as const,
      source: snapshot.position,
      stream: fingerprintOf(plan, this.#columns()),
    }
    if (plan.mode === 'full_refresh') return { ...common, kind: 'full' }
    const horizon = formatXid8(snapshot.horizon)
    if (plan.landing !== 'append') return { ...common, kind: 'horizon', horizon }
    if (epochOf(parseXid8(snapshot.position.xmax)) > 0n) {
      this.#warnings.push('The server has used more than 2^32 transaction ids: long-frozen rows may repeat.')
    }
    const seen = this.#seen ?? new SeenSet([])
    return { ...common, kind: 'horizon', horizon, seen: seen.format() }
  }

  #unequal(live: number): TrunklineError {
    return countMismatch(
      this.#input.plan,
      `${live} rows are at the destination where the snapshot holds ${this.#total}`,
    )
  }
}

function landedColumns(load: Load): LandedColumns {
  switch (load.kind) {
    case 'new_generation':
      return { columns: load.columns, added: [] }
    case 'full_upsert':
    case 'dated_copy':
    case 'since':
      return load.change
    default:
      return unreachable(load)
  }
}

function countMismatch(plan: StreamPlan, what: string): TrunklineError {
  return new TrunklineError('COUNT_MISMATCH', `${plan.stream.name}: ${what}.`, {
    hint: 'Nothing of it was landed. If it stays, the key may not be unique, or an index of the source is damaged.',
    context: { stream: plan.stream.name },
  })
}

function isCountMismatch(error: unknown): error is TrunklineError {
  return error instanceof TrunklineError && error.code === 'COUNT_MISMATCH'
}

function massDelete(plan: StreamPlan, deleted: number, live: number): TrunklineError {
  return new TrunklineError(
    'MASS_DELETE',
    `${plan.stream.name}: ${deleted} of ${live} rows are gone at the source, more than may be deleted at once.`,
    {
      hint: 'Check that the source is the right one and complete; if it is, run again with --allow-mass-delete.',
      context: { stream: plan.stream.name },
    },
  )
}
