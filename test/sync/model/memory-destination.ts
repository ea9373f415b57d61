/** A destination in memory that keeps its promises: what `MemoryStore` holds survives the death of whoever wrote to it. */
import type { Batch } from '../../../src/batch/batch.js'
import { rows, type Value } from '../../../src/batch/rows.js'
import {
  formatCheckpoint,
  formatLoadProgress,
  parseCheckpoint,
  parseLoadProgress,
  type Checkpoint,
  type LoadProgress,
} from '../../../src/model/checkpoint.js'
import type { Field } from '../../../src/model/column-type.js'
import { TrunklineError } from '../../../src/model/error.js'
import type { VerifyResult } from '../../../src/model/report.js'
import type {
  Destination,
  DestinationCapabilities,
  OpenOptions,
  ReconcileResult,
  SchemaChange,
  StateEdit,
  StreamLanding,
  StreamState,
  StreamWriter,
  SyncState,
  TableName,
  UnchangedStream,
} from '../../../src/destination/contract.js'
import type { Step } from './model-source.js'

export type LandedRow = Readonly<Record<string, Value>> & {
  readonly $deleted?: boolean
  readonly $runAt?: string
}

interface SavedStream extends Omit<StreamState, 'checkpoint' | 'partial'> {
  readonly checkpoint: string | null
}

interface SavedPartial {
  readonly table: TableName
  readonly generation: number
  readonly rows: readonly LandedRow[]
  readonly progress: string
}

/** What is on the disk. */
export class MemoryStore {
  epoch = 0
  /** Runs that had the destination prepare itself. */
  prepared = 0
  readonly streams = new Map<string, SavedStream>()
  readonly tables = new Map<string, LandedRow[]>()
  readonly columns = new Map<string, readonly string[]>()
  readonly partials = new Map<string, SavedPartial>()

  /** Rows present, without what marks them. */
  live(table: string): LandedRow[] {
    return (this.tables.get(table) ?? []).filter((row) => row.$deleted !== true)
  }

  checkpoint(stream: string): Checkpoint | null {
    const saved = this.streams.get(stream)?.checkpoint ?? null
    return saved === null ? null : parseCheckpoint(saved)
  }
}

export class MemoryDestination implements Destination {
  readonly description = 'memory'
  readonly capabilities: DestinationCapabilities = {
    landings: new Set(['replace', 'upsert', 'append'] as const),
    deletes: true,
    verify: true,
    resume: true,
    foldName: (name) => name.toLowerCase(),
    maxNameBytes: 1000,
  }
  readonly store: MemoryStore
  readonly #step: Step
  #epoch = 0

  constructor(store: MemoryStore, step: Step = () => undefined) {
    this.store = store
    this.#step = step
  }

  prepare(): void {
    this.store.prepared++
  }

  async open(options: OpenOptions): Promise<SyncState> {
    await this.#step('open')
    this.#epoch = ++this.store.epoch
    return this.#state(options.sync)
  }

  async begin(landing: StreamLanding): Promise<StreamWriter> {
    await this.#step('begin')
    return new MemoryWriter(this.store, this.#epoch, landing, this.#step)
  }

  async confirmUnchanged(streams: readonly UnchangedStream[]): Promise<ReadonlySet<string>> {
    await this.#step('confirm:before')
    if (this.#epoch !== this.store.epoch) throw new TrunklineError('FENCED', 'Another run took over.')
    const confirmed = streams.filter(({ stream, table, generation, expectedRunSeq, live }) => {
      const saved = this.store.streams.get(stream)
      const asExpected = saved?.runSeq === expectedRunSeq && saved.generation === generation
      const rowsAreThere = this.store.live(`${table.schema}.${table.name}`).length === live
      return asExpected && saved.checkpoint !== null && rowsAreThere && !this.store.partials.has(stream)
    })
    for (const { stream, expectedRunSeq, checkpoint } of confirmed) {
      const saved = this.store.streams.get(stream)
      if (saved === undefined) continue
      const committed = { runSeq: expectedRunSeq + 1, checkpoint: formatCheckpoint(checkpoint) }
      this.store.streams.set(stream, { ...saved, ...committed })
    }
    await this.#step('confirm:after')
    return new Set(confirmed.map(({ stream }) => stream))
  }

  exampleQuery(): string {
    return 'FROM memory'
  }

  async readState(sync: string | null): Promise<readonly SyncState[]> {
    return [this.#state(sync ?? 'shop')]
  }

  async editState(_sync: string, stream: string, edit: StateEdit): Promise<void> {
    const saved = this.store.streams.get(stream)
    if (saved === undefined) return
    if (edit.kind === 'pause') this.store.streams.set(stream, { ...saved, paused: edit.paused })
    if (edit.kind === 'resync') {
      this.store.streams.set(stream, { ...saved, checkpoint: null })
      this.store.partials.delete(stream)
    }
    if (edit.kind === 'skip') this.store.streams.set(stream, { ...saved, skipped: true })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #state(sync: string): SyncState {
    const streams = new Map(
      [...this.store.streams].map(([name, saved]) => [
        name,
        {
          ...saved,
          checkpoint: saved.checkpoint === null ? null : parseCheckpoint(saved.checkpoint),
          partial: this.#partial(name),
        },
      ]),
    )
    return { sync, epoch: this.store.epoch, streams }
  }

  #partial(stream: string): StreamState['partial'] {
    const saved = this.store.partials.get(stream)
    if (saved === undefined) return null
    const { generation, table, progress } = saved
    return { generation, table, savedAt: new Date(0), progress: parseLoadProgress(progress) }
  }
}

class MemoryWriter implements StreamWriter {
  readonly #store: MemoryStore
  readonly #epoch: number
  readonly #landing: StreamLanding
  readonly #step: Step
  readonly #table: string
  readonly #fresh: boolean
  #rows: LandedRow[]
  #columns: readonly string[]
  #over = false

  constructor(store: MemoryStore, epoch: number, landing: StreamLanding, step: Step) {
    this.#store = store
    this.#epoch = epoch
    this.#landing = landing
    this.#step = step
    this.#table = `${landing.table.schema}.${landing.table.name}`
    const saved = store.streams.get(landing.stream)
    const fresh = saved?.generation !== landing.generation
    if (!fresh && landing.landing === 'replace') throw new Error('replace needs a new generation')
    const names = landing.fields.map((field) => field.name)
    this.#fresh = fresh
    this.#rows = fresh ? [] : [...(store.tables.get(this.#table) ?? [])]
    if (landing.resume === true) {
      const partial = store.partials.get(landing.stream)
      if (partial?.generation !== landing.generation) throw new Error('there is no such partial load')
      this.#rows = [...partial.rows]
    } else {
      store.partials.delete(landing.stream)
    }
    this.#columns = fresh ? names : (store.columns.get(this.#table) ?? names)
  }

  async write(batch: Batch): Promise<void> {
    await this.#step('write')
    this.#assertOpen()
    const unknown = batch.fields.find((field) => !this.#columns.includes(field.name))
    if (unknown !== undefined) throw new Error(`the table has no column ${unknown.name}`)
    const arriving = [...rows(batch)] as LandedRow[]
    if (this.#landing.landing === 'upsert' && !this.#fresh) this.#removeKeysOf(arriving)
    this.#add(arriving)
  }

  async save(progress: LoadProgress): Promise<void> {
    await this.#step('save:before')
    this.#assertOpen()
    const { stream, table, generation } = this.#landing
    this.#assertExpected()
    if (!this.#fresh) throw new Error('only a generation that is being loaded is saved')
    const saved = this.#store.streams.get(stream)
    this.#store.streams.set(
      stream,
      saved ?? {
        stream,
        table,
        generation: 0,
        runSeq: 0,
        runId: 'run',
        committedAt: new Date(0),
        paused: false,
        skipped: false,
        checkpoint: null,
      },
    )
    this.#store.partials.set(stream, {
      table,
      generation,
      rows: [...this.#rows],
      progress: formatLoadProgress(progress),
    })
    await this.#step('save:after')
  }

  async replaceByKey(source: AsyncIterable<Batch>): Promise<void> {
    await this.#step('replace')
    const arriving: LandedRow[] = []
    for await (const batch of source) arriving.push(...([...rows(batch)] as LandedRow[]))
    this.#removeKeysOf(arriving)
    this.#add(arriving)
  }

  async liveCount(): Promise<number> {
    await this.#step('liveCount')
    return this.#live().length
  }

  async reconcileKeys(
    keys: AsyncIterable<Batch>,
    guard: { readonly maxDeleted: number },
  ): Promise<ReconcileResult> {
    await this.#step('reconcile')
    const present = new Set<string>()
    for await (const batch of keys) for (const row of rows(batch)) present.add(this.#keyOf(row))
    const missing = new Set(this.#live().filter((row) => !present.has(this.#keyOf(row))))
    if (missing.size > guard.maxDeleted) throw new TrunklineError('MASS_DELETE', 'Too many.')
    this.#rows =
      this.#landing.deletes === 'soft' && !this.#fresh
        ? this.#rows.map((row) => (missing.has(row) ? { ...row, $deleted: true } : row))
        : this.#rows.filter((row) => !missing.has(row))
    return { deleted: missing.size }
  }

  async alter(change: SchemaChange): Promise<void> {
    await this.#step('alter')
    this.#columns = [...this.#columns, ...change.add.map((field) => field.name)]
  }

  async verify(
    source: AsyncIterable<Batch>,
    { fields }: { readonly fields?: readonly Field[] } = {},
  ): Promise<VerifyResult> {
    const count = (found: Iterable<object>): Map<string, number> => {
      const counts = new Map<string, number>()
      for (const row of found) {
        const compared = Object.fromEntries(
          Object.entries(row).filter(([name]) => fields?.some((field) => field.name === name) !== false),
        )
        counts.set(print(compared), (counts.get(print(compared)) ?? 0) + 1)
      }
      return counts
    }
    const wanted: object[] = []
    for await (const batch of source) wanted.push(...rows(batch))
    const [there, here] = [count(wanted), count(this.#live())]
    const missing = [...there].filter(([row, times]) => here.get(row) !== times).length
    const unexpected = [...here].filter(([row, times]) => there.get(row) !== times).length
    return { equal: missing + unexpected === 0, missing, unexpected }
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    await this.#step('commit:before')
    this.#assertOpen()
    const { stream, table, generation, expectedRunSeq } = this.#landing
    const saved = this.#store.streams.get(stream)
    this.#assertExpected()
    if (this.#fresh && this.#landing.key !== null && this.#landing.landing === 'upsert') {
      assertDistinct(this.#rows.map((row) => this.#keyOf(row)))
    }
    this.#store.partials.delete(stream)
    this.#store.tables.set(this.#table, this.#rows)
    this.#store.columns.set(this.#table, this.#columns)
    this.#store.streams.set(stream, {
      stream,
      table,
      generation,
      runSeq: expectedRunSeq + 1,
      runId: 'run',
      committedAt: new Date(0),
      paused: saved?.paused ?? false,
      skipped: saved?.skipped ?? false,
      checkpoint: formatCheckpoint(checkpoint),
    })
    this.#over = true
    await this.#step('commit:after')
  }

  async abort(): Promise<void> {
    this.#over = true
  }

  #add(arriving: readonly LandedRow[]): void {
    const { runAt } = this.#landing
    this.#rows.push(
      ...arriving.map((row) => (runAt === null ? row : { ...row, $runAt: runAt.toISOString() })),
    )
  }

  #removeKeysOf(arriving: readonly LandedRow[]): void {
    const keys = assertDistinct(arriving.map((row) => this.#keyOf(row)))
    this.#rows = this.#rows.filter((row) => !keys.has(this.#keyOf(row)))
  }

  #assertExpected(): void {
    const { stream, expectedRunSeq } = this.#landing
    const runSeq = this.#store.streams.get(stream)?.runSeq ?? 0
    if (this.#epoch !== this.#store.epoch || runSeq !== expectedRunSeq) {
      throw new TrunklineError('FENCED', 'Another run took over.')
    }
  }

  #live(): LandedRow[] {
    return this.#rows.filter((row) => row.$deleted !== true)
  }

  #keyOf(row: Readonly<Record<string, Value>>): string {
    return JSON.stringify((this.#landing.key ?? []).map((name) => String(row[name])))
  }

  #assertOpen(): void {
    if (this.#over) throw new Error('the writer is closed')
  }
}

function assertDistinct(keys: readonly string[]): ReadonlySet<string> {
  const distinct = new Set(keys)
  if (distinct.size < keys.length) throw new TrunklineError('KEY_DUPLICATE', 'Two rows have one key.')
  return distinct
}

export function print(row: object): string {
  return JSON.stringify(
    Object.entries(row)
      .filter(([name]) => !name.startsWith('$'))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
    (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value),
  )
}
