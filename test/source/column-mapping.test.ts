import { describe, expect, test } from 'vitest'
import type { CatalogColumn, CatalogStream } from '../../src/model/catalog.js'
import { mapColumns, numericModifier } from '../../src/source/column-mapping.js'
import type { ReadColumn, TypeOptions } from '../../src/source/contract.js'
import { TYPE_OPTIONS } from './open-source.js'
import { makeColumn, makeStream } from './make-stream.js'

function map(column: Partial<CatalogColumn>, options: Partial<TypeOptions> = {}): ReadColumn {
  const stream: CatalogStream = makeStream({ columns: [makeColumn(column)] })
  const [mapped] = mapColumns(stream, { ...TYPE_OPTIONS, ...options })
  if (mapped === undefined) throw new Error('nothing was mapped')
  return mapped
}

const modifierOf = (precision: number, scale: number): number => ((precision << 16) | (scale & 0x7ff)) + 4

describe('column mapping', () => {
  test.each([
    ['bool', 'bool', { kind: 'bool' }],
    ['int2', 'int2', { kind: 'int', bits: 16 }],
    ['int8', 'int8', { kind: 'int', bits: 64 }],
    ['float4', 'float4', { kind: 'float', bits: 32 }],
    ['timestamptz', 'timestamp', { kind: 'timestamp', utc: true }],
    ['timestamp', 'timestamp', { kind: 'timestamp', utc: false }],
    ['uuid', 'uuid', { kind: 'uuid' }],
    ['bytea', 'bytea', { kind: 'binary' }],
    ['jsonb', 'jsonb', { kind: 'json' }],
    ['bpchar', 'text', { kind: 'text' }],
  ])('%s is read by its binary form', (typeName, wire, type) => {
    expect(map({ typeName })).toMatchObject({ wire, field: { type }, expression: '"c"', loss: null })
  })

  test.each(['inet', 'money', 'bit', 'tsvector', 'xml', 'timetz', 'char', 'int4range', 'numeric', 'xid8'])(
    '%s is read as the text that its output function makes',
    (typeName) => {
      const { wire, field, expression } = map({ typeName })
      expect({ wire, type: field.type }).toEqual({ wire: 'text', type: { kind: 'text' } })
      expect(expression).toBe(`CASE WHEN "c" IS DISTINCT FROM NULL THEN pg_catalog.format('%s', "c") END`)
    },
  )

  test('a type of an extension that has the name of a built-in one is not taken for it', () => {
    expect(map({ typeName: 'int4', typeSchema: 'evil' }).field.type).toEqual({ kind: 'text' })
  })

  test('numeric is a decimal from scale 0 to the precision, up to 38 digits, and text beyond', () => {
    const typeOf = (precision: number, scale: number): unknown =>
      map({ typeName: 'numeric', modifier: modifierOf(precision, scale) }).field.type
    expect(typeOf(10, 2)).toEqual({ kind: 'decimal', precision: 10, scale: 2 })
    expect(typeOf(38, 38)).toEqual({ kind: 'decimal', precision: 38, scale: 38 })
    expect(typeOf(1, 0)).toEqual({ kind: 'decimal', precision: 1, scale: 0 })
    expect(typeOf(39, 2)).toEqual({ kind: 'text' })
    expect(typeOf(5, -2)).toEqual({ kind: 'text' })
    expect(typeOf(2, 5)).toEqual({ kind: 'text' })
    expect(numericModifier(modifierOf(5, -1000))).toEqual({ precision: 5, scale: -1000 })
    expect(numericModifier(-1)).toBeNull()
  })

  test('arrays, composites and hstore are the JSON of the server', () => {
    const expression = 'pg_catalog.to_json("c")'
    expect(map({ typeName: '_int4', elementType: 'int4' })).toMatchObject({
      expression,
      wire: 'text',
      field: { type: { kind: 'json' } },
    })
    expect(map({ typeName: 'place', typeSchema: 'app', typeKind: 'composite' })).toMatchObject({ expression })
    expect(map({ typeName: 'hstore', typeSchema: 'ext' })).toMatchObject({ expression })
    expect(map({ typeName: '_mood', typeSchema: 'app', elementType: 'mood' }).loss).toContain('lower bounds')
  })

  test('an oid says that a large object is not copied with it', () => {
    expect(map({ typeName: 'oid' })).toMatchObject({
      wire: 'oid',
      field: { type: { kind: 'int', bits: 64 } },
    })
    expect(map({ typeName: 'oid' }).loss).toContain('large object')
  })

  test('special values become null or text as asked, and a column that can become null is nullable', () => {
    const decimal = { typeName: 'numeric', modifier: modifierOf(10, 2), nullable: false }
    expect(map(decimal)).toMatchObject({ unrepresentable: 'error', field: { nullable: false } })
    expect(map(decimal, { specialNumeric: 'null' })).toMatchObject({
      unrepresentable: 'null',
      field: { nullable: true },
    })
    expect(map(decimal, { specialNumeric: 'text' }).field.type).toEqual({ kind: 'text' })
    expect(map({ typeName: 'date' }, { specialTemporal: 'text' }).field.type).toEqual({ kind: 'text' })
    expect(map({ typeName: 'date' }, { specialTemporal: 'null' }).unrepresentable).toBe('null')
    expect(map({ typeName: 'time' }, { specialTemporal: 'text' }).field.type).toEqual({ kind: 'time' })
  })

  test('text lands as bytes where invalid UTF-8 is to be kept', () => {
    expect(map({ typeName: 'text' }, { invalidUtf8: 'binary' })).toMatchObject({
      wire: 'text',
      field: { type: { kind: 'binary' } },
    })
  })

  test.each([
    ['numeric', -1, 'decimal(18,2)', 'numeric', '"c"', { kind: 'decimal', precision: 18, scale: 2 }],
    [
      'int8',
      -1,
      'DECIMAL( 20 )',
      'numeric',
      '"c"::pg_catalog.numeric',
      { kind: 'decimal', precision: 20, scale: 0 },
    ],
    ['int2', -1, 'bigint', 'int8', '"c"::pg_catalog.int8', { kind: 'int', bits: 64 }],
    ['numeric', -1, 'double', 'float8', '"c"::pg_catalog.float8', { kind: 'float', bits: 64 }],
    ['text', -1, 'json', 'text', '"c"::pg_catalog.text::pg_catalog.json', { kind: 'json' }],
    ['varchar', -1, 'binary', 'text', '"c"', { kind: 'binary' }],
    ['json', -1, 'text', 'text', '"c"', { kind: 'text' }],
  ])('types: %s (%i) can land as %s', (typeName, modifier, wanted, wire, expression, type) => {
    expect(map({ typeName, modifier }, { types: { c: wanted } })).toMatchObject({
      wire,
      expression,
      field: { type },
    })
  })

  test('any type can land as text', () => {
    for (const typeName of ['bool', 'int4', 'timestamptz', 'jsonb', 'uuid', 'bytea']) {
      expect(map({ typeName }, { types: { c: 'text' } })).toMatchObject({
        wire: 'text',
        field: { type: { kind: 'text' } },
      })
    }
    expect(map({ typeName: '_int4', elementType: 'int4' }, { types: { c: 'varchar' } }).expression).toContain(
      'format',
    )
  })

  test.each([
    ['text', 'decimal(10,2)'],
    ['int8', 'integer'],
    ['numeric', 'decimal(39,2)'],
    ['numeric', 'decimal(5,6)'],
    ['numeric', 'bigint'],
    ['int4', 'json'],
    ['int4', 'text(5)'],
    ['_int4', 'list'],
    ['bool', 'nonsense'],
    ['bool', ''],
  ])('%s cannot land as %j, and the error names the column', (typeName, wanted) => {
    expect(() => map({ typeName }, { types: { c: wanted } })).toThrowError(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('Column c of s.t') as string,
      }),
    )
  })

  test('a type for a column that is not there is an error that lists those that are', () => {
    expect(() => map({}, { types: { d: 'text' } })).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID', hint: 'Its columns are c.' }),
    )
  })
})
