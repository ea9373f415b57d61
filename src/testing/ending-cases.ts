/** That a run can end at any stage, more than once, and leaves nothing behind; and what readers see meanwhile. */
import assert from 'node:assert/strict'
import type { StreamWriter } from '../destination/contract.js'
import type { Landing } from '../model/sync-spec.js'
import { conformanceCase, perLanding, type UnsortedCase } from './case.js'
import { rejectsWith } from './expect.js'
import {
  batchesOf,
  inRun,
  keysOf,
  land,
  landingBy,
  landingOf,
  makeCheckpoint,
  makeProgress,
  orders,
  presentOrders,
  runOf,
  savedState,
  type OrderRow,
} from './landings.js'
import { offersOf, type Place } from './place.js'

type Stage = readonly [name: string, work: (writer: StreamWriter) => Promise<unknown>]

/** What a writer can be doing, one step after another, as far as the place offers it. */
function stagesOf(place: Place, landing: Landing): readonly Stage[] {
  const offers = offersOf(place)
  return [
    ['begin', () => Promise.resolve()],
    ['write', (writer) => writer.write(orders([2, 'b']))],
    ['count', (writer) => writer.liveCount()],
    ['write again', (writer) => writer.write(orders([3, 'c'], [4, 'd']))],
    ...(offers.has('verify')
      ? [['verify', (writer) => writer.verify(batchesOf(orders([2, 'b'])))] satisfies Stage]
      : []),
    ...(offers.has('deletes') && landing === 'upsert'
      ? [['delete', (writer) => writer.reconcileKeys(keysOf(2), { maxDeleted: 9 })] satisfies Stage]
      : []),
  ]
}

async function* failing(): AsyncGenerator<never> {
  await Promise.resolve()
  yield* []
  throw new Error('the source is gone')
}

export const endingCases: readonly UnsortedCase[] = [
  ...perLanding(
    'can be aborted and closed after each step, more than once, and lands afterwards',
    [],
    async (place, landing) => {
      await land(place, landingBy(landing, 1), [orders([1, 'a'])])
      const by = landingOf({ ...landingBy(landing, 2), expectedRunSeq: 1 })
      const stages = stagesOf(place, landing)
      for (let steps = 1; steps <= stages.length; steps++) {
        for (const end of ['abort', 'close'] as const) {
          const destination = place.create()
          await destination.open(runOf({ runId: `${steps} ${end}` }))
          const writer = await destination.begin(by)
          for (const [, work] of stages.slice(0, steps)) await work(writer)
          if (end === 'abort') {
            await writer.abort()
            await writer.abort()
          }
          await destination.close()
          await destination.close()
          await writer.abort()
          await rejectsWith('FENCED', writer.commit(makeCheckpoint('late')))
          assert.deepEqual(await presentOrders(place), [[1, 'a']], `${end} after ${stages[steps - 1]?.[0]}`)
          assert.equal((await savedState(place))?.runSeq, 1)
        }
      }
      await land(place, landingBy(landing, 2), [orders([9, 'z'])])
      assert.deepEqual((await presentOrders(place))?.at(-1), [9, 'z'])
    },
  ),

  conformanceCase(
    'begins a stream again, in the same run, after it was aborted',
    ['replace'],
    async (place) => {
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        for (const note of ['first', 'second']) {
          const writer = await destination.begin(landingOf(landingBy('replace', 1)))
          await writer.write(orders([1, note]))
          if (note === 'first') await writer.abort()
          else await writer.commit(makeCheckpoint('1'))
        }
      })
      assert.deepEqual(await presentOrders(place), [[1, 'second']])
    },
  ),

  ...perLanding('does nothing by an abort or a close after the commit', [], async (place, landing) => {
    const destination = place.create()
    await destination.open(runOf())
    const writer = await destination.begin(landingOf(landingBy(landing, 1)))
    await writer.write(orders([1, 'a']))
    await writer.commit(makeCheckpoint('1'))
    await writer.abort()
    await destination.close()
    await writer.abort()
    await destination[Symbol.asyncDispose]()
    assert.deepEqual(await presentOrders(place), [[1, 'a']])
    assert.equal((await savedState(place))?.runSeq, 1)
  }),

  conformanceCase(
    'lands nothing of a stream whose keys end in an error, and the next run lands it',
    ['upsert', 'deletes'],
    async (place) => {
      await land(place, {}, [orders([1, 'a'], [2, 'b'])])
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ expectedRunSeq: 1 }))
        await assert.rejects(writer.reconcileKeys(failing(), { maxDeleted: 9 }))
        await writer.abort()
      })
      assert.deepEqual(await presentOrders(place), [
        [1, 'a'],
        [2, 'b'],
      ])
      await land(place, {}, [orders([3, 'c'])])
      assert.equal((await presentOrders(place))?.length, 3)
    },
  ),

  conformanceCase(
    'opens no run whose signal says stop, and leaves no lease behind',
    ['replace'],
    async (place) => {
      const stopped = place.create()
      await assert.rejects(stopped.open(runOf({ signal: AbortSignal.abort(new Error('stop')) })))
      await stopped.close()
      await land(place, landingBy('replace', 1), [orders([1, 'a'])])
      assert.deepEqual(await presentOrders(place), [[1, 'a']])
    },
  ),

  ...perLanding(
    'shows readers what was there until the commit, at each step',
    ['readers'],
    async (place, landing) => {
      await land(place, landingBy(landing, 1), [orders([1, 'a'])])
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ ...landingBy(landing, 2), expectedRunSeq: 1 }))
        for (const [name, work] of stagesOf(place, landing)) {
          await work(writer)
          assert.deepEqual(await presentOrders(place), [[1, 'a']], name)
          assert.equal((await savedState(place))?.runSeq, 1, name)
        }
        await writer.abort()
      })
    },
  ),

  conformanceCase(
    'shows readers nothing of a load that is saved on its way',
    ['readers', 'upsert', 'resume'],
    async (place) => {
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf())
        await writer.write(orders([1, 'a']))
        await writer.save(makeProgress(1, 3))
        assert.equal(await presentOrders(place), null)
        await writer.write(orders([2, 'b']))
        assert.equal(await presentOrders(place), null)
        await writer.abort()
      })
    },
  ),

  ...perLanding(
    'shows readers what was before a commit or what is after it, whenever they look',
    ['readers'],
    async (place, landing) => {
      const rows = (from: number): OrderRow[] =>
        Array.from({ length: 200 }, (_, index): OrderRow => [from + index, `of ${from}`])
      let before = rows(0)
      await land(place, landingBy(landing, 1), [orders(...before)])
      for (let runSeq = 2; runSeq <= 4; runSeq++) {
        const coming = rows(runSeq * 1000)
        const after = landing === 'replace' ? coming : [...before, ...coming]
        const batches = [orders(...coming.slice(0, 100)), orders(...coming.slice(100))]
        let over = false
        const run = land(place, landingBy(landing, runSeq), batches).finally(() => (over = true))
        try {
          await watch(place, { before, after, runSeq, isOver: () => over })
        } finally {
          await run
        }
        before = after
      }
      assert.deepEqual(await presentOrders(place), before)
    },
  ),
]

interface Watched {
  readonly before: readonly OrderRow[]
  readonly after: readonly OrderRow[]
  /** Of the commit that is being waited for. */
  readonly runSeq: number
  readonly isOver: () => boolean
}

/** Reads again and again: first what was there, at some time what is there now, never anything else, never backwards. */
async function watch(place: Place, { before, after, runSeq, isOver }: Watched): Promise<void> {
  const texts = { before: JSON.stringify(before), after: JSON.stringify(after) }
  let seenAfter = false
  for (;;) {
    const last = isOver()
    const committed = (await savedState(place))?.runSeq === runSeq
    const found = JSON.stringify(await presentOrders(place))
    const isAfter = found === texts.after
    assert.ok(
      isAfter || found === texts.before,
      `a reader sees neither what was nor what is: ${found.slice(0, 200)}`,
    )
    if (place.rowsFollow !== true) {
      assert.ok(isAfter || !committed, 'rows are older than the checkpoint that was read before them')
    }
    assert.ok(isAfter || !seenAfter, 'rows are older than those that were read before them')
    seenAfter = isAfter
    if (isAfter) {
      assert.equal(
        (await savedState(place))?.runSeq,
        runSeq,
        'the checkpoint is older than rows that were read before it',
      )
    }
    if (last) return
  }
}
