import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test, vi } from 'vitest'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { TableOutput } from '../../../src/destination/files/table-output.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import type { Store, StoreFile } from '../../../src/destination/stores/store.js'
import { ID, NOTE, orders } from '../../../src/testing/landings.js'

const MIB = 1024 * 1024
const LIMITS = { maxFileBytes: MIB, maxFileRows: 1, maxFiles: 100, present: 0 }
const format = await createJsonlFormat({})
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Files of one row each in a store whose files are finished when the test says so. */
function makeOutput(finish: (path: string) => Promise<void>) {
  const removed: string[] = []
  const aborted: string[] = []
  const create = (file: string): Promise<StoreFile> =>
    Promise.resolve({
      write: () => Promise.resolve(),
      finish: () => finish(file),
      abort: () => {
        aborted.push(file)
        return Promise.resolve()
      },
    })
  const remove = (files: readonly string[]): Promise<void> => {
    removed.push(...files)
    return Promise.resolve()
  }
  let part = 0
  const output = new TableOutput({
    store: { create, remove } as Partial<Store> as Store,
    format,
    fields: [ID, NOTE],
    metadata: {},
    folder: 't',
    partitionBy: null,
    nextPart: () => part++,
    stream: 'public.t',
    ...LIMITS,
  })
  return { output, removed, aborted }
}

test('rows go into the next file while one that is full is brought to its place, one at a time', async () => {
  const waiting: (() => void)[] = []
  const { output } = makeOutput(() => new Promise((resolve) => waiting.push(resolve)))
  await output.add(orders([1, 'a']))
  expect(waiting).toHaveLength(1)
  const added = output.add(orders([2, 'b'])).then(() => 'added')
  for (let wait = 0; wait < 10; wait++) await turn()
  expect(waiting).toHaveLength(1)
  waiting[0]?.()
  expect(await added).toBe('added')
  const finished = output.finish({ atLeastOne: true })
  for (let wait = 0; wait < 10; wait++) await turn()
  waiting[1]?.()
  expect((await finished).map(({ rows }) => rows)).toEqual([1, 1])
})

test('a file that cannot be finished is told of by what comes after, and the others are removed', async () => {
  const full = new Error('no room')
  const { output, removed, aborted } = makeOutput((file) =>
    file.includes('1') ? Promise.reject(full) : Promise.resolve(),
  )
  await output.add(orders([1, 'a']))
  await output.add(orders([2, 'b']))
  await expect(output.add(orders([3, 'c']))).rejects.toBe(full)
  await expect(output.finish({ atLeastOne: true })).rejects.toBe(full)
  await output.abort({ remove: true })
  expect(removed).toHaveLength(1)
  expect(aborted.length).toBeGreaterThan(0)
})

test('a flush that fails beside the writing fails the file, although a later flush says that all is well', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'trunkline-flush-'))
  const probe = await open(folder)
  const flush = vi
    .spyOn(Object.getPrototypeOf(probe) as typeof probe, 'datasync')
    .mockRejectedValueOnce(Object.assign(new Error('no space left'), { code: 'ENOSPC' }))
  await probe.close()
  try {
    await using store = createLocalStore({ path: folder })
    await store.open({})
    const file = await store.create('t/part.bin')
    const piece = new Uint8Array(MIB)
    for (let written = 0; written < 32; written++) await file.write([piece])
    expect(flush).toHaveBeenCalledTimes(1)
    await expect(file.finish()).rejects.toMatchObject({ code: 'DESTINATION_FULL' })
    await file.abort()
    expect(await readdir(path.join(folder, '_trunkline/tmp'))).toEqual([])
    await expect(stat(path.join(folder, 't/part.bin'))).rejects.toMatchObject({ code: 'ENOENT' })
  } finally {
    flush.mockRestore()
    await rm(folder, { recursive: true })
  }
})
