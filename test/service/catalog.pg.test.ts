import { expect, test } from 'vitest'
import { onNewestServer } from '../server/servers.js'
import { openService, readerOf } from './open-service.js'

interface Document {
  readonly openapi: string
  readonly paths: Record<string, Record<string, { requestBody?: unknown; responses?: unknown }>>
  readonly components: { readonly schemas: Record<string, unknown> }
}

onNewestServer('The catalog over HTTP', (server) => {
  test('has tables and views, their fields, keys, relationships, and what can be their cursor', async () => {
    const database = await server.createDatabase()
    await database.sql(`
      CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE);
      CREATE TABLE orders (
        id bigserial PRIMARY KEY, customer_id int NOT NULL REFERENCES customers (id),
        amount numeric(10,2), created_at timestamptz, updated_at timestamptz);
      CREATE INDEX ON orders (created_at);
      CREATE VIEW totals AS SELECT customer_id, sum(amount) AS total FROM orders GROUP BY customer_id;
      COMMENT ON TABLE orders IS 'what was bought'`)
    const service = await openService({ connections: new Map([['shop', await readerOf(database)]]) })
    const catalog = (await (await service.ask('/catalog')).json()) as {
      source: string
      entities: { name: string }[]
    }
    expect(catalog).toMatchObject({ source: 'shop', database: database.name })
    expect(catalog.entities.map(({ name }) => name).sort()).toEqual([
      'public.customers',
      'public.orders',
      'public.totals',
    ])
    const entity = (name: string) => catalog.entities.find((candidate) => candidate.name === name)
    expect(entity('public.orders')).toMatchObject({
      kind: 'table',
      comment: 'what was bought',
      primaryKey: ['id'],
      fields: [
        { name: 'id', type: 'bigint', nullable: false, readable: true },
        { name: 'customer_id', type: 'integer' },
        { name: 'amount', type: 'numeric(10,2)' },
        { name: 'created_at', type: 'timestamp with time zone' },
        { name: 'updated_at' },
      ],
      relationships: [{ columns: ['customer_id'], entity: 'public.customers', references: ['id'] }],
      cursors: [
        { field: 'updated_at', type: 'timestamp', indexed: false },
        { field: 'created_at', type: 'timestamp', indexed: true },
        { field: 'id', type: 'incrementing', indexed: true },
      ],
    })
    expect(entity('public.customers')).toMatchObject({ uniqueKeys: [['id'], ['email']] })
    expect(entity('public.totals')).toMatchObject({ kind: 'view', primaryKey: [] })
    const selected = (await (await service.ask('/catalog?select=public.o*')).json()) as typeof catalog
    expect(selected.entities.map(({ name }) => name)).toEqual(['public.orders'])
  })
})

test('the OpenAPI document has every route, made of the schemas that requests are checked by', async () => {
  const service = await openService()
  const document = (await (await service.ask('/openapi.json')).json()) as Document
  expect(document.openapi).toBe('3.1.0')
  expect(Object.keys(document.paths).sort()).toEqual([
    '/catalog',
    '/extract',
    '/health',
    '/health/live',
    '/health/ready',
    '/metrics',
    '/runs',
    '/runs/{id}',
    '/runs/{id}/cancel',
    '/runs/{id}/events',
    '/syncs',
  ])
  const text = JSON.stringify(document.paths['/extract']?.['post']?.requestBody)
  expect(text + JSON.stringify(document.components.schemas['Extraction'])).toMatch(/fullTable.*cursorField/s)
  expect(JSON.stringify(document)).not.toContain('undefined')
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(
    ([, name]) => name,
  )
  expect(references.length).toBeGreaterThan(0)
  expect(references.filter((name) => !(String(name) in document.components.schemas))).toEqual([])
})
