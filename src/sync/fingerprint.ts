/**
 * What a checkpoint was made of, against what is there now: whether a stream may go on from it, must be loaded anew, or must
 * stop. Pure. The rules and what each protects against: docs/guarantees.md.
 */
import { unreachable } from '../model/column-type.js'
import type { Checkpoint, SourcePosition, StreamFingerprint } from '../model/checkpoint.js'
import { TrunklineError, type ErrorCode } from '../model/error.js'
import { isWindowUsable, parseLsn, parseXid8, type Xid8 } from '../model/xid.js'
import type { ReadColumn, RowWindow } from '../source/contract.js'
import { fingerprintTransforms } from '../transform/transform-spec.js'
import { fingerprintColumn, ownColumns, type LandedColumns } from './column-fingerprint.js'
import { beginByCursor, beginsByCursor, goOnByCursor, type CursorAudit } from './cursor-load.js'
import { horizonObstacle, type StreamPlan } from './plan.js'
import { applySchemaPolicy } from './schema-change.js'

/** A checkpoint that a run can go on from. */
type SavedPosition = Exclude<Checkpoint, { readonly kind: 'full' }>

/** What a run does with a stream. */
export type Load =
  /** All rows into a new generation that takes the place of the present one. */
  | { readonly kind: 'new_generation'; readonly reason: string; readonly columns: readonly ReadColumn[] }
  /** All rows by key into the present generation, which keeps rows that the source no longer has. */
  | { readonly kind: 'full_upsert'; readonly reason: string; readonly change: LandedColumns }
  /** All rows behind those that are there. */
  | { readonly kind: 'dated_copy'; readonly change: LandedColumns }
  /** Only what the window selects. */
  | {
      readonly kind: 'since'
      readonly window: RowWindow
      readonly seen: readonly (readonly [string, string])[]
      readonly change: LandedColumns
      /** Compare keys even if the counts agree. */
      readonly reconcile: boolean
      readonly warnings: readonly string[]
    }
  /** What lies at or above a position of the cursor, in its order. */
  | {
      readonly kind: 'cursor'
      /** Null reads everything. */
      readonly from: string | null
      /** The greatest value landed before. */
      readonly since: string | null
      /** As in the checkpoint: what an append may meet again. */
      readonly versions: string | null
      /** What everything was landed up to, by transaction id; null where rows have none. */
      readonly horizon: string | null
      readonly audited: CursorAudit | null
      /** Why all rows are read, into a new generation; null where it goes on. */
      readonly fresh: string | null
      readonly change: LandedColumns
      readonly warnings: readonly string[]
    }

export interface LoadInput {
  readonly plan: StreamPlan
  readonly position: SourcePosition
  /** Null for the first load and after `state resync`. */
  readonly saved: Checkpoint | null
  readonly acceptNewSource: boolean
}

/**
 * @throws SOURCE_CHANGED, SOURCE_REWOUND, SCHEMA_FROZEN where going on needs a person's word, SOURCE_PRESSURE where a
 * standby has yet to replay what was already copied.
 */
export function decideLoad(input: LoadInput): Load {
  const load = decide(input)
  // All rows as well, and in their order: so the load is saved on its way, or what an append has to remember is found.
  return load.kind === 'new_generation' && beginsByCursor(input.plan)
    ? beginByCursor(load.columns, load.reason)
    : load
}

function decide({ plan, position, saved, acceptNewSource }: LoadInput): Load {
  if (saved === null) {
    if (plan.dated) return { kind: 'dated_copy', change: { columns: plan.columns, added: [] } }
    return { kind: 'new_generation', reason: 'It has not been loaded before.', columns: plan.columns }
  }
  const time = comparePositions(saved, position)
  if (time.kind === 'other_source') {
    if (!acceptNewSource) throw sourceChanged(plan, time.what)
    return {
      kind: 'new_generation',
      reason: `The source is another one (${time.what}).`,
      columns: plan.columns,
    }
  }
  if (time.kind === 'behind') throw behind(plan)

  const shape = applySchemaPolicy(plan, saved.stream)
  if (shape.restart !== null) {
    return { kind: 'new_generation', reason: shape.restart, columns: shape.change.columns }
  }
  if (plan.dated && shape.incompatible === null) return { kind: 'dated_copy', change: shape.change }
  if (plan.mode === 'full_refresh' && plan.landing === 'replace') {
    return { kind: 'new_generation', reason: 'Mode full_refresh.', columns: shape.change.columns }
  }
  if (saved.kind === 'full' && plan.mode === 'mirror' && plan.deletes === 'hard') {
    const reason = 'The last run saved no horizon to go on from.'
    return { kind: 'new_generation', reason, columns: shape.change.columns }
  }
  if (plan.mode === 'full_refresh') {
    return shape.incompatible === null
      ? { kind: 'full_upsert', reason: 'Mode full_refresh.', change: shape.change }
      : stopOrReload(plan, shape.change.columns, shape.incompatible, 'SCHEMA_FROZEN')
  }
  if (shape.incompatible !== null) {
    return stopOrReload(plan, shape.change.columns, shape.incompatible, 'SCHEMA_FROZEN')
  }
  if (saved.kind === 'full') return reload(plan, shape.change, 'The last run saved no horizon to go on from.')
  if (landedOnce(saved) !== (plan.landing === 'append')) {
    return {
      kind: 'new_generation',
      reason: `It lands by ${plan.landing} now.`,
      columns: shape.change.columns,
    }
  }
  if (time.kind === 'rewound') {
    return stopOrReload(
      plan,
      shape.change.columns,
      `The source went back in time (${time.what}).`,
      'SOURCE_REWOUND',
      shape.change,
    )
  }
  if (saved.stream.oid !== plan.stream.oid) {
    const reason = 'The table was dropped and created again.'
    return stopOrReload(plan, shape.change.columns, reason, 'SOURCE_CHANGED', shape.change)
  }
  if (shape.reload !== null) return reload(plan, shape.change, shape.reload)

  const byCursor = goOnByCursor(plan, saved, shape)
  if (byCursor !== null) return byCursor
  const known = horizonToGoOnFrom(plan, saved)
  if (known === null) return reload(plan, shape.change, 'The last run saved no position to go on from.')
  const horizon = parseXid8(known)
  const xmax = parseXid8(position.xmax)
  if (!isWindowUsable(horizon, xmax)) {
    const reason = 'More than 2^31 transactions have passed since the last run, so row ages are ambiguous.'
    return stopOrReload(plan, shape.change.columns, reason, 'SOURCE_REWOUND', shape.change)
  }
  return since(plan, saved, horizon, xmax, shape.change, shape.warnings)
}

function landedOnce(saved: SavedPosition): boolean {
  return saved.seen !== undefined || (saved.kind === 'cursor' && saved.versions !== undefined)
}

/** Null where it cannot be gone on by transaction id: of an append, what was landed must be known by it as well. */
export function horizonToGoOnFrom(plan: StreamPlan, saved: SavedPosition): string | null {
  if (horizonObstacle(plan.stream) !== null) return null
  return plan.landing === 'append' && saved.seen === undefined ? null : saved.horizon
}

function since(
  plan: StreamPlan,
  saved: SavedPosition,
  horizon: Xid8,
  xmax: Xid8,
  change: LandedColumns,
  warnings: readonly string[],
): Load {
  const known = new Set(saved.stream.leaves.map((leaf) => leaf.oid))
  const present = new Set(plan.stream.leaves.map((leaf) => leaf.oid))
  return {
    kind: 'since',
    window: { horizon, xmax, wholeLeaves: [...present].filter((oid) => !known.has(oid)) },
    seen: saved.seen ?? [],
    change,
    reconcile: [...known].some((oid) => !present.has(oid)),
    warnings,
  }
}

/** Rows may be replaced at will, or all of them matched by key where some are kept that the source no longer has. */
function reload(plan: StreamPlan, change: LandedColumns, reason: string): Load {
  if (plan.landing === 'append') throw cannotRepeat(plan, reason, 'SCHEMA_FROZEN')
  if (plan.deletes === 'hard') return { kind: 'new_generation', reason, columns: change.columns }
  return { kind: 'full_upsert', reason, change }
}

/**
 * As {@link reload}, where what is there cannot be matched with what comes unless `change` says how: then rows that only the
 * destination has would be lost, which is for a person to decide.
 */
function stopOrReload(
  plan: StreamPlan,
  columns: readonly ReadColumn[],
  reason: string,
  code: ErrorCode,
  change?: LandedColumns,
): Load {
  const keepsRows = plan.landing === 'append' || plan.deletes !== 'hard'
  if (!keepsRows) return { kind: 'new_generation', reason, columns }
  if (plan.landing !== 'append' && change !== undefined) return { kind: 'full_upsert', reason, change }
  throw cannotRepeat(plan, reason, code)
}

function cannotRepeat(plan: StreamPlan, reason: string, code: ErrorCode): TrunklineError {
  return new TrunklineError(
    code,
    `${plan.stream.name} would have to be loaded anew, and rows that only the destination has would be lost. ${reason}`,
    {
      hint: `Keep what is there under another name if it is needed, then \`trunkline state resync ${plan.stream.name}\`.`,
      context: { stream: plan.stream.name },
    },
  )
}

export type TimeComparison =
  | { readonly kind: 'forward' }
  | { readonly kind: 'other_source'; readonly what: string }
  | { readonly kind: 'rewound'; readonly what: string }
  /** A standby that has not replayed what the last run saw. */
  | { readonly kind: 'behind' }

/** Where the source is now, seen from where it was when the checkpoint was made. */
export function comparePositions(saved: Checkpoint, now: SourcePosition): TimeComparison {
  const then = saved.source
  if (differ(then.systemIdentifier, now.systemIdentifier)) {
    return {
      kind: 'other_source',
      what: `system identifier ${now.systemIdentifier ?? ''}, was ${then.systemIdentifier ?? ''}`,
    }
  }
  if (then.database !== now.database) {
    return { kind: 'other_source', what: `database ${now.database}, was ${then.database}` }
  }
  if (then.timeline !== null && now.timeline !== null && then.timeline !== now.timeline) {
    return {
      kind: 'rewound',
      what: `timeline ${now.timeline}, was ${then.timeline}: a standby was promoted or a backup restored`,
    }
  }
  const lsnLower = then.lsn !== null && now.lsn !== null && parseLsn(now.lsn) < parseLsn(then.lsn)
  if (lsnLower && now.standby) return { kind: 'behind' }
  if (lsnLower) return { kind: 'rewound', what: `log position ${now.lsn ?? ''}, was ${then.lsn ?? ''}` }
  const xmax = parseXid8(now.xmax)
  // A primary counts ids it has handed out and not logged yet; a standby that replayed as far may not know of them, but it
  // knows every id below the horizon.
  const floor =
    now.standby && saved.kind !== 'full' && saved.horizon !== null
      ? parseXid8(saved.horizon)
      : now.standby
        ? 0n
        : parseXid8(then.xmax)
  if (xmax < floor) return { kind: 'rewound', what: `next transaction id ${now.xmax}, was ${then.xmax}` }
  return { kind: 'forward' }
}

function differ(a: string | null, b: string | null): boolean {
  return a !== null && b !== null && a !== b
}

function sourceChanged(plan: StreamPlan, what: string): TrunklineError {
  return new TrunklineError(
    'SOURCE_CHANGED',
    `${plan.stream.name} was last copied from another server or database: ${what}.`,
    {
      hint: 'Check the connection. If this is the new home of the same data, pass `--accept-new-source` once; everything is then loaded anew.',
      context: { stream: plan.stream.name },
    },
  )
}

export function behind(plan: StreamPlan): TrunklineError {
  return new TrunklineError(
    'SOURCE_PRESSURE',
    `The standby has not yet replayed what the last run of ${plan.stream.name} copied; reading it now would go back in time.`,
    {
      hint: 'Wait until it has caught up, or read from the server that was read last.',
      context: { stream: plan.stream.name },
    },
  )
}

/** What is saved with a checkpoint, to be compared by the next run. */
export function fingerprintOf(plan: StreamPlan, columns: readonly ReadColumn[]): StreamFingerprint {
  const { stream } = plan
  const transforms = fingerprintTransforms(plan.transform, plan.key)
  return {
    ...(transforms.length === 0 ? {} : { transforms }),
    oid: stream.oid,
    leaves: stream.leaves.map(({ oid, filenode }) => ({ oid, filenode })),
    columns: [...columns.map((column) => fingerprintColumn(stream, column)), ...ownColumns(plan)],
    key: plan.key === null ? null : [...plan.key],
    where: plan.where,
    sql: stream.sql,
  }
}

/** What a load lands, and which of it the destination has not had. */
export function landedColumns(load: Load): LandedColumns {
  switch (load.kind) {
    case 'new_generation':
      return { columns: load.columns, added: [] }
    case 'full_upsert':
    case 'dated_copy':
    case 'since':
    case 'cursor':
      return load.change
    default:
      return unreachable(load)
  }
}
