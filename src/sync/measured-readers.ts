/** The readers of a run: permits for them, and, where their number is ours to choose, the measuring that chooses it. */
import type { Limits } from '../model/sync-spec.js'
import { AUTOMATIC_READERS, READER_SAMPLE_MS } from '../model/thresholds.js'
import type { Clock } from './clock.js'
import type { Machine } from './machine.js'
import { firstReaderCount, nextReaderCount, type ReaderCount } from './reader-count.js'
import { ReaderPermits } from './reader-permits.js'

/** Connections that are not readers: the leader, and the one that watches for sessions waiting on us. */
const CONNECTIONS_BESIDE_READERS = 2

/**
 * How many readers a run may come to have: `jobs` where it is given, and never more than connections are left for. 0: the
 * leader reads.
 */
export function mostReaders(limits: Limits, jobs: number | null): number {
  // Readers share a limit of bytes per second, and one keeps to it as well as two.
  const wanted = jobs ?? (limits.maxReadBytesPerSecond === null ? AUTOMATIC_READERS : 1)
  return Math.max(0, Math.min(wanted, limits.maxConnections - CONNECTIONS_BESIDE_READERS))
}

export interface MeasuredReadersOptions {
  /** As configured: this many, or null for as many as turn out to be best. */
  readonly jobs: number | null
  readonly clock: Clock
  readonly machine: Machine
}

/** One batch on its way. */
export interface TakenBatch {
  readonly bytes: number
  /** What the destination let its stream wait. */
  readonly waitedMs: number
}

export class MeasuredReaders {
  readonly #options: MeasuredReadersOptions
  /** Kept over the snapshots of a run. */
  #count: ReaderCount | null = null
  #permits = new ReaderPermits(1)
  #most = 1
  /** What pressure leaves of so many. */
  #held = (most: number): number => most
  #wanted = 1
  #interval: Interval | null = null
  #onChange: (() => void) | null = null

  constructor(options: MeasuredReadersOptions) {
    this.#options = options
  }

  get permits(): ReaderPermits {
    return this.#permits
  }

  /** For another snapshot, which allows `most` readers; `onChange` is told of another number. */
  begin(options: {
    readonly most: number
    readonly fullBytes: number
    readonly onChange: () => void
  }): ReaderPermits {
    const { most, fullBytes, onChange } = options
    const { jobs, machine } = this.#options
    this.#most = most
    this.#onChange = onChange
    this.#interval = null
    if (jobs === null) this.#count ??= firstReaderCount({ most, cores: machine.cores, fullBytes })
    this.#wanted = jobs === null ? Math.min(this.#count?.readers ?? 1, most) : most
    this.#permits = new ReaderPermits(Math.min(this.#wanted, this.#held(most)))
    return this.#permits
  }

  /** Readers that there may be in this snapshot. */
  get most(): number {
    return this.#most
  }

  /** Uses no more than `limit` gives of those that there may be, whatever is measured. */
  hold(limit: (most: number) => number): void {
    this.#held = limit
    this.#use(this.#wanted)
  }

  #use(wanted: number): void {
    this.#wanted = wanted
    const readers = Math.min(wanted, this.#held(this.#most))
    if (readers === this.#permits.limit) return
    this.#permits.limit = readers
    this.#onChange?.()
  }

  /** After each batch: what is measured is measured there, so nothing runs by a timer. */
  took(batch: TakenBatch): void {
    // With fewer than are wanted, nothing can be learned.
    if (this.#count === null || this.#most < 2 || this.#held(this.#most) < this.#wanted) return
    const now = this.#options.clock.now()
    this.#interval ??= this.#newInterval(now)
    const interval = this.#interval
    interval.bytes += batch.bytes
    interval.waitedMs += batch.waitedMs
    interval.short &&= this.#permits.isShort
    const elapsedMs = now - interval.startedAt
    // The clock may have been set.
    if (elapsedMs < 0 || elapsedMs > 20 * READER_SAMPLE_MS) this.#interval = null
    if (elapsedMs < READER_SAMPLE_MS || this.#interval === null) return
    this.#interval = this.#newInterval(now)
    this.#decide(interval, elapsedMs)
  }

  #decide(interval: Interval, elapsedMs: number): void {
    if (this.#count === null) return
    const idleMs = this.#options.machine.idleMs()
    // A stream that has readers waits for them or for the destination; one that has none waits for its turn.
    const waitedShare = interval.waitedMs / (elapsedMs * Math.max(1, this.#permits.holders))
    const sample = {
      bytesPerSecond: (interval.bytes / elapsedMs) * 1000,
      short: interval.short,
      readShare: Math.max(0, 1 - waitedShare),
      idleCores: idleMs === null || interval.idleMs === null ? null : (idleMs - interval.idleMs) / elapsedMs,
    }
    this.#count = nextReaderCount(this.#count, sample, { most: this.#most })
    this.#use(this.#count.readers)
  }

  #newInterval(now: number): Interval {
    return {
      startedAt: now,
      idleMs: this.#options.machine.idleMs(),
      bytes: 0,
      waitedMs: 0,
      short: true,
    }
  }
}

interface Interval {
  readonly startedAt: number
  readonly idleMs: number | null
  bytes: number
  waitedMs: number
  short: boolean
}
