/**
 * Loads by the position of a cursor: when a run goes on from one, in which segments it does, and what it saves. Pure.
 *
 * A segment ends at a value and is committed by itself. What it saves is what would hold had the run ended there: the low of that
 * value, which is at or below it, so that rows of the same value are read again, and rows that may still appear below it, too.
 */
import type { Checkpoint } from '../model/checkpoint.js'
import { CURSOR_SEGMENT_ROWS, MOST_CURSOR_SEGMENTS } from '../model/thresholds.js'
import type {
  ReadColumn,
  CursorBound,
  CursorFacts,
  CursorQuestion,
  CursorRange,
  Snapshot,
} from '../source/contract.js'
import type { CursorPlan } from './cursor-plan.js'
import type { Load } from './fingerprint.js'
import { horizonObstacle, type StreamPlan } from './plan.js'
import type { Shape } from './schema-change.js'

export type CursorCheckpoint = Extract<Checkpoint, { readonly kind: 'cursor' }>
export type CursorAudit = NonNullable<CursorCheckpoint['cursor']['audited']>
export type CursorLoad = Extract<Load, { readonly kind: 'cursor' }>

/** A load of all rows that is made in the cursor's order. Elsewhere ranges of the storage do it with several readers. */
export function beginsByCursor({ cursor, stream, landing }: StreamPlan): boolean {
  if (cursor === null) return false
  return horizonObstacle(stream) !== null || (landing === 'append' && cursor.bound !== 'xmin')
}

export function beginByCursor(columns: readonly ReadColumn[], reason: string): CursorLoad {
  return {
    kind: 'cursor',
    from: null,
    since: null,
    versions: null,
    horizon: null,
    audited: null,
    fresh: reason,
    change: { columns, added: [] },
    warnings: [],
  }
}

/** Null where the saved position does not say where to go on. */
export function goOnByCursor(plan: StreamPlan, saved: Checkpoint, shape: Shape): CursorLoad | null {
  const { cursor, stream, landing } = plan
  if (cursor === null || cursor.bound === 'xmin') return null
  if (saved.kind !== 'cursor' || saved.cursor.field !== cursor.column.name) return null
  if (saved.cursor.bound !== cursor.bound) return null
  if (landing === 'append' && saved.versions === undefined) return null
  const { low } = saved.cursor
  if (low === null && cursor.bound === 'in_flight') return null
  // Rows of a partition that joined can lie anywhere; by transaction id they are read whole.
  if (landing === 'upsert' && horizonObstacle(stream) === null && leavesJoined(plan, saved)) return null
  return {
    kind: 'cursor',
    from: low,
    since: saved.cursor.value,
    versions: saved.versions ?? null,
    horizon: saved.horizon,
    audited: saved.cursor.audited,
    fresh: null,
    change: shape.change,
    warnings: shape.warnings,
  }
}

function leavesJoined(plan: StreamPlan, saved: Checkpoint): boolean {
  const known = new Set(saved.stream.leaves.map((leaf) => leaf.oid))
  return plan.stream.leaves.some((leaf) => !known.has(leaf.oid))
}

/** What is asked of the snapshot about the cursor of a load. */
export function questionOf(
  plan: StreamPlan,
  cursor: CursorPlan,
  load: Load,
  { snapshot, saved }: { readonly snapshot: Pick<Snapshot, 'inFlight'>; readonly saved: Checkpoint | null },
): CursorQuestion {
  const byCursor = load.kind === 'cursor' ? load : null
  const { inFlight } = snapshot
  return {
    range: rangeFrom(cursor, byCursor?.from ?? null),
    since: load.kind === 'since' ? savedValue(cursor, saved) : (byCursor?.since ?? null),
    inFlight: cursor.bound === 'in_flight' && inFlight?.kind === 'since' ? inFlight.time : null,
    lookback: cursor.lookback,
    notBelow: plan.landing === 'append' ? (byCursor?.from ?? null) : null,
  }
}

function savedValue({ column }: CursorPlan, saved: Checkpoint | null): string | null {
  return saved?.kind === 'cursor' && saved.cursor.field === column.name ? saved.cursor.value : null
}

function rangeFrom({ column }: CursorPlan, from: string | null): CursorRange {
  return { column, from, below: null, others: { nulls: true, lowest: true } }
}

export interface Segment {
  readonly range: CursorRange
  /** Of the checkpoint after it. */
  readonly position: { readonly value: string | null; readonly low: string | null }
  readonly isLast: boolean
}

/** In their order; together they have every row of the question's range once. */
export function planSegments(
  { range }: CursorQuestion,
  facts: Pick<CursorFacts, 'value' | 'low'>,
  bounds: readonly CursorBound[],
): readonly Segment[] {
  const inner = bounds.filter(({ at }, index) => at !== range.from && at !== bounds[index - 1]?.at)
  return [null, ...inner].map((bound, index) => {
    const next = inner[index]
    const isLast = next === undefined
    return {
      range: {
        column: range.column,
        from: bound === null ? range.from : bound.at,
        below: isLast ? null : next.at,
        // Without a lower bound the first segment begins at minus infinity.
        others: { nulls: isLast, lowest: isLast && range.from !== null },
      },
      position: isLast ? { value: facts.value, low: facts.low } : { value: next.at, low: next.low },
      isLast,
    }
  })
}

/** How many segments so many rows are landed in. */
export function countSegments(rows: number, stated: number | null): number {
  const each = stated ?? CURSOR_SEGMENT_ROWS
  return Math.max(1, Math.min(MOST_CURSOR_SEGMENTS, Math.floor(rows / each)))
}

/** Whether the audit of this run is due. */
export function isAuditDue(cursor: CursorPlan, load: CursorLoad, nowMs: number): boolean {
  const { auditEvery } = cursor
  if (auditEvery === null || load.fresh !== null || load.horizon === null) return false
  const { at, runs } = load.audited ?? { at: 0, runs: Number.MAX_SAFE_INTEGER - 1 }
  return auditEvery.kind === 'runs' ? runs + 1 >= auditEvery.runs : nowMs - at >= auditEvery.ms
}
