/** What a plan is at the destination, and what a snapshot leaves there as a checkpoint. Pure. */
import type { Checkpoint } from '../model/checkpoint.js'
import { formatXid8 } from '../model/xid.js'
import type { StreamLanding } from '../destination/contract.js'
import type { ReadColumn, Snapshot } from '../source/contract.js'
import { landedFields, landedName } from '../transform/transform-spec.js'
import { fingerprintOf } from './fingerprint.js'
import type { StreamPlan } from './plan.js'

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
