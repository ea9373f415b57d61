import { expect, it } from 'vitest'
import { closeBatch, createBatchArena, growText } from '../../src/codec/batch-arena.js'
import type { Field } from '../../src/model/column-type.js'

const MIB = 1024 * 1024

it('does not keep the memory of every column that was long once, but that of those that mostly are', () => {
  const fields: Field[] = Array.from({ length: 40 }, (_, i) => ({
    name: `c${i}`,
    type: { kind: 'text' },
    nullable: true,
  }))
  const arena = createBatchArena(fields, { stream: 's', batchBytes: MIB, batchRows: 100 })
  const kept = (): number => arena.columns.reduce((sum, column) => sum + column.text.length, 0)
  /** One row with a value of this length in one column. */
  const load = (index: number, bytes: number): void => {
    arena.columns.forEach((column, i) => {
      if (i === index) {
        growText(column, bytes)
        column.text.fill(0x78, 0, bytes)
        column.textEnd = bytes
      }
      column.offsets[1] = column.textEnd
    })
    arena.rowCount = 1
    arena.usedBytes = bytes
    expect(closeBatch(arena)!.columns[index]!.values.length).toBe(bytes)
  }
  load(0, 900_000)
  expect(kept()).toBeGreaterThan(900_000)
  for (let index = 0; index < fields.length; index++) {
    load(index, 900_000)
    expect(kept()).toBeLessThanOrEqual(4 * MIB)
  }
})
