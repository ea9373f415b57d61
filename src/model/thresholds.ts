/** Every number that decides something, in one place; each can be overridden in the configuration. */
import type { AdaptiveOptions } from './adaptive-options.js'
import type { Limits } from './sync-spec.js'

const MIB = 1024 * 1024

export const DEFAULT_LIMITS: Limits = {
  maxConnections: 4,
  maxSnapshotAgeMs: 2 * 60 * 60 * 1000,
  maxReplicaLagMs: null,
  maxReadBytesPerSecond: null,
  yieldToDdlMs: 3000,
  lockTimeoutMs: 10_000,
  stallTimeoutMs: 120_000,
  maxFieldBytes: 256 * MIB,
  /** Large enough that per-batch costs vanish, small enough that a handful in flight stays far under the memory promise. */
  batchBytes: 8 * MIB,
  batchRows: 122_880,
  statementTimeoutMs: 0,
  maxAttempts: 5,
  firstRetryDelayMs: 1000,
  maxRetryDelayMs: 60_000,
  retryJitter: [0.5, 1],
  minConnections: 1,
  idleTimeoutMs: 5 * 60 * 1000,
  connectionMaxAgeMs: 3 * 60 * 60 * 1000,
  breakerFailures: 5,
  breakerPauseMs: 30_000,
  maxRequestsPerMinute: null,
  requestBurst: 50,
  saveEveryMs: 60_000,
  saveEveryRows: null,
}

/** The percentages and the figures by size are those of the Connector SDK's adaptive example. */
export const DEFAULT_ADAPTIVE: AdaptiveOptions = {
  strategy: 'pressure',
  memoryLimitBytes: null,
  memoryHigh: 80,
  memoryCritical: 90,
  memoryEnoughBytes: 2048 * MIB,
  cpuHigh: 85,
  cpuCritical: 95,
  connectionsHigh: 90,
  connectionsCritical: 95,
  replicaLagHighMs: 30_000,
  replicaLagCriticalMs: 120_000,
  easeBy: 5,
  sampleEveryMs: 1000,
  pauseAtMostMs: 10_000,
  batchShareHigh: 0.75,
  batchShareCritical: 0.5,
  leastBatchRows: 100,
  leastBatchBytes: MIB,
  smallBelowRows: 1_000_000,
  largeFromRows: 50_000_000,
  logEveryTables: 5,
  small: { batchRows: 5000, partitionRows: 50_000, queueRows: 10_000, readers: 4, checkpointRows: 1_000_000 },
  medium: { batchRows: 2500, partitionRows: 25_000, queueRows: 5000, readers: 2, checkpointRows: 500_000 },
  large: { batchRows: 1000, partitionRows: 5000, queueRows: 1000, readers: 1, checkpointRows: 100_000 },
}
/** Bytes of a row of a table that was never analyzed, for want of better. */
export const ASSUMED_ROW_BYTES = 100
/** Changes of pressure that a report lists; a run that swings more often says so by its last ones. */
export const MOST_ADAPTATIONS = 100

/**
 * Rows of a FETCH, and of a batch, of the methods `named` and `client` where no batch size is stated: a server keeps the rows
 * of one FETCH in a temporary file.
 */
export const FETCH_ROWS = 10_000

/** Longest wait for a connection of ours to come free. */
export const POOL_TIMEOUT_MS = 60_000
/** A run that would delete a larger share of a destination table stops and asks. */
export const MASS_DELETE_SHARE = 0.2
/** Below this many rows a table is too small for a share to mean anything. */
export const MASS_DELETE_MIN_ROWS = 1000
/** A first load estimated larger than this shows the plan and asks. */
export const CONFIRM_BYTES = 10 * 1024 * MIB
/** Heap size above which `plan` proposes an indexed cursor with an audit. */
export const LARGE_HEAP_BYTES = 2 * 1024 * MIB
/** Longest wait for the write-ahead log to be flushed before the old horizon is kept. */
export const DURABILITY_FENCE_MS = 20_000
/** At a page boundary the insert position may stay this far ahead of what is flushed: one page header. */
export const WAL_PAGE_HEADER_BYTES = 40n
/** Transaction ids remembered by an append without a key. */
export const MAX_SEEN_XIDS = 1_000_000
/** Digests of rows remembered by an append that reads by a cursor. */
export const MAX_LANDED_VERSIONS = 200_000
/** Rows that a run by cursor lands between two of its checkpoints, unless a batch size is stated: some seconds of work. */
export const CURSOR_SEGMENT_ROWS = 500_000
/** Of one run, at most: a commit of the destination takes some hundredths of a second, however few rows it has. */
export const MOST_CURSOR_SEGMENTS = 100
/** How often the side connection asks whether a session waits on us. */
export const WAITER_POLL_MS = 1000
/** A stream of at least this much heap that is read in full is counted while it is read, not before. */
export const COUNT_BESIDE_BYTES = 64 * MIB
/** Streams that run side by side beyond the readers in use: while one is read, others are counted and committed. */
export const STREAMS_BEYOND_READERS = 1
/** Streams side by side at most: each has a writer open, and a writer holds memory. */
export const MOST_STREAMS_AT_ONCE = 4
/** A stream of at least this much heap is long: no more of them at once than readers, so that what is half done is little. */
export const LONG_STREAM_BYTES = 512 * MIB

/** Streams that did not change are confirmed in one commit for so many. */
export const CONFIRMED_AT_ONCE = 256

/** Readers that are never exceeded without being asked for. */
export const AUTOMATIC_READERS = 4
/** Length of an interval of which one sample is made. */
export const READER_SAMPLE_MS = 500
/** Samples that a decision about the number of readers rests on, and those a new reader gets to connect. */
export const READER_SAMPLES = 3
export const READER_SETTLING = 2
/** What another reader must bring to stay, and what giving one up may cost. */
export const READER_GAIN = 1.07
export const READER_LOSS = 0.97
/** A reader decodes with about a third of a core; the server, where it is on this machine, takes the rest of one. */
export const READER_IDLE_CORES = 0.6
/** Samples between a trial that failed and the next one: at first, and at most. */
export const READER_FIRST_REST = 16
export const READER_LONGEST_REST = 256
/** From this many cores on two readers begin at once, if there is this much to read. */
export const READER_MANY_CORES = 4
export const READER_LARGE_BYTES = 256 * MIB

/** Between two saves of a load whose snapshot may be taken from it. */
export const HURRIED_SAVE_MS = 1000
/** The share of a load's time that its saves may take: slow ones come less often. */
export const SAVE_SHARE = 0.05

/** `trunkline serve`: where it listens, and how much it does at once. */
export const SERVICE_PORT = 8080
export const SERVICE_EXTRACTIONS = 4
export const SERVICE_RUNS = 1
export const SERVICE_GRACE_MS = 30_000
export const SERVICE_CLIENT_TIMEOUT_MS = 2 * 60 * 1000
/** Of hexadecimal digits: 64 bits, at the very least. */
export const SERVICE_TOKEN_MIN_LENGTH = 16
/** Rows on their way to a client: what a slow one holds here is a small multiple of it. */
export const SERVICE_BATCH_BYTES = 256 * 1024
/** A body is a small document. */
export const SERVICE_BODY_BYTES = 64 * 1024
/** Answers about health are as old as this at most; a server is not asked more often. */
export const SERVICE_HEALTH_AGE_MS = 2000
export const SERVICE_HEALTH_TIMEOUT_MS = 5000
/** Statistics of schemas for the metrics are as old as this at most. */
export const SERVICE_STATISTICS_AGE_MS = 5 * 60 * 1000
/** Runs remembered after their end, and events of each. */
export const SERVICE_KEPT_RUNS = 100
export const SERVICE_KEPT_EVENTS = 1000
