import { describe, expect, it } from 'vitest'
import { mergeResults } from '../../bench/merge-results.js'
import { absentJob, benchResults, impactRow, resultRow } from './results.js'

const later = { measuredAt: '2026-02-03T00:00:00.000Z', commit: 'def5678' } as const
const path = { name: 'tls', title: 'TLS', roundTripMs: 0.2 } as const

describe('merging', () => {
  it('takes the newest of each group, job, table and path, and keeps the rest', () => {
    const earlier = benchResults([
      resultRow(),
      resultRow({ dataSet: 'events' }),
      resultRow({ path }),
      resultRow({ group: 'peers' }),
    ])
    const merged = mergeResults(earlier, benchResults([resultRow(later)]), [])
    expect(merged.rows.map(({ commit }) => commit)).toEqual(['def5678', 'abc1234', 'abc1234', 'abc1234'])
  })

  it('lists the jobs in their order, whichever was run last', () => {
    const earlier = benchResults([resultRow({ job: 'second' })])
    const merged = mergeResults(earlier, benchResults([resultRow({ job: 'first' })]), [
      'readers first',
      'readers second',
    ])
    expect(merged.rows.map(({ job }) => job)).toEqual(['first', 'second'])
  })

  it('takes the newest of each load', () => {
    const earlier = benchResults([], { impact: [impactRow(), impactRow({ load: 'psql' })] })
    const merged = mergeResults(
      earlier,
      benchResults([], { impact: [impactRow({ load: 'psql', ...later })] }),
      [],
    )
    expect(merged.impact.map(({ load, commit }) => `${load} ${commit}`)).toEqual([
      'none abc1234',
      'psql def5678',
    ])
  })

  it('no longer calls absent what has run since', () => {
    const earlier = benchResults([], {
      absent: [absentJob({ group: 'readers', job: 'duckdb' }), absentJob({ job: 'gone' })],
    })
    const merged = mergeResults(earlier, benchResults([resultRow()]), [])
    expect(merged.absent.map(({ job }) => job)).toEqual(['gone'])
  })

  it('drops the row of a job that has failed on its table since, and names the failure', () => {
    const failure = absentJob({ group: 'readers', job: 'duckdb', dataSet: 'narrow', reason: 'failed: wrong' })
    const earlier = benchResults([resultRow(), resultRow({ dataSet: 'events' })])
    const merged = mergeResults(earlier, benchResults([], { absent: [failure] }), [])
    expect(merged.rows.map(({ dataSet }) => dataSet)).toEqual(['events'])
    expect(merged.absent).toEqual([failure])
  })

  it('keeps the row of a program that is not installed any more', () => {
    const gone = absentJob({ group: 'readers', job: 'duckdb' })
    const merged = mergeResults(benchResults([resultRow()]), benchResults([], { absent: [gone] }), [])
    expect(merged.rows).toHaveLength(1)
    expect(merged.absent).toEqual([])
  })

  it('refuses results of another machine or server', () => {
    const { machine } = benchResults([])
    const other = benchResults([], { machine: { ...machine, cores: 64 } })
    expect(() => mergeResults(other, benchResults([]), [])).toThrow('64 cores')
    const newer = benchResults([], { server: { version: '19.1', settings: {} } })
    expect(() => mergeResults(newer, benchResults([]), [])).toThrow('PostgreSQL 19.1')
  })
})
