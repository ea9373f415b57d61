/** Whose a table is, and who may write when several would. */
import assert from 'node:assert/strict'
import type { Destination, StreamLanding, StreamState, UnchangedStream } from '../destination/contract.js'
import { conformanceCase, perLanding, type UnsortedCase } from './case.js'
import { hasParts, rejectsWith } from './expect.js'
import {
  ID,
  NOTE,
  ORDERS,
  STREAM,
  SYNC,
  inRun,
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

/** What another sync calls itself. */
const OTHER = { sync: 'other' }

/** Opens, or gives what kept it from being opened. */
async function tryOpen(destination: Destination, sync: string, runId: string): Promise<unknown> {
  return destination.open(runOf({ sync, runId })).then(
    () => null,
    (error: unknown) => error ?? 'unknown',
  )
}

/** The only way to keep a second run out. */
function assertLocked(error: unknown): void {
  hasParts(error as { code: string; retry: string }, { code: 'DESTINATION_LOCKED', retry: 'backoff' })
}

export const ownerCases: readonly UnsortedCase[] = [
  ...perLanding(
    'touches no table that it did not make, unless told to adopt it',
    ['foreign'],
    async (place, landing) => {
      await place.makeForeignTable?.(ORDERS)
      const before = await place.readRows(ORDERS, [ID])
      await rejectsWith('TABLE_OWNED', land(place, landingBy(landing, 1), [orders([1, 'a'])]))
      assert.deepEqual(await place.readRows(ORDERS, [ID]), before)
      assert.equal(await savedState(place), undefined)
      await land(place, landingBy(landing, 1), [orders([1, 'a'])], { run: { adopt: true } })
      assert.deepEqual(await presentOrders(place), [[1, 'a']])
      await land(place, landingBy(landing, 2), [orders([2, 'b'])])
      assert.deepEqual((await presentOrders(place))?.at(-1), [2, 'b'])
    },
  ),

  ...perLanding('touches no table of another sync, unless told to adopt it', [], async (place, landing) => {
    await land(place, landingBy(landing, 1), [orders([1, 'a'])])
    const { hint } = await rejectsWith(
      'TABLE_OWNED',
      land(place, landingBy(landing, 1), [orders([2, 'b'])], { run: OTHER }),
    )
    assert.match(hint, /--name-template.*--adopt/)
    assert.deepEqual(await presentOrders(place), [[1, 'a']])
    await land(place, landingBy(landing, 1), [orders([2, 'b'])], { run: { ...OTHER, adopt: true } })
    assert.deepEqual(await presentOrders(place), [[2, 'b']])
    await rejectsWith('TABLE_OWNED', land(place, landingBy(landing, 2), [orders([3, 'c'])]))
    assert.deepEqual(await presentOrders(place), [[2, 'b']])
  }),

  conformanceCase('touches no table of another stream of the same sync', ['replace'], async (place) => {
    await land(place, landingBy('replace', 1), [orders([1, 'a'])])
    const other = { ...landingBy('replace', 1), stream: 'public.other', table: ORDERS }
    await rejectsWith('TABLE_OWNED', land(place, other, [orders([2, 'b'])]))
    assert.deepEqual(await presentOrders(place), [[1, 'a']])
  }),

  ...perLanding('fences a commit that another run came before', [], async (place, landing) => {
    await land(place, landingBy(landing, 1), [orders([1, 'a'])])
    const late = { ...landingBy(landing, 2), expectedRunSeq: 0 }
    await rejectsWith('FENCED', land(place, late, [orders([1, 'late'])]))
    assert.deepEqual(await presentOrders(place), [[1, 'a']])
    hasParts(await savedState(place), { runSeq: 1, checkpoint: makeCheckpoint('100') })
  }),

  ...perLanding('lets one of two runs of a sync land, never both', [], async (place, landing) => {
    await land(place, landingBy(landing, 1), [orders([1, 'a'])])
    const first = place.create()
    await first.open(runOf({ runId: 'first' }))
    const second = place.create()
    const by = (): StreamLanding => landingOf({ ...landingBy(landing, 2), expectedRunSeq: 1 })
    try {
      const writer = await first.begin(by())
      await writer.write(orders([2, 'first']))
      const refusal = await tryOpen(second, SYNC, 'second')
      if (refusal !== null) {
        assertLocked(refusal)
        await writer.commit(makeCheckpoint('first'))
      } else {
        await rejectsWith('FENCED', writer.commit(makeCheckpoint('first')))
        // What the first run begins only now must not land, either; wherever that is found out.
        await rejectsWith(
          'FENCED',
          first.begin(by()).then(async (again) => {
            await again.write(orders([3, 'first again']))
            await again.commit(makeCheckpoint('first again'))
          }),
        )
        // Nor does its end give away what the second one holds.
        await first.close()
        const other = await second.begin(by())
        await other.write(orders([2, 'second']))
        await other.commit(makeCheckpoint('second'))
      }
      const winner = refusal === null ? 'second' : 'first'
      await first.close()
      await second.close()
      assert.deepEqual(
        await presentOrders(place),
        landing === 'replace'
          ? [[2, winner]]
          : [
              [1, 'a'],
              [2, winner],
            ],
      )
      hasParts(await savedState(place), { runSeq: 2, runId: winner, checkpoint: makeCheckpoint(winner) })
    } finally {
      await first.close()
      await second.close()
    }
  }),

  conformanceCase(
    'fences the saving of a load that another run took over',
    ['upsert', 'resume'],
    async (place) => {
      const first = place.create()
      await first.open(runOf({ runId: 'first' }))
      const second = place.create()
      try {
        const writer = await first.begin(landingOf())
        await writer.write(orders([1, 'first']))
        const refusal = await tryOpen(second, SYNC, 'second')
        if (refusal !== null) assertLocked(refusal)
        else await rejectsWith('FENCED', writer.save(makeProgress(1, 7)))
      } finally {
        await first.close()
        await second.close()
      }
      assert.equal(await savedState(place), undefined)
      assert.equal(await presentOrders(place), null)
    },
  ),

  conformanceCase(
    'lets two syncs work side by side, or tells the second one to wait',
    ['replace'],
    async (place) => {
      const syncs = ['one', 'two'] as const
      const [first, second] = [place.create(), place.create()]
      const begin = (destination: Destination, sync: string): ReturnType<Destination['begin']> =>
        destination.begin(landingOf({ ...landingBy('replace', 1), table: { schema: 'public', name: sync } }))
      try {
        await first.open(runOf({ sync: syncs[0], runId: 'first' }))
        const writer = await begin(first, syncs[0])
        await writer.write(orders([1, syncs[0]]))
        const refusal = await tryOpen(second, syncs[1], 'second')
        if (refusal === null) {
          const other = await begin(second, syncs[1])
          await other.write(orders([2, syncs[1]]))
          await writer.commit(makeCheckpoint('1'))
          await other.commit(makeCheckpoint('2'))
          await first.close()
        } else {
          assertLocked(refusal)
          await writer.commit(makeCheckpoint('1'))
          await first.close()
          await second.open(runOf({ sync: syncs[1], runId: 'second' }))
          const other = await begin(second, syncs[1])
          await other.write(orders([2, syncs[1]]))
          await other.commit(makeCheckpoint('2'))
        }
      } finally {
        await first.close()
        await second.close()
      }
      for (const [index, sync] of syncs.entries()) {
        assert.deepEqual(await presentOrders(place, { schema: 'public', name: sync }), [[index + 1, sync]])
        hasParts(await savedState(place, STREAM, sync), { checkpoint: makeCheckpoint(String(index + 1)) })
      }
    },
  ),

  conformanceCase(
    'confirms in one commit what did not change, and leaves alone what is not as stated',
    ['upsert', 'resume', 'confirm'],
    async (place) => {
      const named = (name: string, expectedRunSeq = 0): StreamLanding =>
        landingOf({ stream: `public.${name}`, table: { schema: 'public', name }, expectedRunSeq })
      const stated = (name: string, overrides: Partial<UnchangedStream> = {}): UnchangedStream => ({
        ...named(name, 1),
        live: 2,
        checkpoint: makeCheckpoint('200'),
        ...overrides,
      })
      const destination = place.create()
      const names = ['same', 'fewer', 'older', 'retyped', 'commented', 'marked', 'partial']
      await inRun(destination, runOf(), async () => {
        for (const name of names) {
          const writer = await destination.begin(named(name))
          await writer.write(orders([1, 'a'], [2, 'b']))
          await writer.commit(makeCheckpoint('100'))
        }
        const load = await destination.begin({ ...named('partial', 1), generation: 2 })
        await load.write(orders([1, 'a']))
        await load.save(makeProgress(1, 7))
        await load.abort()
      })
      // Where there is no place for comments, other ones are no change.
      const commented = place.readComments === undefined ? [] : ['commented']
      const next = place.create()
      const seen = await inRun(next, runOf({ runId: 'run-2' }), async () =>
        next.confirmUnchanged?.([
          stated('same'),
          stated('fewer', { live: 1 }),
          stated('older', { expectedRunSeq: 0 }),
          stated('retyped', { fields: [ID, { ...NOTE, type: { kind: 'bool' } }] }),
          ...commented.map((name) => stated(name, { comments: { table: null, columns: { note: 'new' } } })),
          stated('marked', { deletes: 'soft' }),
          stated('partial'),
          stated('never landed'),
        ]),
      )
      assert.deepEqual([...(seen ?? [])], ['public.same'])
      const [state] = await place.create().readState(SYNC)
      const saved = (name: string): StreamState | undefined => state?.streams.get(`public.${name}`)
      hasParts(saved('same'), { runSeq: 2, runId: 'run-2', checkpoint: makeCheckpoint('200') })
      for (const name of names.slice(1)) {
        hasParts(saved(name), { runSeq: 1, checkpoint: makeCheckpoint('100') })
      }
      const same = { schema: 'public', name: 'same' }
      assert.equal((await presentOrders(place, same))?.length, 2)

      // What was confirmed goes on as after any other commit.
      const later = place.create()
      await inRun(later, runOf({ runId: 'run-3' }), async () => {
        const writer = await later.begin(named('same', 2))
        await writer.write(orders([3, 'c']))
        await writer.commit(makeCheckpoint('300'))
      })
      assert.equal((await presentOrders(place, same))?.length, 3)
    },
  ),
]
