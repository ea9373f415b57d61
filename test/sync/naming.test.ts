import { describe, expect, test } from 'vitest'
import type { CatalogStream } from '../../src/model/catalog.js'
import type { TableName } from '../../src/destination/contract.js'
import { checkColumnNames, nameTables, type NamingInput } from '../../src/sync/naming.js'
import { ModelDatabase } from './model/database.js'
import { toCatalogStream } from './model/model-source.js'

const capabilities = { foldName: (name: string) => name.toLowerCase(), maxNameBytes: 20 }

function stream(schema: string, table: string, sql: string | null = null): CatalogStream {
  const made = toCatalogStream(new ModelDatabase().createTable(table))
  return { ...made, name: sql === null ? `${schema}.${table}` : table, schema, sql }
}

function name(
  streams: readonly CatalogStream[],
  spec: Partial<NamingInput['spec']> = {},
  owned: ReadonlyMap<string, TableName> = new Map(),
): ReturnType<typeof nameTables> {
  return nameTables({
    streams,
    spec: { targetSchema: null, nameTemplate: null, ...spec },
    capabilities,
    owned,
  })
}

describe('destination names', () => {
  test('are those of the source, unless said otherwise', () => {
    const streams = [stream('app', 'orders'), stream('', 'recent', 'SELECT 1')]
    expect([...name(streams).tables.values()]).toEqual([
      { schema: 'app', name: 'orders' },
      { schema: 'main', name: 'recent' },
    ])
    const spec = { targetSchema: 'lake', nameTemplate: '{schema}_{table}' }
    expect(name([stream('app', 'orders')], spec).tables.get('app.orders')).toEqual({
      schema: 'lake',
      name: 'app_orders',
    })
  })

  test('that differ only by case are refused, each error naming the other', () => {
    const { tables, errors } = name([stream('app', 'Orders'), stream('app', 'orders'), stream('app', 'x')])
    expect([...tables.keys()]).toEqual(['app.x'])
    expect(errors.get('app.Orders')?.code).toBe('NAME_COLLISION')
    expect(errors.get('app.Orders')?.message).toContain('app.orders')
    expect(errors.get('app.orders')?.message).toContain('app.Orders')
  })

  test('stay with the stream that had them first', () => {
    const owned = new Map([['app.orders', { schema: 'app', name: 'orders' }]])
    const { tables, errors } = name([stream('app', 'Orders'), stream('app', 'orders')], {}, owned)
    expect([...tables.keys()]).toEqual(['app.orders'])
    expect([...errors.keys()]).toEqual(['app.Orders'])
  })

  test('of two schemas brought together collide', () => {
    const { errors } = name([stream('a', 't'), stream('b', 't')], { targetSchema: 'all' })
    expect([...errors.keys()]).toEqual(['a.t', 'b.t'])
  })

  test('that are ours, empty or too long are refused', () => {
    const { errors } = name([
      stream('app', '_trunkline_x'),
      stream('_trunkline', 'y'),
      stream('app', 'é'.repeat(11)),
    ])
    expect([...errors].map(([, error]) => error.code)).toEqual([
      'NAME_COLLISION',
      'NAME_COLLISION',
      'CONFIG_INVALID',
    ])
  })

  test('of columns must differ by more than case, and not begin like ours', () => {
    expect(() => checkColumnNames('t', ['id', 'note'], capabilities)).not.toThrow()
    expect(() => checkColumnNames('t', ['Id', 'id'], capabilities)).toThrow(/"Id" and "id" of t/)
    expect(() => checkColumnNames('t', ['_trunkline_deleted_at'], capabilities)).toThrow(/reserved/)
  })
})
