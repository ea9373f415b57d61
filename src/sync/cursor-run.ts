/**
 * One attempt at a load by cursor: in segments, each of which is read in the cursor's order, landed and committed with the position
 * after it. A run that dies goes on after its last segment.
 */
import type { Checkpoint } from '../model/checkpoint.js'
import { TrunklineError } from '../model/error.js'
import { isWindowUsable, parseXid8 } from '../model/xid.js'
import type { StreamWriter } from '../destination/contract.js'
import type { CursorFacts, RowWindow, Snapshot } from '../source/contract.js'
import {
  countSegments,
  isAuditDue,
  planSegments,
  questionOf,
  type CursorLoad,
  type Segment,
} from './cursor-load.js'
import type { CursorPlan } from './cursor-plan.js'
import type { StreamPlan } from './plan.js'
import { cursorCheckpoint } from './stream-landing.js'
import type { StreamRows } from './stream-rows.js'
import { VersionFilter } from './version-filter.js'

export interface CursorRunInput<Writer extends StreamWriter> {
  readonly plan: StreamPlan
  readonly cursor: CursorPlan
  readonly load: CursorLoad
  readonly snapshot: Snapshot
  readonly rows: StreamRows
  /** Nobody reads the table yet, or what is there stays: a part of the load may be seen. */
  readonly mayCommitBetween: boolean
  readonly canVerify: boolean
  readonly now: () => number
  readonly warn: (text: string) => void
  readonly begin: () => Promise<Writer>
  /** Compares counts and, where asked, rows, before the last commit. */
  readonly prove: (writer: Writer) => Promise<void>
  readonly commit: (writer: Writer, checkpoint: Checkpoint) => Promise<void>
}

/** @throws COUNT_MISMATCH where not as many rows arrived as `expected`; what was committed before stays. */
export async function runByCursor<Writer extends StreamWriter>(
  input: CursorRunInput<Writer>,
  counted: { readonly expected: number; readonly facts: CursorFacts },
): Promise<void> {
  const { plan, load, rows } = input
  const { expected, facts } = counted
  if (facts.nulls > 0) warnOfNulls(input, facts.nulls)
  const filter = plan.landing === 'append' ? new VersionFilter(plan.stream.name, load.versions) : null
  let arrived = 0
  for (const [index, segment] of (await divide(input, counted)).entries()) {
    const writer = await input.begin()
    try {
      const { added } = load.change
      if (index === 0 && added.length > 0) await writer.alter({ add: added.map((column) => column.field) })
      const versions = filter === null ? null : { upTo: load.since, from: segment.position.low }
      const read = { kind: 'cursor', range: segment.range, versions } as const
      arrived += await rows.landByCursor(writer, read, filter)
      if (segment.isLast && arrived !== expected) throw mismatch(plan, arrived, expected)
      const isAudited = segment.isLast && (await audit(input, writer))
      if (segment.isLast) await input.prove(writer)
      await input.commit(writer, checkpointAfter(input, segment, { filter, isAudited }))
    } catch (error) {
      await writer.abort()
      throw error
    }
  }
}

async function divide<Writer extends StreamWriter>(
  { plan, cursor, load, snapshot, mayCommitBetween }: CursorRunInput<Writer>,
  { expected, facts }: { readonly expected: number; readonly facts: CursorFacts },
): Promise<readonly Segment[]> {
  const question = questionOf(plan, cursor, load, { snapshot, saved: null })
  const parts = mayCommitBetween ? countSegments(expected, cursor.segmentRows) : 1
  const { stream, where } = plan
  const bounds = parts < 2 ? [] : await snapshot.divideByCursor(stream, { where, question, parts })
  return planSegments(question, facts, bounds)
}

function checkpointAfter<Writer extends StreamWriter>(
  { plan, cursor, load, snapshot, now }: CursorRunInput<Writer>,
  { position, isLast }: Segment,
  { filter, isAudited }: { readonly filter: VersionFilter | null; readonly isAudited: boolean },
): Checkpoint {
  // Of a load of all rows only the end has everything that the snapshot sees.
  const isComplete = isAudited || (load.fresh !== null && isLast)
  return {
    ...cursorCheckpoint(plan, cursor, load.change.columns, {
      snapshot,
      position,
      complete: isComplete ? { atMs: now() } : null,
      before: { horizon: load.horizon, audited: load.audited, isRun: isLast },
    }),
    ...(filter === null ? {} : { versions: filter.format(isLast) }),
  }
}

/**
 * Looks by transaction id at everything that was written since nothing can have been missed, and lands it if something was. Rows
 * that appeared below the cursor, and updates that left it as it was, are found alike.
 */
async function audit<Writer extends StreamWriter>(
  input: CursorRunInput<Writer>,
  writer: Writer,
): Promise<boolean> {
  const { plan, cursor, load, snapshot, rows, canVerify, warn } = input
  if (!isAuditDue(cursor, load, input.now()) || load.horizon === null) return false
  const xmax = parseXid8(snapshot.position.xmax)
  const horizon = parseXid8(load.horizon)
  const window: RowWindow | null = isWindowUsable(horizon, xmax) ? { horizon, xmax, wholeLeaves: [] } : null
  const { columns } = load.change
  if (canVerify) {
    const { missing } = await writer.verify(rows.readAll(columns, window))
    if (missing === 0) return true
    warn(
      `The audit found ${missing} rows of ${plan.stream.name} that reading by "${cursor.column.name}" had missed: they became visible below it, or were updated without it. They are landed now.`,
    )
  }
  await rows.landWindow(writer, window)
  return true
}

function warnOfNulls<Writer extends StreamWriter>(
  { cursor, warn }: CursorRunInput<Writer>,
  nulls: number,
): void {
  warn(`${nulls} rows have no "${cursor.column.name}", so they are read again in each run.`)
}

function mismatch(plan: StreamPlan, arrived: number, expected: number): TrunklineError {
  return new TrunklineError(
    'COUNT_MISMATCH',
    `${plan.stream.name}: ${arrived} rows arrived where the snapshot holds ${expected}.`,
    {
      hint: 'What was landed before stays. If it stays so, an index of the source may be damaged.',
      context: { stream: plan.stream.name },
    },
  )
}
