/** How a run adapts to its tables, to this machine and to the server. The defaults are in `thresholds.ts`. */

/**
 * `pressure`: memory of this machine and pressure on the server act. `table_size`: batches, readers and saves go by the rows of
 * each table, small tables first, and memory and processors act on them; pressure on the server as before. `off`: nothing does.
 */
export type AdaptiveStrategy = 'pressure' | 'table_size' | 'off'

export type SizeCategory = 'small' | 'medium' | 'large'

/** What tables of one size are read with. */
export interface SizeFigures {
  /** Most rows in a batch. */
  readonly batchRows: number
  /** Reported; what is read at a time is a range of the table's storage. */
  readonly partitionRows: number
  /** Reported; two batches of a reader are on their way or wait. */
  readonly queueRows: number
  /** Most readers of one table. */
  readonly readers: number
  /** Rows between two saves of a load. */
  readonly checkpointRows: number
}

/** Shares are percent. */
export interface AdaptiveOptions {
  readonly strategy: AdaptiveStrategy
  /** What this process may take; null: what the container or the machine has. */
  readonly memoryLimitBytes: number | null
  readonly memoryHigh: number
  readonly memoryCritical: number
  /** With this much left, nothing presses, whatever the share; only in `pressure`. */
  readonly memoryEnoughBytes: number
  readonly cpuHigh: number
  readonly cpuCritical: number
  /** Of the connections that the server gives to ordinary roles. */
  readonly connectionsHigh: number
  readonly connectionsCritical: number
  readonly replicaLagHighMs: number
  readonly replicaLagCriticalMs: number
  /** By so many points something must fall below a threshold before it counts as eased. */
  readonly easeBy: number
  readonly sampleEveryMs: number
  /** Longest pause in which nothing is read. */
  readonly pauseAtMostMs: number
  /** What remains of a batch under high, and under critical, pressure. */
  readonly batchShareHigh: number
  readonly batchShareCritical: number
  readonly leastBatchRows: number
  readonly leastBatchBytes: number
  /** A table of fewer rows is small. */
  readonly smallBelowRows: number
  /** A table of so many rows and more is large. */
  readonly largeFromRows: number
  /** The monitor's line is logged whenever so many more tables were begun; only in `table_size`. */
  readonly logEveryTables: number
  readonly small: SizeFigures
  readonly medium: SizeFigures
  readonly large: SizeFigures
}

/** As stated: what is absent has its default. */
export type AdaptiveSettings = {
  readonly [Key in keyof AdaptiveOptions]?: AdaptiveOptions[Key] extends SizeFigures
    ? Partial<SizeFigures>
    : AdaptiveOptions[Key]
}
