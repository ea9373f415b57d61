import { describe, expect, test } from 'vitest'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { MeasuredReaders, mostReaders } from '../../src/sync/measured-readers.js'
import { makeClock } from './model/world.js'

const never = new AbortController().signal

describe('readers that a run may come to have', () => {
  test.each([
    ['as many as asked for', 3, { maxConnections: 8 }, 3],
    ['what the connections leave beside two', 9, { maxConnections: 4 }, 2],
    ['none where two connections are all', null, { maxConnections: 2 }, 0],
    ['two, by default', null, {}, 2],
    ['one, where bytes per second are limited', null, { maxReadBytesPerSecond: 1e6 }, 1],
  ])('%s', (_what, jobs, limits, expected) => {
    expect(mostReaders({ ...DEFAULT_LIMITS, ...limits }, jobs)).toBe(expected)
  })
})

/** A stream of many splits that is read at a rate by number of readers, on a machine with idle cores. */
async function read(jobs: number | null, rate: (readers: number) => number): Promise<readonly number[]> {
  const clock = makeClock()
  const machine = { cores: 2, idleMs: () => clock.now() * 1.5 }
  const readers = new MeasuredReaders({ jobs, clock, machine })
  const changes: number[] = []
  const permits = readers.begin({
    most: jobs ?? 2,
    fullBytes: 1e9,
    onChange: () => changes.push(permits.limit),
  })
  changes.push(permits.limit)
  // Takes what there is, and always waits for one more.
  for (let split = 0; split < 5; split++) void permits.acquire('big', never)
  for (let batch = 0; batch < 300; batch++) {
    await clock.sleep(100, undefined)
    readers.took({ bytes: rate(permits.limit) * 1e5, waitedMs: 10 })
  }
  return changes
}

describe('the number in use', () => {
  test('is what was asked for, whatever is measured', async () => {
    expect(await read(1, (readers) => readers)).toEqual([1])
    expect(await read(4, () => 1)).toEqual([4])
  })

  test('grows while that is faster', async () => {
    expect(await read(null, (readers) => readers)).toEqual([1, 2])
  })

  test('goes back where it is not, and another trial comes later', async () => {
    const changes = await read(null, (readers) => 1 / readers)
    expect(changes.slice(0, 3)).toEqual([1, 2, 1])
    expect(changes.at(-1)).toBe(1)
    expect(changes.length).toBeLessThan(8)
  })
})
