import { expect, test } from 'vitest'
import { ReaderPermits, type Permit } from '../../src/sync/reader-permits.js'

const never = new AbortController().signal

/** Streams in the order in which they are served; each gives its permit back at once. */
async function serveAll(permits: ReaderPermits, asking: readonly string[]): Promise<string[]> {
  const served: string[] = []
  const hold = await permits.acquire('before', never)
  const all = asking.map(async (stream) => {
    const permit = await permits.acquire(stream, never)
    served.push(stream)
    permit.release()
  })
  hold.release()
  await Promise.all(all)
  return served
}

async function isServed(waiting: Promise<Permit>): Promise<boolean> {
  let served = false
  void waiting.then(() => {
    served = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  return served
}

test('a stream of many splits keeps no other waiting for more than one of them', async () => {
  const served = await serveAll(new ReaderPermits(1), ['big', 'big', 'big', 'big', 'small', 'other'])
  expect(served).toEqual(['big', 'small', 'other', 'big', 'big', 'big'])
})

test('whoever holds fewer comes first, whoever asked first', async () => {
  const permits = new ReaderPermits(2)
  const first = await permits.acquire('big', never)
  await permits.acquire('big', never)
  const third = permits.acquire('big', never)
  const small = permits.acquire('small', never)
  first.release()
  expect(await isServed(small)).toBe(true)
  expect(await isServed(third)).toBe(false)
})

test('a stream takes all that nobody else wants', async () => {
  const permits = new ReaderPermits(3)
  for (let split = 0; split < 3; split++) await permits.acquire('only', never)
  expect(permits.mostInUse).toBe(3)
  expect(permits.isShort).toBe(false)
  void permits.acquire('only', never)
  expect(permits.isShort).toBe(true)
  expect(permits.holders).toBe(1)
})

test('more of them serve who waits, fewer take effect as splits end', async () => {
  const permits = new ReaderPermits(1)
  const first = await permits.acquire('a', never)
  const second = permits.acquire('b', never)
  permits.limit = 2
  const held = await second
  permits.limit = 1
  const third = permits.acquire('c', never)
  first.release()
  first.release()
  expect(await isServed(third)).toBe(false)
  held.release()
  expect(await isServed(third)).toBe(true)
})

test('an abort leaves the queue, and the permit to the next', async () => {
  const permits = new ReaderPermits(1)
  const held = await permits.acquire('a', never)
  const abort = new AbortController()
  const leaving = permits.acquire('b', abort.signal)
  const staying = permits.acquire('c', never)
  const reason = new Error('no more')
  abort.abort(reason)
  await expect(leaving).rejects.toBe(reason)
  await expect(permits.acquire('d', abort.signal)).rejects.toBe(reason)
  held.release()
  expect(await isServed(staying)).toBe(true)
  expect(permits.mostInUse).toBe(1)
})
