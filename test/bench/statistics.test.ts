import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { median, pairedRatios, spreadOf, spreadOfKnown } from '../../bench/statistics.js'

describe('the median', () => {
  it('is the middle value, in whatever order the values come', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([7])).toBe(7)
  })

  it('is halfway between the two middle values of an even number of them', () => {
    expect(median([1, 10, 2, 4])).toBe(3)
  })

  it('sorts numbers as numbers', () => {
    expect(median([10, 9, 100])).toBe(10)
  })

  it('leaves the series as it was', () => {
    const values = [3, 1, 2]
    median(values)
    expect(values).toEqual([3, 1, 2])
  })

  it('of nothing is an error', () => {
    expect(() => median([])).toThrow(RangeError)
  })

  it('has as many values above as below it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
        const middle = median(values)
        const below = values.filter((value) => value < middle).length
        const above = values.filter((value) => value > middle).length
        expect(below).toBeLessThanOrEqual(values.length / 2)
        expect(above).toBeLessThanOrEqual(values.length / 2)
      }),
    )
  })
})

describe('paired ratios', () => {
  it('divide each candidate by the baseline run beside it', () => {
    const spread = pairedRatios([
      { baseline: 2, candidate: 3 },
      { baseline: 4, candidate: 4 },
      { baseline: 1, candidate: 2 },
    ])
    expect(spread).toEqual({ median: 1.5, min: 1, max: 2, n: 3 })
  })

  it('do not change when the machine is slower for some of the pairs', () => {
    const quiet = [
      { baseline: 2, candidate: 2.2 },
      { baseline: 2, candidate: 2.4 },
      { baseline: 2, candidate: 2.6 },
    ]
    const noisy = quiet.map(({ baseline, candidate }, index) => {
      const slowdown = 1 << index
      return { baseline: baseline * slowdown, candidate: candidate * slowdown }
    })
    expect(pairedRatios(noisy)).toEqual(pairedRatios(quiet))
  })

  it('refuse a baseline that took no time', () => {
    expect(() => pairedRatios([{ baseline: 0, candidate: 1 }])).toThrow(RangeError)
  })
})

describe('a spread', () => {
  it('holds the median, the ends and the number of values', () => {
    expect(spreadOf([4, 1, 2])).toEqual({ median: 2, min: 1, max: 4, n: 3 })
  })

  it('is unknown where one of the values is', () => {
    expect(spreadOfKnown([1, null, 3])).toBeNull()
    expect(spreadOfKnown([])).toBeNull()
    expect(spreadOfKnown([1, 3])).toEqual({ median: 2, min: 1, max: 3, n: 2 })
  })
})
