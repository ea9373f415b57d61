/**
 * How fields become Parquet columns: physical type, logical type, and the older converted type that some readers need.
 * https://github.com/apache/parquet-format/blob/master/LogicalTypes.md
 *
 * A field is one column, but for interval: Parquet's own has milliseconds, so it is a group of months, days and micros.
 * A list is the three levels that readers expect, of which only the innermost has values:
 *   optional group f (LIST) { repeated group list { optional … element } }
 */
import { unreachable, type ElementType, type Field } from '../../model/column-type.js'
import { binary, bool, i32, struct, type ThriftStruct, type ThriftValue } from './thrift.js'

export const PHYSICAL = {
  boolean: 0,
  int32: 1,
  int64: 2,
  float: 4,
  double: 5,
  byteArray: 6,
  fixedByteArray: 7,
} as const
export type PhysicalType = keyof typeof PHYSICAL

/** How values are stored in a page, and definition levels (`rle`). */
export const ENCODING = { plain: 0, rle: 3, deltaLength: 6 } as const

const REQUIRED = 0
const OPTIONAL = 1
const REPEATED = 2
const CONVERTED = {
  utf8: 0,
  list: 3,
  decimal: 5,
  date: 6,
  timeMicros: 8,
  timestampMicros: 10,
  int16: 16,
  json: 19,
} as const
const LIST_TYPE = struct({ 3: struct({}) })
const MICROS = struct({ 2: struct({}) })
const NANOS = struct({ 3: struct({}) })

/** One column of the file. */
export interface Leaf {
  readonly fieldIndex: number
  readonly path: readonly string[]
  /** Of its values: the field's, or that of a list's elements. */
  readonly type: ElementType
  readonly inList: boolean
  readonly physical: PhysicalType
  /** Bytes of a value, where that is of fixed length without its physical type saying so. */
  readonly length?: number
  /** Which part of the stored value, where a field has several. */
  readonly part: 'whole' | 'months' | 'days' | 'micros'
  readonly encoding: 'plain' | 'deltaLength'
  /** The definition level of a value that is there: how many steps of its path can be absent. */
  readonly maxDefinition: number
}

export interface ParquetSchema {
  readonly elements: readonly ThriftStruct[]
  readonly leaves: readonly Leaf[]
}

export interface SchemaOptions {
  /** Fields that cannot be null are required, and decimals take as few bytes as they can. Else every column can be null. */
  readonly compact?: boolean
}

export function parquetSchema(
  fields: readonly Field[],
  { compact = false }: SchemaOptions = {},
): ParquetSchema {
  const elements: ThriftStruct[] = [{ 4: binary('schema'), 5: i32(fields.length) }]
  const leaves: Leaf[] = []
  fields.forEach((field, fieldIndex) => {
    const optional = !compact || field.nullable
    const place = { fieldIndex, compact, elements, leaves }
    if (field.type.kind !== 'list') {
      addValue(place, { type: field.type, path: [field.name], optional, maxDefinition: optional ? 1 : 0 })
      return
    }
    elements.push(
      {
        3: i32(optional ? OPTIONAL : REQUIRED),
        4: binary(field.name),
        5: i32(1),
        6: i32(CONVERTED.list),
        10: LIST_TYPE,
      },
      { 3: i32(REPEATED), 4: binary('list'), 5: i32(1) },
    )
    addValue(place, {
      type: field.type.element,
      path: [field.name, 'list', 'element'],
      optional: true,
      maxDefinition: optional ? 3 : 2,
    })
  })
  return { elements, leaves }
}

interface Place {
  readonly fieldIndex: number
  readonly compact: boolean
  readonly elements: ThriftStruct[]
  readonly leaves: Leaf[]
}

interface ValueNode {
  readonly type: ElementType
  readonly path: readonly string[]
  readonly optional: boolean
  readonly maxDefinition: number
}

function addValue({ fieldIndex, compact, elements, leaves }: Place, node: ValueNode): void {
  const { type, path, maxDefinition } = node
  const shared = { fieldIndex, type, inList: path.length > 1, maxDefinition }
  const repetition = i32(node.optional ? OPTIONAL : REQUIRED)
  const name = binary(path.at(-1)!)
  if (type.kind === 'interval') {
    elements.push({ 3: repetition, 4: name, 5: i32(3) })
    for (const part of ['months', 'days', 'micros'] as const) {
      const physical = part === 'micros' ? 'int64' : 'int32'
      elements.push({ 1: i32(PHYSICAL[physical]), 3: i32(REQUIRED), 4: binary(part) })
      leaves.push({ ...shared, path: [...path, part], physical, part, encoding: 'plain' })
    }
    return
  }
  const { physical, length, converted, logical, decimal } = columnLayout(type, compact)
  elements.push({
    1: i32(PHYSICAL[physical]),
    2: length === undefined ? undefined : i32(length),
    3: repetition,
    4: name,
    6: converted === undefined ? undefined : i32(CONVERTED[converted]),
    7: decimal === undefined ? undefined : i32(decimal.scale),
    8: decimal === undefined ? undefined : i32(decimal.precision),
    10: logical,
  })
  const encoding = physical === 'byteArray' ? 'deltaLength' : 'plain'
  leaves.push({
    ...shared,
    path,
    physical,
    ...(length === undefined ? {} : { length }),
    part: 'whole',
    encoding,
  })
}

interface ColumnLayout {
  readonly physical: PhysicalType
  /** Bytes of a fixed-length value. */
  readonly length?: number
  readonly converted?: keyof typeof CONVERTED
  readonly logical?: ThriftValue
  readonly decimal?: { readonly precision: number; readonly scale: number }
}

function columnLayout(type: Exclude<ElementType, { kind: 'interval' }>, compact: boolean): ColumnLayout {
  switch (type.kind) {
    case 'bool':
      return { physical: 'boolean' }
    case 'int':
      if (type.bits === 64) return { physical: 'int64' }
      if (type.bits === 32) return { physical: 'int32' }
      return {
        physical: 'int32',
        converted: 'int16',
        logical: struct({ 10: struct({ 1: { kind: 'i8', value: 16 }, 2: bool(true) }) }),
      }
    case 'float':
      return { physical: type.bits === 32 ? 'float' : 'double' }
    case 'decimal': {
      const { precision, scale } = type
      const logical = struct({ 5: struct({ 1: i32(scale), 2: i32(precision) }) })
      const shared = { converted: 'decimal', logical, decimal: { precision, scale } } as const
      if (precision > 18) {
        return {
          physical: 'fixedByteArray',
          length: compact ? decimalBytes(precision) : 16,
          ...shared,
        }
      }
      return { physical: compact && precision <= 9 ? 'int32' : 'int64', ...shared }
    }
    case 'date':
      return { physical: 'int32', converted: 'date', logical: struct({ 6: struct({}) }) }
    case 'time':
      return {
        physical: 'int64',
        converted: 'timeMicros',
        logical: struct({ 7: struct({ 1: bool(false), 2: MICROS }) }),
      }
    case 'timestamp': {
      const nanos = type.unit === 'ns'
      const logical = struct({ 8: struct({ 1: bool(type.utc), 2: nanos ? NANOS : MICROS }) })
      // The converted type means an instant in microseconds: a local time must not carry it.
      return type.utc && !nanos
        ? { physical: 'int64', converted: 'timestampMicros', logical }
        : { physical: 'int64', logical }
    }
    case 'text':
      return { physical: 'byteArray', converted: 'utf8', logical: struct({ 1: struct({}) }) }
    case 'json':
      return { physical: 'byteArray', converted: 'json', logical: struct({ 12: struct({}) }) }
    case 'uuid':
      return { physical: 'fixedByteArray', length: 16, logical: struct({ 14: struct({}) }) }
    case 'binary':
      return { physical: 'byteArray' }
    default:
      return unreachable(type)
  }
}

/** The fewest bytes that hold every signed number of so many digits. */
function decimalBytes(precision: number): number {
  return Math.ceil((precision * Math.log2(10) + 1) / 8)
}
