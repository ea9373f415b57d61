/** Landing types by configuration: `types: { amount: "decimal(18,2)" }`. */
import type { CatalogColumn } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import { quoteIdent } from '../postgres/quote.js'
import { asText, type ColumnMapping } from './column-mapping.js'
import type { TypeOptions } from './contract.js'
import { asList } from './list-mapping.js'

export interface TypeWish {
  readonly stream: string
  readonly column: CatalogColumn
  /** How the column lands by itself. */
  readonly natural: ColumnMapping
  readonly wanted: string
  readonly options: TypeOptions
}

/** Other names of the same landing type. */
const ALIASES: Readonly<Record<string, string>> = {
  string: 'text',
  varchar: 'text',
  int8: 'bigint',
  int4: 'integer',
  int: 'integer',
  float8: 'double',
  'double precision': 'double',
  numeric: 'decimal',
  bytea: 'binary',
  blob: 'binary',
}
const OFFERED =
  'text, json, decimal(p,s), integer, bigint, double, binary and, of arrays, list and text[], decimal(p,s)[] …'
const TEXT_TYPES: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'name', 'citext'])
const INTEGERS: Readonly<Record<string, number>> = { int2: 16, int4: 32, int8: 64 }

/** @throws CONFIG_INVALID, naming the column and why it cannot land so. */
export function overrideColumn(wish: TypeWish): ColumnMapping {
  const { column, natural, wanted } = wish
  const ofArray = /^list$|^(?<element>.*\S)\s*\[\s*\]$/i.exec(wanted.trim())
  if (ofArray !== null) return asList(wish, ofArray.groups?.['element'] ?? null)
  const match = /^([a-z][a-z0-9 ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?$/.exec(
    wanted.trim().toLowerCase(),
  )
  const name = match?.[1] === undefined ? '' : (ALIASES[match[1]] ?? match[1])
  if (match?.[2] !== undefined && name !== 'decimal') throw impossible(wish, 'only decimal takes numbers')
  switch (name) {
    case 'text':
      if (natural.type.kind === 'text') return natural
      return column.typeSchema === 'pg_catalog' && column.typeName === 'json'
        ? { ...natural, type: { kind: 'text' } }
        : { ...asText(column) }
    case 'json':
      return asJsonDocument(wish)
    case 'binary':
      if (natural.type.kind === 'binary') return natural
      if (TEXT_TYPES.has(column.typeName)) return { ...natural, type: { kind: 'binary' }, wire: 'text' }
      throw impossible(wish, 'only text and bytea land as bytes')
    case 'decimal':
      return asDecimal(wish, match?.[2], match?.[3])
    case 'integer':
      return asInteger(wish, 32)
    case 'bigint':
      return asInteger(wish, 64)
    case 'double':
      return asDouble(wish)
    default:
      throw impossible(wish, `the landing types are ${OFFERED}`)
  }
}

function asJsonDocument(wish: TypeWish): ColumnMapping {
  const { column, natural } = wish
  if (natural.type.kind === 'json') return natural
  if (TEXT_TYPES.has(column.typeName)) {
    // The cast is the check that it is JSON; the text stays as it is.
    const expression = `${quoteIdent(column.name)}::pg_catalog.text::pg_catalog.json`
    return { ...natural, type: { kind: 'json' }, wire: 'text', expression }
  }
  throw impossible(wish, 'only text that holds JSON, json, jsonb, arrays, composites and hstore do')
}

function asDecimal(
  wish: TypeWish,
  precisionText: string | undefined,
  scaleText: string | undefined,
): ColumnMapping {
  const { column, natural } = wish
  const precision = Number(precisionText ?? NaN)
  const scale = Number(scaleText ?? 0)
  if (!(precision >= 1 && precision <= 38 && scale <= precision)) {
    throw impossible(wish, 'write decimal(precision, scale) with 1 to 38 digits, of which scale are decimals')
  }
  const type = { kind: 'decimal', precision, scale } as const
  const name = quoteIdent(column.name)
  if (isBuiltIn(column, 'numeric')) {
    const special = natural.special === 'null' ? 'null' : 'error'
    return { type, wire: 'numeric', expression: name, special, loss: natural.loss }
  }
  if (isBuiltIn(column) && INTEGERS[column.typeName] !== undefined) {
    return {
      type,
      wire: 'numeric',
      expression: `${name}::pg_catalog.numeric`,
      special: 'error',
      loss: null,
    }
  }
  throw impossible(wish, 'only numeric and integer columns do')
}

function asInteger(wish: TypeWish, bits: 32 | 64): ColumnMapping {
  const { column } = wish
  const width = isBuiltIn(column) ? INTEGERS[column.typeName] : undefined
  if (width === undefined || width > bits) {
    throw impossible(wish, 'only an integer column that is not wider does, so that every value fits')
  }
  const cast = bits === 32 ? 'int4' : 'int8'
  const expression =
    width === bits ? quoteIdent(column.name) : `${quoteIdent(column.name)}::pg_catalog.${cast}`
  return { type: { kind: 'int', bits }, wire: cast, expression, special: 'error', loss: null }
}

function asDouble(wish: TypeWish): ColumnMapping {
  const { column } = wish
  const castable =
    isBuiltIn(column) &&
    (INTEGERS[column.typeName] !== undefined || /^(numeric|float[48])$/.test(column.typeName))
  if (!castable) throw impossible(wish, 'only number columns do')
  const exact = /^(int[24]|float[48])$/.test(column.typeName)
  const name = quoteIdent(column.name)
  return {
    type: { kind: 'float', bits: 64 },
    wire: 'float8',
    expression: column.typeName === 'float8' ? name : `${name}::pg_catalog.float8`,
    special: 'error',
    loss: exact ? null : 'Digits beyond the 15 to 17 of a double are lost.',
  }
}

function isBuiltIn(column: CatalogColumn, typeName?: string): boolean {
  return column.typeSchema === 'pg_catalog' && (typeName === undefined || column.typeName === typeName)
}

/** The error for a type that the column cannot land as. */
export function impossible(wish: Omit<TypeWish, 'natural' | 'options'>, why: string): TrunklineError {
  const { stream, column, wanted } = wish
  return new TrunklineError(
    'CONFIG_INVALID',
    `Column ${column.name} of ${stream} (${column.sqlType}) cannot land as ${JSON.stringify(wanted)}: ${why}.`,
    {
      hint: 'Change or remove its entry under `types`; without one it lands by the table of types in the reference.',
      context: { stream, field: column.name },
    },
  )
}
