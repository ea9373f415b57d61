/**
 * The rows of one attempt at a stream, on their way from the source to the destination: read in splits by as many readers as there
 * are permits, written batch by batch, and counted.
 */
import type { StreamPhases } from '../model/report.js'
import { batchBytes, type Batch } from '../batch/batch.js'
import type { StreamWriter } from '../destination/contract.js'
import type { ReadColumn, RowWindow, Split, StreamRead } from '../source/contract.js'
import { AppendFilter } from './append-filter.js'
import { fingerprintOf, type Load } from './fingerprint.js'
import { beginParts, savingObstacle, type Continuation } from './first-load.js'
import { FirstLoad } from './first-load-run.js'
import { showMasked } from './plan-transform.js'
import { readSplits } from './read-splits.js'
import type { SeenSet } from './seen-set.js'
import type { VersionFilter } from './version-filter.js'
import type { StreamRunInput } from './stream-run.js'

export interface StreamRowsInput extends Pick<
  StreamRunInput,
  | 'snapshot'
  | 'destination'
  | 'plan'
  | 'onPartial'
  | 'saveEveryMs'
  | 'saveEveryRows'
  | 'pressure'
  | 'readers'
  | 'fence'
  | 'clock'
  | 'progress'
  | 'signal'
> {
  readonly load: Load
  readonly continuation: Continuation
  /** Those that are landed. */
  readonly columns: readonly ReadColumn[]
  readonly generation: number
}

export class StreamRows {
  readonly #input: StreamRowsInput
  /** Milliseconds. */
  readonly #spent = { read: 0, land: 0 }
  #read = 0
  #landed = 0
  #bytes = 0

  constructor(input: StreamRowsInput) {
    this.#input = input
  }

  get read(): number {
    return this.#read
  }

  get landed(): number {
    return this.#landed
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Milliseconds waited for rows, and for the destination to take them. */
  get spent(): Readonly<Pick<StreamPhases, 'read' | 'land'>> {
    return this.#spent
  }

  /**
   * Everything that the load brings. `arrived` are the rows of those that the count counts, `seen` what an append has to
   * remember.
   */
  async land(writer: StreamWriter): Promise<{ readonly arrived: number; readonly seen: SeenSet | null }> {
    const { plan, load, continuation } = this.#input
    if (load.kind !== 'new_generation' || plan.landing === 'append') return this.#landPasses(writer)
    const rows = await this.#landNew(writer)
    const arrived = continuation.kind === 'start' ? rows : await this.#catchUp(writer, continuation.window)
    return { arrived, seen: null }
  }

  /** The rows of a part of a load by cursor, in its order. Returns how many arrived. */
  async landByCursor(
    writer: StreamWriter,
    rows: Extract<StreamRead['rows'], { readonly kind: 'cursor' }>,
    filter: VersionFilter | null,
  ): Promise<number> {
    const read = { ...this.#describeRead(this.#input.columns), rows, ...this.#form(writer, filter === null) }
    return this.#landBatches(writer, this.#readRows(read), (batch) =>
      filter === null ? batch : filter.apply(batch),
    )
  }

  /** The rows of the window, or all, once more. */
  async landWindow(writer: StreamWriter, window: RowWindow | null): Promise<void> {
    const read = { ...this.#describeRead(this.#input.columns, window), ...this.#form(writer) }
    await this.#landBatches(writer, this.#readRows(read), (batch) => batch)
  }

  /** All rows, or those of the window; in no order. */
  async *readAll(
    columns: readonly ReadColumn[],
    window: RowWindow | null = null,
  ): AsyncGenerator<Batch, void> {
    yield* this.#readRows(this.#describeRead(columns, window))
  }

  /** The parts of a new generation that are not there yet, saved from time to time. Returns how many rows came. */
  async #landNew(writer: StreamWriter): Promise<number> {
    const { plan, snapshot, destination, generation, columns, clock, fence, onPartial, pressure } =
      this.#input
    const { saveEveryMs, saveEveryRows } = this.#input
    const from = this.#input.continuation
    const splits = await this.#planNew(writer)
    const first = { horizon: snapshot.horizon, stream: fingerprintOf(plan, columns) }
    const ranges = splits.map(({ range }) => range)
    const mayBeSaved =
      savingObstacle(plan, destination.capabilities) === null && !showMasked(ranges, plan.transform)
    const begun = mayBeSaved ? beginParts(ranges, first) : null
    const load = new FirstLoad({
      snapshot,
      plan,
      generation,
      parts: from.kind === 'resume' ? from.load : begun,
      splits,
      saveEveryMs,
      saveEveryRows,
      rows: () => this.#read,
      isHurried: () => pressure.wantsSave,
      clock,
      fence,
      onSaved: onPartial,
    })
    for (let rows = 0; ;) {
      rows += await this.#landBatches(
        writer,
        this.#readParts(() => load.take()),
        (batch) => batch,
      )
      if (load.isOver) return rows
      await load.save(writer, rows)
    }
  }

  async #planNew(writer: StreamWriter): Promise<readonly Split[]> {
    const { snapshot, columns, continuation } = this.#input
    const read = { ...this.#describeRead(columns), ...this.#form(writer) }
    if (continuation.kind === 'start') return snapshot.plan(read)
    const { remaining: ranges } = continuation
    return ranges.length === 0 ? [] : snapshot.plan({ ...read, rows: { kind: 'full', ranges } })
  }

  /** What was written between the first snapshot of the load and this one, by key. Returns how many rows that is. */
  async #catchUp(writer: StreamWriter, window: RowWindow): Promise<number> {
    let rows = 0
    const batches = this.readAll(this.#input.columns, window)
    const counted = async function* (count: (batch: Batch) => void): AsyncGenerator<Batch, void> {
      for await (const batch of batches) {
        count(batch)
        yield batch
      }
    }
    await writer.replaceByKey(
      counted((batch) => {
        rows += batch.rowCount
        this.#read += batch.rowCount
        this.#landed += batch.rowCount
        this.#bytes += batchBytes(batch)
        this.#input.signal.throwIfAborted()
      }),
    )
    return rows
  }

  /** The count has counted the rows of the first pass. */
  async #landPasses(
    writer: StreamWriter,
  ): Promise<{ readonly arrived: number; readonly seen: SeenSet | null }> {
    const { plan, snapshot, load, columns } = this.#input
    const appends = plan.landing === 'append' && !plan.dated
    const filter = appends ? AppendFilter.for(load, snapshot, plan.stream.name) : null
    const passes = filter?.passes ?? [{ window: load.kind === 'since' ? load.window : null }]
    let rowsOfFirst = 0
    for (const [index, { window }] of passes.entries()) {
      const read = {
        ...this.#describeRead(columns, window),
        withXmin: filter !== null,
        ...this.#form(writer, filter === null),
      }
      const rows = await this.#landBatches(writer, this.#readRows(read), (batch) =>
        filter === null ? batch : filter.apply(batch, index),
      )
      if (index === 0) rowsOfFirst = rows
    }
    return { arrived: rowsOfFirst, seen: filter?.nextSeen() ?? null }
  }

  /** Gives all of them to the destination; returns how many rows came. */
  async #landBatches(
    writer: StreamWriter,
    batches: AsyncIterable<Batch>,
    choose: (batch: Batch) => Batch,
  ): Promise<number> {
    const { plan, progress, readers, clock, signal } = this.#input
    let rows = 0
    let waitingSince = clock.now()
    for await (const batch of batches) {
      const bytes = batchBytes(batch)
      rows += batch.rowCount
      this.#read += batch.rowCount
      this.#bytes += bytes
      const landed = choose(batch)
      this.#landed += landed.rowCount
      const arrivedAt = clock.now()
      if (landed.rowCount > 0) await writer.write(landed)
      this.#spent.read += arrivedAt - waitingSince
      waitingSince = clock.now()
      this.#spent.land += waitingSince - arrivedAt
      readers.took({ bytes, waitedMs: waitingSince - arrivedAt })
      signal.throwIfAborted()
      progress.emit({
        kind: 'stream_progress',
        stream: plan.stream.name,
        rows: this.#read,
        bytes: this.#bytes,
      })
    }
    return rows
  }

  async *#readRows(read: StreamRead): AsyncGenerator<Batch, void> {
    const splits = [...(await this.#input.snapshot.plan(read))]
    yield* this.#readParts(() => splits.shift() ?? null)
  }

  #readParts(take: () => Split | null): AsyncGenerator<Batch, void> {
    const { plan, snapshot, readers, pressure, signal } = this.#input
    const stream = plan.stream.name
    return readSplits(snapshot, take, { permits: readers.permits, stream, signal, pressure })
  }

  /** Undecoded where the destination takes rows so, and nothing on the way looks into them. */
  #form(writer: StreamWriter, untouched = true): Pick<StreamRead, 'undecoded'> {
    const { snapshot, columns } = this.#input
    const { serverVersion } = snapshot
    // A value that is to become null would not.
    const asTheyAre = untouched && columns.every(({ unrepresentable }) => unrepresentable === 'error')
    const taken = asTheyAre && serverVersion !== undefined && writer.takesUndecoded?.(serverVersion) === true
    return taken ? { undecoded: true } : {}
  }

  #describeRead(columns: readonly ReadColumn[], window: RowWindow | null = null): StreamRead {
    const { plan } = this.#input
    return {
      stream: plan.stream,
      columns,
      rows: window === null ? { kind: 'full' } : { kind: 'since', window },
      where: plan.where,
      withXmin: false,
      method: plan.readMethod,
      limits: plan.limits,
    }
  }
}
