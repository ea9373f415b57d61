/** What a benchmark found, as it is saved; everything that is printed or drawn is made from this. */
import type { Spread } from './statistics.js'

export interface BenchResults {
  readonly format: 1
  readonly startedAt: string
  /** Short hash; with `+` where the working tree differs from it. */
  readonly commit: string
  readonly machine: Machine
  readonly server: { readonly version: string; readonly settings: Readonly<Record<string, string>> }
  readonly rows: readonly ResultRow[]
  /** Jobs that could not run here, and why. */
  readonly absent: readonly { readonly job: string; readonly reason: string }[]
}

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
}

/** What a series of runs took; null where the system does not say. */
export interface Timed {
  readonly wallSeconds: Spread
  readonly clientCpuSeconds: Spread | null
  readonly serverCpuSeconds: Spread | null
  readonly peakRssBytes: Spread | null
}

/** One job on one data set. */
export interface ResultRow extends Timed {
  readonly job: string
  readonly title: string
  readonly version: string
  /** As typed, without paths or ports of the machine. */
  readonly commandLine: string
  readonly dataSet: string | null
  readonly rowCount: number | null
  /** Of the whole table as COPY BINARY: MB/s says how fast the table was moved, whatever the job wrote. */
  readonly copyBytes: number | null
  readonly baseline: Timed & { readonly commandLine: string; readonly version: string }
  /** Candidate over the baseline run just before it. */
  readonly ratio: Spread
  /** What the ratio is meant to stay under; null where nothing is aimed at. */
  readonly target: number | null
  /** Whether it belongs in the chart for those who pass by. */
  readonly charted: boolean
  /** Runs whose landed rows were compared with the source; null where nothing lands. */
  readonly checkedRuns: number | null
}
