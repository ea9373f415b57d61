/** What a run did, as the library returns it, `--json` prints it and the destination keeps it. */
import type { ErrorData } from './error.js'
import type { Deletes, Landing, Mode } from './sync-spec.js'

export type StreamOutcome = 'done' | 'unchanged' | 'failed' | 'skipped' | 'paused'

export interface StreamReport {
  readonly stream: string
  readonly outcome: StreamOutcome
  readonly mode: Mode
  readonly landing: Landing
  readonly deletes: Deletes
  /** Where the rows are: `schema.table` at the destination. */
  readonly table: string
  /** The promise that holds for this stream, with everything that narrows it. */
  readonly promise: string
  /** Why it was read in full, if it was. */
  readonly fullLoadReason: string | null
  readonly generation: number
  readonly runSeq: number
  readonly rowsRead: number
  readonly rowsLanded: number
  readonly rowsDeleted: number
  readonly bytesRead: number
  /** Rows in the source snapshot and live at the destination; equal or the run failed. Null where not counted. */
  readonly sourceCount: number | null
  readonly destinationCount: number | null
  readonly verified: VerifyResult | null
  readonly attempts: number
  readonly seconds: number
  readonly phases: StreamPhases
  readonly warnings: readonly string[]
  readonly error: ErrorData | null
}

/** Seconds of the attempt that came through; 0 for a stream that failed. A large first load is counted while it is read. */
export interface StreamPhases {
  /** Counting at the source, its turn waited for. */
  readonly count: number
  /** Waiting for rows of the source, and for a reader. */
  readonly read: number
  /** Waiting for the destination to take rows. */
  readonly land: number
  /** From the last row to the end: counts, deletes, comparison, commit. */
  readonly finish: number
}

export interface VerifyResult {
  readonly equal: boolean
  /** In the source and not, or not with the same content, at the destination. */
  readonly missing: number
  /** At the destination and not, or not with the same content, in the source. */
  readonly unexpected: number
}

export interface RunReport {
  readonly sync: string
  readonly runId: string
  readonly startedAt: string
  readonly seconds: number
  readonly outcome: 'done' | 'failed' | 'some_failed' | 'aborted'
  readonly snapshots: readonly SnapshotReport[]
  readonly streams: readonly StreamReport[]
  readonly rowsRead: number
  readonly rowsLanded: number
  readonly rowsDeleted: number
  readonly bytesRead: number
  readonly peakMemoryBytes: number
  /** Splits that were read at the same time, at most. */
  readonly readers: number
  /** Whenever this machine or the server came under more or less pressure, the latest ones. */
  readonly adaptations: readonly Adaptation[]
  readonly warnings: readonly string[]
}

export interface Adaptation {
  /** ISO 8601. */
  readonly at: string
  readonly cause: PressureCause
  readonly level: PressureLevel
  /** What is pressed, by how much, and what is done about it. */
  readonly message: string
}

export type PressureLevel = 'normal' | 'high' | 'critical'

/** What can be pressed. `replay`: a standby waits for a snapshot such as ours; `lock`: a session waits for a lock of ours. */
export type PressureCause = 'memory' | 'cpu' | 'connections' | 'replica_lag' | 'replay' | 'lock'

export interface SnapshotReport {
  readonly id: string
  readonly horizon: string
  /** Age of the oldest transaction still running at the snapshot; null where the role may not see it. */
  readonly horizonAgeSeconds: number | null
  readonly lsn: string | null
  readonly streams: number
  readonly fenceMs: number | null
  /** Splits that were read at the same time, at most. */
  readonly readers: number
  readonly yielded: boolean
}

/** Of the events and documents that programs are given. */
export const EVENT_VERSION = 1

/** Pushed while a run goes on; also the events of `--json`. */
export type ProgressEvent =
  | { readonly kind: 'run_started'; readonly runId: string; readonly sync: string; readonly streams: number }
  | {
      readonly kind: 'stream_started'
      readonly stream: string
      readonly mode: Mode
      /** Rows expected, where an estimate or a count is known. */
      readonly expectedRows: number | null
      readonly full: boolean
    }
  | {
      readonly kind: 'stream_progress'
      readonly stream: string
      readonly rows: number
      readonly bytes: number
    }
  | {
      /** A load goes on where an earlier run, or an earlier snapshot of this one, left it. */
      readonly kind: 'stream_resumed'
      readonly stream: string
      readonly parts: number
      readonly partsDone: number
      /** Rows that are there. */
      readonly rows: number
    }
  | ({ readonly kind: 'pressure' } & Adaptation)
  | { readonly kind: 'stream_finished'; readonly report: StreamReport }
  | {
      readonly kind: 'retry'
      readonly stream: string | null
      readonly attempt: number
      readonly delayMs: number
      readonly error: ErrorData
    }
  | { readonly kind: 'warning'; readonly stream: string | null; readonly message: string }
  | { readonly kind: 'run_finished'; readonly report: RunReport }
