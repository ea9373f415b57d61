/** Which runs share their rounds. Pure. */
import { CONDITIONS, type ConditionName } from './conditions.js'
import { type DataSetName, NAMED_ONLY } from './data-sets.js'
import { GROUP_NAMES, type GroupName } from './groups.js'
import type { Job } from './job.js'

export interface SeriesEntry<J extends Job = Job> {
  readonly job: J
  readonly table: DataSetName
}

/** Rounds of these entries, one after the other, each table's after a run of its baseline. */
export interface Series<J extends Job = Job> {
  readonly group: GroupName
  readonly condition: ConditionName
  readonly entries: readonly SeriesEntry<J>[]
}

export interface SeriesChoice {
  /** Null: all but those that must be named. */
  readonly tables: ReadonlySet<string> | null
  /** Takes also the tables that must be named. */
  readonly everything: boolean
}

/** Jobs that do the same on the same table are run in turns; for scaling, all sizes of a table are. */
export function planSeries<J extends Job>(jobs: readonly J[], choice: SeriesChoice): readonly Series<J>[] {
  const planned = new Map<string, { group: GroupName; condition: ConditionName; entries: SeriesEntry<J>[] }>()
  const entries = jobs.flatMap((job) => tablesOf(job, choice).map((table) => ({ job, table })))
  for (const condition of Object.keys(CONDITIONS) as ConditionName[]) {
    for (const entry of entries) {
      const { job, table } = entry
      if (!(job.conditions ?? ['tcp']).includes(condition)) continue
      const shared =
        job.group === 'scaling' ? sizeFamily(table).family : `${table} ${job.task ?? `only ${job.name}`}`
      const key = `${job.group} ${condition} ${shared}`
      const series = planned.get(key) ?? { group: job.group, condition, entries: [] }
      series.entries.push(entry)
      planned.set(key, series)
    }
  }
  return [...planned.values()]
    .map((series) => (series.group === 'scaling' ? { ...series, entries: bySize(series.entries) } : series))
    .sort((a, b) => GROUP_NAMES.indexOf(a.group) - GROUP_NAMES.indexOf(b.group))
}

/** Some of the others take minutes for a table: they do one, or a part of it, unless more is named. */
const PEER_TABLES: ReadonlySet<DataSetName> = new Set(['lineitem', 'lineitem_1m'])

function tablesOf(job: Job, { tables, everything }: SeriesChoice): readonly DataSetName[] {
  return (Object.keys(job.on) as DataSetName[]).filter((table) => {
    if (tables !== null) return tables.has(table)
    if (job.group === 'peers') return PEER_TABLES.has(table)
    return everything || !NAMED_ONLY.has(table)
  })
}

/** `lineitem_20m`: lineitem, 20 million; `lineitem`: no statement of its size. */
export function sizeFamily(table: string): { readonly family: string; readonly millions: number | null } {
  const found = /^(.*)_(\d+)m$/.exec(table)
  if (found === null) return { family: table, millions: null }
  return { family: found[1] ?? table, millions: Number(found[2]) }
}

/** The smallest first; a name without a size is the size that is used most, between 1 and 20 million. */
const USUAL_MILLIONS = 10

function bySize<J extends Job>(entries: readonly SeriesEntry<J>[]): SeriesEntry<J>[] {
  const millions = ({ table }: SeriesEntry<J>): number => sizeFamily(table).millions ?? USUAL_MILLIONS
  return [...entries].sort((a, b) => millions(a) - millions(b))
}
