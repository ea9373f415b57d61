/** What a plan is at the destination, and what a snapshot leaves there as a checkpoint. Pure. */
import type { Checkpoint } from '../model/checkpoint.js'
import { unreachable } from '../model/column-type.js'
import { formatXid8 } from '../model/xid.js'
import type { StreamLanding } from '../destination/contract.js'
import type { ReadColumn, Snapshot } from '../source/contract.js'
import { landedFields, landedName } from '../transform/transform-spec.js'
import { fingerprintOf } from './fingerprint.js'
import type { CursorCheckpoint } from './cursor-load.js'
import type { CursorPlan } from './cursor-plan.js'
import { horizonObstacle, type StreamPlan } from './plan.js'

export type DescribedStream = Pick<StreamLanding, 'stream' | 'table' | 'fields' | 'comments' | 'deletes'>

/** `columns`: those that are landed. */
export function describeLanding(plan: StreamPlan, columns: readonly ReadColumn[]): DescribedStream {
  const names = new Set(columns.map((column) => column.source))
  const comments = plan.stream.columns.flatMap((column) =>
    column.comment !== null && names.has(column.name)
      ? [[landedName(plan.transform, column.name), column.comment] as const]
      : [],
  )
  return {
    stream: plan.stream.name,
    table: plan.table,
    fields: landedFields(
      plan.transform,
      columns.map((column) => column.field),
      plan.key,
    ),
    comments: { table: plan.stream.comment, columns: Object.fromEntries(comments) },
    deletes: plan.deletes,
  }
}

/** Everything that the snapshot sees is landed: the next run begins at its horizon. */
export function horizonCheckpoint(
  plan: StreamPlan,
  columns: readonly ReadColumn[],
  { position, horizon }: Pick<Snapshot, 'position' | 'horizon'>,
): Extract<Checkpoint, { readonly kind: 'horizon' }> {
  return {
    format: 1,
    source: position,
    stream: fingerprintOf(plan, columns),
    kind: 'horizon',
    horizon: formatXid8(horizon),
  }
}

export interface CursorPosition {
  readonly value: string | null
  readonly low: string | null
}

/** What is landed up to a position of the cursor. */
export function cursorCheckpoint(
  plan: StreamPlan,
  cursor: CursorPlan,
  columns: readonly ReadColumn[],
  now: {
    readonly snapshot: Pick<Snapshot, 'position' | 'horizon' | 'inFlight'>
    readonly position: CursorPosition
    /** Everything that the snapshot sees is landed, whatever its cursor; null where only the cursor says so. */
    readonly complete: { readonly atMs: number } | null
    /** As the last checkpoint had it; one more run has passed, or a part of one. */
    readonly before: Pick<CursorCheckpoint, 'horizon'> & {
      readonly audited: CursorCheckpoint['cursor']['audited']
      readonly isRun: boolean
    }
  },
): CursorCheckpoint {
  const { snapshot, position, complete, before } = now
  const { audited } = before
  const hasIds = horizonObstacle(plan.stream) === null
  const runs = audited === null ? null : { ...audited, runs: audited.runs + (before.isRun ? 1 : 0) }
  return {
    format: 1,
    source: snapshot.position,
    stream: fingerprintOf(plan, columns),
    kind: 'cursor',
    horizon: !hasIds ? null : complete === null ? before.horizon : formatXid8(snapshot.horizon),
    cursor: {
      field: cursor.column.name,
      bound: cursor.bound,
      value: position.value,
      low: isLowKnown(cursor, snapshot) ? position.low : null,
      audited: !hasIds ? null : complete === null ? runs : { at: complete.atMs, runs: 0 },
    },
  }
}

/** By transaction id no low is needed; and where what was under way is not known, none can be told. */
function isLowKnown({ bound }: CursorPlan, { inFlight }: Pick<Snapshot, 'inFlight'>): boolean {
  switch (bound) {
    case 'xmin':
      return false
    case 'in_flight':
      return inFlight?.kind === 'since'
    case 'lookback':
      return true
    default:
      return unreachable(bound)
  }
}
