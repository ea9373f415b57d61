/** That a comparison finds each kind of difference, and none where there is none. */
import assert from 'node:assert/strict'
import type { Field } from '../model/column-type.js'
import { conformanceCase, perLanding, type UnsortedCase } from './case.js'
import {
  ID,
  RUN_AT,
  batchesOf,
  inRun,
  keysOf,
  land,
  landingBy,
  landingOf,
  makeCheckpoint,
  orders,
  presentOrders,
  runOf,
} from './landings.js'
import { makeBatch } from './make-batch.js'
import type { Plain } from './plain.js'
import { TYPE_SAMPLES } from './samples.js'

const REAL: Field = { name: 'x', type: { kind: 'float', bits: 64 }, nullable: true }
const NOTE_FIELD: Field = { name: 'note', type: { kind: 'text' }, nullable: true }
const BYTES: Field = { name: 'bytes', type: { kind: 'binary' }, nullable: true }

interface Difference {
  readonly what: string
  readonly rows: readonly (readonly Plain[])[]
  readonly missing: number
  readonly unexpected: number
}

export const verifyCases: readonly UnsortedCase[] = [
  ...perLanding(
    'finds every difference when it compares, and none where there is none',
    ['verify'],
    async (place, landing) => {
      const fields = [ID, REAL, NOTE_FIELD, BYTES]
      const rows: readonly (readonly Plain[])[] = [
        [1, -0, '', Uint8Array.of(1, 2)],
        [2, NaN, null, null],
        [3, null, 'c', new Uint8Array()],
      ]
      const [first = [], second = [], third = []] = rows
      const one = { missing: 1, unexpected: 1 }
      const differences: readonly Difference[] = [
        { what: 'nothing', rows, missing: 0, unexpected: 0 },
        { what: 'the order', rows: [third, first, second], missing: 0, unexpected: 0 },
        { what: '0 for −0', rows: [[1, 0, '', Uint8Array.of(1, 2)], second, third], ...one },
        { what: 'NULL for an empty text', rows: [[1, -0, null, Uint8Array.of(1, 2)], second, third], ...one },
        { what: 'an empty text for NULL', rows: [first, [2, NaN, '', null], third], ...one },
        { what: 'NULL for NaN', rows: [first, [2, null, null, null], third], ...one },
        { what: 'a byte', rows: [[1, -0, '', Uint8Array.of(1, 3)], second, third], ...one },
        { what: 'a row that only the destination has', rows: [second, third], missing: 0, unexpected: 1 },
        {
          what: 'a row that only the source has',
          rows: [...rows, [4, 1, 'd', null]],
          missing: 1,
          unexpected: 0,
        },
        { what: 'a row that the source has twice', rows: [...rows, third], missing: 1, unexpected: 0 },
        { what: 'everything', rows: [], missing: 0, unexpected: 3 },
      ]
      const destination = place.create()
      await inRun(destination, runOf(), async () => {
        const writer = await destination.begin(landingOf({ ...landingBy(landing, 1), fields }))
        await writer.write(makeBatch(fields, rows))
        for (const { what, rows: expected, missing, unexpected } of differences) {
          assert.deepEqual(
            await writer.verify(batchesOf(makeBatch(fields, expected))),
            { equal: missing + unexpected === 0, missing, unexpected },
            what,
          )
        }
        const others = fields.slice(1)
        const parts = rows.map((row) => row.slice(1))
        assert.deepEqual(
          await writer.verify(batchesOf(makeBatch(others, parts)), { fields: others }),
          { equal: true, missing: 0, unexpected: 0 },
          'some of the fields',
        )
        await writer.commit(makeCheckpoint('1'))
      })
    },
  ),

  conformanceCase('finds a row that stands twice at the destination', ['append', 'verify'], async (place) => {
    await land(place, landingBy('append', 1), [orders([1, 'a'])])
    await land(place, landingBy('append', 2), [orders([1, 'a'])], {
      async then(writer) {
        const found = await writer.verify(batchesOf(orders([1, 'a'])))
        assert.deepEqual(found, { equal: false, missing: 0, unexpected: 1 })
      },
    })
  }),

  conformanceCase('compares every type with itself as equal', ['replace', 'verify'], async (place) => {
    const samples = TYPE_SAMPLES.filter(({ type }) => place.refuses?.(type) !== true)
    const fields = [
      ID,
      ...samples.map(({ type }, index): Field => ({ name: `v${index}`, type, nullable: true })),
    ]
    const rows = Array.from({ length: 12 }, (_, row): readonly Plain[] => [
      row,
      ...samples.map(({ type, values }) => {
        const value = values[row] ?? null
        return value !== null && place.refuses?.(type, value) === true ? null : value
      }),
    ])
    await land(place, { ...landingBy('replace', 1), fields }, [makeBatch(fields, rows)], {
      async then(writer) {
        const found = await writer.verify(batchesOf(makeBatch(fields, rows)))
        assert.deepEqual(found, { equal: true, missing: 0, unexpected: 0 })
      },
    })
  }),

  conformanceCase('compares only rows that are live', ['upsert', 'deletes', 'verify'], async (place) => {
    const soft = { deletes: 'soft' } as const
    await land(place, soft, [orders([1, 'a'], [2, 'b'])])
    await land(place, soft, [], {
      async then(writer) {
        await writer.reconcileKeys(keysOf(1), { maxDeleted: 1 })
        const found = await writer.verify(batchesOf(orders([1, 'a'])))
        assert.deepEqual(found, { equal: true, missing: 0, unexpected: 0 })
      },
    })
  }),

  conformanceCase(
    'compares with the rows of the present run where each run adds a copy',
    ['append', 'verify'],
    async (place) => {
      await land(place, { ...landingBy('append', 1), runAt: new Date(1000) }, [orders([1, 'old'])])
      await land(place, { ...landingBy('append', 2), runAt: new Date(2000) }, [orders([1, 'a'], [2, 'b'])], {
        async then(writer) {
          const found = await writer.verify(batchesOf(orders([1, 'a'], [2, 'b'])))
          assert.deepEqual(found, { equal: true, missing: 0, unexpected: 0 })
        },
      })
      assert.equal((await place.readRows({ schema: 'public', name: 'orders' }, [ID, RUN_AT]))?.length, 3)
    },
  ),

  conformanceCase(
    'takes rows after it compared, and commits what was compared and what came after',
    ['replace', 'verify'],
    async (place) => {
      await land(place, landingBy('replace', 1), [orders([1, 'a'])], {
        async then(writer) {
          assert.equal((await writer.verify(batchesOf(orders([1, 'a'])))).equal, true)
          await writer.write(orders([2, 'b']))
          assert.equal((await writer.verify(batchesOf(orders([1, 'a'], [2, 'b'])))).equal, true)
          assert.equal(await writer.liveCount(), 2)
        },
      })
      assert.deepEqual(await presentOrders(place), [
        [1, 'a'],
        [2, 'b'],
      ])
    },
  ),
]
