/** What a run would do, without doing it: for `trunkline plan`. Reads the catalog and the saved state; takes no lock. */
import { toErrorData, TrunklineError, type ErrorData } from '../model/error.js'
import type { Deletes, Landing, Mode, StreamOptions, SyncSpec } from '../model/sync-spec.js'
import { LARGE_HEAP_BYTES } from '../model/thresholds.js'
import type { Destination, StreamState, TableName } from '../destination/contract.js'
import type { ColumnStatistics, Source } from '../source/contract.js'
import { resolveCursor } from './cursor-plan.js'
import { suggestCursor } from './cursor-suggestion.js'
import { nameTables, printTable } from './naming.js'
import { horizonObstacle, planStream, type StreamPlan } from './plan.js'
import { namedQueries } from './resolve-options.js'
import { goOnByCursor } from './cursor-load.js'
import { horizonToGoOnFrom } from './fingerprint.js'
import { applySchemaPolicy } from './schema-change.js'
import { resolveWithHooks } from './stream-hooks.js'

export interface SyncPlan {
  readonly sync: string
  readonly source: string
  readonly destination: string
  readonly streams: readonly PlannedStream[]
  /** Estimated, of the streams that will be loaded in full. */
  readonly firstLoadBytes: number
  readonly warnings: readonly string[]
}

export type PlannedStream =
  | {
      readonly kind: 'planned'
      readonly stream: string
      readonly table: string
      readonly mode: Mode
      readonly landing: Landing
      readonly deletes: Deletes
      /** Why this mode. */
      readonly reason: string
      readonly promise: string
      readonly key: readonly string[] | null
      /** What the next run reads, as far as it can be told without a snapshot. */
      readonly next: 'full' | 'changes' | 'nothing'
      readonly nextReason: string
      readonly columns: number
      /** One sentence per column whose type cannot keep everything. */
      readonly losses: readonly string[]
      readonly estimatedRows: number | null
      readonly bytesScanned: number
      readonly warnings: readonly string[]
      /** A column that looks like a cursor, where reading by one would spare reading everything; null elsewhere. */
      readonly suggestion: string | null
    }
  | { readonly kind: 'refused'; readonly stream: string; readonly error: ErrorData }

export interface PlanSyncOptions {
  readonly source: Source
  readonly destination: Destination
  readonly spec: SyncSpec
  readonly signal?: AbortSignal
}

/** @throws TrunklineError when the source or the saved state cannot be read. */
export async function planSync({ source, destination, spec, signal }: PlanSyncOptions): Promise<SyncPlan> {
  const waiting = signal === undefined ? {} : { signal }
  const check = await source.check(waiting)
  const catalog = await source.discover(spec.selection, {
    ...waiting,
    queries: namedQueries(spec),
    allowPrivilegedRole: spec.allowPrivilegedRole,
  })
  const resolved = await resolveWithHooks(catalog.streams, spec)
  const [state] = await destination.readState(spec.name)
  const saved: ReadonlyMap<string, StreamState> = state?.streams ?? new Map<string, StreamState>()
  const naming = nameTables({
    streams: resolved.streams.map((entry) => entry.stream),
    spec,
    capabilities: destination.capabilities,
    owned: new Map([...saved].map(([name, stream]) => [name, stream.table] as const)),
  })
  const planned = resolved.streams.map(async ({ stream, options }): Promise<PlannedStream> => {
    const known = saved.get(stream.name) ?? null
    try {
      const table = naming.tables.get(stream.name)
      if (table === undefined) throw naming.errors.get(stream.name) ?? unnamed(stream.name)
      const plan = planStream({
        cursor: await resolveCursor(source, stream, options),
        stream,
        options,
        table,
        savedKey: known?.checkpoint?.stream.key ?? null,
        capabilities: destination.capabilities,
        mapColumns: (of, types) => source.mapColumns(of, types),
        limits: spec.limits,
      })
      if (plan.where !== null) {
        await source.checkWhere(plan.stream, plan.where, { stable: plan.mode !== 'full_refresh' })
      }
      return describe(plan, table, known, await suggest(source, plan, options))
    } catch (error) {
      return { kind: 'refused', stream: stream.name, error: toErrorData(error) }
    }
  })
  const streams = await Promise.all(planned)
  const missing = resolved.missing.map((name): PlannedStream => ({
    kind: 'refused',
    stream: name,
    error: toErrorData(
      new TrunklineError('STREAM_MISSING', `${name} has options and is not among the selected streams.`, {
        hint: 'Check its name with `trunkline discover`.',
      }),
    ),
  }))
  return {
    sync: spec.name,
    source: source.description,
    destination: destination.description,
    streams: [...streams, ...missing],
    firstLoadBytes: streams.reduce(
      (sum, entry) => (entry.kind === 'planned' && entry.next === 'full' ? sum + entry.bytesScanned : sum),
      0,
    ),
    warnings: [...check.warnings, ...resolved.leftOut],
  }
}

/** Where each run reads or scans much for the lack of a cursor. A mode that was asked for is left alone. */
async function suggest(source: Source, plan: StreamPlan, options: StreamOptions): Promise<string | null> {
  const { stream, mode, cursor } = plan
  if (cursor !== null || options.mode === 'full_refresh') return null
  const heavy = mode !== 'full_refresh' && stream.bytes > LARGE_HEAP_BYTES
  if (!heavy && horizonObstacle(stream) === null) return null
  const statistics = (await source.columnStatistics?.(stream).catch(() => null)) ?? null
  const found = suggestCursor(stream, statistics ?? new Map<string, ColumnStatistics>())
  if (found === null) return null
  const audit = heavy ? ' --audit-every 24h' : ''
  return `"${found.column}" looks like a cursor (${found.why}): --mode incremental --cursor-field ${stream.name}=${found.column}${audit}`
}

function describe(
  plan: StreamPlan,
  table: TableName,
  known: StreamState | null,
  suggestion: string | null,
): PlannedStream {
  const next = nextLoad(plan, known)
  const scans = plan.cursor === null || plan.cursor.bound === 'xmin'
  const heavy = plan.mode !== 'full_refresh' && scans && plan.stream.bytes > LARGE_HEAP_BYTES
  const warnings = heavy
    ? ['Each run scans the whole heap once to find what changed; nothing indexes transaction ids.']
    : []
  return {
    kind: 'planned',
    stream: plan.stream.name,
    table: printTable(table),
    mode: plan.mode,
    landing: plan.landing,
    deletes: plan.deletes,
    reason: plan.reason,
    promise: plan.promise,
    key: plan.key,
    next: next.kind,
    nextReason: next.reason,
    columns: plan.columns.length + plan.transform.added.length,
    losses: plan.losses,
    estimatedRows: plan.stream.estimatedRows,
    bytesScanned: plan.stream.bytes,
    warnings: [...plan.warnings, ...warnings],
    suggestion,
  }
}

function nextLoad(
  plan: StreamPlan,
  known: StreamState | null,
): { readonly kind: 'full' | 'changes' | 'nothing'; readonly reason: string } {
  if (known?.skipped === true) return { kind: 'nothing', reason: 'It is skipped.' }
  if (known?.paused === true) return { kind: 'nothing', reason: 'It is paused.' }
  const checkpoint = known?.checkpoint ?? null
  if (checkpoint === null) return { kind: 'full', reason: 'It has not been loaded before.' }
  if (plan.mode === 'full_refresh') return { kind: 'full', reason: 'Mode full_refresh.' }
  const shape = applySchemaPolicy(plan, checkpoint.stream)
  const anew = shape.restart ?? shape.incompatible ?? shape.reload
  if (anew !== null) return { kind: 'full', reason: anew }
  if (checkpoint.kind === 'full')
    return { kind: 'full', reason: 'The last run saved no horizon to go on from.' }
  const byCursor = goOnByCursor(plan, checkpoint, shape)
  if (checkpoint.stream.oid !== plan.stream.oid) {
    return { kind: 'full', reason: 'The table was dropped and created again.' }
  }
  if (byCursor !== null && plan.cursor !== null) {
    const from = byCursor.from === null ? 'All rows' : `From ${byCursor.from} on`
    return { kind: 'changes', reason: `${from}, by "${plan.cursor.column.name}".` }
  }
  const horizon = horizonToGoOnFrom(plan, checkpoint)
  if (horizon === null) return { kind: 'full', reason: 'The last run saved no position to go on from.' }
  return { kind: 'changes', reason: `Since transaction ${horizon}.` }
}

function unnamed(stream: string): TrunklineError {
  return new TrunklineError('INTERNAL', `${stream} has neither a name nor an error.`)
}
