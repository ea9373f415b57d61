import { expect, test } from 'vitest'
import { buildBatch } from '../../src/batch/build-batch.js'
import type { Batch } from '../../src/batch/batch.js'
import type { Snapshot, Split } from '../../src/source/contract.js'
import { readSplits } from '../../src/sync/read-splits.js'
import { ReaderPermits } from '../../src/sync/reader-permits.js'

const FIELDS = [{ name: 'n', type: { kind: 'int', bits: 64 } as const, nullable: false }]
const batchOf = (rows: number): Batch =>
  buildBatch(
    FIELDS,
    Array.from({ length: rows }, () => [1n]),
  )
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Script {
  /** Batches of a split; rejects after them when it says so. */
  readonly batches: number
  readonly failure?: Error
}

/** Reads that go on only as they are taken, and that say what they are at. */
function makeSource(scripts: readonly Script[]) {
  const state = { open: 0, most: 0, made: 0, ended: 0 }
  const snapshot: Pick<Snapshot, 'read'> = {
    async *read({ index }, options = {}) {
      const script = scripts[index]
      state.open++
      state.most = Math.max(state.most, state.open)
      try {
        for (let batch = 0; batch < (script?.batches ?? 0); batch++) {
          await turn()
          options.signal?.throwIfAborted()
          state.made++
          yield batchOf(index + 1)
        }
        await turn()
        if (script?.failure !== undefined) throw script.failure
      } finally {
        state.open--
        state.ended++
      }
    },
  }
  const waiting = scripts.map((_, index) => ({ stream: 'public.t', index }) as Split)
  return { state, snapshot, take: () => waiting.shift() ?? null, waiting }
}

const never = new AbortController().signal
const reading = (
  { snapshot, take }: ReturnType<typeof makeSource>,
  readers: number,
  signal = never,
  permits = new ReaderPermits(readers),
): AsyncGenerator<Batch, void> => readSplits(snapshot, take, { permits, stream: 'public.t', signal })

test.each([1, 2, 4])('every batch of every split arrives, %i splits at a time', async (readers) => {
  const source = makeSource([{ batches: 3 }, { batches: 1 }, { batches: 0 }, { batches: 4 }, { batches: 2 }])
  let rows = 0
  for await (const batch of reading(source, readers)) rows += batch.rowCount
  expect(rows).toBe(3 * 1 + 1 * 2 + 4 * 4 + 2 * 5)
  expect(source.state).toMatchObject({ open: 0, ended: 5, most: Math.min(readers, 5) })
})

test('whoever takes slowly holds every read back', async () => {
  const source = makeSource([{ batches: 50 }, { batches: 50 }])
  let taken = 0
  for await (const batch of reading(source, 2)) {
    void batch
    for (let wait = 0; wait < 10; wait++) await turn()
    taken++
    // One in use, and one in the hand of each read.
    expect(source.state.made).toBeLessThanOrEqual(taken + 2)
  }
  expect(taken).toBe(100)
})

test('a split that fails stops the others, and nothing is left under way', async () => {
  const failure = new Error('broken')
  const source = makeSource([{ batches: 1000 }, { batches: 2, failure }, { batches: 1000 }])
  const permits = new ReaderPermits(2)
  const run = async (): Promise<void> => {
    for await (const batch of reading(source, 2, never, permits)) void batch
  }
  await expect(run()).rejects.toBe(failure)
  expect(source.state.open).toBe(0)
  expect(source.state.made).toBeLessThan(20)
  expect(permits.holders).toBe(0)
})

test('leaving early ends all reads and gives the permits back', async () => {
  const source = makeSource([{ batches: 10 }, { batches: 10 }, { batches: 10 }])
  const permits = new ReaderPermits(2)
  for await (const batch of reading(source, 2, never, permits)) {
    void batch
    break
  }
  expect(source.state.open).toBe(0)
  expect(permits.holders).toBe(0)
  expect(source.waiting.length).toBeLessThan(3)
})

test('an abort rejects with its reason, also while waiting for a permit', async () => {
  const reason = new Error('Ctrl-C')
  for (const held of [false, true]) {
    const source = makeSource([{ batches: 1000 }])
    const permits = new ReaderPermits(1)
    if (held) await permits.acquire('other', never)
    const abort = new AbortController()
    const run = async (): Promise<void> => {
      for await (const batch of reading(source, 1, abort.signal, permits)) void batch
    }
    const running = run()
    await turn()
    abort.abort(reason)
    await expect(running).rejects.toBe(reason)
    expect(source.state.open).toBe(0)
    expect(permits.holders).toBe(held ? 1 : 0)
  }
})

test('a null ends the batches with the splits under way, and the rest can be read later', async () => {
  const source = makeSource([{ batches: 2 }, { batches: 2 }, { batches: 2 }])
  let left = 2
  const { take } = source
  const some = (): Split | null => (left-- > 0 ? take() : null)
  const permits = new ReaderPermits(2)
  let batches = 0
  for await (const batch of readSplits(source.snapshot, some, { permits, stream: 't', signal: never })) {
    batches += batch.rowCount > 0 ? 1 : 0
  }
  expect(batches).toBe(4)
  expect(source.waiting).toHaveLength(1)
  for await (const batch of reading(source, 2, never, permits)) batches += batch.rowCount > 0 ? 1 : 0
  expect(batches).toBe(6)
})

test('two streams share the readers and neither starves', async () => {
  const permits = new ReaderPermits(1)
  const order: string[] = []
  const run = async (stream: string, splits: number): Promise<void> => {
    const { snapshot, take } = makeSource(Array.from({ length: splits }, () => ({ batches: 1 })))
    for await (const batch of readSplits(snapshot, take, { permits, stream, signal: never })) {
      order.push(stream)
      void batch
    }
  }
  await Promise.all([run('big', 12), run('small', 2)])
  expect(order.filter((stream) => stream === 'big')).toHaveLength(12)
  expect(order.lastIndexOf('small')).toBeLessThan(5)
})

test('the next split begins when the one before has been read, although a batch of it is still to be taken', async () => {
  const begun: number[] = []
  const snapshot: Pick<Snapshot, 'read'> = {
    async *read({ index }, options = {}) {
      begun.push(index)
      await turn()
      options.onRead?.()
      yield batchOf(1)
    },
  }
  const splits = [0, 1].map((index) => ({ stream: 'public.t', index }) as Split)
  const permits = new ReaderPermits(1)
  const take = (): Split | null => splits.shift() ?? null
  const batches = readSplits(snapshot, take, { permits, stream: 'public.t', signal: never })
  await batches.next()
  await turn()
  expect(begun).toEqual([0, 1])
  for await (const batch of batches) void batch
  expect(permits.holders).toBe(0)
})
