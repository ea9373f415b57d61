import { describe, expect, test } from 'vitest'
import { firstReaderCount, nextReaderCount, type ReaderCount } from '../../src/sync/reader-count.js'

/** What a load would be like with each number of readers. */
interface Load {
  /** Megabytes per second by number of readers, from 1 on; the last holds for more. */
  readonly rate: (readers: number) => number
  readonly readShare: (readers: number) => number
  readonly idleCores: (readers: number) => number | null
  readonly short?: boolean
}

/** The numbers over `samples` samples, the first one included. */
function play(load: Load, options: { most?: number; cores?: number; bytes?: number; samples?: number } = {}) {
  const { most = 4, cores = 2, bytes = 1e9, samples = 60 } = options
  let count: ReaderCount = firstReaderCount({ most, cores, fullBytes: bytes })
  const numbers = [count.readers]
  for (let sample = 0; sample < samples; sample++) {
    // Not even: as it is on a machine.
    const wobble = 1 + (((sample * 7919) % 13) - 6) / 300
    const { readers } = count
    count = nextReaderCount(
      count,
      {
        bytesPerSecond: load.rate(readers) * wobble * 1e6,
        short: load.short ?? true,
        readShare: load.readShare(readers),
        idleCores: load.idleCores(readers),
      },
      { most },
    )
    numbers.push(count.readers)
  }
  return numbers
}

/** Part of the samples that were spent at a number. */
const share = (numbers: readonly number[], readers: number): number =>
  numbers.filter((number) => number === readers).length / numbers.length

describe('a load that the server holds back', () => {
  const load: Load = {
    rate: (readers) => Math.min(readers, 3) * 100,
    readShare: () => 0.95,
    idleCores: (readers) => 6 - readers * 1.4,
  }

  test('gets reader after reader, as long as each brings something', () => {
    const numbers = play(load, { cores: 8 })
    expect(numbers[0]).toBe(2)
    // The fourth is tried, brings nothing, and is given up; only seldom is it tried again.
    expect(numbers.at(-1)).toBe(3)
    expect(share(numbers, 3)).toBeGreaterThan(0.5)
    expect(Math.max(...numbers)).toBe(4)
  })

  test('never gets more than the connections allow', () => {
    expect(Math.max(...play(load, { cores: 8, most: 2 }))).toBe(2)
    expect(new Set(play(load, { cores: 8, most: 1 }))).toEqual(new Set([1]))
  })

  test('gets a second one on two cores, if the server is elsewhere', () => {
    const numbers = play({ ...load, idleCores: (readers) => 1.7 - readers * 0.4 }, { most: 2 })
    expect(numbers[0]).toBe(1)
    expect(share(numbers, 2)).toBeGreaterThan(0.6)
  })
})

describe('a load that needs all of the machine', () => {
  test('keeps the one reader where no core is idle', () => {
    const load: Load = { rate: () => 100, readShare: () => 0.9, idleCores: () => 0.2 }
    expect(new Set(play(load))).toEqual(new Set([1]))
  })

  test('tries a second one where a core seems idle, and gives it up', () => {
    const load: Load = {
      rate: (readers) => (readers === 1 ? 100 : 82),
      readShare: () => 0.9,
      idleCores: () => 0.7,
    }
    const numbers = play(load, { samples: 200 })
    expect(Math.max(...numbers)).toBe(2)
    expect(share(numbers, 2)).toBeLessThan(0.12)
    expect(numbers.at(-1)).toBe(1)
  })

  test('tries also where the system does not say what is idle', () => {
    const load: Load = { rate: (readers) => readers * 100, readShare: () => 0.9, idleCores: () => null }
    expect(play(load, { most: 2 }).at(-1)).toBe(2)
  })
})

describe('a load that the destination holds back', () => {
  const load: Load = {
    rate: () => 100,
    readShare: (readers) => (readers === 1 ? 0.5 : 0.2),
    idleCores: () => 5,
  }

  test('never gets a second reader', () => {
    expect(new Set(play(load))).toEqual(new Set([1]))
  })

  test('gives up the second one that it began with', () => {
    const numbers = play(load, { cores: 8 })
    expect(numbers[0]).toBe(2)
    expect(numbers.at(-1)).toBe(1)
    expect(share(numbers, 1)).toBeGreaterThan(0.8)
  })

  test('keeps it where one alone would be slower', () => {
    const slower: Load = { ...load, rate: (readers) => (readers === 1 ? 80 : 100), readShare: () => 0.3 }
    expect(share(play(slower, { cores: 8 }), 2)).toBeGreaterThan(0.7)
  })
})

describe('small streams', () => {
  test('never pay for a second reader', () => {
    const load: Load = { rate: () => 100, readShare: () => 1, idleCores: () => 8, short: false }
    expect(new Set(play(load, { cores: 16, bytes: 1e6 }))).toEqual(new Set([1]))
  })

  test('a load that is over within two samples stays with the first number', () => {
    const load: Load = { rate: (readers) => readers * 100, readShare: () => 1, idleCores: () => 8 }
    expect(play(load, { samples: 2 })).toEqual([1, 1, 1])
  })
})

test('a snapshot that allows fewer has fewer', () => {
  const count = firstReaderCount({ most: 4, cores: 8, fullBytes: 1e9 })
  const sample = { bytesPerSecond: 1, short: true, readShare: 1, idleCores: 4 }
  expect(nextReaderCount(count, sample, { most: 1 }).readers).toBe(1)
})
