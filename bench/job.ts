/**
 * What a job is: one program on one kind of work, as data. A job never reports on itself: it is a command that is measured from
 * outside and, where rows land, checked afterwards. A job of another tool or to another destination is one more entry of a list.
 */
import type pg from 'pg'
import type { BuiltDataSet } from './build-data-sets.js'
import type { ConditionName } from './conditions.js'
import type { DataSetName } from './data-sets.js'
import type { GroupName } from './groups.js'
import type { Command } from './measure.js'

/** What a job may use. `set` is the data set it is run on. */
export interface JobContext {
  readonly set: BuiltDataSet
  /** PGHOST, PGPORT, PGUSER, PGDATABASE, and under TLS PGSSLMODE and PGSSLROOTCERT. */
  readonly connection: Readonly<Record<string, string>>
  /** The same as a connection string. */
  readonly url: string
  /** Superuser's connection to the source, for what is not measured. */
  readonly client: pg.Client
  /** An empty folder at the start of the benchmark. */
  readonly folder: string
  /** Counts the runs of this job, from 0. */
  readonly run: number
}

export interface Job {
  /** Unique within its group. */
  readonly name: string
  readonly title: string
  readonly group: GroupName
  /** Whose program runs: ours, another's, or one that only shows what the numbers are worth. */
  readonly by: 'trunkline' | 'peer' | 'control'
  /** What is done, where several jobs do the same: they are run in the same rounds, and drawn together. */
  readonly task?: string
  /**
   * Name of another job of the task, run in the same rounds, that this one is also held against. Default: none; for another
   * program the first of Trunkline's.
   */
  readonly reference?: string
  /** Ratio aimed at, by data set; null: nothing aimed at. A job that needs no table is on `none`. */
  readonly on: Readonly<Partial<Record<DataSetName, number | null>>>
  /** How the server is reached, one series of runs each; default: plain TCP. */
  readonly conditions?: readonly ConditionName[]
  readonly baseline: Baseline
  /** The tables on which it is drawn in the chart, whose measure is COPY; default: none. */
  readonly charted?: readonly DataSetName[]
  /** The version that runs, or why it cannot. */
  readonly probe: () => Promise<Presence>
  /** Before each run and its baseline, not measured. */
  readonly prepare?: (context: JobContext) => Promise<void>
  readonly command: (context: JobContext) => Command
  /** What is wrong with what landed, or null. */
  readonly check?: (context: JobContext, output: string) => Promise<string | null>
  /** What the check looks at, where that is less than the checksum of every column. */
  readonly checkedAs?: string
}

export type Presence = { readonly version: string } | { readonly absent: string }

export interface Baseline {
  readonly title: string
  readonly probe: () => Promise<Presence>
  readonly command: (context: JobContext) => Command
}

/** Stands for the table of a job that reads none. */
export const NO_DATA_SET: BuiltDataSet = {
  name: 'none',
  title: 'no table',
  rows: 0,
  columns: [],
  primaryKey: [],
  rowNumber: '',
  tables: 0,
  copyBytes: 0,
  checksum: '',
}
