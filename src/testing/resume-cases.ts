/** Loads that are saved on their way and gone on with by a later run. */
import assert from 'node:assert/strict'
import { conformanceCase, type UnsortedCase } from './case.js'
import { hasParts, rejectsWith } from './expect.js'
import {
  DELETED_AT,
  ID,
  ORDERS,
  SYNC,
  STREAM,
  batchesOf,
  inRun,
  interrupt,
  keysOf,
  land,
  landingOf,
  makeCheckpoint,
  makeProgress,
  orders,
  presentOrders,
  runOf,
  savedState,
} from './landings.js'

export const resumeCases: readonly UnsortedCase[] = [
  conformanceCase(
    'keeps a first load as it was saved, out of sight, and goes on in it',
    ['upsert', 'resume'],
    async (place) => {
      for (const end of ['abort', 'close'] as const) {
        await interrupt(place, {}, orders([1, 'a'], [2, 'b']), { progress: makeProgress(2, 6), end })
        assert.equal(await place.readRows(ORDERS, [ID]), null)
        const saved = await savedState(place)
        hasParts(saved, { table: ORDERS, generation: 0, runSeq: 0, checkpoint: null })
        hasParts(saved?.partial ?? undefined, { generation: 1, table: ORDERS, progress: makeProgress(2, 6) })
      }
      await land(place, { resume: true }, [orders([3, 'c'])], {
        async then(writer) {
          assert.equal(await writer.liveCount(), 3)
        },
      })
      assert.deepEqual(await presentOrders(place), [
        [1, 'a'],
        [2, 'b'],
        [3, 'c'],
      ])
      hasParts(await savedState(place), {
        generation: 1,
        runSeq: 1,
        checkpoint: makeCheckpoint('100'),
        partial: null,
      })
    },
  ),

  conformanceCase(
    'shows the present generation until the one that is loaded in pieces takes its place',
    ['upsert', 'resume'],
    async (place) => {
      await land(place, {}, [orders([1, 'old'])])
      await interrupt(place, { generation: 2 }, orders([1, 'new']), { progress: makeProgress(1, 5) })
      assert.deepEqual(await presentOrders(place), [[1, 'old']])
      const saved = await savedState(place)
      hasParts(saved, { generation: 1, runSeq: 1, checkpoint: makeCheckpoint('100') })
      assert.equal(saved?.partial?.generation, 2)
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ generation: 2, expectedRunSeq: 1, resume: true }))
        for (let id = 2; id <= 4; id++) {
          await writer.write(orders([id, 'new']))
          await writer.save(makeProgress(id, 4 - id))
        }
        await writer.commit(makeCheckpoint('200'))
      })
      assert.deepEqual(
        await presentOrders(place),
        [1, 2, 3, 4].map((id) => [id, 'new']),
      )
      hasParts(await savedState(place), { generation: 2, runSeq: 2, partial: null })
    },
  ),

  conformanceCase(
    'saves and goes on in what lands by replace and by append, too',
    ['replace', 'append', 'resume'],
    async (place) => {
      for (const landing of ['replace', 'append'] as const) {
        const by = {
          stream: `public.${landing}`,
          landing,
          key: landing === 'append' ? null : ['id'],
          table: { schema: 'public', name: landing },
        }
        await interrupt(place, by, orders([1, 'a']), { progress: makeProgress(1, 3) })
        assert.equal(await presentOrders(place, by.table), null)
        await land(place, { ...by, resume: true }, [orders([2, 'b'])])
        assert.deepEqual(await presentOrders(place, by.table), [
          [1, 'a'],
          [2, 'b'],
        ])
      }
    },
  ),

  conformanceCase(
    'replaces by key and removes keys in a load that goes on, whatever it holds twice',
    ['upsert', 'deletes', 'resume'],
    async (place) => {
      const twice = orders([1, 'a'], [2, 'b'], [2, 'b moved'], [3, 'c'], [3, 'c moved'])
      await interrupt(place, {}, twice, { progress: makeProgress(5, 1) })
      await land(place, { resume: true }, [], {
        async then(writer) {
          await writer.replaceByKey(batchesOf(orders([2, 'B'], [4, 'd'])))
          assert.equal(await writer.liveCount(), 5)
          const { deleted } = await writer.reconcileKeys(keysOf(1, 2, 4), { maxDeleted: 9 })
          assert.equal(deleted, 2)
          assert.equal(await writer.liveCount(), 3)
        },
      })
      assert.deepEqual(await presentOrders(place), [
        [1, 'a'],
        [2, 'B'],
        [4, 'd'],
      ])
    },
  ),

  conformanceCase(
    'refuses a load that still holds a key twice at its end',
    ['upsert', 'resume'],
    async (place) => {
      await interrupt(place, {}, orders([1, 'a'], [1, 'b']), { progress: makeProgress(2, 1) })
      await rejectsWith('KEY_DUPLICATE', land(place, { resume: true }, []))
      const saved = await savedState(place)
      assert.equal(saved?.runSeq, 0)
      assert.deepEqual(saved.partial?.progress, makeProgress(2, 1))
    },
  ),

  conformanceCase(
    'deletes from a load what soft deletes would mark, and marks what the generation before had',
    ['upsert', 'deletes', 'resume'],
    async (place) => {
      const soft = { deletes: 'soft' as const }
      await land(place, soft, [orders([1, 'a'], [7, 'was there'])])
      await interrupt(place, { ...soft, generation: 2 }, orders([1, 'a'], [2, 'never seen']), {
        progress: makeProgress(2, 1),
      })
      await land(place, { ...soft, generation: 2, resume: true }, [], {
        async then(writer) {
          await writer.reconcileKeys(keysOf(1), { maxDeleted: 9 })
        },
      })
      const rows = await place.readRows(ORDERS, [ID, DELETED_AT])
      const marks = (rows ?? []).map(([id, at]) => [Number(id), at !== null])
      assert.deepEqual(
        marks.sort(([a], [b]) => Number(a) - Number(b)),
        [
          [1, false],
          [7, true],
        ],
      )
    },
  ),

  conformanceCase('drops what a load left as soon as another begins', ['upsert', 'resume'], async (place) => {
    await interrupt(place, {}, orders([1, 'a']), { progress: makeProgress(1, 3) })
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(landingOf())
      await writer.write(orders([5, 'e']))
      await writer.abort()
    })
    assert.equal((await savedState(place))?.partial ?? null, null)
    await rejectsWith('DESTINATION_FAILED', land(place, { resume: true }, []))
    await land(place, {}, [orders([5, 'e'])])
    assert.deepEqual(await presentOrders(place), [[5, 'e']])
  }),

  conformanceCase(
    'drops what a load left on resync, and goes on in no other generation than the one that it is of',
    ['upsert', 'resume'],
    async (place) => {
      await interrupt(place, {}, orders([1, 'a']), { progress: makeProgress(1, 3) })
      await rejectsWith('DESTINATION_FAILED', land(place, { resume: true, generation: 2 }, []))
      await place.create().editState(SYNC, STREAM, { kind: 'resync' })
      hasParts(await savedState(place), { checkpoint: null, partial: null })
      await rejectsWith('DESTINATION_FAILED', land(place, { resume: true }, []))
    },
  ),

  conformanceCase('keeps loads of several streams apart', ['upsert', 'resume'], async (place) => {
    const names = ['a', 'b']
    const of = (name: string) => ({ stream: `public.${name}`, table: { schema: 'public', name } })
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      for (const [index, name] of names.entries()) {
        const writer = await destination.begin(landingOf(of(name)))
        await writer.write(orders([index, name]))
        await writer.save(makeProgress(index, 1))
        await writer.abort()
      }
    })
    const again = place.create()
    await inRun(again, runOf(), async (state) => {
      for (const [index, name] of names.entries()) {
        assert.equal(state.streams.get(`public.${name}`)?.partial?.progress.rows, index)
        const writer = await again.begin(landingOf({ ...of(name), resume: true }))
        assert.equal(await writer.liveCount(), 1)
        await writer.commit(makeCheckpoint('5'))
      }
    })
    assert.deepEqual(await presentOrders(place, of('a').table), [[0, 'a']])
    assert.deepEqual(await presentOrders(place, of('b').table), [[1, 'b']])
  }),

  conformanceCase('fences a save that another run came before', ['upsert', 'resume'], async (place) => {
    await land(place, {}, [orders([1, 'a'])])
    const destination = place.create()
    await inRun(destination, runOf(), async () => {
      const writer = await destination.begin(landingOf({ generation: 2, expectedRunSeq: 0 }))
      await writer.write(orders([2, 'late']))
      await rejectsWith('FENCED', writer.save(makeProgress(1, 1)))
      await writer.abort()
    })
    assert.equal((await savedState(place))?.partial, null)
    assert.deepEqual(await presentOrders(place), [[1, 'a']])
  }),
]
