import { describe, expect, test } from 'vitest'
import { makeBatch } from '../../src/testing/make-batch.js'
import type { CursorColumn } from '../../src/model/cursor.js'
import type { Batch } from '../../src/batch/batch.js'
import { rows as rowsOf } from '../../src/batch/rows.js'
import { countSegments, isAuditDue, planSegments, type CursorLoad } from '../../src/sync/cursor-load.js'
import type { CursorPlan } from '../../src/sync/cursor-plan.js'
import { VersionFilter } from '../../src/sync/version-filter.js'

const COLUMN: CursorColumn = {
  name: 'at',
  typeSchema: 'pg_catalog',
  typeName: 'timestamptz',
  kind: 'time',
  nullable: true,
}
const question = (from: string | null) => ({
  range: { column: COLUMN, from, below: null, others: { nulls: true, lowest: true } },
  since: null,
  inFlight: null,
  lookback: null,
  notBelow: null,
})
const FACTS = { value: '9', low: '8' }

describe('segments of a load by cursor', () => {
  test('meet at their bounds, and each has the position that holds after it', () => {
    const bounds = [
      { at: '3', low: '2' },
      { at: '6', low: '5' },
    ]
    const segments = planSegments(question('1'), FACTS, bounds)
    expect(
      segments.map(({ range, position, isLast }) => [
        range.from,
        range.below,
        position.value,
        position.low,
        isLast,
      ]),
    ).toEqual([
      ['1', '3', '3', '2', false],
      ['3', '6', '6', '5', false],
      ['6', null, '9', '8', true],
    ])
  })

  test('take rows without a place in the order with the last one; a beginning without a bound has minus infinity', () => {
    const of = (from: string | null) =>
      planSegments(question(from), FACTS, [{ at: '5', low: '5' }]).map(({ range }) => range.others)
    expect(of('1')).toEqual([
      { nulls: false, lowest: false },
      { nulls: true, lowest: true },
    ])
    expect(of(null)).toEqual([
      { nulls: false, lowest: false },
      { nulls: true, lowest: false },
    ])
  })

  test('are not empty where values repeat or lie at the beginning', () => {
    const bounds = ['1', '4', '4'].map((at) => ({ at, low: at }))
    expect(planSegments(question('1'), FACTS, bounds).map(({ range }) => [range.from, range.below])).toEqual([
      ['1', '4'],
      ['4', null],
    ])
    expect(planSegments(question('1'), FACTS, [])).toHaveLength(1)
  })

  test('are of the stated size, no more than a hundred, and at least one', () => {
    expect([0, 499, 999, 1000, 10_000_000].map((rows) => countSegments(rows, 500))).toEqual([1, 1, 1, 2, 100])
    expect([10, 999_999, 1_000_000].map((rows) => countSegments(rows, null))).toEqual([1, 1, 2])
  })
})

describe('an audit', () => {
  const plan = (auditEvery: CursorPlan['auditEvery']): CursorPlan => ({
    column: COLUMN,
    bound: 'in_flight',
    start: null,
    lookback: null,
    auditEvery,
    segmentRows: null,
    reason: '',
    warnings: [],
  })
  const load = (audited: CursorLoad['audited'], more: Partial<CursorLoad> = {}): CursorLoad => ({
    kind: 'cursor',
    from: '1',
    since: '1',
    versions: null,
    horizon: '700',
    audited,
    fresh: null,
    change: { columns: [], added: [] },
    warnings: [],
    ...more,
  })

  test('is due after so many runs, or so much time, and where none was made', () => {
    const everyThird = plan({ kind: 'runs', runs: 3 })
    expect([0, 1, 2, 3].map((runs) => isAuditDue(everyThird, load({ at: 0, runs }), 0))).toEqual([
      false,
      false,
      true,
      true,
    ])
    const hourly = plan({ kind: 'duration', ms: 1000 })
    expect([999, 1000].map((now) => isAuditDue(hourly, load({ at: 0, runs: 0 }), now))).toEqual([false, true])
    expect(isAuditDue(everyThird, load(null), 0)).toBe(true)
  })

  test('is not where nobody asked, everything is read, or rows have no transaction ids', () => {
    const every = plan({ kind: 'runs', runs: 1 })
    expect(isAuditDue(plan(null), load(null), 0)).toBe(false)
    expect(isAuditDue(every, load(null, { fresh: 'first' }), 0)).toBe(false)
    expect(isAuditDue(every, load(null, { horizon: null }), 0)).toBe(false)
  })
})

describe('versions landed by an append', () => {
  const VERSION = { name: '_trunkline_version', type: { kind: 'int', bits: 64 }, nullable: true } as const
  const ID = { name: 'id', type: { kind: 'int', bits: 32 }, nullable: false } as const
  const batch = (...rows: (readonly [number, bigint | null])[]): Batch => makeBatch([ID, VERSION], rows)
  const idsOf = (landed: Batch): unknown[] => [...rowsOf(landed)].map((row) => row['id'])

  test('are dropped once for each time they were landed; rows without a digest always land', () => {
    const first = new VersionFilter('t', null)
    expect(idsOf(first.apply(batch([1, 10n], [2, null], [3, 30n], [3, 30n])))).toEqual([1, 2, 3, 3])
    const second = new VersionFilter('t', first.format(true))
    const landed = second.apply(batch([1, 10n], [2, null], [3, 30n], [3, 30n], [3, 30n], [4, -7n]))
    expect(idsOf(landed)).toEqual([2, 3, 4])
    const third = new VersionFilter('t', second.format(true))
    expect(idsOf(third.apply(batch([1, 10n], [3, 30n], [3, 30n], [3, 30n], [4, -7n])))).toEqual([])
  })

  test('that were not met yet stay remembered until the run is over', () => {
    const first = new VersionFilter('t', null)
    first.apply(batch([1, 10n], [2, 20n]))
    const second = new VersionFilter('t', first.format(true))
    second.apply(batch([1, 10n]))
    expect(idsOf(new VersionFilter('t', second.format(false)).apply(batch([2, 20n])))).toEqual([])
    expect(idsOf(new VersionFilter('t', second.format(true)).apply(batch([2, 20n])))).toEqual([2])
  })

  test('are bounded in number, and a saved state that is none is refused', () => {
    const filter = new VersionFilter('public.t', null, 2)
    expect(() => filter.apply(batch([1, 1n], [2, 2n], [3, 3n]))).toThrow(
      /more than 2 rows lie within the lookback/,
    )
    expect(() => new VersionFilter('t', 'AAAA')).toThrow(/not saved in whole numbers/)
  })
})
