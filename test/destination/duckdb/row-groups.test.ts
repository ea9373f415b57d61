import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rows } from '../../../src/batch/rows.js'
import { ROW_GROUP_ROWS, RowGroups, sliceRows } from '../../../src/destination/duckdb/row-groups.js'
import type { Field } from '../../../src/model/column-type.js'
import { makeBatch } from '../make-batch.js'

const FIELDS: Field[] = [
  { name: 'n', type: { kind: 'int', bits: 16 }, nullable: true },
  { name: 'flag', type: { kind: 'bool' }, nullable: true },
  { name: 'text', type: { kind: 'text' }, nullable: true },
]
const row = fc.tuple(
  fc.option(fc.integer({ min: -9, max: 9 })),
  fc.option(fc.boolean()),
  fc.option(fc.string({ maxLength: 5 })),
)

describe('row groups', () => {
  it('slices a batch to the rows asked for, wherever the cut falls in a byte of nulls', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 40 }), fc.nat(40), fc.nat(40), (data, a, b) => {
        const start = Math.min(a, data.length)
        const count = Math.min(b, data.length - start)
        const slice = sliceRows(makeBatch(FIELDS, data), start, count)
        expect([...rows(slice)]).toEqual([...rows(makeBatch(FIELDS, data.slice(start, start + count)))])
      }),
    )
  })

  it('makes groups of exactly one row group, and gives out the rest at the end', () => {
    const groups = new RowGroups()
    const batch = makeBatch(
      FIELDS,
      Array.from({ length: 50_001 }, (_, n) => [n % 100, null, 'x']),
    )
    const made = [0, 1, 2, 3, 4].flatMap(() => [...groups.add(batch)])
    expect(made.map((group) => group.rows)).toEqual([ROW_GROUP_ROWS, ROW_GROUP_ROWS])
    expect(made.map((group) => group.batches.reduce((sum, part) => sum + part.rowCount, 0))).toEqual([
      ROW_GROUP_ROWS,
      ROW_GROUP_ROWS,
    ])
    expect(groups.end()?.rows).toBe(5 * 50_001 - 2 * ROW_GROUP_ROWS)
    expect(groups.end()).toBeNull()
  })

  it('ends a group early when its rows are wide', () => {
    const groups = new RowGroups()
    const wide = makeBatch(FIELDS, [[1, true, 'w'.repeat(40 * 1024 * 1024)]])
    expect([...groups.add(wide)].map((group) => group.rows)).toEqual([1])
  })
})
