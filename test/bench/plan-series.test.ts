import { describe, expect, it } from 'vitest'
import { bareNode } from '../../bench/baselines.js'
import type { Job } from '../../bench/job.js'
import { JOBS } from '../../bench/jobs.js'
import { planSeries, sizeFamily } from '../../bench/plan-series.js'

const job = (name: string, differences: Partial<Job> = {}): Job => ({
  name,
  title: name,
  group: 'readers',
  by: 'trunkline',
  on: { narrow: null, events: null },
  baseline: bareNode,
  probe: async () => ({ version: '1' }),
  command: () => ({ file: 'true', args: [], shown: 'true' }),
  ...differences,
})

const planned = (jobs: readonly Job[], choice: Partial<Parameters<typeof planSeries>[1]> = {}): string[] =>
  planSeries(jobs, { tables: null, everything: false, ...choice }).map(
    ({ condition, entries }) =>
      `${condition}: ${entries.map((entry) => `${entry.job.name} ${entry.table}`).join(', ')}`,
  )

describe('the series', () => {
  it('run what does the same on the same table in the same rounds', () => {
    expect(planned([job('a', { task: 'load' }), job('b', { task: 'load' })])).toEqual([
      'tcp: a narrow, b narrow',
      'tcp: a events, b events',
    ])
  })

  it('keep apart what does something else, belongs to another group or goes by another path', () => {
    const on = { narrow: null }
    const jobs = [
      job('a', { on, task: 'load' }),
      job('b', { on, task: 'read' }),
      job('c', { on }),
      job('d', { on, task: 'load', group: 'shapes' }),
      job('e', { on, task: 'load', conditions: ['tcp', 'tls'] }),
    ]
    expect(planned(jobs)).toEqual([
      'tcp: a narrow, e narrow',
      'tcp: b narrow',
      'tcp: c narrow',
      'tls: e narrow',
      'tcp: d narrow',
    ])
  })

  it('run all sizes of a table in the same rounds where sizes are compared, the smallest first', () => {
    const on = { lineitem_20m: null, lineitem: null, lineitem_1m: null, narrow_1m: null }
    const scaling = [
      job('a', { on, task: 'load', group: 'scaling' }),
      job('b', { on, task: 'read', group: 'scaling' }),
    ]
    expect(planned(scaling, { everything: true })).toEqual([
      'tcp: a lineitem_1m, b lineitem_1m, a lineitem, b lineitem, a lineitem_20m, b lineitem_20m',
      'tcp: a narrow_1m, b narrow_1m',
    ])
  })

  it('run other programs on one table, unless more are named', () => {
    const other = [job('a', { group: 'peers', on: { lineitem: null, events: null } })]
    expect(planned(other, { everything: true })).toEqual(['tcp: a lineitem'])
    expect(planned(other, { tables: new Set(['events']) })).toEqual(['tcp: a events'])
  })

  it('leave out the largest table unless it is named, and whatever is not named if anything is', () => {
    const large = [job('a', { on: { lineitem: null, lineitem_20m: null } })]
    expect(planned(large)).toEqual(['tcp: a lineitem'])
    expect(planned(large, { tables: new Set(['lineitem_20m']) })).toEqual(['tcp: a lineitem_20m'])
  })
})

it('tells the size of a table from its name', () => {
  expect(sizeFamily('lineitem_20m')).toEqual({ family: 'lineitem', millions: 20 })
  expect(sizeFamily('long_text')).toEqual({ family: 'long_text', millions: null })
})

describe('the jobs', () => {
  it('have names of their own within their group, but for those that differ in their paths', () => {
    const names = JOBS.map(({ group, name, conditions = ['tcp'], on }) =>
      [group, name, ...conditions, ...Object.keys(on)].join(' '),
    )
    expect(new Set(names).size).toBe(names.length)
  })

  it('are held against jobs that are run in the same rounds', () => {
    for (const { task, reference, group, on } of JOBS) {
      if (reference === undefined) continue
      const other = JOBS.filter((each) => each.group === group && each.name === reference)
      for (const table of Object.keys(on)) {
        if (table === 'many_small' && group === 'conditions') continue
        expect(other.some((each) => each.task === task && table in each.on)).toBe(true)
      }
    }
  })
})
