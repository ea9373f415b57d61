import { expect, test } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { TrunklineError } from '../../src/model/error.js'
import type { Split } from '../../src/source/contract.js'
import { readSurvivingLosses } from '../../src/source/read-surviving-losses.js'
import type { Given } from '../../src/source/replay.js'

const BATCH: Batch = { fields: [], rowCount: 1, columns: [], buffer: new ArrayBuffer(0) }
const LOST = new TrunklineError('CONNECTION_LOST', 'The connection was lost.')

/** Each reader of the plan gives as many batches, then it is lost; what is behind the plan reads on to the end. */
async function read(
  plan: readonly number[],
  split: Split,
  failure: TrunklineError = LOST,
): Promise<{ readonly batches: number; readonly readers: number }> {
  let readers = 0
  let batches = 0
  const pool = {
    acquire: () => {
      const gives = plan[readers++]
      let died: TrunklineError | null = null
      return Promise.resolve({
        get failure() {
          return died
        },
        async *read(_split: Split, given: Given) {
          for (let count = 0; count < (gives ?? 1); count++) {
            given.batches++
            yield await Promise.resolve(BATCH)
          }
          if (gives === undefined) return
          died = failure
          throw failure
        },
      })
    },
    release: () => undefined,
  }
  const options = {
    readers: pool,
    // eslint-disable-next-line require-yield
    readOnLeader: async function* () {
      await Promise.reject(new Error('the leader is not needed'))
    },
    signal: new AbortController().signal,
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  }
  for await (const _batch of readSurvivingLosses(split, options)) batches++
  return { batches, readers }
}

const repeatable = { stream: 'public.t', index: 0, repeatable: true } as Split

test('readers that are lost go on being replaced as long as each gave something new', async () => {
  expect(await read([1, 1, 1, 1, 1, 1, 1, 1, 1], repeatable)).toEqual({ batches: 10, readers: 10 })
})

test('losses without a batch between end the read after the fifth', async () => {
  expect(await read([2, 0, 0, 0], repeatable)).toEqual({ batches: 3, readers: 5 })
  await expect(read([2, 0, 0, 0, 0], repeatable)).rejects.toBe(LOST)
})

test('a split that cannot be repeated is read again only before its first batch', async () => {
  const once = { stream: 'public.t', index: 0 } as Split
  expect(await read([0, 0], once)).toEqual({ batches: 1, readers: 3 })
  await expect(read([0, 1], once)).rejects.toBe(LOST)
})

test('an error that another reader would meet too is not tried again', async () => {
  const denied = new TrunklineError('PERMISSION_DENIED', 'Not allowed.')
  await expect(read([0], repeatable, denied)).rejects.toBe(denied)
})

test('a reader that has read is free before its last batches are taken, and is given back once', async () => {
  const given: string[] = []
  const reader = {
    failure: null,
    async *read(_split: Split, _given: Given, { onRead }: { readonly onRead: () => void }) {
      yield await Promise.resolve(BATCH)
      onRead()
      yield BATCH
    },
  }
  const batches = readSurvivingLosses(repeatable, {
    readers: { acquire: () => Promise.resolve(reader), release: () => given.push('back') },
    // eslint-disable-next-line require-yield
    readOnLeader: async function* () {
      await Promise.reject(new Error('the leader is not needed'))
    },
    signal: new AbortController().signal,
    onRead: () => given.push('told'),
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  })
  await batches.next()
  expect(given).toEqual([])
  await batches.next()
  expect(given).toEqual(['back', 'told'])
  expect((await batches.next()).done).toBe(true)
  expect(given).toEqual(['back', 'told'])
})
