/** What a plan is at the destination, and what a snapshot leaves there as a checkpoint. Pure. */
import type { Checkpoint, SourcePosition } from '../model/checkpoint.js'
import { unreachable } from '../model/column-type.js'
import { formatXid8 } from '../model/xid.js'
import type { OriginColumn, StreamLanding, StreamOrigin } from '../destination/contract.js'
import type { ReadColumn, Snapshot } from '../source/contract.js'
import { landedFields, landedName } from '../transform/transform-spec.js'
import { fingerprintOf } from './fingerprint.js'
import type { CursorCheckpoint } from './cursor-load.js'
import type { CursorPlan } from './cursor-plan.js'
import { horizonObstacle, type StreamPlan } from './plan.js'

export type DescribedStream = Pick<
  StreamLanding,
  'stream' | 'table' | 'fields' | 'comments' | 'origin' | 'deletes'
>

/** `columns`: those that are landed. */
export function describeLanding(
  plan: StreamPlan,
  columns: readonly ReadColumn[],
  position: SourcePosition,
): DescribedStream {
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
    origin: describeOrigin(plan, columns, position),
    deletes: plan.deletes,
  }
}

function describeOrigin(
  { stream, transform, indexes: wanted }: StreamPlan,
  columns: readonly ReadColumn[],
  { systemIdentifier, database }: SourcePosition,
): StreamOrigin {
  const kept = new Map<string, OriginColumn>()
  // A hook may return anything that goes with the kind of a column.
  for (const { source, ownType } of transform.hook === null ? columns : []) {
    const column = stream.columns.find(({ name }) => name === source)
    if (ownType !== true || column === undefined || transform.masks.has(source)) continue
    kept.set(landedName(transform, source), {
      sqlType: column.baseSqlType ?? column.sqlType,
      typeName: column.typeName,
      typeSchema: column.typeSchema,
      typeKind: column.typeKind,
      labels: column.enumLabels,
      identity: column.identity,
    })
  }
  /** Null where one of them is an expression, or does not land as it is. */
  const landed = (names: readonly (string | null)[]): readonly string[] | null => {
    const found = names.map((name) => (name === null ? '' : landedName(transform, name)))
    return names.every((name, index) => name !== null && kept.has(found[index] ?? '')) ? found : null
  }
  const { key } = stream
  return {
    columns: kept,
    primaryKey: key?.from === 'primary_key' ? landed(key.columns) : null,
    indexes: (wanted ? stream.indexes : []).flatMap((index) => {
      const names = landed(index.columns)
      const { name, unique, valid, partial, method } = index
      const isKey = key?.from === 'primary_key' && key.index === name
      if (names === null || partial || !valid || isKey || method === null || method === undefined) return []
      return [{ name, columns: names, unique, method }]
    }),
    relation: { systemIdentifier, database, oid: stream.oid },
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
