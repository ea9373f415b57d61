/** Rows that replace rows of their key, deletes, and rows that are added. */
import assert from 'node:assert/strict'
import type { Deletes } from '../model/sync-spec.js'
import { conformanceCase, type UnsortedCase } from './case.js'
import { hasParts, rejectsWith } from './expect.js'
import {
  DELETED_AT,
  ID,
  NOTE,
  ORDERS,
  RUN_AT,
  batchesOf,
  keysOf,
  land,
  landingBy,
  makeCheckpoint,
  orders,
  presentOrders,
  readNormal,
  savedState,
} from './landings.js'
import { makeBatch } from './make-batch.js'
import type { Place } from './place.js'

/** Ids with whether they are marked as deleted. */
async function marks(place: Place): Promise<unknown> {
  const rows = await place.readRows(ORDERS, [ID, DELETED_AT])
  return (rows ?? []).map(([id, at]) => [Number(id), at !== null]).sort(([a], [b]) => Number(a) - Number(b))
}

const soft: { readonly deletes: Deletes } = { deletes: 'soft' }

export const upsertCases: readonly UnsortedCase[] = [
  conformanceCase('replaces by key on upsert and keeps the rest', ['upsert'], async (place) => {
    await land(place, landingBy('upsert', 1), [orders([1, 'a'], [2, 'b'])])
    await land(place, landingBy('upsert', 1), [orders([2, 'B'], [3, null])], { xmax: '200' })
    assert.deepEqual(await presentOrders(place), [
      [1, 'a'],
      [2, 'B'],
      [3, null],
    ])
    hasParts(await savedState(place), { generation: 1, runSeq: 2, checkpoint: makeCheckpoint('200') })
    await land(place, landingBy('upsert', 1), [orders([2, null], [3, 'c'])], { xmax: '300' })
    assert.deepEqual(await presentOrders(place), [
      [1, 'a'],
      [2, null],
      [3, 'c'],
    ])
  }),

  conformanceCase(
    'replaces and deletes by a key of several columns',
    ['upsert', 'deletes'],
    async (place) => {
      const note = { ...NOTE, nullable: false }
      const value = { name: 'value', type: { kind: 'int', bits: 16 }, nullable: true } as const
      const fields = [ID, note, value]
      const key = ['note', 'id']
      const by = { ...landingBy('upsert', 1), fields, key }
      await land(place, by, [
        makeBatch(fields, [
          [1, 'a', 1],
          [1, 'b', 1],
          [2, 'a', 1],
        ]),
      ])
      await land(place, by, [makeBatch(fields, [[1, 'b', 2]])], {
        async then(writer) {
          const keys = makeBatch(
            [note, ID],
            [
              ['a', 1],
              ['b', 1],
            ],
          )
          assert.deepEqual(await writer.reconcileKeys(batchesOf(keys), { maxDeleted: 1 }), { deleted: 1 })
        },
      })
      assert.deepEqual(await readNormal(place, ORDERS, fields), [
        ['1', 'a', '1'],
        ['1', 'b', '2'],
      ])
    },
  ),

  conformanceCase('counts live rows with everything written so far', ['upsert'], async (place) => {
    const counts = (expected: number) => ({
      async then(writer: { liveCount(): Promise<number> }): Promise<void> {
        assert.equal(await writer.liveCount(), expected)
      },
    })
    await land(place, landingBy('upsert', 1), [orders([1, 'a'], [2, 'b'])], counts(2))
    await land(place, landingBy('upsert', 1), [orders([2, 'B'], [3, 'c'])], counts(3))
  }),

  conformanceCase('takes more rows after it counted', ['upsert'], async (place) => {
    await land(place, landingBy('upsert', 1), [orders([1, 'a'])])
    await land(place, landingBy('upsert', 1), [orders([2, 'b'])], {
      async then(writer) {
        assert.equal(await writer.liveCount(), 2)
        await writer.write(orders([1, 'A'], [3, 'c']))
        assert.equal(await writer.liveCount(), 3)
      },
    })
    assert.deepEqual(await presentOrders(place), [
      [1, 'A'],
      [2, 'b'],
      [3, 'c'],
    ])
  }),

  conformanceCase(
    'deletes what is not among the keys, and no more than allowed',
    ['upsert', 'deletes'],
    async (place) => {
      await land(place, landingBy('upsert', 1), [orders([1, 'a'], [2, 'b'], [3, 'c'])])
      await rejectsWith(
        'MASS_DELETE',
        land(place, landingBy('upsert', 1), [], {
          async then(writer) {
            await writer.reconcileKeys(keysOf(1), { maxDeleted: 1 })
          },
        }),
      )
      assert.equal((await presentOrders(place))?.length, 3)
      await land(place, landingBy('upsert', 1), [orders([4, 'd'])], {
        async then(writer) {
          assert.deepEqual(await writer.reconcileKeys(keysOf(1, 4), { maxDeleted: 2 }), { deleted: 2 })
          assert.equal(await writer.liveCount(), 2)
        },
      })
      assert.deepEqual(await presentOrders(place), [
        [1, 'a'],
        [4, 'd'],
      ])
    },
  ),

  conformanceCase(
    'deletes everything where no key is left, if that is allowed',
    ['upsert', 'deletes'],
    async (place) => {
      await land(place, landingBy('upsert', 1), [orders([1, 'a'], [2, 'b'])])
      await land(place, landingBy('upsert', 1), [], {
        async then(writer) {
          assert.deepEqual(await writer.reconcileKeys(keysOf(), { maxDeleted: 2 }), { deleted: 2 })
        },
      })
      assert.deepEqual(await presentOrders(place), [])
    },
  ),

  conformanceCase(
    'keeps rows that the source no longer has where deletes are ignored',
    ['upsert'],
    async (place) => {
      const ignore = { ...landingBy('upsert', 1), deletes: 'ignore' } as const
      await land(place, ignore, [orders([1, 'a'], [2, 'b'])])
      await land(place, ignore, [orders([3, 'c'])])
      assert.deepEqual(await presentOrders(place), [
        [1, 'a'],
        [2, 'b'],
        [3, 'c'],
      ])
    },
  ),

  conformanceCase(
    'marks instead of deleting when deletes are soft, and clears the mark when the key comes back',
    ['upsert', 'deletes'],
    async (place) => {
      await land(place, soft, [orders([1, 'a'], [2, 'b'])])
      await land(place, soft, [], {
        async then(writer) {
          assert.deepEqual(await writer.reconcileKeys(keysOf(1), { maxDeleted: 9 }), { deleted: 1 })
          assert.deepEqual(await writer.reconcileKeys(keysOf(1), { maxDeleted: 9 }), { deleted: 0 })
          assert.equal(await writer.liveCount(), 1)
        },
      })
      assert.deepEqual(await marks(place), [
        [1, false],
        [2, true],
      ])
      await land(place, soft, [orders([2, 'back'])])
      assert.deepEqual(await marks(place), [
        [1, false],
        [2, false],
      ])
    },
  ),

  conformanceCase(
    'keeps rows that vanished between generations when deletes are soft',
    ['upsert', 'deletes'],
    async (place) => {
      await land(place, soft, [orders([1, 'a'], [2, 'b'])])
      await land(place, { ...soft, generation: 2 }, [orders([1, 'new'])], {
        async then(writer) {
          assert.equal(await writer.liveCount(), 1)
        },
      })
      assert.deepEqual(await presentOrders(place), [
        [1, 'new'],
        [2, 'b'],
      ])
      assert.deepEqual(await marks(place), [
        [1, false],
        [2, true],
      ])
    },
  ),

  conformanceCase(
    'begins to mark on a table that was landed without marks, and deletes those marked once deletes are hard again',
    ['upsert', 'deletes'],
    async (place) => {
      await land(place, landingBy('upsert', 1), [orders([1, 'a'], [2, 'b'])])
      await land(place, soft, [orders([1, 'A'])], {
        async then(writer) {
          await writer.reconcileKeys(keysOf(1), { maxDeleted: 1 })
        },
      })
      assert.deepEqual(await marks(place), [
        [1, false],
        [2, true],
      ])
      await land(place, landingBy('upsert', 1), [orders([3, 'c'])])
      assert.deepEqual(await presentOrders(place), [
        [1, 'A'],
        [3, 'c'],
      ])
    },
  ),
]

export const appendCases: readonly UnsortedCase[] = [
  conformanceCase('adds on append, the same rows again as others', ['append'], async (place) => {
    await land(place, landingBy('append', 1), [orders([1, 'a'])])
    await land(place, landingBy('append', 1), [orders([1, 'a'])], { xmax: '200' })
    assert.deepEqual(await presentOrders(place), [
      [1, 'a'],
      [1, 'a'],
    ])
    hasParts(await savedState(place), { runSeq: 2, generation: 1, checkpoint: makeCheckpoint('200') })
  }),

  conformanceCase(
    'appends once what a run tries to append again after its commit',
    ['append'],
    async (place) => {
      await land(place, landingBy('append', 1), [orders([1, 'a'])])
      await land(place, landingBy('append', 1), [orders([2, 'b'])])
      // A run that does not know of its own commit comes with what it expected before.
      await rejectsWith(
        'FENCED',
        land(place, { ...landingBy('append', 1), expectedRunSeq: 1 }, [orders([2, 'b'])]),
      )
      assert.deepEqual(await presentOrders(place), [
        [1, 'a'],
        [2, 'b'],
      ])
    },
  ),

  conformanceCase('keeps dated copies apart and counts those of this run', ['append'], async (place) => {
    await land(place, { ...landingBy('append', 1), runAt: new Date(1000) }, [orders([1, 'a'])])
    await land(place, { ...landingBy('append', 1), runAt: new Date(2000) }, [orders([1, 'a'], [2, 'b'])], {
      async then(writer) {
        assert.equal(await writer.liveCount(), 2)
      },
    })
    assert.deepEqual(await readNormal(place, ORDERS, [RUN_AT, ID]), [
      ['1000000', '1'],
      ['2000000', '1'],
      ['2000000', '2'],
    ])
  }),

  conformanceCase(
    'adds no dated copy of an empty stream, and remembers the run',
    ['append'],
    async (place) => {
      await land(place, { ...landingBy('append', 1), runAt: new Date(1000) }, [orders([1, 'a'])])
      await land(place, { ...landingBy('append', 1), runAt: new Date(2000) }, [], { xmax: '200' })
      assert.deepEqual(await readNormal(place, ORDERS, [RUN_AT, ID]), [['1000000', '1']])
      hasParts(await savedState(place), { runSeq: 2, checkpoint: makeCheckpoint('200') })
    },
  ),
]
