import { describe, expect, test } from 'vitest'
import { streamSchema } from '../../src/config/stream-schema.js'
import type { CatalogColumn } from '../../src/model/catalog.js'
import { mapColumns } from '../../src/source/column-mapping.js'
import type { ReadColumn, TypeOptions } from '../../src/source/contract.js'
import { compileText, errorOf, loadOf } from '../pipeline/compile-text.js'
import { makeColumn, makeStream } from './make-stream.js'
import { TYPE_OPTIONS } from './open-source.js'

function widen(column: Partial<CatalogColumn>, options: Partial<TypeOptions> = {}): ReadColumn {
  const stream = makeStream({ columns: [makeColumn(column)] })
  const [mapped] = mapColumns(stream, { ...TYPE_OPTIONS, typeProfile: 'widened', ...options })
  if (mapped === undefined) throw new Error('nothing was mapped')
  return mapped
}

const numeric = (precision: number, scale: number): Partial<CatalogColumn> => ({
  typeName: 'numeric',
  modifier: ((precision << 16) | scale) + 4,
})

describe('type_profile widened', () => {
  test.each(['int2', 'int4', 'int8'])('%s lands as int64, without loss', (typeName) => {
    expect(widen({ typeName })).toMatchObject({ field: { type: { kind: 'int', bits: 64 } }, loss: null })
  })

  test.each(['float4', 'float8'])('%s lands as float64, without loss', (typeName) => {
    expect(widen({ typeName })).toMatchObject({ field: { type: { kind: 'float', bits: 64 } }, loss: null })
  })

  test('numeric lands as float64, and says what that loses', () => {
    for (const column of [{ typeName: 'numeric' }, numeric(18, 2), numeric(16, 0)]) {
      const { field, loss } = widen(column)
      expect(field.type).toEqual({ kind: 'float', bits: 64 })
      expect(loss).toContain('digits beyond its 15 to 17 are lost')
    }
    expect(widen(numeric(15, 0)).loss).toBeNull()
  })

  test('timestamp lands as timestamp[ns], whose range is said; with special_temporal text it is text', () => {
    expect(widen({ typeName: 'timestamp' })).toMatchObject({
      field: { type: { kind: 'timestamp', utc: false, unit: 'ns' } },
      unrepresentable: 'error',
      loss: 'Nanoseconds reach from 1677 to 2262; a value outside is an error (type_profile: widened).',
    })
    expect(widen({ typeName: 'timestamp' }, { specialTemporal: 'null' })).toMatchObject({
      unrepresentable: 'null',
      loss: expect.stringContaining('becomes NULL') as string,
    })
    expect(widen({ typeName: 'timestamp' }, { specialTemporal: 'text' }).field.type).toEqual({ kind: 'text' })
  })

  test('boolean and date stay what they are', () => {
    expect(widen({ typeName: 'bool' }).field.type).toEqual({ kind: 'bool' })
    expect(widen({ typeName: 'date' }).field.type).toEqual({ kind: 'date' })
  })

  test.each(['uuid', 'bytea', 'time', 'timestamptz', 'interval', 'json', 'jsonb', 'oid', 'inet', 'varchar'])(
    '%s lands as string',
    (typeName) => {
      expect(widen({ typeName }).field.type).toEqual({ kind: 'text' })
    },
  )

  test('arrays and composites are strings of JSON', () => {
    for (const column of [
      { elementType: 'integer', typeName: '_int4' },
      { typeKind: 'composite' as const, typeSchema: 'public' },
    ]) {
      expect(widen(column)).toMatchObject({
        field: { type: { kind: 'text' } },
        expression: 'pg_catalog.to_json("c")',
      })
    }
  })

  test('a type of an extension that has the name of a built-in one is not taken for it', () => {
    expect(widen({ typeName: 'int4', typeSchema: 'evil' }).field.type).toEqual({ kind: 'text' })
  })

  test('what `types` says of a column goes before', () => {
    const { field } = widen({ typeName: 'numeric' }, { types: { c: 'decimal(20,4)' } })
    expect(field.type).toEqual({ kind: 'decimal', precision: 20, scale: 4 })
  })

  test('it is asked for by name, and only exact and widened are', () => {
    expect(streamSchema.parse({ type_profile: 'widened' })).toEqual({ typeProfile: 'widened' })
    expect(streamSchema.safeParse({ type_profile: 'wide' }).error?.issues[0]?.message).toBe(
      'must be one of: exact, widened',
    )
  })
})

describe('type_profile in a pipeline file', () => {
  const source = (profile: string): string =>
    `SOURCE s TYPE POSTGRES PARAMS {"host": "h", "database": "d", "username": "u", "table": "t", "type_profile": "${profile}"}; LOAD x FROM s;`

  test('is a parameter of the source', () => {
    const { spec } = loadOf(compileText(source('widened')))
    expect(Object.values(spec.streams)).toMatchObject([{ typeProfile: 'widened' }])
  })

  test('that is neither exact nor widened is refused', () => {
    expect(errorOf(source('wide')).message).toContain(
      "Invalid type_profile 'wide'. Must be one of: exact, widened",
    )
  })
})
