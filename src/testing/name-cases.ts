/** Names of tables, schemas and columns, and comments. */
import assert from 'node:assert/strict'
import type { TableName } from '../destination/contract.js'
import type { Field } from '../model/column-type.js'
import { conformanceCase, perLanding, type UnsortedCase } from './case.js'
import { rejectsWith } from './expect.js'
import {
  ID,
  NOTE,
  ORDERS,
  SYNC,
  inRun,
  land,
  landingBy,
  landingOf,
  makeCheckpoint,
  normalRows,
  orders,
  presentOrders,
  readNormal,
  runOf,
} from './landings.js'
import { makeBatch } from './make-batch.js'

/** Names that PostgreSQL allows and others stumble over. 63 bytes are the most that it has. */
const NAMES = [
  'a "quoted" name',
  'with space',
  ' leading and trailing ',
  '🎉',
  'ünïcödé',
  "it's",
  'select',
  'table',
  'x'.repeat(63),
  'é'.repeat(31),
  'UPPER',
  'c0',
  'a.b',
  'a/b',
  '..',
  '.hidden',
  'back\\slash',
  '%s $1 ${x} {y}',
  'line\nbreak',
  'comma,name',
  'semi;colon',
  '-- comment',
  '*',
  'con',
  'trailing.',
  'question?mark',
  'a=b',
  '_',
  '1',
  '__proto__',
  'constructor',
]

export const nameCases: readonly UnsortedCase[] = [
  ...perLanding('keeps the names of columns as they are', [], async (place, landing) => {
    const fields = [ID, ...NAMES.map((name): Field => ({ ...NOTE, name }))]
    await land(place, { ...landingBy(landing, 1), fields }, [makeBatch(fields, [[1, ...NAMES]])])
    await land(place, { ...landingBy(landing, 2), fields }, [makeBatch(fields, [[2, ...NAMES]])])
    const expected = normalRows(
      place,
      fields,
      landing === 'replace'
        ? [[2, ...NAMES]]
        : [
            [1, ...NAMES],
            [2, ...NAMES],
          ],
    )
    assert.deepEqual(await readNormal(place, ORDERS, fields), expected)
  }),

  conformanceCase(
    'keeps the names of tables and schemas as they are, each apart from the others',
    ['replace'],
    async (place) => {
      const destination = place.create()
      const tables: TableName[] = NAMES.map((name, index) => ({
        schema: NAMES[(index * 7) % NAMES.length] ?? name,
        name,
      }))
      await inRun(destination, runOf(), async () => {
        for (const [index, table] of tables.entries()) {
          const writer = await destination.begin(
            landingOf({ ...landingBy('replace', 1), stream: `s${index}`, table }),
          )
          await writer.write(orders([index, table.name]))
          await writer.commit(makeCheckpoint(String(index)))
        }
      })
      for (const [index, table] of tables.entries()) {
        assert.deepEqual(await presentOrders(place, table), [[index, table.name]])
        assert.equal(typeof place.create().exampleQuery(table), 'string')
      }
      const [state] = await place.create().readState(SYNC)
      assert.deepEqual(
        tables.map((_, index) => state?.streams.get(`s${index}`)?.table),
        tables,
      )
    },
  ),

  conformanceCase(
    'tells names apart, or refuses them, where only case differs, as its foldName says',
    ['replace'],
    async (place) => {
      const { foldName } = place.create().capabilities
      const [lower, upper] = ['Name', 'NAME']
      const fields = [ID, { ...NOTE, name: lower }, { ...NOTE, name: upper }]
      const landed = land(place, { ...landingBy('replace', 1), fields }, [makeBatch(fields, [[1, 'a', 'b']])])
      if (foldName(lower) === foldName(upper)) {
        const { message } = await rejectsWith('NAME_COLLISION', landed)
        assert.ok(message.includes(lower) && message.includes(upper), 'both names are said')
        assert.equal(await place.readRows(ORDERS, [ID]), null)
        return
      }
      await landed
      assert.deepEqual(await readNormal(place, ORDERS, fields), [['1', 'a', 'b']])
      const twins = [
        { schema: 'public', name: 'twin' },
        { schema: 'public', name: 'TWIN' },
      ]
      for (const [index, table] of twins.entries()) {
        await land(place, { ...landingBy('replace', 1), stream: `s${index}`, table }, [orders([index, 'a'])])
      }
      for (const [index, table] of twins.entries()) {
        assert.deepEqual(await presentOrders(place, table), [[index, 'a']])
      }
    },
  ),

  conformanceCase('refuses a column called as one of its own', ['replace'], async (place) => {
    const fields = [ID, { ...NOTE, name: '_trunkline_deleted_at' }]
    const by = { ...landingBy('replace', 1), fields }
    await rejectsWith('NAME_COLLISION', land(place, by, [makeBatch(fields, [[1, 'a']])]))
    assert.equal(await place.readRows(ORDERS, [ID]), null)
  }),

  conformanceCase('refuses a stream without columns', ['replace'], async (place) => {
    const by = { ...landingBy('replace', 1), fields: [], key: null }
    await rejectsWith('STREAM_UNSUPPORTED', land(place, by, []))
  }),

  ...perLanding(
    'carries comments of table and columns, and follows them',
    ['comments'],
    async (place, landing) => {
      const comments = { table: "the shop's orders", columns: { id: 'the "key"', gone: 'not landed' } }
      await land(place, { ...landingBy(landing, 1), comments }, [orders([1, 'a'])])
      assert.deepEqual(await place.readComments?.(ORDERS), {
        table: "the shop's orders",
        columns: { id: 'the "key"' },
      })
      await land(
        place,
        { ...landingBy(landing, 2), comments: { table: 'other', columns: { note: '🎉' } } },
        [],
      )
      const found = await place.readComments?.(ORDERS)
      assert.equal(found?.table, 'other')
      assert.equal(found.columns['note'], '🎉')
    },
  ),
]
