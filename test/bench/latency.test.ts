import { describe, expect, it } from 'vitest'
import { percentile, readLatencies } from '../../bench/latency.js'

describe("a log of pgbench's", () => {
  it('holds the microseconds of each transaction in its third column', () => {
    const log = '0 1 1234 0 1763733600 12 5\n1 1 800 0 1763733600 99 0\n'
    expect(readLatencies(log)).toEqual([1.234, 0.8])
  })

  it('is refused where a transaction failed, which would make the rest look fast', () => {
    expect(() => readLatencies('0 1 failed 0 1763733600 12 5\n')).toThrow('without a time')
  })
})

describe('a percentile', () => {
  it('is the least value that so many do not exceed', () => {
    const values = Array.from({ length: 200 }, (_, index) => 200 - index)
    expect(percentile(values, 50)).toBe(100)
    expect(percentile(values, 99)).toBe(198)
    expect(percentile(values, 100)).toBe(200)
    expect(percentile([7], 99)).toBe(7)
  })

  it('of nothing is an error', () => {
    expect(() => percentile([], 50)).toThrow(RangeError)
  })
})
