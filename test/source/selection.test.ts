import { expect, test } from 'vitest'
import { emptySelection, type RelationRow, selectRelations } from '../../src/source/selection.js'
import { formSnapshotGroups, lockBudget } from '../../src/source/snapshot-groups.js'
import { chooseKey, type IndexFacts } from '../../src/source/key-choice.js'
import { makeColumn, makeStream } from './make-stream.js'

const relation = (name: string, facts: Partial<RelationRow> = {}): RelationRow => ({
  oid: 1,
  schema: 'public',
  name,
  kind: 'r',
  child: false,
  usage: true,
  of_extension: false,
  ...facts,
})
const RELATIONS = [
  relation('orders'),
  relation('orders_2024', { child: true }),
  relation('daily', { kind: 'v' }),
  relation('sums', { kind: 'm' }),
  relation('remote', { kind: 'f' }),
  relation('spatial', { of_extension: true }),
  relation('hidden', { schema: 'closed', usage: false }),
  relation('audit_log', { schema: 'app', kind: 'p' }),
]

function select(selected: readonly string[], exclude: readonly string[] = []): readonly string[] {
  return selectRelations(RELATIONS, { select: selected, exclude }).map((row) => `${row.schema}.${row.name}`)
}

test('without a selection every table of the schemas in reach is taken', () => {
  expect(select([])).toEqual(['public.orders', 'public.sums', 'app.audit_log'])
  expect(select([], ['*.audit_*'])).toEqual(['public.orders', 'public.sums'])
})

test('a pattern takes views and foreign tables, too, and a name whatever it names', () => {
  expect(select(['public.*'])).toEqual(['public.orders', 'public.daily', 'public.sums', 'public.remote'])
  expect(select(['public.spatial', 'public.orders_2024', 'closed.hidden'])).toEqual([
    'public.orders_2024',
    'public.spatial',
    'closed.hidden',
  ])
  expect(select(['closed.*', 'public.orders_*'])).toEqual([])
})

test('an exclusion wins over a name', () => {
  expect(select(['public.orders', 'public.sums'], ['public.orders'])).toEqual(['public.sums'])
})

test('an empty selection lists what there is, up to twenty', () => {
  const many = Array.from({ length: 25 }, (_, index) => relation(`t${index}`))
  const error = emptySelection(many, { select: ['x.*'], exclude: ['y'] })
  expect(error.message).toBe('The selection x.* without y matches no table or view.')
  expect(error.hint).toMatch(/public\.t19 and 5 more\.$/)
})

test('groups keep the order, stay within the budget, and a stream over it stands alone', () => {
  const streams = [3, 4, 100, 1, 9, 1].map((lockCount) => makeStream({ lockCount }))
  const sizes = formSnapshotGroups(streams, 10).map((group) => group.map((stream) => stream.lockCount))
  expect(sizes).toEqual([[3, 4], [100], [1, 9], [1]])
  expect(formSnapshotGroups([], 10)).toEqual([])
  expect(lockBudget(6400)).toBe(1600)
  expect(lockBudget(0)).toBe(1)
})

const COLUMNS = [
  makeColumn({ name: 'a', nullable: false }),
  makeColumn({ name: 'b', nullable: false }),
  makeColumn({ name: 'c', nullable: true }),
  makeColumn({ name: 'd', nullable: false, selectable: false }),
]
const index = (facts: Partial<IndexFacts>): IndexFacts => ({
  oid: 1,
  name: 'i',
  columns: ['a'],
  unique: true,
  partial: false,
  valid: true,
  primary: false,
  immediate: true,
  replicaIdentity: false,
  ...facts,
})

test.each<[string, Partial<IndexFacts>]>([
  ['not unique', { unique: false }],
  ['partial', { partial: true }],
  ['not valid', { valid: false }],
  ['deferrable', { immediate: false }],
  ['over an expression', { columns: [null] }],
  ['over a nullable column', { columns: ['a', 'c'] }],
  ['over a column that may not be read', { columns: ['d'] }],
  ['over nothing', { columns: [] }],
])('an index that is %s makes no key', (_, facts) => {
  expect(chooseKey([index(facts)], COLUMNS)).toBeNull()
})

test('primary key, replica identity, fewest columns, oldest: in this order', () => {
  const wide = index({ oid: 1, name: 'wide', columns: ['a', 'b'] })
  const narrow = index({ oid: 3, name: 'narrow', columns: ['b'] })
  const older = index({ oid: 2, name: 'older', columns: ['a'] })
  const identity = index({ oid: 4, name: 'identity', columns: ['a', 'b'], replicaIdentity: true })
  const primary = index({ oid: 5, name: 'primary', columns: ['a', 'b'], primary: true, immediate: false })
  const chosen = (...indexes: IndexFacts[]): string | null | undefined => chooseKey(indexes, COLUMNS)?.index
  expect(chosen(wide, narrow, older)).toBe('older')
  expect(chosen(wide, narrow)).toBe('narrow')
  expect(chosen(wide, narrow, older, identity)).toBe('identity')
  expect(chosen(wide, narrow, older, identity, primary)).toBe('primary')
})
