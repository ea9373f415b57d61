/** What a destination says that it cannot do is refused, clearly and whole. */
import assert from 'node:assert/strict'
import type { Landing } from '../model/sync-spec.js'
import { conformanceCase, type UnsortedCase } from './case.js'
import { rejectsWith } from './expect.js'
import {
  ORDERS,
  ID,
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
} from './landings.js'
import type { Place } from './place.js'

/** Of an error that says: this destination does not do that. */
const REFUSALS = ['CONFIG_INVALID', 'CONFIG_UNSUPPORTED', 'STREAM_UNSUPPORTED', 'DESTINATION_INVALID']

const LANDINGS: readonly Landing[] = ['replace', 'upsert', 'append']

function firstLanding(place: Place): Landing {
  const [landing] = place.create().capabilities.landings
  assert.ok(landing !== undefined, 'it lands by something')
  return landing
}

export const refusalCases: readonly UnsortedCase[] = [
  ...LANDINGS.map((landing) =>
    conformanceCase(
      `refuses to land by ${landing}, as it says that it cannot`,
      [`!${landing}`],
      async (place) => {
        const destination = place.create()
        await inRun(destination, runOf(), async () => {
          await rejectsWith(REFUSALS, destination.begin(landingOf(landingBy(landing, 1))))
          const writer = await destination.begin(landingOf(landingBy(firstLanding(place), 1)))
          await writer.write(orders([1, 'a']))
          await writer.commit(makeCheckpoint('1'))
        })
        assert.deepEqual(await presentOrders(place), [[1, 'a']])
      },
    ),
  ),

  conformanceCase(
    'refuses to compare rows, as it says that it cannot, and lands them all the same',
    ['!verify'],
    async (place) => {
      await land(place, landingBy(firstLanding(place), 1), [orders([1, 'a'])], {
        async then(writer) {
          await rejectsWith(REFUSALS, writer.verify(batchesOf(orders([1, 'a']))))
        },
      })
      assert.deepEqual(await presentOrders(place), [[1, 'a']])
    },
  ),

  conformanceCase(
    'refuses to delete by key, as it says that it cannot, and lands the rest',
    ['!deletes'],
    async (place) => {
      await land(place, landingBy(firstLanding(place), 1), [orders([1, 'a'], [2, 'b'])], {
        async then(writer) {
          await rejectsWith(REFUSALS, writer.reconcileKeys(keysOf(1), { maxDeleted: 9 }))
        },
      })
      assert.deepEqual(await presentOrders(place), [
        [1, 'a'],
        [2, 'b'],
      ])
    },
  ),

  conformanceCase(
    'refuses to save a load and to go on in one, as it says that it cannot',
    ['!resume'],
    async (place) => {
      const destination = place.create()
      const landing = landingOf(landingBy(firstLanding(place), 1))
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landing)
        await writer.write(orders([1, 'a']))
        await rejectsWith(REFUSALS, writer.save(makeProgress(1, 3)))
        await rejectsWith(REFUSALS, writer.replaceByKey(batchesOf(orders([1, 'b']))))
        await writer.abort()
        await rejectsWith(REFUSALS, destination.begin({ ...landing, resume: true }))
      })
      assert.equal((await savedState(place))?.partial ?? null, null)
      assert.equal(await place.readRows(ORDERS, [ID]), null)
    },
  ),
]
