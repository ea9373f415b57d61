import { expect, test } from 'vitest'
import type { OriginColumn, StreamOrigin } from '../../../src/destination/contract.js'
import { targetColumns, type KnownType } from '../../../src/destination/postgres/target-types.js'
import { formatNewLabels } from '../../../src/destination/postgres/enum-labels.js'
import type { ColumnType } from '../../../src/model/column-type.js'

const origin = (column: Partial<OriginColumn>): StreamOrigin => ({
  columns: new Map([
    [
      'v',
      {
        sqlType: 'text',
        typeName: 'text',
        typeSchema: 'pg_catalog',
        typeKind: 'base',
        labels: null,
        identity: null,
        ...column,
      },
    ],
  ]),
  primaryKey: null,
  indexes: [],
  relation: { systemIdentifier: null, database: 'shop', oid: 1 },
})

function landsAs(
  column: Partial<OriginColumn> | null,
  options: { version?: number; types?: readonly KnownType[]; type?: ColumnType } = {},
): string | undefined {
  const { version = 180_000, types, type = { kind: 'text' } } = options
  const known = types ?? [
    {
      schema: 'pg_catalog',
      name: column?.typeName ?? '',
      kind: 'b',
      labels: [],
      mayChange: false,
      elementKind: null,
    },
  ]
  const fields = [{ name: 'v', type, nullable: true }]
  return targetColumns(fields, column === null ? undefined : origin(column), {
    serverVersion: version,
    types: known,
  })[0]?.sqlType
}

test('a type that the target does not have lands as text, and one of the kind of the field', () => {
  expect(landsAs({ sqlType: 'xid8', typeName: 'xid8' }, { types: [] })).toBe('text')
  expect(landsAs({ sqlType: 'inet', typeName: 'inet' })).toBe('inet')
  expect(landsAs(null, { type: { kind: 'decimal', precision: 5, scale: 1 } })).toBe('numeric(5,1)')
  expect(landsAs(null, { type: { kind: 'list', element: { kind: 'int', bits: 32 } } })).toBe('integer[]')
})

test('a numeric of a scale that an older target does not know loses its modifier and no value', () => {
  const wide = { sqlType: 'numeric(3,-2)[]', typeName: '_numeric' }
  expect(landsAs(wide, { version: 140_000 })).toBe('numeric[]')
  expect(landsAs(wide, { version: 150_000 })).toBe('numeric(3,-2)[]')
  expect(landsAs({ sqlType: 'numeric(3,2)', typeName: 'numeric' }, { version: 120_000 })).toBe('numeric(3,2)')
})

test('an enum stays one only where the target knows all its labels', () => {
  const mood = {
    sqlType: 'public.mood',
    typeName: 'mood',
    typeSchema: 'public',
    typeKind: 'enum',
    labels: ['a', 'b'],
  } as const
  const there = (labels: string[]): KnownType[] => [
    { schema: 'public', name: 'mood', kind: 'e', labels, mayChange: false, elementKind: null },
  ]
  expect(landsAs(mood, { types: there(['b', 'a', 'c']) })).toBe('public.mood')
  expect(landsAs(mood, { types: there(['a']) })).toBe('text')
})

test('labels that an enum lacks are added where they are at the source', () => {
  const mood = { schema: 'public', name: 'mood', labels: ['b', 'd'] }
  const added = (labels: readonly string[]): readonly string[] =>
    formatNewLabels(mood, labels).map((sql) =>
      sql.replace('ALTER TYPE "public"."mood" ADD VALUE IF NOT EXISTS ', ''),
    )
  expect(added(['b', 'd'])).toEqual([])
  expect(added(['a', 'b', 'c', 'd', `it's`])).toEqual([
    `'a' BEFORE 'b'`,
    `'c' AFTER 'b'`,
    `'it''s' AFTER 'd'`,
  ])
  const first = formatNewLabels({ ...mood, labels: [] }, ['x', 'y'])
  expect(first.map((sql) => sql.replace(/^.* EXISTS /, ''))).toEqual([`'x'`, `'y' AFTER 'x'`])
})
