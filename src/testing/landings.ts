/** What cases land: one small stream of orders, checkpoints that say nothing, and runs that take it to a place. */
import type { Batch } from '../batch/batch.js'
import type {
  Destination,
  OpenOptions,
  StreamLanding,
  StreamState,
  StreamWriter,
  SyncState,
  TableName,
} from '../destination/contract.js'
import type { Checkpoint, LoadProgress } from '../model/checkpoint.js'
import type { Field } from '../model/column-type.js'
import type { Landing } from '../model/sync-spec.js'
import { makeBatch } from './make-batch.js'
import type { Place } from './place.js'
import { normalize, type Plain } from './plain.js'

export const ID: Field = { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false }
export const NOTE: Field = { name: 'note', type: { kind: 'text' }, nullable: true }
export const DELETED_AT: Field = {
  name: '_trunkline_deleted_at',
  type: { kind: 'timestamp', utc: true },
  nullable: true,
}
export const RUN_AT: Field = {
  name: '_trunkline_run_at',
  type: { kind: 'timestamp', utc: true },
  nullable: true,
}
export const ORDERS: TableName = { schema: 'public', name: 'orders' }
export const STREAM = 'public.orders'
export const SYNC = 'shop'

export function makeCheckpoint(xmax: string): Checkpoint {
  return {
    format: 1,
    kind: 'horizon',
    horizon: xmax,
    source: { systemIdentifier: '7', database: 'shop', timeline: 1, lsn: '0/10', standby: false, xmax },
    stream: { oid: 1, leaves: [], columns: [], key: ['id'], where: null, sql: null },
  }
}

/** How far a load is of which `remaining` of 8 parts are missing. */
export function makeProgress(rows: number, remaining: number): LoadProgress {
  const { source, stream } = makeCheckpoint('100')
  return {
    format: 1,
    kind: 'partial',
    source,
    stream,
    horizon: '90',
    rows,
    parts: 8,
    remaining: Array.from({ length: remaining }, (_, index) => ({
      kind: 'blocks',
      leaf: 1,
      from: index * 10,
      to: index === remaining - 1 ? null : index * 10 + 10,
    })),
  }
}

export function landingOf(overrides: Partial<StreamLanding> = {}): StreamLanding {
  return {
    stream: STREAM,
    table: ORDERS,
    fields: [ID, NOTE],
    comments: { table: null, columns: {} },
    key: ['id'],
    landing: 'upsert',
    generation: 1,
    expectedRunSeq: 0,
    deletes: 'hard',
    runAt: null,
    ...overrides,
  }
}

/** What a run says to land by: a new generation each time for `replace`, the present one otherwise. */
export function landingBy(landing: Landing, generation: number): Partial<StreamLanding> {
  if (landing === 'replace') return { landing, generation, deletes: 'hard' }
  if (landing === 'append') return { landing, generation: 1, key: null, deletes: 'ignore' }
  return { landing, generation: 1, deletes: 'hard' }
}

export function runOf(overrides: Partial<OpenOptions> = {}): OpenOptions {
  return {
    sync: SYNC,
    runId: 'run-1',
    startedAt: new Date('2026-01-02T03:04:05Z'),
    adopt: false,
    ...overrides,
  }
}

export type OrderRow = readonly [id: number, note: string | null]

export function orders(...rows: OrderRow[]): Batch {
  return makeBatch([ID, NOTE], rows)
}

export function keysOf(...ids: number[]): AsyncGenerator<Batch> {
  return batchesOf(
    makeBatch(
      [ID],
      ids.map((id): readonly Plain[] => [id]),
    ),
  )
}

export async function* batchesOf(...batches: Batch[]): AsyncGenerator<Batch> {
  await Promise.resolve()
  yield* batches
}

/** Runs `work` in a run of its own and closes. */
export async function inRun<T>(
  destination: Destination,
  run: OpenOptions,
  work: (state: SyncState) => Promise<T>,
): Promise<T> {
  try {
    const state = await destination.open(run)
    return await work(state)
  } finally {
    await destination.close()
  }
}

export interface LandOptions {
  /** Of the checkpoint. */
  readonly xmax?: string
  readonly run?: Partial<OpenOptions>
  /** Before the commit. */
  readonly then?: (writer: StreamWriter) => Promise<void>
}

/** A whole run: begins, writes, and commits with the checkpoint of `xmax`. */
export async function land(
  place: Place,
  landing: Partial<StreamLanding>,
  batches: readonly Batch[],
  options: LandOptions = {},
): Promise<void> {
  const destination = place.create()
  await inRun(destination, runOf(options.run), async (state) => {
    const whole = landingOf(landing)
    const expectedRunSeq = state.streams.get(whole.stream)?.runSeq ?? 0
    const writer = await destination.begin({ ...whole, expectedRunSeq, ...landing })
    for (const batch of batches) await writer.write(batch)
    await options.then?.(writer)
    await writer.commit(makeCheckpoint(options.xmax ?? '100'))
  })
}

/** Begins a load, writes, saves it, writes more that is not saved, and ends without a commit. */
export async function interrupt(
  place: Place,
  landing: Partial<StreamLanding>,
  batch: Batch,
  { progress, end = 'abort' }: { readonly progress: LoadProgress; readonly end?: 'abort' | 'close' },
): Promise<void> {
  const destination = place.create()
  await inRun(destination, runOf({ runId: 'interrupted' }), async (state) => {
    const expectedRunSeq = state.streams.get(STREAM)?.runSeq ?? 0
    const writer = await destination.begin(landingOf({ expectedRunSeq, ...landing }))
    await writer.write(batch)
    await writer.save(progress)
    await writer.write(orders([999, 'not saved']))
    if (end === 'abort') await writer.abort()
  })
}

/** The rows of a table in {@link normalize}d form and in one order; null where there is none. */
export async function readNormal(
  place: Place,
  table: TableName,
  fields: readonly Field[],
): Promise<(string | null)[][] | null> {
  const rows = await place.readRows(table, fields)
  return rows && normalRows(place, fields, rows)
}

/** What {@link readNormal} gives for these rows. */
export function normalRows(
  place: Place,
  fields: readonly Field[],
  rows: readonly (readonly Plain[])[],
): (string | null)[][] {
  const options = {
    jsonByValue: place.jsonByValue === true,
    jsonNullIsNull: place.jsonNullIsNull === true,
    mixesZeros: place.mixesZeros === true,
  }
  const normal = rows.map((row) =>
    fields.map(({ type }, index) => normalize(type, row[index] ?? null, options)),
  )
  const keyed = normal.map((row) => ({ row, key: JSON.stringify(row) }))
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  return keyed.map(({ row }) => row)
}

/** The orders that a reader sees, by id; null where there is no such table. */
export async function presentOrders(place: Place, table: TableName = ORDERS): Promise<OrderRow[] | null> {
  const rows = await place.readRows(table, [ID, NOTE])
  if (rows === null) return null
  const found = rows.map(([id, note]): OrderRow => [Number(id), (note ?? null) as string | null])
  return found.sort(([a, left], [b, right]) => a - b || (String(left) < String(right) ? -1 : 1))
}

/** What is saved of a stream. */
export async function savedState(
  place: Place,
  stream = STREAM,
  sync = SYNC,
): Promise<StreamState | undefined> {
  const [state] = await place.create().readState(sync)
  return state?.streams.get(stream)
}
