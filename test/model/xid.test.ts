import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TrunklineError } from '../../src/model/error.js'
import {
  epochOf,
  formatLsn,
  formatXid8,
  isWindowUsable,
  MAX_XID_WINDOW,
  parseLsn,
  parseXid8,
  widenXid,
  xidWindow,
} from '../../src/model/xid.js'

const EPOCH = 2n ** 32n

describe('transaction ids', () => {
  test('are read from decimal text and written back unchanged', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 64n - 1n), (value) => {
        expect(formatXid8(parseXid8(value.toString()))).toBe(value.toString())
      }),
    )
  })

  test.each(['', '-1', '1.5', '0x10', '18446744073709551616', '1; drop table t'])('%j is refused', (text) => {
    expect(() => parseXid8(text)).toThrow(TrunklineError)
  })

  test('a window of 2^31 ids or more, or one that runs backwards, cannot be used', () => {
    const horizon = parseXid8('1000')
    expect(isWindowUsable(horizon, parseXid8('1000'))).toBe(true)
    expect(isWindowUsable(horizon, parseXid8((1000n + MAX_XID_WINDOW - 1n).toString()))).toBe(true)
    expect(isWindowUsable(horizon, parseXid8((1000n + MAX_XID_WINDOW).toString()))).toBe(false)
    expect(isWindowUsable(horizon, parseXid8('999'))).toBe(false)
    expect(xidWindow(horizon, parseXid8('1300'))).toBe(300n)
  })

  test('a 32-bit xmin widens to the 64-bit id at or above the horizon, across a wraparound too', () => {
    fc.assert(
      fc.property(fc.bigInt(3n, 2n ** 60n), fc.bigInt(0n, EPOCH - 1n), (horizon, distance) => {
        const full = horizon + distance
        expect(widenXid(parseXid8(horizon.toString()), full % EPOCH)).toBe(full)
      }),
    )
  })

  test('epochs change at 2^32', () => {
    expect(epochOf(parseXid8('4294967295'))).toBe(0n)
    expect(epochOf(parseXid8('4294967296'))).toBe(1n)
  })
})

describe('log positions', () => {
  test('are ordered as numbers, not as text', () => {
    expect(parseLsn('9/0') < parseLsn('10/0')).toBe(true)
    expect(parseLsn('16/B374D848')).toBe(0x16b374d848n)
  })

  test('are written as the server writes them', () => {
    expect(formatLsn(parseLsn('16/b374d848'))).toBe('16/B374D848')
    expect(formatLsn(parseLsn('0/0'))).toBe('0/0')
  })

  test.each(['', '16', '16/', '/B3', '16/B374D8480', 'G/1'])('%j is refused', (text) => {
    expect(() => parseLsn(text)).toThrow(TrunklineError)
  })
})
