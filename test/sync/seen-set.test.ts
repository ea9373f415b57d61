import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatXid8, type Xid8 } from '../../src/model/xid.js'
import { placeInWindow, SeenSet } from '../../src/sync/seen-set.js'

const xid = (value: bigint): Xid8 => value as Xid8
const ids = (...values: bigint[]): Xid8[] => values.map(xid)

describe('seen-set', () => {
  test('neighbours become one range', () => {
    expect(SeenSet.fromIds(ids(9n, 5n, 6n, 7n, 6n)).format()).toEqual([
      ['5', '7'],
      ['9', '9'],
    ])
  })

  test('it holds what was put in, before and after being saved, and nothing else', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.bigInt(0n, 60n)), (values) => {
        const set = SeenSet.parse(SeenSet.fromIds(ids(...values)).format())
        expect(set.size).toBe(values.length)
        for (let value = 0n; value <= 61n; value++) expect(set.has(xid(value))).toBe(values.includes(value))
      }),
    )
  })

  test('an id is found again from its 32 bits anywhere in a window, across a wraparound', () => {
    fc.assert(
      fc.property(
        fc.bigInt(3n, 2n ** 40n),
        fc.bigInt(1n, 2n ** 31n - 1n),
        fc.nat(),
        (horizon, width, pick) => {
          const id = horizon + (BigInt(pick) % width)
          fc.pre(id % 2n ** 32n >= 3n)
          const placed = placeInWindow(Number(id % 2n ** 32n), xid(horizon), xid(horizon + width))
          expect(placed).not.toBeNull()
          expect(formatXid8(placed ?? xid(0n))).toBe(String(id))
        },
      ),
    )
  })

  test('ids outside the window have no place in it', () => {
    expect(placeInWindow(99, xid(100n), xid(200n))).toBeNull()
    expect(placeInWindow(200, xid(100n), xid(200n))).toBeNull()
    expect(placeInWindow(100, xid(100n), xid(200n))).toBe(100n)
    // The frozen and the bootstrap id are of no transaction, wherever the window lies.
    expect(placeInWindow(2, xid(2n ** 32n - 10n), xid(2n ** 32n + 10n))).toBeNull()
  })
})
