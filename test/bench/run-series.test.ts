import pg from 'pg'
import { describe, expect, it } from 'vitest'
import type { BuiltDataSet } from '../../bench/build-data-sets.js'
import type { DataSetName } from '../../bench/data-sets.js'
import { type Job, NO_DATA_SET } from '../../bench/job.js'
import type { Command } from '../../bench/measure.js'
import type { Series } from '../../bench/plan-series.js'
import { type RunnableJob, type SeriesOutcome, runSeries } from '../../bench/run-series.js'

/** What ran, in order. */
function series(group: Job['group'] = 'readers') {
  const log: string[] = []
  const logged = (name: string, command: string, shown = name): Command => {
    log.push(name)
    return { file: command, args: [], shown }
  }
  const job = (name: string, differences: Partial<RunnableJob> = {}): RunnableJob => ({
    name,
    title: `title of ${name}`,
    group,
    by: 'trunkline',
    task: 'load',
    on: { narrow: 1.5, narrow_1m: null },
    baseline: {
      title: 'base',
      probe: async () => ({ version: '1' }),
      command: ({ set }) => logged(`base ${set.name}`, 'true'),
    },
    probe: async () => ({ version: '2' }),
    command: ({ set, run }) => logged(`${name} ${set.name} ${run}`, 'true'),
    version: '2',
    baselineVersion: '1',
    ...differences,
  })
  const failing = (name: string, file: string): Partial<RunnableJob> => ({
    command: ({ set, run }) => logged(`${name} ${set.name} ${run}`, file),
  })
  return { log, job, failing }
}

const built = (name: DataSetName, rows: number): [DataSetName, BuiltDataSet] => [
  name,
  { ...NO_DATA_SET, name, rows, tables: 1 },
]

async function run(
  entries: Series<RunnableJob>['entries'],
  pairs = 2,
  group: Job['group'] = 'readers',
): Promise<SeriesOutcome> {
  return runSeries(
    { group, condition: 'tcp', entries },
    {
      pairs,
      provenance: { measuredAt: '2026-01-02T03:04:05.000Z', commit: 'abc1234' },
      aimed: true,
      profileFolder: null,
      server: { pid: process.pid, awaitIdle: async () => undefined },
      path: {
        connection: {},
        url: '',
        taken: { name: 'tcp', title: 'TCP', roundTripMs: 0.1 },
        [Symbol.asyncDispose]: async () => undefined,
      },
      sets: new Map([built('narrow', 1000), built('narrow_1m', 100)]),
      // Not connected: none of these jobs asks the source for anything.
      context: { client: new pg.Client(), folder: '' },
      say: () => undefined,
    },
  )
}

describe('a series', () => {
  it('runs its jobs in rounds, each round after a run of the baseline', async () => {
    const { log, job } = series()
    const { rows } = await run([
      { job: job('a'), table: 'narrow' },
      { job: job('b', { reference: 'a' }), table: 'narrow' },
    ])
    const round = (index: number): string[] => ['base narrow', `a narrow ${index}`, `b narrow ${index}`]
    expect(log.slice(0, 6)).toEqual([...round(0), ...round(1)])
    expect(rows.map(({ job: name, ratio, target }) => [name, ratio.n, target])).toEqual([
      ['a', 2, 1.5],
      ['b', 2, 1.5],
    ])
    expect(rows.map(({ against }) => against?.title)).toEqual([undefined, 'title of a'])
    expect(rows[1]?.against?.timePerRow.n).toBe(2)
  })

  it('leaves a job out from when it fails, tells why, and goes on with the others', async () => {
    const { log, job, failing } = series()
    const { rows, failed } = await run([
      { job: job('bad', failing('bad', 'false')), table: 'narrow' },
      { job: job('good'), table: 'narrow' },
    ])
    expect(log.filter((line) => line.startsWith('bad'))).toEqual(['bad narrow 0'])
    expect(rows.map((row) => row.job)).toEqual(['good'])
    expect(failed).toMatchObject([
      { job: 'bad', dataSet: 'narrow', reason: 'failed: bad narrow 0 ended with 1' },
    ])
  })

  it('takes rows that are wrong for a failure', async () => {
    const { job } = series()
    const wrong = job('wrong', { check: async () => '7 rows of 8' })
    const { rows, failed } = await run([{ job: wrong, table: 'narrow' }])
    expect(rows).toEqual([])
    expect(failed[0]?.reason).toBe('failed: what landed is wrong: 7 rows of 8')
  })

  it('holds other programs against ours, where they name nothing else', async () => {
    const { job } = series('peers')
    const { rows } = await run(
      [
        { job: job('ours'), table: 'narrow' },
        { job: job('theirs', { by: 'peer' }), table: 'narrow' },
      ],
      1,
      'peers',
    )
    expect(rows.map(({ against }) => against?.title)).toEqual([undefined, 'title of ours'])
  })

  it('compares sizes of a table by the time for each row, each after its own baseline', async () => {
    const { log, job } = series('scaling')
    const a = job('a')
    const { rows } = await run(
      [
        { job: a, table: 'narrow_1m' },
        { job: a, table: 'narrow' },
      ],
      1,
      'scaling',
    )
    expect(log.slice(0, 4)).toEqual(['base narrow_1m', 'a narrow_1m 0', 'base narrow', 'a narrow 0'])
    const [small, large] = rows
    expect(small?.against).toBeNull()
    expect(large?.against?.title).toBe('narrow_1m')
    const perRow = (row = large): number => (row?.wallSeconds.median ?? NaN) / (row?.rowCount ?? NaN)
    expect(large?.against?.timePerRow.median).toBeCloseTo(perRow() / perRow(small))
  })
})
