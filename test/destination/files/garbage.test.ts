/** What `trunkline gc` keeps for those who still read what was replaced, by the clock of the store alone. */
import { mkdir, readFile, readdir, rename, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { collectGarbage, type GarbageOptions } from '../../../src/destination/files/collect-garbage.js'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import { inRun, landingOf, makeCheckpoint, orders, runOf } from '../../../src/testing/landings.js'
import { makeFilesPlace, type FilesPlace } from './files-place.js'

const jsonl = await createJsonlFormat({})
const HOUR = 3_600_000
const DAY = 24 * HOUR

let place: FilesPlace
beforeEach(async () => {
  place = await makeFilesPlace(jsonl)
})
afterEach(async () => {
  vi.restoreAllMocks()
  await place.remove()
})

/** A run that lands the next generation. */
async function land(): Promise<void> {
  const destination = place.create()
  await inRun(destination, runOf(), async (state) => {
    const { runSeq = 0, generation = 0 } = state.streams.get('public.orders') ?? {}
    const landing = landingOf({ landing: 'replace', generation: generation + 1, expectedRunSeq: runSeq })
    const writer = await destination.begin(landing)
    await writer.write(orders([generation + 1, 'row']))
    await writer.commit(makeCheckpoint('1'))
  })
}

const collect = (
  olderThanMs: number,
  more: Partial<GarbageOptions> = {},
): ReturnType<typeof collectGarbage> =>
  collectGarbage(createLocalStore({ path: place.folder }), { olderThanMs, dryRun: false, ...more })

/** Makes files look as if they had been written so long ago: those of a generation, or all manifests. */
async function age(what: number | 'manifests', ms: number): Promise<void> {
  const then = new Date(Date.now() - ms)
  const folder = path.join(
    place.folder,
    what === 'manifests' ? '_trunkline/manifest' : `public.orders/gen-${what}`,
  )
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) await utimes(path.join(entry.parentPath, entry.name), then, then)
  }
}

async function generations(): Promise<readonly string[]> {
  return (await readdir(path.join(place.folder, 'public.orders'))).sort()
}

it('old files that were replaced just now stay for those who read them, and go when that is long ago', async () => {
  await land()
  await age(1, 30 * DAY)
  await age('manifests', 30 * DAY)
  await land()
  expect(await collect(HOUR, { dryRun: true })).toMatchObject({ files: 0 })
  expect(await collect(HOUR)).toMatchObject({ files: 0 })
  expect(await generations()).toEqual(['gen-1', 'gen-2'])
  await age('manifests', 2 * HOUR)
  expect(await collect(HOUR)).toMatchObject({ files: 1 })
  expect(await generations()).toEqual(['gen-2'])
})

it('with an age of days counts by the generations that came after, as manifests are gone after one day', async () => {
  for (const days of [20, 9, 3]) {
    await land()
    await age(days === 20 ? 1 : days === 9 ? 2 : 3, days * DAY)
    await age('manifests', days * DAY)
  }
  // The first one was replaced when the third was begun, three days ago, at the latest; the second one perhaps just now.
  expect(await collect(4 * DAY)).toMatchObject({ files: 0 })
  expect(await collect(2 * DAY)).toMatchObject({ files: 1 })
  expect(await generations()).toEqual(['gen-2', 'gen-3'])
  expect(await collect(HOUR)).toMatchObject({ files: 1 })
  expect(await generations()).toEqual(['gen-3'])
})

it('keeps what latest.json or latest.sql name: a run died before it wrote them anew', async () => {
  for (const listing of ['latest.json', 'latest.sql']) {
    await land()
    const aside = path.join(place.folder, '..', listing)
    await rename(path.join(place.folder, listing), aside)
    const before = await readFile(aside, 'utf8')
    await land()
    await collect(0)
    const [newest] = (await generations()).slice(-1)
    const newer = await readFile(path.join(place.folder, listing), 'utf8')

    await land()
    await writeFile(path.join(place.folder, listing), newer)
    expect(await collect(0)).toMatchObject({ files: 0 })
    expect(await generations()).toContain(newest)
    // What is named there and was never ours is nothing to it.
    await writeFile(path.join(place.folder, listing), before)
    expect(await collect(0)).toMatchObject({ files: 1 })
    expect(await generations()).not.toContain(newest)
  }
})

it('goes by the clock of the store, not by that of this machine', async () => {
  await land()
  await land()
  const now = Date.now()
  vi.spyOn(Date, 'now').mockImplementation(() => now + 9 * DAY)
  expect(await collect(DAY)).toMatchObject({ files: 0, manifests: 0 })
  expect(await generations()).toEqual(['gen-1', 'gen-2'])
})

it('leaves files alone that lie where its own could, but are not called so', async () => {
  await land()
  const folder = path.join(place.folder, 'public.orders/gen-9/run-mine')
  await mkdir(folder, { recursive: true })
  await writeFile(path.join(folder, 'thesis.jsonl'), 'mine')
  expect(await collect(0)).toMatchObject({ files: 0 })
  expect(await readFile(path.join(folder, 'thesis.jsonl'), 'utf8')).toBe('mine')
})
