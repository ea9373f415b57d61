/** Columns that come later, and types that change. */
import assert from 'node:assert/strict'
import type { Batch } from '../batch/batch.js'
import type { StreamLanding, StreamWriter } from '../destination/contract.js'
import type { Field } from '../model/column-type.js'
import type { Landing } from '../model/sync-spec.js'
import { conformanceCase, type UnsortedCase } from './case.js'
import { rejectsWith } from './expect.js'
import {
  ID,
  NOTE,
  ORDERS,
  inRun,
  land,
  landingBy,
  landingOf,
  makeCheckpoint,
  orders,
  presentOrders,
  readNormal,
  runOf,
  savedState,
} from './landings.js'
import { makeBatch } from './make-batch.js'
import type { Place } from './place.js'

const SIZE: Field = { name: 'size', type: { kind: 'int', bits: 16 }, nullable: true }
const WIDER = [ID, NOTE, SIZE]

/** The landings that change what is there. */
const changing: readonly Landing[] = ['upsert', 'append']

/** A run that adds the column before it writes. */
async function widen(
  place: Place,
  landing: Partial<StreamLanding>,
  batch: Batch,
  end: (writer: StreamWriter) => Promise<void>,
): Promise<void> {
  const destination = place.create()
  await inRun(destination, runOf(), async (state) => {
    const expectedRunSeq = state.streams.get('public.orders')?.runSeq ?? 0
    const writer = await destination.begin(landingOf({ ...landing, fields: WIDER, expectedRunSeq }))
    await writer.alter({ add: [SIZE] })
    await writer.write(batch)
    await end(writer)
  })
}

export const schemaCases: readonly UnsortedCase[] = changing.flatMap((landing) => [
  conformanceCase(
    `adds a column to the present rows and fills it from then on, by ${landing}`,
    [landing],
    async (place) => {
      await land(place, landingBy(landing, 1), [orders([1, 'a'])])
      await widen(place, landingBy(landing, 2), makeBatch(WIDER, [[2, 'b', 7]]), async (writer) => {
        assert.equal(await writer.liveCount(), 2)
        await writer.commit(makeCheckpoint('200'))
      })
      assert.deepEqual(await readNormal(place, ORDERS, WIDER), [
        ['1', 'a', null],
        ['2', 'b', '7'],
      ])
      const later = landing === 'upsert' ? 1 : 3
      await land(place, { ...landingBy(landing, 3), fields: WIDER }, [makeBatch(WIDER, [[later, 'c', 8]])])
      assert.deepEqual(
        await readNormal(place, ORDERS, WIDER),
        landing === 'upsert'
          ? [
              ['1', 'c', '8'],
              ['2', 'b', '7'],
            ]
          : [
              ['1', 'a', null],
              ['2', 'b', '7'],
              ['3', 'c', '8'],
            ],
      )
    },
  ),

  conformanceCase(
    `takes a column back that a run added before it ended without a commit, by ${landing}`,
    [landing],
    async (place) => {
      await land(place, landingBy(landing, 1), [orders([1, 'a'])])
      await widen(place, landingBy(landing, 2), makeBatch(WIDER, [[2, 'b', 7]]), (writer) => writer.abort())
      assert.deepEqual(await presentOrders(place), [[1, 'a']])
      // The same column again: it is not there.
      await widen(place, landingBy(landing, 2), makeBatch(WIDER, [[2, 'b', 7]]), (writer) =>
        writer.commit(makeCheckpoint('200')),
      )
      assert.deepEqual(await readNormal(place, ORDERS, WIDER), [
        ['1', 'a', null],
        ['2', 'b', '7'],
      ])
    },
  ),

  conformanceCase(
    `refuses rows of another type than the present ones, by ${landing}`,
    [landing],
    async (place) => {
      await land(place, landingBy(landing, 1), [orders([1, 'a'])])
      const wide: Field = { ...NOTE, type: { kind: 'int', bits: 64 } }
      const fields = [ID, wide]
      await rejectsWith(
        'DESTINATION_FAILED',
        land(place, { ...landingBy(landing, 2), fields }, [makeBatch(fields, [[2, 5n]])]),
      )
      assert.deepEqual(await presentOrders(place), [[1, 'a']])
      assert.equal((await savedState(place))?.runSeq, 1)
    },
  ),

  conformanceCase(
    `refuses a column that the present rows do not have and nobody added, by ${landing}`,
    [landing],
    async (place) => {
      await land(place, landingBy(landing, 1), [orders([1, 'a'])])
      await rejectsWith(
        'DESTINATION_FAILED',
        land(place, { ...landingBy(landing, 2), fields: WIDER }, [makeBatch(WIDER, [[2, 'b', 7]])]),
      )
      assert.deepEqual(await presentOrders(place), [[1, 'a']])
    },
  ),

  conformanceCase(
    `leaves a column empty that the rows do not have any more, by ${landing}`,
    [landing],
    async (place) => {
      await land(place, { ...landingBy(landing, 1), fields: WIDER }, [makeBatch(WIDER, [[1, 'a', 7]])])
      await land(place, landingBy(landing, 2), [orders([2, 'b'])])
      assert.deepEqual(await readNormal(place, ORDERS, WIDER), [
        ['1', 'a', '7'],
        ['2', 'b', null],
      ])
    },
  ),
])
