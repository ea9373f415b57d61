/** What a benchmark found, as it is saved; everything that is printed or drawn is made from this. */
import type { ConditionName } from './conditions.js'
import type { GroupName } from './groups.js'
import type { Spread } from './statistics.js'

export interface BenchResults {
  readonly format: 2
  readonly machine: Machine
  readonly server: { readonly version: string; readonly settings: Readonly<Record<string, string>> }
  readonly rows: readonly ResultRow[]
  readonly impact: readonly ImpactRow[]
  readonly absent: readonly AbsentJob[]
}

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
}

/** When and of what: parts of the results can be renewed by themselves. */
export interface Provenance {
  /** ISO 8601, the start of the run. */
  readonly measuredAt: string
  /** Short hash; with `+` where the working tree differs from it. */
  readonly commit: string
}

/** A job that could not run here, or that failed, and why. */
export interface AbsentJob {
  readonly group: GroupName
  readonly job: string
  readonly title: string
  readonly task: string | null
  /** Null: on any. */
  readonly dataSet: string | null
  readonly reason: string
}

/** What a series of runs took; null where the system does not say. */
export interface Timed {
  readonly wallSeconds: Spread
  readonly clientCpuSeconds: Spread | null
  readonly serverCpuSeconds: Spread | null
  readonly peakRssBytes: Spread | null
}

/** How the server was reached. */
export interface PathTaken {
  readonly name: ConditionName
  readonly title: string
  /** Of the smallest query over it, median; null where it was not asked. */
  readonly roundTripMs: number | null
}

/** One job on one data set over one path. */
export interface ResultRow extends Timed, Provenance {
  readonly group: GroupName
  readonly job: string
  readonly by: 'trunkline' | 'peer' | 'control'
  readonly task: string | null
  readonly title: string
  readonly version: string
  /** As typed, without paths or ports of the machine. */
  readonly commandLine: string
  readonly dataSet: string | null
  readonly rowCount: number | null
  /** Of the whole table as COPY BINARY: MB/s says how fast the table was moved, whatever the job wrote. */
  readonly copyBytes: number | null
  readonly path: PathTaken
  readonly baseline: Timed & {
    readonly title: string
    readonly commandLine: string
    readonly version: string
  }
  /** Candidate over the baseline run of the same round. */
  readonly ratio: Spread
  /** Held against another job, or another size, of the same rounds; null: against none. */
  readonly against: Against | null
  /** What the ratio is meant to stay under; null where nothing is aimed at. */
  readonly target: number | null
  /** Whether it belongs in the chart for those who pass by. */
  readonly charted: boolean
  /** Runs whose landed rows were compared with the source; null where nothing lands. */
  readonly checkedRuns: number | null
  /** What the comparison looked at; null: the checksum of every column. */
  readonly checkedAs: string | null
}

export interface Against {
  readonly title: string
  /** Time for each row over the other's, round by round. */
  readonly timePerRow: Spread
  readonly peakRss: Spread | null
}

/** What transactions of an application take while something reads. */
export interface ImpactRow extends Provenance {
  readonly load: string
  readonly title: string
  readonly commandLine: string | null
  /** Milliseconds from when a transaction was due to its end. */
  readonly p50Ms: Spread
  readonly p99Ms: Spread
  /** Over the round's window without any load; null for that window itself. */
  readonly p50Ratio: Spread | null
  readonly p99Ratio: Spread | null
  readonly transactions: number
  readonly perSecond: number
  readonly windowSeconds: number
  /** Rows copied per second meanwhile, copies cut off by the end of the window left out; null without a load. */
  readonly rowsPerSecond: number | null
}
