/** What a person can choose for a benchmark. */
import { parseArgs } from 'node:util'
import { JOBS, type Job } from './jobs.js'

export const USAGE = `npm run bench -- [options]
  --job a,b      only these jobs: ${JOBS.map(({ name }) => name).join(', ')}
  --table a,b    only these tables
  --pairs n      runs of each job and of its baseline (default 5)
  --scale x      rows as a multiple of the published size (default 1)
  --major n      PostgreSQL 12 to 18 (default 18)
  --save         keep the results in bench/results/ and renew docs/performance.md and its chart
  --profile      CPU profiles of the jobs, summarised (the times then mean little)
`

export interface BenchOptions {
  readonly jobs: readonly Job[]
  /** Null: all. */
  readonly tables: ReadonlySet<string> | null
  readonly pairs: number
  readonly scale: number
  readonly major: number
  readonly save: boolean
  readonly profile: boolean
}

/** Null: help is wanted. @throws Error naming the option that is wrong. */
export function parseOptions(args: readonly string[]): BenchOptions | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      job: { type: 'string' },
      table: { type: 'string' },
      pairs: { type: 'string', default: '5' },
      scale: { type: 'string', default: '1' },
      major: { type: 'string', default: '18' },
      save: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  const wanted = values.job?.split(',')
  for (const name of wanted ?? []) {
    if (!JOBS.some((job) => job.name === name)) throw new Error(`There is no job ${name}.\n${USAGE}`)
  }
  return {
    jobs: JOBS.filter(({ name }) => wanted?.includes(name) ?? true),
    tables: values.table === undefined ? null : new Set(values.table.split(',')),
    pairs: Math.ceil(positiveNumber('pairs', values.pairs)),
    scale: positiveNumber('scale', values.scale),
    major: positiveNumber('major', values.major),
    save: values.save,
    profile: values.profile,
  }
}

function positiveNumber(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} takes a number above 0, not ${text}.`)
  return value
}
