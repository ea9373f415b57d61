/**
 * Which type each column lands as, how its bytes arrive, and the expression that makes them so.
 *
 * A type whose binary form is not decoded is selected as its own output text by `format('%s', column)`, which calls the type's
 * output function whatever it is. A cast to text would not do: inet, "char", bool and types of extensions have casts of their
 * own with other results. Calling the output function by name would need privileges on it and on its schema.
 */
import type { ElementWire, WireFormat } from '../codec/decoder-column.js'
import type { CatalogColumn, CatalogStream } from '../model/catalog.js'
import type { ColumnType } from '../model/column-type.js'
import { TrunklineError } from '../model/error.js'
import type { SpecialValue } from '../model/sync-spec.js'
import { quoteIdent } from '../postgres/quote.js'
import type { ReadColumn, TypeOptions } from './contract.js'
import { overrideColumn } from './type-override.js'
import { widenColumn } from './widen-column.js'

/** How a column lands, before its name and nullability. */
export interface ColumnMapping {
  readonly type: ColumnType
  readonly wire: WireFormat
  /** Of an array that lands as a list. */
  readonly elementWire?: ElementWire
  readonly expression: string
  readonly special: SpecialValue
  readonly loss: string | null
}

/** Types of pg_catalog whose binary form is decoded. */
const DECODED: Readonly<Record<string, { readonly wire: WireFormat; readonly type: ColumnType }>> = {
  bool: { wire: 'bool', type: { kind: 'bool' } },
  int2: { wire: 'int2', type: { kind: 'int', bits: 16 } },
  int4: { wire: 'int4', type: { kind: 'int', bits: 32 } },
  int8: { wire: 'int8', type: { kind: 'int', bits: 64 } },
  float4: { wire: 'float4', type: { kind: 'float', bits: 32 } },
  float8: { wire: 'float8', type: { kind: 'float', bits: 64 } },
  oid: { wire: 'oid', type: { kind: 'int', bits: 64 } },
  date: { wire: 'date', type: { kind: 'date' } },
  time: { wire: 'time', type: { kind: 'time' } },
  timestamp: { wire: 'timestamp', type: { kind: 'timestamp', utc: false } },
  timestamptz: { wire: 'timestamp', type: { kind: 'timestamp', utc: true } },
  interval: { wire: 'interval', type: { kind: 'interval' } },
  uuid: { wire: 'uuid', type: { kind: 'uuid' } },
  bytea: { wire: 'bytea', type: { kind: 'binary' } },
  json: { wire: 'text', type: { kind: 'json' } },
  jsonb: { wire: 'jsonb', type: { kind: 'json' } },
  // Their binary form is their text.
  text: { wire: 'text', type: { kind: 'text' } },
  varchar: { wire: 'text', type: { kind: 'text' } },
  bpchar: { wire: 'text', type: { kind: 'text' } },
  name: { wire: 'text', type: { kind: 'text' } },
}

const TEMPORAL_KINDS: ReadonlySet<string> = new Set(['date', 'timestamp', 'interval'])

/** @throws CONFIG_INVALID for a column that does not exist and for a type that a column cannot land as. */
export function mapColumns(stream: CatalogStream, options: TypeOptions): readonly ReadColumn[] {
  for (const name of Object.keys(options.types)) {
    if (!stream.columns.some((column) => column.name === name)) {
      throw new TrunklineError(
        'CONFIG_INVALID',
        `${stream.name} has no column ${name}, for which a type is set.`,
        {
          hint: `Its columns are ${stream.columns.map((column) => column.name).join(', ')}.`,
          context: { stream: stream.name, field: name },
        },
      )
    }
  }
  return stream.columns.map((column) => mapColumn(stream, column, options))
}

function mapColumn(stream: CatalogStream, column: CatalogColumn, options: TypeOptions): ReadColumn {
  const natural = mapNaturally(column, options)
  const wanted = Object.hasOwn(options.types, column.name) ? options.types[column.name] : undefined
  // What is said of one column is about the column as it is, whatever the profile.
  const mapping =
    wanted !== undefined
      ? overrideColumn({ stream: stream.name, column, natural, wanted, options })
      : options.typeProfile === 'widened'
        ? widenColumn(column, natural)
        : natural
  const unrepresentable = mapping.special === 'null' ? 'null' : 'error'
  return {
    // A value that becomes null needs a column that can be.
    field: { name: column.name, type: mapping.type, nullable: column.nullable || unrepresentable === 'null' },
    source: column.name,
    expression: mapping.expression,
    wire: mapping.wire,
    ...(mapping.elementWire === undefined ? {} : { elementWire: mapping.elementWire }),
    unrepresentable,
    loss: mapping.loss,
    ...(mapping === natural && keepsType(column, mapping) ? { ownType: true } : {}),
  }
}

/** Its values as they are: not as JSON, and not as bytes that may be no text. */
function keepsType({ typeName }: CatalogColumn, { type }: ColumnMapping): boolean {
  if (type.kind === 'json') return typeName === 'json' || typeName === 'jsonb'
  return type.kind !== 'binary' || typeName === 'bytea'
}

/** How the column lands by `type_profile: exact`. */
export function mapNaturally(column: CatalogColumn, options: TypeOptions): ColumnMapping {
  const expression = quoteIdent(column.name)
  const plain = { expression, special: 'error', loss: null } as const
  if (column.typeSchema !== 'pg_catalog') return mapUserDefined(column, options)
  if (column.elementType !== null) return asStructure(column, options)
  if (column.typeName === 'numeric') return mapNumeric(column, options.specialNumeric)
  const decoded = DECODED[column.typeName]
  if (decoded === undefined)
    return column.typeKind === 'composite' ? asStructure(column, options) : asText(column)
  const { type, wire } = decoded
  if (TEMPORAL_KINDS.has(type.kind)) {
    if (options.specialTemporal === 'text') return asText(column)
    const loss =
      options.specialTemporal === 'null'
        ? 'A value that the destination cannot represent becomes NULL (special_temporal: null).'
        : null
    return { ...plain, type, wire, special: options.specialTemporal, loss }
  }
  if (wire === 'oid') {
    return {
      ...plain,
      type,
      wire,
      loss: 'Only the number is copied; a large object that it refers to is not.',
    }
  }
  if (type.kind === 'text' && options.invalidUtf8 === 'binary')
    return { ...plain, wire, type: { kind: 'binary' } }
  return { ...plain, type, wire }
}

function mapUserDefined(column: CatalogColumn, options: TypeOptions): ColumnMapping {
  if (column.elementType !== null || column.typeKind === 'composite') return asStructure(column, options)
  const expression = quoteIdent(column.name)
  // The binary form of an enum is its label.
  if (column.typeKind === 'enum') {
    return { type: { kind: 'text' }, wire: 'text', expression, special: 'error', loss: null }
  }
  if (column.typeKind === 'base' && column.typeName === 'citext') {
    const type: ColumnType = { kind: options.invalidUtf8 === 'binary' ? 'binary' : 'text' }
    return { type, wire: 'text', expression, special: 'error', loss: null }
  }
  // to_json uses the cast to json that the extension brings: hstore_to_json.
  if (column.typeKind === 'base' && column.typeName === 'hstore') return asStructure(column, options)
  return asText(column)
}

/** The type's own output text. */
export function asText(column: CatalogColumn): ColumnMapping {
  return {
    type: { kind: 'text' },
    wire: 'text',
    expression: outputText(column),
    special: 'error',
    loss: null,
  }
}

/**
 * IS DISTINCT FROM NULL is true for a row of nothing but NULLs, which is not NULL; format makes '' of NULL.
 * A column without an output function of use (a pseudo-type) fails at the server with its name.
 */
export function outputText(column: CatalogColumn): string {
  const name = quoteIdent(column.name)
  const text = `pg_catalog.format('%s', ${name})`
  return column.nullable ? `CASE WHEN ${name} IS DISTINCT FROM NULL THEN ${text} END` : text
}

/** What holds several values. */
function asStructure(column: CatalogColumn, { serverText = false }: TypeOptions): ColumnMapping {
  return serverText ? asText(column) : asJson(column)
}

function asJson(column: CatalogColumn): ColumnMapping {
  return {
    type: { kind: 'json' },
    wire: 'text',
    expression: `pg_catalog.to_json(${quoteIdent(column.name)})`,
    special: 'error',
    loss:
      column.elementType === null
        ? null
        : 'As JSON: the lower bounds of the array are not kept, and NaN and infinities become strings.',
  }
}

/** The modifier of numeric is (precision << 16 | scale) + 4; since PostgreSQL 15 the scale is 11 bits, signed. */
export function numericModifier(
  modifier: number,
): { readonly precision: number; readonly scale: number } | null {
  if (modifier < 4) return null
  const bits = modifier - 4
  return { precision: (bits >> 16) & 0xffff, scale: ((bits & 0x7ff) ^ 1024) - 1024 }
}

function mapNumeric(column: CatalogColumn, special: SpecialValue): ColumnMapping {
  const declared = numericModifier(column.modifier)
  if (declared === null || special === 'text') return asText(column)
  const { precision, scale } = declared
  if (precision > 38 || scale < 0 || scale > precision) return asText(column)
  return {
    type: { kind: 'decimal', precision, scale },
    wire: 'numeric',
    expression: quoteIdent(column.name),
    special,
    loss: special === 'null' ? 'NaN becomes NULL (special_numeric: null).' : null,
  }
}
