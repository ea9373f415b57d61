import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { createPace, createThrottle, type PaceClock } from '../../src/source/read-pace.js'

const never = new AbortController().signal

test('without a limit nothing waits', async () => {
  const throttle = createThrottle(createPace(), null)
  await throttle(1e15, never)
})

/** A clock on which sleeping takes as long as it says, and nothing else any time. */
function makeClock(): PaceClock & {
  readonly sleepers: { at: bigint; wake: () => void }[]
  run(): Promise<void>
} {
  let now = 1_000_000_000n
  const sleepers: { at: bigint; wake: () => void }[] = []
  return {
    sleepers,
    nowUs: () => now,
    sleep: (ms) =>
      new Promise((wake) => {
        sleepers.push({ at: now + BigInt(Math.round(ms * 1000)), wake })
      }),
    async run() {
      for (;;) {
        await new Promise(setImmediate)
        const next = sleepers.sort((a, b) => Number(a.at - b.at)).shift()
        if (next === undefined) return
        if (next.at > now) now = next.at
        next.wake()
      }
    },
  }
}

test.each([1, 2, 5])('%i that share a pace take together as much as the limit allows', async (readers) => {
  const pace = createPace()
  const clock = makeClock()
  const startedAt = clock.nowUs()
  const read = async (): Promise<void> => {
    const throttle = createThrottle(pace, 1_000_000, clock)
    for (let index = 0; index < 100; index++) await throttle(50_000, never)
  }
  const reading = Promise.all(Array.from({ length: readers }, read))
  await clock.run()
  await reading
  // 5 MB each at 1 MB/s, less the 200 ms that may be made up for.
  expect(Number(clock.nowUs() - startedAt) / 1e6).toBeCloseTo(readers * 5 - 0.2, 2)
})

test('another thread has the same clock', async () => {
  const worker = new Worker(
    `require('node:worker_threads').parentPort.postMessage(process.hrtime.bigint())`,
    { eval: true },
  )
  const before = process.hrtime.bigint()
  const theirs = await new Promise<bigint>((resolve) => {
    worker.once('message', resolve)
  })
  expect(theirs > before).toBe(true)
  expect(theirs < process.hrtime.bigint()).toBe(true)
})

test('an abort ends the wait', async () => {
  const throttle = createThrottle(createPace(), 1)
  await expect(throttle(1_000_000, AbortSignal.timeout(5))).rejects.toThrow('aborted')
})
