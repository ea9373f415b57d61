/** Builds what a run and its streams report. Pure. */
import { toErrorData, TrunklineError } from '../model/error.js'
import type { Adaptation, RunReport, SnapshotReport, StreamOutcome, StreamReport } from '../model/report.js'
import type { StreamOptions } from '../model/sync-spec.js'
import { formatXid8 } from '../model/xid.js'
import type { StreamState, TableName } from '../destination/contract.js'
import type { Snapshot } from '../source/contract.js'
import type { StreamPlan } from './plan.js'
import { printTable } from './naming.js'
import type { StreamResult } from './stream-run.js'

/** What is known of a stream when its report is due; a stream can end before it has a plan. */
export interface StreamFacts {
  readonly stream: string
  readonly options: StreamOptions
  readonly table: TableName | null
  readonly plan: StreamPlan | null
  readonly state: StreamState | null
  readonly attempts: number
  readonly seconds: number
}

export function reportResult(facts: StreamFacts, result: StreamResult): StreamReport {
  return { ...base(facts), ...withoutFence(result), error: null }
}

export function reportEnd(
  facts: StreamFacts,
  outcome: Exclude<StreamOutcome, 'done' | 'unchanged'>,
  error: unknown,
): StreamReport {
  return {
    ...base(facts),
    outcome,
    error: error === null ? null : toErrorData(error),
  }
}

function base({ stream, options, table, plan, state, attempts, seconds }: StreamFacts): StreamReport {
  return {
    stream,
    outcome: 'failed',
    mode: plan?.mode ?? options.mode ?? 'mirror',
    landing: plan?.landing ?? options.landing ?? 'upsert',
    deletes: plan?.deletes ?? options.deletes ?? 'hard',
    table: table === null ? '' : printTable(table),
    promise: plan?.promise ?? '',
    fullLoadReason: null,
    generation: state?.generation ?? 0,
    runSeq: state?.runSeq ?? 0,
    rowsRead: 0,
    rowsLanded: 0,
    rowsDeleted: 0,
    bytesRead: 0,
    sourceCount: null,
    destinationCount: null,
    verified: null,
    attempts,
    seconds,
    phases: { count: 0, read: 0, land: 0, finish: 0 },
    warnings: plan?.warnings ?? [],
    error: null,
  }
}

function withoutFence(result: StreamResult): Omit<StreamResult, 'fenceMs'> {
  const { fenceMs, ...rest } = result
  void fenceMs
  return rest
}

/** How a snapshot was used by its streams. */
export type SnapshotUse = Pick<SnapshotReport, 'fenceMs' | 'readers'>

/** When it is over: whether it yielded is known then. */
export function reportSnapshot(snapshot: Snapshot, use: SnapshotUse): SnapshotReport {
  return {
    id: snapshot.id,
    horizon: formatXid8(snapshot.horizon),
    horizonAgeSeconds: snapshot.horizonAgeSeconds,
    lsn: snapshot.position.lsn,
    streams: snapshot.streams.length,
    ...use,
    yielded: isYield(snapshot.signal.reason),
  }
}

function isYield(reason: unknown): boolean {
  return reason instanceof TrunklineError && reason.code === 'YIELDED_TO_DDL'
}

export interface RunFacts {
  readonly sync: string
  readonly runId: string
  readonly startedAtMs: number
  readonly endedAtMs: number
  readonly aborted: boolean
  readonly snapshots: readonly SnapshotReport[]
  readonly streams: readonly StreamReport[]
  readonly adaptations: readonly Adaptation[]
  readonly warnings: readonly string[]
}

export function reportRun(facts: RunFacts): RunReport {
  const sum = (pick: (report: StreamReport) => number): number =>
    facts.streams.reduce((total, report) => total + pick(report), 0)
  return {
    sync: facts.sync,
    runId: facts.runId,
    startedAt: new Date(facts.startedAtMs).toISOString(),
    seconds: (facts.endedAtMs - facts.startedAtMs) / 1000,
    outcome: runOutcome(facts),
    snapshots: facts.snapshots,
    streams: facts.streams,
    rowsRead: sum((report) => report.rowsRead),
    rowsLanded: sum((report) => report.rowsLanded),
    rowsDeleted: sum((report) => report.rowsDeleted),
    bytesRead: sum((report) => report.bytesRead),
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    readers: Math.max(0, ...facts.snapshots.map((snapshot) => snapshot.readers)),
    adaptations: facts.adaptations,
    warnings: facts.warnings,
  }
}

function runOutcome({ aborted, streams }: RunFacts): RunReport['outcome'] {
  if (aborted) return 'aborted'
  const failed = streams.filter((report) => report.outcome === 'failed').length
  if (failed === 0) return 'done'
  return failed === streams.length ? 'failed' : 'some_failed'
}

export function abortedError(reason: unknown): TrunklineError {
  return new TrunklineError('ABORTED', 'The run was interrupted before this was complete.', {
    hint: 'Run again: it goes on from the last commit.',
    cause: reason,
  })
}
