import { describe, expect, it } from 'vitest'
import { ROW_GROUP_ROWS, RowGroupCutter } from '../../../src/destination/duckdb/row-groups.js'
import type { Field } from '../../../src/model/column-type.js'
import { makeBatch } from '../../../src/testing/make-batch.js'

const FIELDS: Field[] = [
  { name: 'n', type: { kind: 'int', bits: 16 }, nullable: true },
  { name: 'flag', type: { kind: 'bool' }, nullable: true },
  { name: 'text', type: { kind: 'text' }, nullable: true },
]
describe('row groups', () => {
  it('cuts batches where a group has exactly as many rows as DuckDB keeps together', () => {
    const cutter = new RowGroupCutter()
    const batch = makeBatch(
      FIELDS,
      Array.from({ length: 50_001 }, (_, n) => [n % 100, null, 'x']),
    )
    const parts = [0, 1, 2, 3, 4].flatMap(() => [...cutter.cut(batch)])
    const groups = [0]
    for (const { count, ends } of parts) {
      groups[groups.length - 1] = (groups.at(-1) ?? 0) + count
      if (ends === 'full') groups.push(0)
    }
    expect(groups).toEqual([ROW_GROUP_ROWS, ROW_GROUP_ROWS, 5 * 50_001 - 2 * ROW_GROUP_ROWS])
    expect(parts.filter(({ ends }) => ends !== null)).toHaveLength(2)
  })

  it('ends a group early when its rows are wide', () => {
    const cutter = new RowGroupCutter()
    const wide = makeBatch(FIELDS, [[1, true, 'w'.repeat(40 * 1024 * 1024)]])
    expect([...cutter.cut(wide)].map(({ ends }) => ends)).toEqual(['wide'])
  })
})
