/**
 * How fields become Parquet columns: physical type, logical type, and the older converted type that some readers need.
 * https://github.com/apache/parquet-format/blob/master/LogicalTypes.md
 *
 * A field is one column, but for interval: Parquet's own has milliseconds, so it is a group of months, days and micros.
 */
import { unreachable, type ColumnType, type Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
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
const CONVERTED = {
  utf8: 0,
  decimal: 5,
  date: 6,
  timeMicros: 8,
  timestampMicros: 10,
  int16: 16,
  json: 19,
} as const
const MICROS = struct({ 2: struct({}) })
const NANOS = struct({ 3: struct({}) })

/** One column of the file. */
export interface Leaf {
  readonly fieldIndex: number
  readonly path: readonly string[]
  readonly physical: PhysicalType
  /** Which part of the stored value, where a field has several. */
  readonly part: 'whole' | 'months' | 'days' | 'micros'
  readonly encoding: 'plain' | 'deltaLength'
}

export interface ParquetSchema {
  readonly elements: readonly ThriftStruct[]
  readonly leaves: readonly Leaf[]
}

/** Every column can be null. */
export function parquetSchema(fields: readonly Field[]): ParquetSchema {
  const elements: ThriftStruct[] = [{ 4: binary('schema'), 5: i32(fields.length) }]
  const leaves: Leaf[] = []
  fields.forEach((field, fieldIndex) => {
    const repetition = i32(OPTIONAL)
    if (field.type.kind === 'interval') {
      elements.push({ 3: repetition, 4: binary(field.name), 5: i32(3) })
      for (const part of ['months', 'days', 'micros'] as const) {
        const physical = part === 'micros' ? 'int64' : 'int32'
        elements.push({ 1: i32(PHYSICAL[physical]), 3: i32(REQUIRED), 4: binary(part) })
        leaves.push({ fieldIndex, path: [field.name, part], physical, part, encoding: 'plain' })
      }
      return
    }
    const { physical, length, converted, logical, decimal } = columnLayout(field.type)
    elements.push({
      1: i32(PHYSICAL[physical]),
      2: length === undefined ? undefined : i32(length),
      3: repetition,
      4: binary(field.name),
      6: converted === undefined ? undefined : i32(CONVERTED[converted]),
      7: decimal === undefined ? undefined : i32(decimal.scale),
      8: decimal === undefined ? undefined : i32(decimal.precision),
      10: logical,
    })
    const encoding = physical === 'byteArray' ? 'deltaLength' : 'plain'
    leaves.push({ fieldIndex, path: [field.name], physical, part: 'whole', encoding })
  })
  return { elements, leaves }
}

interface ColumnLayout {
  readonly physical: PhysicalType
  /** Bytes of a fixed-length value. */
  readonly length?: number
  readonly converted?: keyof typeof CONVERTED
  readonly logical?: ThriftValue
  readonly decimal?: { readonly precision: number; readonly scale: number }
}

function columnLayout(type: Exclude<ColumnType, { kind: 'interval' }>): ColumnLayout {
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
      return precision <= 18
        ? { physical: 'int64', ...shared }
        : { physical: 'fixedByteArray', length: 16, ...shared }
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
    case 'list':
      throw new TrunklineError('INTERNAL', 'Lists are not written to Parquet files.')
    default:
      return unreachable(type)
  }
}
