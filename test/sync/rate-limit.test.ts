import { expect, test } from 'vitest'
import { createRateLimit, type RateLimit } from '../../src/sync/rate-limit.js'

interface Watch {
  readonly limit: RateLimit
  readonly waits: number[]
  advance(ms: number): void
}

function start(maxRequestsPerMinute: number | null, requestBurst: number): Watch {
  let now = 1_000_000
  const waits: number[] = []
  const limit = createRateLimit({
    limits: { maxRequestsPerMinute, requestBurst },
    clock: {
      now: () => now,
      sleep: (ms, signal) => {
        signal?.throwIfAborted()
        waits.push(ms)
        return Promise.resolve()
      },
    },
  })
  return {
    limit,
    waits,
    advance: (ms) => {
      now += ms
    },
  }
}

test('a burst goes at once, and what comes after it at the rate, in its order', async () => {
  const { limit, waits } = start(300, 50)
  await Promise.all(Array.from({ length: 53 }, () => limit()))
  expect(waits).toEqual([200, 400, 600])
})

test('what was not used is there again later, and never more than a burst', async () => {
  const { limit, waits, advance } = start(60, 10)
  for (let n = 0; n < 10; n++) await limit()
  advance(3000)
  for (let n = 0; n < 3; n++) await limit()
  expect(waits).toEqual([])
  await limit()
  expect(waits).toEqual([1000])
  advance(3_600_000)
  for (let n = 0; n < 11; n++) await limit()
  expect(waits).toEqual([1000, 1000])
})

test('over any time no more come than the rate and a burst allow', async () => {
  let now = 0
  let passed = 0
  const limit = createRateLimit({
    limits: { maxRequestsPerMinute: 120, requestBurst: 5 },
    clock: {
      now: () => now,
      sleep: (ms) => {
        now += ms
        return Promise.resolve()
      },
    },
  })
  for (; passed < 1000; passed++) {
    await limit()
    expect(passed + 1).toBeLessThanOrEqual(5 + now / 500 + 1e-6)
  }
  expect(now).toBeCloseTo((1000 - 5) * 500)
})

test('whoever gives up while waiting does not take a turn', async () => {
  const { limit, waits } = start(60, 1)
  await limit()
  const abort = new AbortController()
  const reason = new Error('enough')
  abort.abort(reason)
  await expect(limit(abort.signal)).rejects.toBe(reason)
  await limit()
  expect(waits).toEqual([1000])
})

test('without a rate nobody waits', async () => {
  const { limit, waits } = start(null, 1)
  for (let n = 0; n < 1000; n++) await limit()
  expect(waits).toEqual([])
})
