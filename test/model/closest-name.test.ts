import { expect, test } from 'vitest'
import { closestKey, closestStream } from '../../src/model/closest-name.js'

const keys = ['max_connections', 'exclude_columns', 'mode', 'where', 'deletes']
const streams = ['public.orders', 'public.order_items', 'app.customers']

test('a slip, a swap and another spelling find the key that was meant', () => {
  expect(closestKey('max_conections', keys)).toBe('max_connections')
  expect(closestKey('excludeColumns', keys)).toBe('exclude_columns')
  expect(closestKey('mdoe', keys)).toBe('mode')
  expect(closestKey('wehre', keys)).toBe('where')
})

test('a stream is found with and without its schema, whatever the case, and with two letters swapped', () => {
  expect(closestStream('public.order', streams)).toBe('public.orders')
  expect(closestStream('costumers', streams)).toBe('app.customers')
  expect(closestStream('PUBLIC.ORDERS', streams)).toBe('public.orders')
  expect(closestStream('odrres', streams)).toBe('public.orders')
})

test('a name far from all of them finds none', () => {
  expect(closestKey('colour', keys)).toBeNull()
  expect(closestKey('', [])).toBeNull()
  expect(closestStream('something_else', streams)).toBeNull()
})
