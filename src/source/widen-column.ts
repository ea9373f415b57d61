/**
 * `type_profile: widened`: six landing types for everything, as tools around pandas and Arrow like them.
 *
 *   smallint, integer, bigint         int64
 *   real, double precision, numeric   float64
 *   boolean                           bool
 *   date                              date32
 *   timestamp without time zone       timestamp[ns]
 *   everything else                   string: as JSON where it lands as JSON by itself, else the server's own output text
 */
import type { CatalogColumn } from '../model/catalog.js'
import { quoteIdent } from '../postgres/quote.js'
import { asText, numericModifier, type ColumnMapping } from './column-mapping.js'

/** Whole numbers of so many digits are exact in a double. */
const EXACT_DIGITS = 15

/** `natural`: how the column lands by `type_profile: exact`. */
export function widenColumn(column: CatalogColumn, natural: ColumnMapping): ColumnMapping {
  const builtIn = column.typeSchema === 'pg_catalog' ? column.typeName : null
  switch (builtIn) {
    case 'int2':
    case 'int4':
    case 'int8':
      return { ...natural, type: { kind: 'int', bits: 64 }, wire: 'int8', expression: castTo(column, 'int8') }
    case 'float4':
    case 'float8':
    case 'numeric':
      return {
        type: { kind: 'float', bits: 64 },
        wire: 'float8',
        expression: castTo(column, 'float8'),
        special: 'error',
        loss: numericLoss(column),
      }
    case 'timestamp':
      // As text where `special_temporal: text` asks for it.
      if (natural.type.kind !== 'timestamp') return natural
      return {
        ...natural,
        type: { kind: 'timestamp', utc: false, unit: 'ns' },
        loss: `Nanoseconds reach from 1677 to 2262; a value outside ${
          natural.special === 'null' ? 'becomes NULL' : 'is an error'
        } (type_profile: widened).`,
      }
    case 'bool':
    case 'date':
      return natural
    default:
      return asString(column, natural)
  }
}

function asString(column: CatalogColumn, natural: ColumnMapping): ColumnMapping {
  switch (natural.type.kind) {
    case 'text':
      return natural
    case 'json':
      return { ...natural, type: { kind: 'text' } }
    case 'binary':
      // Text that was asked for as bytes, because it may not be UTF-8.
      return natural.wire === 'text' ? natural : asText(column)
    default:
      return asText(column)
  }
}

function castTo(column: CatalogColumn, type: 'int8' | 'float8'): string {
  const name = quoteIdent(column.name)
  return column.typeName === type ? name : `${name}::pg_catalog.${type}`
}

function numericLoss(column: CatalogColumn): string | null {
  if (column.typeName !== 'numeric') return null
  const declared = numericModifier(column.modifier)
  if (declared !== null && declared.precision <= EXACT_DIGITS && declared.scale === 0) return null
  return 'As a double: digits beyond its 15 to 17 are lost, and decimals are the nearest binary fraction (type_profile: widened).'
}
