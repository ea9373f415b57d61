/** What a person can choose for a benchmark. */
import { parseArgs } from 'node:util'
import { describeDataSets } from './data-sets.js'
import { GROUPS, GROUP_NAMES, type GroupName } from './groups.js'
import type { Job } from './job.js'

/** What `--quick` stands for: enough to see that everything works, too little to say anything of speed. */
const QUICK_SCALE = '0.02'

export interface BenchOptions {
  readonly groups: ReadonlySet<GroupName>
  readonly jobs: readonly Job[]
  /** Null: all but those that must be named. */
  readonly tables: ReadonlySet<string> | null
  /** Takes also the tables that must be named. */
  readonly everything: boolean
  /** Null: as many as the group says. */
  readonly pairs: number | null
  readonly scale: number
  readonly major: number
  readonly save: boolean
  /** Where the results go besides; null: nowhere. */
  readonly out: string | null
  readonly profile: boolean
}

export function usage(jobs: readonly Job[]): string {
  const groups = GROUP_NAMES.map((name) => {
    const names = jobs.filter(({ group }) => group === name).map((job) => job.name)
    return `    ${name.padEnd(11)} ${GROUPS[name].title}${names.length === 0 ? '' : `: ${names.join(', ')}`}\n`
  })
  return `npm run bench -- [options]
  --group a,b    only these groups of jobs:
${groups.join('')}  --job a,b      only these jobs
  --table a,b    only these tables: ${Object.keys(describeDataSets(1)).join(', ')}
                 (lineitem_20m only when named here, or with --group scaling;
                 other programs on others than lineitem and lineitem_1m only when named)
  --pairs n      rounds of each job beside its baseline (default: ${GROUP_NAMES.map((name) => `${name} ${String(GROUPS[name].rounds)}`).join(', ')})
  --scale x      rows as a multiple of the published size (default 1)
  --quick        everything once on tables of a fiftieth: does it work?
  --major n      PostgreSQL 12 to 18 (default 18)
  --save         puts the results into bench/results/, newest of each job, and renews docs/performance.md and its charts
  --out folder   puts the results, the table and the charts there instead
  --profile      CPU profiles of the jobs, summarised (the times then mean little)
`
}

/** Null: help is wanted. @throws Error naming the option that is wrong. */
export function parseOptions(args: readonly string[], all: readonly Job[]): BenchOptions | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      group: { type: 'string' },
      job: { type: 'string' },
      table: { type: 'string' },
      pairs: { type: 'string' },
      scale: { type: 'string' },
      quick: { type: 'boolean', default: false },
      major: { type: 'string', default: '18' },
      save: { type: 'boolean', default: false },
      out: { type: 'string' },
      profile: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  const groups = chosen('group', values.group, GROUP_NAMES)
  const names = chosen('job', values.job, [...all.map(({ name }) => name), 'impact'])
  const tables = chosen('table', values.table, Object.keys(describeDataSets(1)))
  const scale = positiveNumber('scale', values.scale ?? (values.quick ? QUICK_SCALE : '1'))
  if (values.save && scale !== 1) {
    throw new Error('--save keeps what was measured on tables of the published size: use --out for others.')
  }
  // Impact is no job: asking for jobs by name leaves it out, unless it is among them.
  const wanted = (name: GroupName): boolean =>
    groups?.has(name) ?? (name !== 'impact' || names === null || names.has(name))
  return {
    groups: new Set(GROUP_NAMES.filter(wanted)),
    jobs: all.filter(({ name, group }) => (groups?.has(group) ?? true) && (names?.has(name) ?? true)),
    tables,
    everything: values.quick || groups?.has('scaling') === true,
    pairs:
      values.pairs === undefined
        ? values.quick
          ? 1
          : null
        : Math.ceil(positiveNumber('pairs', values.pairs)),
    scale,
    major: positiveNumber('major', values.major),
    save: values.save,
    out: values.out ?? null,
    profile: values.profile,
  }
}

/** Null: not said. */
function chosen<T extends string>(
  option: string,
  text: string | undefined,
  known: readonly T[],
): ReadonlySet<T> | null {
  if (text === undefined) return null
  const names = text.split(',')
  const found = names.flatMap((name) => known.filter((each) => each === name).slice(0, 1))
  const missing = names.find((name) => !known.some((each) => each === name))
  if (missing !== undefined) {
    throw new Error(`--${option}: there is no ${missing}. Known: ${[...new Set(known)].join(', ')}.`)
  }
  return new Set(found)
}

function positiveNumber(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} takes a number above 0, not ${text}.`)
  return value
}
