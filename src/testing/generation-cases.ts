/** Generations: a whole load takes the place of the one before it, at once. */
import assert from 'node:assert/strict'
import { conformanceCase, perLanding, type UnsortedCase } from './case.js'
import { hasParts, rejectsWith } from './expect.js'
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

export const generationCases: readonly UnsortedCase[] = [
  conformanceCase('puts a new generation in the place of the old one', ['replace'], async (place) => {
    await land(place, landingBy('replace', 1), [orders([1, 'a'], [2, 'b'])])
    await land(place, landingBy('replace', 2), [orders([9, 'z'])])
    assert.deepEqual(await presentOrders(place), [[9, 'z']])
    hasParts(await savedState(place), { generation: 2, runSeq: 2 })
    await land(place, landingBy('replace', 3), [orders([9, 'z'], [10, 'y'])])
    assert.deepEqual(await presentOrders(place), [
      [9, 'z'],
      [10, 'y'],
    ])
  }),

  conformanceCase(
    'puts a generation of other columns and types in the place of the old one',
    ['replace'],
    async (place) => {
      await land(place, landingBy('replace', 1), [orders([1, 'a'])])
      const note = { ...NOTE, type: { kind: 'int', bits: 64 } } as const
      const size = { name: 'size', type: { kind: 'bool' }, nullable: true } as const
      const fields = [note, size, ID]
      await land(place, { ...landingBy('replace', 2), fields }, [makeBatch(fields, [[7n, true, 1]])])
      assert.deepEqual(await readNormal(place, ORDERS, fields), [['7', 'true', '1']])
    },
  ),

  ...perLanding('lands an empty stream as an empty table', [], async (place, landing) => {
    await land(place, landingBy(landing, 1), [])
    assert.deepEqual(await presentOrders(place), [])
    hasParts(await savedState(place), { runSeq: 1, checkpoint: makeCheckpoint('100') })
    await land(place, landingBy(landing, 2), [orders(), orders([1, 'a']), orders()], { xmax: '200' })
    assert.deepEqual(await presentOrders(place), [[1, 'a']])
  }),

  conformanceCase('replaces rows by none', ['replace'], async (place) => {
    await land(place, landingBy('replace', 1), [orders([1, 'a'])])
    await land(place, landingBy('replace', 2), [])
    assert.deepEqual(await presentOrders(place), [])
  }),

  ...perLanding(
    'goes on, within a run, in the generation that the run itself has begun',
    [],
    async (place, landing) => {
      const destination = place.create()
      const rows = [[1, 'a'] as const, [2, 'b'] as const]
      await inRun(destination, runOf(), async () => {
        for (const [expectedRunSeq, row] of rows.entries()) {
          const by = landingBy(landing, expectedRunSeq + 1)
          const writer = await destination.begin(landingOf({ ...by, expectedRunSeq }))
          await writer.write(orders(row))
          await writer.commit(makeCheckpoint(String(expectedRunSeq)))
        }
      })
      assert.deepEqual(await presentOrders(place), landing === 'replace' ? rows.slice(1) : rows)
      hasParts(await savedState(place), { runSeq: 2, checkpoint: makeCheckpoint('1') })
    },
  ),

  conformanceCase(
    'begins a new generation by upsert and by append, too',
    ['upsert', 'append'],
    async (place) => {
      for (const landing of ['upsert', 'append'] as const) {
        const table = { schema: 'public', name: landing }
        const by = { ...landingBy(landing, 1), stream: `public.${landing}`, table }
        await land(place, by, [orders([1, 'old'], [2, 'old'])])
        await land(place, { ...by, generation: 2 }, [orders([1, 'new'])])
        assert.deepEqual(await presentOrders(place, table), [[1, 'new']])
      }
    },
  ),

  ...perLanding('lands streams side by side', [], async (place, landing) => {
    const destination = place.create()
    const names = ['a', 'b', 'c']
    const table = (name: string): { schema: string; name: string } => ({ schema: 'public', name })
    await inRun(destination, runOf(), async () => {
      const writers = await Promise.all(
        names.map((name) =>
          destination.begin(
            landingOf({ ...landingBy(landing, 1), stream: `public.${name}`, table: table(name) }),
          ),
        ),
      )
      await Promise.all(writers.map((writer, index) => writer.write(orders([index, names[index] ?? null]))))
      await writers[1]?.abort()
      await Promise.all(
        writers.filter((_, index) => index !== 1).map((writer) => writer.commit(makeCheckpoint('5'))),
      )
    })
    assert.deepEqual(await presentOrders(place, table('a')), [[0, 'a']])
    assert.equal(await presentOrders(place, table('b')), null)
    assert.deepEqual(await presentOrders(place, table('c')), [[2, 'c']])
  }),

  ...perLanding('gives memory back only when it does not need it any more', [], async (place, landing) => {
    const done: number[] = []
    const batches = Array.from({ length: 4 }, (_, index) =>
      orders([index, `note ${index}`], [index + 10, null]),
    )
    await land(
      place,
      {
        ...landingBy(landing, 1),
        onBatchDone(batch) {
          done.push(batches.indexOf(batch))
          // Whoever gets the memory back writes other rows into it.
          new Uint8Array(batch.buffer).fill(0xa5)
        },
      },
      batches,
    )
    const expected = [0, 1, 2, 3].flatMap((index) => [
      [index, `note ${index}`],
      [index + 10, null],
    ])
    const found = await presentOrders(place)
    assert.deepEqual(
      found,
      expected.sort(([a], [b]) => Number(a) - Number(b)),
    )
    assert.equal(new Set(done).size, done.length, 'a batch is given back once')
    assert.ok(!done.includes(-1), 'what is given back was handed over')
  }),

  conformanceCase('refuses a key that comes twice in what replaces by key', ['upsert'], async (place) => {
    const twice = (): Promise<void> => land(place, landingBy('upsert', 1), [orders([1, 'a'], [1, 'b'])])
    await rejectsWith('KEY_DUPLICATE', twice())
    assert.equal(await presentOrders(place), null)
    await land(place, landingBy('upsert', 1), [orders([1, 'a'])])
    await rejectsWith(
      'KEY_DUPLICATE',
      land(place, landingBy('upsert', 1), [orders([2, 'a']), orders([2, 'b'])]),
    )
    assert.deepEqual(await presentOrders(place), [[1, 'a']])
  }),
]
