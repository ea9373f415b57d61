/**
 * One attempt at a stream in one snapshot: reads what the load says, lands it, proves the counts, commits rows and checkpoint together.
 *
 * A load of a new generation is also saved on its way, and one by cursor is committed in segments (`cursor-run.ts`). The rows
 * themselves pass through `stream-rows.ts`.
 */
import type { Batch } from '../batch/batch.js'
import type { Checkpoint } from '../model/checkpoint.js'
import { TrunklineError } from '../model/error.js'
import type { StreamPhases, VerifyResult } from '../model/report.js'
import { COUNT_BESIDE_BYTES, MASS_DELETE_MIN_ROWS, MASS_DELETE_SHARE } from '../model/thresholds.js'
import { epochOf, parseXid8 } from '../model/xid.js'
import type { StreamWriter } from '../destination/contract.js'
import type { CursorFacts, CursorQuestion, ReadColumn, RowWindow, StreamCount } from '../source/contract.js'
import { landedName } from '../transform/transform-spec.js'
import { hasMark, withMark } from './change-mark.js'
import { countBeside, type CountBeside } from './count-beside.js'
import { countMismatch, massDelete } from './count-errors.js'
import { questionOf, type CursorLoad } from './cursor-load.js'
import { runByCursor } from './cursor-run.js'
import { landedColumns, type Load } from './fingerprint.js'
import { describeContinuation, describeParts, type Continuation } from './first-load.js'
import { SeenSet } from './seen-set.js'
import { cursorCheckpoint, describeLanding, horizonCheckpoint } from './stream-landing.js'
import { StreamRows } from './stream-rows.js'
import type { StreamResult, StreamRunInput } from './stream-run.js'
import { TransformingWriter } from './transforming-writer.js'

/** One attempt, from `begin` to `commit` or `abort`. */
export class StreamAttempt {
  readonly #input: StreamRunInput
  readonly #load: Load
  readonly #continuation: Continuation
  /** What goes on beside the reading failed. */
  readonly #failed = new AbortController()
  readonly #signal: AbortSignal
  readonly #warnings: string[] = []
  readonly #rows: StreamRows
  #rowsDeleted = 0
  #total = 0
  #live: number | null = null
  /** At the destination, where they need not agree with the source; only to be found again by their mark. */
  #rowsLeft: number | null = null
  #seen: SeenSet | null = null
  #facts: CursorFacts | null = null
  #runSeq: number
  #fenceMs: number | null = null
  #verified: VerifyResult | null = null
  /** Rows that hooks left out, over all writers. */
  #dropped = 0
  /** Milliseconds, by phase. */
  readonly #spent = { count: 0, finish: 0 }

  constructor(input: StreamRunInput, load: Load, continuation: Continuation) {
    this.#input = input
    this.#load = load
    this.#continuation = continuation
    this.#runSeq = input.state?.runSeq ?? 0
    this.#signal = AbortSignal.any([input.signal, this.#failed.signal])
    this.#rows = new StreamRows({
      ...input,
      load,
      continuation,
      columns: this.#columns(),
      generation: this.#generation(),
      signal: this.#signal,
    })
  }

  async run(): Promise<StreamResult> {
    const { plan, progress } = this.#input
    const load = this.#load
    if (load.kind === 'cursor') return this.#runByCursor(load)
    const window = this.#window()
    const beside =
      load.kind !== 'since' && plan.stream.bytes >= COUNT_BESIDE_BYTES ? this.#countBeside(window) : null
    try {
      const expected = beside === null ? this.#take(await this.#count(window, this.#signal)) : null
      progress.emit({
        kind: 'stream_started',
        stream: plan.stream.name,
        mode: plan.mode,
        expectedRows: this.#expectedRows(expected),
        full: load.kind !== 'since',
      })
      this.#tellContinuation()
      if (load.kind === 'since') this.#warnings.push(...load.warnings)
      const writer = await this.#begin()
      try {
        return await this.#fill(writer, { expected, beside })
      } catch (error) {
        await writer.abort()
        throw error
      }
    } finally {
      await beside?.cancel()
    }
  }

  /** `expected` rows arrive; null: as many as the count that goes on beside the reading finds. */
  async #fill(
    writer: TransformingWriter,
    input: {
      readonly expected: number | null
      readonly beside: CountBeside | null
    },
  ): Promise<StreamResult> {
    const { plan } = this.#input
    const load = this.#load
    const added = 'change' in load ? load.change.added : []
    if (added.length > 0 && !this.#isFresh()) await writer.alter({ add: added.map((column) => column.field) })
    const arrived = await this.#land(writer, input.expected)
    const expected = input.beside === null ? input.expected : this.#take(await input.beside.take())
    if (arrived !== expected) {
      throw countMismatch(plan, `${arrived} rows arrived where the snapshot holds ${expected ?? 0}`)
    }
    const landedAt = this.#input.clock.now()
    const { reconciled, verified } = await this.#input.inTurn(async () => ({
      reconciled: await this.#proveCounts(writer),
      verified: this.#input.verify ? await this.#verify(writer) : null,
    }))
    this.#verified = verified
    await this.#commit(writer, this.#checkpoint())
    this.#spent.finish = this.#input.clock.now() - landedAt
    const untouched = load.kind === 'since' && expected === 0 && added.length === 0 && !reconciled
    return this.#result(untouched)
  }

  /** In segments of the cursor, each committed by itself. */
  async #runByCursor(load: CursorLoad): Promise<StreamResult> {
    const { plan, progress, snapshot, state, destination, clock } = this.#input
    const { cursor } = plan
    const expected = this.#take(await this.#count(null, this.#signal))
    if (cursor === null || this.#facts === null) throw new Error('a load by cursor without one')
    const full = load.fresh !== null
    progress.emit({
      kind: 'stream_started',
      stream: plan.stream.name,
      mode: plan.mode,
      expectedRows: expected,
      full,
    })
    this.#warnings.push(...load.warnings)
    const startedAt = clock.now()
    await runByCursor(
      {
        plan,
        cursor,
        load,
        snapshot,
        rows: this.#rows,
        mayCommitBetween: !full || (state?.generation ?? 0) === 0,
        canVerify: destination.capabilities.verify,
        now: () => clock.now(),
        warn: (text) => this.#warnings.push(text),
        begin: () => this.#begin(),
        prove: async (writer) => {
          await this.#input.inTurn(async () => {
            await this.#proveByCursor(writer, load)
            if (this.#input.verify) this.#verified = await this.#verify(writer)
          })
        },
        commit: (writer, checkpoint) => this.#commit(writer, checkpoint),
      },
      { expected, facts: this.#facts },
    )
    this.#spent.finish = Math.max(0, clock.now() - startedAt - this.#rows.spent.read - this.#rows.spent.land)
    return this.#result(false)
  }

  /** What was read says how many rows there are only where that was all; deletes are found by counting all. */
  async #proveByCursor(writer: TransformingWriter, load: CursorLoad): Promise<void> {
    const { plan, snapshot } = this.#input
    const isAll = load.from === null && load.fresh !== null
    if (plan.landing === 'append') return
    if (!isAll && plan.deletes === 'ignore') {
      if (hasMark(plan)) this.#rowsLeft = await writer.liveCount()
      return
    }
    if (!isAll) {
      const { total } = await snapshot.count(plan.stream, {
        where: plan.where,
        window: null,
        signal: this.#signal,
      })
      this.#total = total
    }
    await this.#proveCounts(writer)
  }

  /** What the snapshot saw is on the server's disk, and is what was read. */
  async #commit(writer: TransformingWriter, checkpoint: Checkpoint): Promise<void> {
    const { plan, snapshot, onCommitted } = this.#input
    this.#fenceMs = await this.#awaitDurable()
    await snapshot.assertUnchanged(plan.stream)
    this.#signal.throwIfAborted()
    const marked = withMark(checkpoint, plan, this.#live ?? this.#rowsLeft)
    await writer.commit(marked)
    this.#runSeq++
    this.#dropped += writer.dropped
    onCommitted({ generation: this.#generation(), runSeq: this.#runSeq, checkpoint: marked })
  }

  #result(untouched: boolean): StreamResult {
    const { plan } = this.#input
    const load = this.#load
    const full = load.kind === 'cursor' ? load.fresh : 'reason' in load ? load.reason : null
    // By cursor only a part of the source was counted, unless deletes are to be found.
    const counted = load.kind !== 'cursor' || this.#live !== null
    return {
      outcome: untouched ? 'unchanged' : 'done',
      fullLoadReason: full === null ? null : `${full}${describeContinuation(this.#continuation)}`,
      generation: this.#generation(),
      runSeq: this.#runSeq,
      rowsRead: this.#rows.read,
      rowsLanded: this.#rows.landed - this.#dropped,
      rowsDeleted: this.#rowsDeleted,
      bytesRead: this.#rows.bytes,
      sourceCount: counted ? this.#total : null,
      destinationCount: this.#live,
      verified: this.#verified,
      fenceMs: this.#fenceMs,
      phases: inSeconds({ ...this.#spent, ...this.#rows.spent }),
      warnings: [...plan.warnings, ...this.#warnings],
    }
  }

  async #count(window: RowWindow | null, signal: AbortSignal): Promise<StreamCount> {
    const { plan, snapshot, clock, counted } = this.#input
    if (counted !== null && this.#load.kind === 'since') return counted
    const before = clock.now()
    const question = this.#askedOfCursor()
    const count = await snapshot.count(plan.stream, {
      where: plan.where,
      window,
      signal,
      ...(question === null ? {} : { cursor: question }),
    })
    this.#spent.count = clock.now() - before
    return count
  }

  #askedOfCursor(): CursorQuestion | null {
    const { plan, snapshot, state } = this.#input
    if (plan.cursor === null) return null
    return questionOf(plan, plan.cursor, this.#load, { snapshot, saved: state?.checkpoint ?? null })
  }

  #countBeside(window: RowWindow | null): CountBeside {
    return countBeside({
      count: (signal) => this.#count(window, AbortSignal.any([this.#signal, signal])),
      whenFree: this.#input.whenAllBegun,
      onFailure: (error) => {
        this.#failed.abort(error)
      },
    })
  }

  /** How many rows have to arrive, of all or of those in the window. */
  #take(count: StreamCount): number {
    this.#total = count.total
    this.#facts = count.cursor ?? null
    this.#tellUnknownActivity()
    return count.inWindow ?? count.total
  }

  #tellUnknownActivity(): void {
    const { plan, snapshot } = this.#input
    const { inFlight } = snapshot
    if (plan.cursor?.bound !== 'in_flight' || inFlight?.kind !== 'unknown') return
    this.#warnings.push(
      `What is under way cannot be told: ${inFlight.why}. So the next run finds changes by transaction id, in one scan of the table.`,
    )
  }

  /** The rows that are to be read once more or only, by transaction id. */
  #window(): RowWindow | null {
    if (this.#load.kind === 'since') return this.#load.window
    return this.#continuation.kind === 'resume' ? this.#continuation.window : null
  }

  /** For whoever looks on; `counted` as {@link #take} gives it. */
  #expectedRows(counted: number | null): number | null {
    const { plan } = this.#input
    if (this.#continuation.kind === 'start') return counted ?? plan.stream.estimatedRows
    const total = counted === null ? plan.stream.estimatedRows : this.#total
    return total === null ? null : Math.max(0, total - this.#continuation.load.rowsBefore) + (counted ?? 0)
  }

  #tellContinuation(): void {
    const from = this.#continuation
    if (from.kind !== 'resume') return
    const { plan, progress } = this.#input
    const { parts, rowsBefore: rows } = from.load
    const stream = plan.stream.name
    progress.emit({ kind: 'stream_resumed', stream, parts, partsDone: parts - from.remaining.length, rows })
    const there = describeParts({ parts, remaining: from.remaining })
    const text = `Going on with a load that was interrupted: ${there} and ${rows} rows are there.`
    progress.say(stream, { level: 'info', text })
  }

  /** The table of this load is made by it. */
  #isFresh(): boolean {
    const load = this.#load
    const { kind } = load
    return (
      kind === 'new_generation' ||
      (load.kind === 'cursor' && load.fresh !== null) ||
      (kind === 'dated_copy' && (this.#input.state?.checkpoint ?? null) === null)
    )
  }

  #generation(): number {
    const present = this.#input.state?.generation ?? 0
    return this.#isFresh() ? present + 1 : present
  }

  async #begin(): Promise<TransformingWriter> {
    const { plan, snapshot, destination, runAt } = this.#input
    const resume = this.#continuation.kind === 'resume'
    const giveBack = (batch: Batch): void => snapshot.giveBack?.(batch)
    const writer = await destination.begin({
      ...describeLanding(plan, this.#columns(), snapshot.position),
      key: plan.key?.map((name) => landedName(plan.transform, name)) ?? null,
      keyEnforced: !plan.keyDeclared,
      landing: plan.landing,
      generation: this.#generation(),
      expectedRunSeq: this.#runSeq,
      ...(resume ? { resume } : {}),
      runAt: plan.dated ? runAt : null,
      onBatchDone: giveBack,
    })
    if (!resume) this.#input.onPartial(null)
    const fields = this.#columns().map(({ field }) => field)
    return new TransformingWriter(writer, { plan, fields, runAt, giveBack })
  }

  #columns(): readonly ReadColumn[] {
    return landedColumns(this.#load).columns
  }

  /** Rows that arrived of those that the count counts. `expected`: none come where it is known to be 0. */
  async #land(writer: StreamWriter, expected: number | null): Promise<number> {
    if (this.#continuation.kind === 'start' && expected === 0) return 0
    const { arrived, seen } = await this.#rows.land(writer)
    this.#seen = seen
    return arrived
  }

  /**
   * After rows were landed by key, the destination holds every key of the source and perhaps more: equal counts mean equal
   * keys, and only unequal ones make it worth fetching the keys to find what was deleted.
   */
  async #proveCounts(writer: TransformingWriter): Promise<boolean> {
    const { plan } = this.#input
    const load = this.#load
    if (plan.landing === 'append') return false
    this.#live = await writer.liveCount()
    const resumed = this.#continuation.kind === 'resume'
    const kept = this.#total - this.#dropped - writer.dropped
    if (load.kind === 'new_generation' && !resumed) {
      if (this.#live !== kept) throw this.#unequal(this.#live, kept)
      return false
    }
    // Of rows that were not read, nobody knows how many the hook has left out.
    const least = plan.mayDrop && load.kind === 'since' ? 0 : kept
    if (this.#live < least) throw this.#unequal(this.#live, least)
    if (plan.deletes === 'ignore' && !resumed) return false
    const forced =
      this.#continuation.kind === 'resume'
        ? this.#continuation.reconcile
        : load.kind === 'since' && load.reconcile
    if (this.#live === this.#total && !forced) return false
    await this.#reconcile(writer, this.#live)
    this.#live = await writer.liveCount()
    if (this.#live !== this.#total) throw this.#unequal(this.#live)
    return true
  }

  async #reconcile(writer: StreamWriter, live: number): Promise<void> {
    const { plan, allowMassDelete } = this.#input
    // What has come and gone between the snapshots of one load, nobody has seen.
    const unseen = this.#continuation.kind === 'resume'
    const guarded = !allowMassDelete && !unseen && live >= MASS_DELETE_MIN_ROWS
    const maxDeleted = guarded ? Math.floor(live * MASS_DELETE_SHARE) : Number.MAX_SAFE_INTEGER
    if (live - this.#total > maxDeleted) throw massDelete(plan, live - this.#total, live)
    const key = plan.key ?? []
    const columns = key.flatMap((name) => this.#columns().filter((column) => column.field.name === name))
    const keys = this.#rows.readAll(columns)
    const { deleted } = await writer.reconcileKeys(keys, { maxDeleted })
    if (!unseen) this.#rowsDeleted += deleted
  }

  async #verify(writer: StreamWriter): Promise<VerifyResult | null> {
    const { plan, destination } = this.#input
    if (plan.landing === 'append' || !destination.capabilities.verify) return null
    const found = await writer.verify(this.#rows.readAll(this.#columns()))
    if (plan.deletes !== 'ignore' || found.unexpected === 0) return found
    return { ...found, unexpected: 0, equal: found.missing === 0 }
  }

  /**
   * Before a horizon is advanced, what the snapshot saw must be on the server's disk: a server that crashes gives the
   * transaction ids of what it lost to others, whose rows would then lie below the horizon and never be read.
   */
  async #awaitDurable(): Promise<number | null> {
    const { plan, fence } = this.#input
    if (plan.mode === 'full_refresh') return null
    const { durable, waitedMs } = await fence()
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
    const checkpoint = this.#positionCheckpoint()
    if (plan.mode === 'full_refresh') {
      const { format, source, stream } = checkpoint
      return { format, source, stream, kind: 'full' }
    }
    if (plan.landing !== 'append') return checkpoint
    if (epochOf(parseXid8(snapshot.position.xmax)) > 0n) {
      this.#warnings.push('The server has used more than 2^32 transaction ids: long-frozen rows may repeat.')
    }
    const seen = this.#seen ?? new SeenSet([])
    return { ...checkpoint, seen: seen.format() }
  }

  #positionCheckpoint(): Exclude<Checkpoint, { readonly kind: 'full' }> {
    const { plan, snapshot, clock } = this.#input
    if (plan.cursor === null) return horizonCheckpoint(plan, this.#columns(), snapshot)
    return cursorCheckpoint(plan, plan.cursor, this.#columns(), {
      snapshot,
      position: { value: this.#facts?.value ?? null, low: this.#facts?.low ?? null },
      complete: { atMs: clock.now() },
      before: { horizon: null, audited: null, isRun: true },
    })
  }

  #unequal(live: number, expected = this.#total): TrunklineError {
    const left = this.#total - expected
    const hook = left === 0 ? '' : `, of which the hook left out ${left}`
    return countMismatch(
      this.#input.plan,
      `${live} rows are at the destination where the snapshot holds ${this.#total}${hook}`,
    )
  }
}

function inSeconds({ count, read, land, finish }: StreamPhases): StreamPhases {
  return { count: count / 1000, read: read / 1000, land: land / 1000, finish: finish / 1000 }
}
