import { hostname } from 'node:os'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFilesDestination } from '../../../src/destination/files/files-destination.js'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { collectGarbage } from '../../../src/destination/files/collect-garbage.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import type { Store } from '../../../src/destination/stores/store.js'
import type { Destination } from '../../../src/destination/contract.js'
import { TrunklineError } from '../../../src/model/error.js'
import { inRun, landingBy, landingOf, makeCheckpoint, orders, runOf } from '../../../src/testing/landings.js'
import { makeFilesPlace, type FilesPlace } from './files-place.js'
import { stopAt, type StoppingStore } from './stopping-store.js'

const jsonl = await createJsonlFormat({})
/** Of no process that there is: so high no system counts. */
const GONE = { pid: 2 ** 30, host: hostname(), processStartedAt: 0 }

/** The notes of the orders that the listing names, in their order. */
async function listedRows(folder: string): Promise<readonly string[]> {
  const listing = JSON.parse(await readFile(path.join(folder, 'latest.json'), 'utf8')) as {
    tables: { name: string; files: { path: string }[] }[]
  }
  const files = listing.tables.find(({ name }) => name === 'orders')?.files ?? []
  const texts = await Promise.all(files.map((file) => readFile(path.join(folder, file.path), 'utf8')))
  const lines = texts.flatMap((text) => text.split('\n').filter((line) => line !== ''))
  return lines.map((line) => (JSON.parse(line) as { note: string }).note).sort()
}

/** One run that lands the next generation, or adds to the present one. @returns whether the commit returned */
async function run(destination: Destination, landing: 'replace' | 'append', note: string): Promise<boolean> {
  let committed = false
  try {
    const state = (await destination.open(runOf())).streams.get('public.orders')
    const writer = await destination.begin(
      landingOf({ ...landingBy(landing, (state?.generation ?? 0) + 1), expectedRunSeq: state?.runSeq ?? 0 }),
    )
    await writer.write(orders([1, note], [2, note]))
    await writer.commit(makeCheckpoint(note))
    committed = true
  } catch {
    // The process has ended.
  }
  await destination.close().catch(() => undefined)
  return committed
}

describe.each(['replace', 'append'] as const)('a run into files, landing by %s, that dies', (landing) => {
  let place: FilesPlace
  beforeEach(async () => {
    place = await makeFilesPlace(jsonl)
  })
  afterEach(() => place.remove())

  const stopping = (stop: Parameters<typeof stopAt>[1]): StoppingStore =>
    stopAt(createLocalStore({ path: place.folder }), stop)
  const create = (store: StoppingStore): Destination =>
    createFilesDestination({ format: jsonl, store, identity: GONE })

  it('leaves what was there or what it landed, before and after each thing that it does', async () => {
    const counted = stopping(null)
    let runSeq = 0
    expect(await run(create(counted), landing, String(runSeq))).toBe(true)
    runSeq++
    expect(await listedRows(place.folder)).toEqual(['0', '0'])

    // The second run does more: there are listings that it may find as they should be.
    const again = stopping(null)
    expect(await run(create(again), landing, String(runSeq))).toBe(true)
    runSeq++
    let rows = landing === 'append' ? ['0', '0', '1', '1'] : ['1', '1']
    let outcomes = { landed: 0, kept: 0 }
    expect(await listedRows(place.folder)).toEqual(rows)
    expect(again.effects.filter((effect) => effect.startsWith('putNew'))).toHaveLength(2)

    const effects = again.effects.length
    for (let effect = 1; effect <= effects; effect++) {
      for (const side of ['before', 'after'] as const) {
        const note = String(runSeq)
        const store = stopping({ effect, side })
        const committed = await run(create(store), landing, note)
        await store.close()
        const landed = landing === 'append' ? [...rows, note, note].sort() : [note, note]

        // A run that only opens and closes puts the listings right.
        const state = await inRun(place.create(), runOf(), (opened) =>
          Promise.resolve(opened.streams.get('public.orders')),
        )
        const isNew = state?.runSeq === runSeq + 1
        expect(isNew || state?.runSeq === runSeq).toBe(true)
        if (committed) expect(isNew).toBe(true)
        outcomes = isNew
          ? { ...outcomes, landed: outcomes.landed + 1 }
          : { ...outcomes, kept: outcomes.kept + 1 }
        if (isNew) {
          runSeq++
          rows = landed
          expect(state.checkpoint).toEqual(makeCheckpoint(note))
        }
        expect({ effect, side, rows: await listedRows(place.folder) }).toEqual({
          effect,
          side,
          rows: [...rows].sort(),
        })
      }
    }
    expect(Math.min(outcomes.landed, outcomes.kept)).toBeGreaterThan(5)
    // All that they left is garbage, and the rows are not.
    await collectGarbage(createLocalStore({ path: place.folder }), { olderThanMs: 0, dryRun: false })
    expect(await listedRows(place.folder)).toEqual([...rows].sort())
    const left = await collectGarbage(createLocalStore({ path: place.folder }), {
      olderThanMs: 0,
      dryRun: true,
    })
    expect(left).toEqual({ files: 0, bytes: 0, manifests: 0, leftovers: 0 })
  })
})

describe('a commit that was made, whatever its run was told', () => {
  let place: FilesPlace
  beforeEach(async () => {
    place = await makeFilesPlace(jsonl)
  })
  afterEach(() => place.remove())

  it('keeps the files that it names: the answer was lost, and then the store answered nonsense', async () => {
    const store = createLocalStore({ path: place.folder })
    const nonsense = new TrunklineError('DESTINATION_INVALID', 'The store answers in HTML.')
    let isMade = false
    const lying: Store = {
      ...stopAt(store, null),
      putNew: async (file, content) => {
        const text = new TextDecoder().decode(content)
        const made = await store.putNew(file, content)
        if (!text.includes('part-')) return made
        isMade = true
        throw nonsense
      },
      read: (file) => (isMade ? Promise.reject(nonsense) : store.read(file)),
    }
    const destination = createFilesDestination({ format: jsonl, store: lying, identity: GONE })
    expect(await run(destination, 'append', 'kept')).toBe(false)
    const next = createFilesDestination({ format: jsonl, store: createLocalStore({ path: place.folder }) })
    await inRun(next, runOf({ runId: 'run-2' }), (state) => {
      expect(state.streams.get('public.orders')?.runSeq).toBe(1)
      return Promise.resolve()
    })
    expect(await listedRows(place.folder)).toEqual(['kept', 'kept'])
  })

  it('keeps them when another run took the lease and went on before its own could look', async () => {
    const store = createLocalStore({ path: place.folder })
    const others: Destination[] = []
    const slow: Store = {
      ...stopAt(store, null),
      putNew: async (file, content) => {
        const made = await store.putNew(file, content)
        if (new TextDecoder().decode(content).includes('part-') && others.length === 0) {
          const other = createFilesDestination({
            format: jsonl,
            store: createLocalStore({ path: place.folder }),
            identity: GONE,
          })
          others.push(other)
          await other.open(runOf({ runId: 'run-2' }))
        }
        return made
      },
    }
    const destination = createFilesDestination({ format: jsonl, store: slow, identity: GONE })
    expect(await run(destination, 'append', 'kept')).toBe(false)
    for (const other of others) await other.close()
    expect(others).toHaveLength(1)
    expect(await listedRows(place.folder)).toEqual(['kept', 'kept'])
  })
})
