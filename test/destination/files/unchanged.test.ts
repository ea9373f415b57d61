/** `confirmUnchanged` of a destination of files, as streams meet it whose source says that nothing changed. */
import { hostname } from 'node:os'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Destination, StreamState, UnchangedStream } from '../../../src/destination/contract.js'
import { createFilesDestination } from '../../../src/destination/files/files-destination.js'
import { createJsonlFormat } from '../../../src/destination/files/jsonl-format.js'
import { createLocalStore } from '../../../src/destination/stores/local-store.js'
import { ID, NOTE, inRun, landingOf, makeCheckpoint, orders, runOf } from '../../../src/testing/landings.js'
import { makeFilesPlace, type FilesPlace } from './files-place.js'
import { stopAt } from './stopping-store.js'

const jsonl = await createJsonlFormat({})
const GONE = { pid: 2 ** 30, host: hostname(), processStartedAt: 0 }
const NAMES = ['same', 'too', 'fewer', 'older', 'newer', 'retyped', 'commented', 'marked', 'dated']

let place: FilesPlace
beforeEach(async () => {
  place = await makeFilesPlace(jsonl)
})
afterEach(() => place.remove())

const landing = (name: string): ReturnType<typeof landingOf> =>
  landingOf({ stream: `public.${name}`, table: { schema: 'public', name }, landing: 'replace' })

const stated = (name: string, overrides: Partial<UnchangedStream> = {}): UnchangedStream => ({
  ...landing(name),
  expectedRunSeq: 1,
  live: 2,
  checkpoint: makeCheckpoint('200'),
  ...overrides,
})

async function land(names: readonly string[]): Promise<void> {
  const destination = place.create()
  await inRun(destination, runOf(), async () => {
    for (const name of names) {
      const runAt = name === 'dated' ? new Date(0) : null
      const dated =
        runAt === null ? {} : ({ landing: 'append', key: null, deletes: 'ignore', runAt } as const)
      const writer = await destination.begin({ ...landing(name), ...dated })
      await writer.write(orders([1, 'a'], [2, 'b']))
      await writer.commit(makeCheckpoint('100'))
    }
  })
}

async function savedState(name: string): Promise<StreamState | undefined> {
  const [state] = await place.create().readState('shop')
  return state?.streams.get(`public.${name}`)
}

it('gives their checkpoint to streams that are as stated, in one commit, and leaves the others and all files as they were', async () => {
  await land(NAMES)
  const destination = place.create()
  const confirmed = await inRun(destination, runOf({ runId: 'run-2' }), async () =>
    destination.confirmUnchanged?.([
      stated('same'),
      stated('too', { checkpoint: makeCheckpoint('201') }),
      stated('fewer', { live: 1 }),
      stated('older', { expectedRunSeq: 0 }),
      stated('newer', { generation: 2 }),
      stated('retyped', { fields: [ID, { ...NOTE, type: { kind: 'bool' } }] }),
      stated('commented', { comments: { table: null, columns: { note: 'new' } } }),
      stated('marked', { deletes: 'soft' }),
      stated('dated'),
      stated('never landed'),
    ]),
  )
  expect([...(confirmed ?? [])]).toEqual(['public.same', 'public.too'])
  expect(await savedState('same')).toMatchObject({
    runSeq: 2,
    runId: 'run-2',
    generation: 1,
    checkpoint: makeCheckpoint('200'),
  })
  expect(await savedState('too')).toMatchObject({ runSeq: 2, checkpoint: makeCheckpoint('201') })
  for (const name of NAMES.slice(2)) {
    expect(await savedState(name), name).toMatchObject({ runSeq: 1, checkpoint: makeCheckpoint('100') })
  }
  for (const name of NAMES) {
    expect(await place.query(`SELECT count(*)::INTEGER FROM public.${name}`), name).toEqual([[2]])
  }

  // What was confirmed goes on as after any other commit.
  const next = place.create()
  await inRun(next, runOf({ runId: 'run-3' }), async () => {
    const writer = await next.begin({ ...landing('same'), generation: 2, expectedRunSeq: 2 })
    await writer.write(orders([3, 'c']))
    await writer.commit(makeCheckpoint('300'))
  })
  expect(await place.query('SELECT id FROM public.same')).toEqual([[3]])
})

it('says nothing where nothing is as stated, and makes nothing of it', async () => {
  await land(['same'])
  const store = stopAt(createLocalStore({ path: place.folder }), null)
  const destination = createFilesDestination({ format: jsonl, store })
  await inRun(destination, runOf({ runId: 'run-2' }), async () => {
    expect(await destination.confirmUnchanged?.([stated('same', { live: 1 })])).toEqual(new Set())
    expect(await destination.confirmUnchanged?.([])).toEqual(new Set())
  })
  expect(await savedState('same')).toMatchObject({ runSeq: 1 })
})

it('confirms nothing for a run that another one has taken over from', async () => {
  await land(['same'])
  const gone = place.create({ identity: GONE })
  await gone.open(runOf({ runId: 'run-2' }))
  const next = place.create()
  await next.open(runOf({ runId: 'run-3' }))
  await expect(gone.confirmUnchanged?.([stated('same')])).rejects.toMatchObject({ code: 'FENCED' })
  await gone.close()
  await next.close()
  expect(await savedState('same')).toMatchObject({ runSeq: 1, checkpoint: makeCheckpoint('100') })
})

it('whose process dies before or after any of its effects has confirmed all or none', async () => {
  await land(['same', 'too'])
  const confirm = async (destination: Destination, runSeq: number): Promise<boolean> => {
    try {
      await destination.open(runOf({ runId: `run-${runSeq}` }))
      const both = ['same', 'too'].map((name) =>
        stated(name, { expectedRunSeq: runSeq, checkpoint: makeCheckpoint(String(runSeq)) }),
      )
      return (await destination.confirmUnchanged?.(both))?.size === 2
    } catch {
      // The process has ended.
      return false
    } finally {
      await destination.close().catch(() => undefined)
    }
  }
  const create = (
    stop: Parameters<typeof stopAt>[1],
  ): { destination: Destination; effects: readonly string[] } => {
    const store = stopAt(createLocalStore({ path: place.folder }), stop)
    return {
      destination: createFilesDestination({ format: jsonl, store, identity: GONE }),
      effects: store.effects,
    }
  }
  const counted = create(null)
  expect(await confirm(counted.destination, 1)).toBe(true)
  let runSeq = 2
  const outcomes = { confirmed: 0, not: 0 }
  for (let effect = 1; effect <= counted.effects.length; effect++) {
    for (const side of ['before', 'after'] as const) {
      const told = await confirm(create({ effect, side }).destination, runSeq)
      const [same, too] = [await savedState('same'), await savedState('too')]
      expect(too?.runSeq).toBe(same?.runSeq)
      const isConfirmed = same?.runSeq === runSeq + 1
      if (told) expect(isConfirmed).toBe(true)
      if (isConfirmed) expect(same.checkpoint).toEqual(makeCheckpoint(String(runSeq)))
      else expect(same?.runSeq).toBe(runSeq)
      outcomes[isConfirmed ? 'confirmed' : 'not']++
      if (isConfirmed) runSeq++
    }
  }
  expect(Math.min(outcomes.confirmed, outcomes.not)).toBeGreaterThan(2)
  await inRun(place.create(), runOf({ runId: 'last' }), () => Promise.resolve())
  expect(
    await place.query(
      'SELECT (SELECT count(*) FROM public.same)::INTEGER + (SELECT count(*) FROM public.too)::INTEGER',
    ),
  ).toEqual([[4]])
})
