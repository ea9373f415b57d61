import { expect, test } from 'vitest'
import { suggestName } from '../../src/config/suggest.js'

const known = ['max_connections', 'exclude_columns', 'mode', 'where', 'deletes']

test('a slip, a swap and another spelling find the name that was meant', () => {
  expect(suggestName('max_conections', known)).toBe('max_connections')
  expect(suggestName('excludeColumns', known)).toBe('exclude_columns')
  expect(suggestName('mdoe', known)).toBe('mode')
  expect(suggestName('wehre', known)).toBe('where')
})

test('a name far from all of them finds none', () => {
  expect(suggestName('colour', known)).toBeNull()
  expect(suggestName('', [])).toBeNull()
})
