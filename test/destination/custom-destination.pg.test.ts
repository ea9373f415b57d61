/** A destination that is not of this package is synced to as any other. */
import { expect, test } from 'vitest'
import { sync } from '../../src/index.js'
import type { Field } from '../../src/model/column-type.js'
import { onNewestServer } from '../server/servers.js'
import { makeCustomPlace } from './custom-destination.js'

const FIELDS: readonly Field[] = [
  { name: 'id', type: { kind: 'int', bits: 64 }, nullable: false },
  { name: 'total', type: { kind: 'decimal', precision: 12, scale: 2 }, nullable: true },
]

onNewestServer('a destination of one’s own', (server) => {
  test('is handed to sync, loaded, and loaded anew after changes', async () => {
    const database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12, 2));
      INSERT INTO orders SELECT 9007199254740993 + g, g * 1.25 FROM generate_series(1, 1000) g`)
    const place = await makeCustomPlace()
    const table = { schema: 'public', name: 'orders' }
    try {
      for (const change of [
        'SELECT',
        'DELETE FROM orders WHERE id % 2 = 0; UPDATE orders SET total = NULL',
      ]) {
        await database.sql(change)
        await using destination = place.create()
        const report = await sync({ source: database.url, destination })
        expect(report).toMatchObject({ outcome: 'done' })
        expect(report.streams).toMatchObject([{ stream: 'public.orders', outcome: 'done' }])
        const expected = await database.sql('SELECT id::text, total::text FROM orders ORDER BY id')
        const found = (await place.readRows(table, FIELDS)) ?? []
        expect([...found].sort()).toEqual(expected.map(({ id, total }) => [id, total]))
      }
    } finally {
      await place.remove()
    }
  })
})
