/** State, the lease, and that rows and checkpoint are one thing. */
import assert from 'node:assert/strict'
import { conformanceCase, perLanding, type UnsortedCase } from './case.js'
import { hasParts, rejectsWith } from './expect.js'
import {
  ORDERS,
  STREAM,
  SYNC,
  ID,
  inRun,
  keysOf,
  land,
  landingBy,
  landingOf,
  makeCheckpoint,
  orders,
  presentOrders,
  runOf,
  savedState,
} from './landings.js'

export const stateCases: readonly UnsortedCase[] = [
  conformanceCase(
    'has an empty state where nothing was landed, and makes nothing by being asked',
    [],
    async (place) => {
      assert.deepEqual(await place.create().readState(null), [])
      assert.deepEqual(await place.create().readState(SYNC), [{ sync: SYNC, epoch: 0, streams: new Map() }])
      assert.equal(await place.readRows(ORDERS, [ID]), null)
    },
  ),

  conformanceCase(
    'can be made and closed without being opened, and prepared for nothing',
    [],
    async (place) => {
      const unused = place.create()
      unused.prepare?.()
      await unused.close()
      await unused.close()
      assert.deepEqual(await place.create().readState(null), [])
    },
  ),

  ...perLanding(
    'lands rows and checkpoint, and gives the checkpoint back to the next run',
    [],
    async (place, landing) => {
      await land(place, landingBy(landing, 1), [orders([1, 'a'], [2, null]), orders([3, 'ü'])])
      assert.deepEqual(await presentOrders(place), [
        [1, 'a'],
        [2, null],
        [3, 'ü'],
      ])
      const [state] = await place.create().readState(SYNC)
      const stream = state?.streams.get(STREAM)
      hasParts(stream, {
        stream: STREAM,
        table: ORDERS,
        generation: 1,
        runSeq: 1,
        runId: 'run-1',
        paused: false,
        skipped: false,
        checkpoint: makeCheckpoint('100'),
        partial: null,
      })
      assert.ok((stream?.committedAt.getTime() ?? 0) > 0)
      const next = place.create()
      await inRun(next, runOf({ runId: 'run-2' }), (opened) => {
        assert.deepEqual(opened.streams.get(STREAM), stream)
        assert.ok(opened.epoch > (state?.epoch ?? Infinity), 'each run has a higher epoch')
        return Promise.resolve()
      })
    },
  ),

  ...perLanding(
    'shows nothing of a run that aborts, neither rows nor checkpoint',
    [],
    async (place, landing) => {
      await land(place, landingBy(landing, 1), [orders([1, 'a'])])
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ ...landingBy(landing, 2), expectedRunSeq: 1 }))
        await writer.write(orders([1, 'changed'], [2, 'b']))
        assert.equal(await writer.liveCount(), landing === 'append' ? 3 : 2)
        if (landing === 'upsert' && destination.capabilities.deletes) {
          await writer.reconcileKeys(keysOf(2), { maxDeleted: 10 })
        }
        await writer.abort()
        await writer.abort()
      })
      assert.deepEqual(await presentOrders(place), [[1, 'a']])
      hasParts(await savedState(place), { runSeq: 1, generation: 1, checkpoint: makeCheckpoint('100') })
    },
  ),

  ...perLanding(
    'shows nothing of a stream whose run closes before the commit',
    [],
    async (place, landing) => {
      const destination = place.create()
      await destination.open(runOf())
      const writer = await destination.begin(landingOf(landingBy(landing, 1)))
      await writer.write(orders([1, 'a']))
      await destination.close()
      await rejectsWith('FENCED', writer.commit(makeCheckpoint('1')))
      assert.equal(await place.readRows(ORDERS, [ID]), null)
      assert.equal(await savedState(place), undefined)
    },
  ),

  conformanceCase('keeps streams of one sync, and syncs, apart in its state', ['replace'], async (place) => {
    for (const sync of ['one', 'two']) {
      const destination = place.create()
      await inRun(destination, runOf({ sync }), async () => {
        for (const name of ['a', 'b']) {
          const table = { schema: sync, name }
          const writer = await destination.begin(
            landingOf({ ...landingBy('replace', 1), stream: `public.${name}`, table }),
          )
          await writer.write(orders([1, `${sync} ${name}`]))
          await writer.commit(makeCheckpoint(`${sync}-${name}`))
        }
      })
    }
    const all = await place.create().readState(null)
    assert.deepEqual(all.map(({ sync }) => sync).sort(), ['one', 'two'])
    for (const sync of ['one', 'two']) {
      const [state, ...others] = await place.create().readState(sync)
      assert.deepEqual(others, [])
      assert.deepEqual([...(state?.streams.keys() ?? [])].sort(), ['public.a', 'public.b'])
      for (const name of ['a', 'b']) {
        hasParts(state?.streams.get(`public.${name}`), { checkpoint: makeCheckpoint(`${sync}-${name}`) })
        assert.deepEqual(await presentOrders(place, { schema: sync, name }), [[1, `${sync} ${name}`]])
      }
    }
  }),

  conformanceCase('leaves a stream that a run does not touch as it was', ['replace'], async (place) => {
    await land(place, landingBy('replace', 1), [orders([1, 'a'])])
    const before = await savedState(place)
    const table = { schema: 'public', name: 'other' }
    await land(place, { ...landingBy('replace', 1), stream: 'public.other', table }, [orders([2, 'b'])])
    assert.deepEqual(await savedState(place), before)
    assert.deepEqual(await presentOrders(place), [[1, 'a']])
  }),

  conformanceCase('edits saved state: pause, skip, resync', ['replace'], async (place) => {
    await land(place, landingBy('replace', 1), [orders([1, 'a'])])
    const edit = place.create()
    await edit.editState(SYNC, STREAM, { kind: 'pause', paused: true })
    hasParts(await savedState(place), { paused: true, skipped: false })
    await edit.editState(SYNC, STREAM, { kind: 'skip' })
    hasParts(await savedState(place), { paused: true, skipped: true })
    await edit.editState(SYNC, STREAM, { kind: 'pause', paused: false })
    hasParts(await savedState(place), { paused: false, skipped: false })
    await edit.editState(SYNC, STREAM, { kind: 'resync' })
    hasParts(await savedState(place), { checkpoint: null, generation: 1, runSeq: 1 })
    await rejectsWith('STREAM_MISSING', edit.editState(SYNC, 'public.nothing', { kind: 'resync' }))
    await edit.close()
    assert.deepEqual(await presentOrders(place), [[1, 'a']])
  }),

  conformanceCase(
    'keeps a pause through the commits of later runs, and loads anew after a resync',
    ['replace'],
    async (place) => {
      await land(place, landingBy('replace', 1), [orders([1, 'a'])])
      const edit = place.create()
      await edit.editState(SYNC, STREAM, { kind: 'pause', paused: true })
      await edit.editState(SYNC, STREAM, { kind: 'resync' })
      await edit.close()
      await land(place, landingBy('replace', 2), [orders([2, 'b'])], { xmax: '200' })
      hasParts(await savedState(place), { paused: true, checkpoint: makeCheckpoint('200'), runSeq: 2 })
      assert.deepEqual(await presentOrders(place), [[2, 'b']])
    },
  ),

  conformanceCase('says what it is and what can be done with it', [], async (place) => {
    const destination = place.create()
    const { landings, deletes, foldName, maxNameBytes } = destination.capabilities
    assert.notEqual(destination.description, '')
    assert.ok(landings.size > 0, 'it lands by something')
    assert.ok(!deletes || landings.has('upsert'), 'deletes are found by the key that upserts have')
    assert.ok(maxNameBytes >= 63, 'names of PostgreSQL have up to 63 bytes')
    for (const name of ['Orders', 'ÉCLAIR', 'a b', 'ß'])
      assert.equal(foldName(foldName(name)), foldName(name))
    assert.notEqual(foldName('a'), foldName('b'))
    assert.match(destination.exampleQuery(ORDERS), /orders/)
    await destination.close()
  }),
]
