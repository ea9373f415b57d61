/** Builds a batch from single values: for tests, transforms and small tables. The decoder has its own, faster way. */
import {
  fixedWidth,
  TIMESTAMP_INFINITY,
  unreachable,
  type ColumnType,
  type Field,
} from '../model/column-type.js'
import type { Batch, Column, Span } from './batch.js'
import { parseDate, parseInterval, parseTime, parseTimestamp } from './calendar.js'
import { NANOS_PER_MICRO } from './column-reader.js'
import type { Value } from './rows.js'

/**
 * Values as `rows` gives them, by position. Dates and times may also be in the server's form, decimals have any number of
 * decimals up to the scale.
 *
 * @throws RangeError for a value that is not of its type.
 */
export function buildBatch(fields: readonly Field[], rows: readonly (readonly Value[])[]): Batch {
  const encoded = fields.map((field, index) =>
    rows.map((row) => {
      const value = row[index]
      return value === null || value === undefined ? null : encodeValue(field.type, value)
    }),
  )
  let total = 0
  const reserve = (length: number): Span => {
    const span = { offset: total, length }
    total += (length + 7) & ~7
    return span
  }
  const bitmapBytes = (rows.length + 7) >> 3
  const columns = fields.map((field, index): Column => {
    const values = encoded[index]!
    const nullCount = values.filter((value) => value === null).length
    const width = fixedWidth(field.type)
    const bool = field.type.kind === 'bool'
    return {
      nullCount,
      validity: nullCount > 0 ? reserve(bitmapBytes) : null,
      offsets: width === null && !bool ? reserve(4 * (rows.length + 1)) : null,
      values: reserve(
        bool
          ? bitmapBytes
          : width !== null
            ? width * rows.length
            : values.reduce((sum, value) => sum + (value?.length ?? 0), 0),
      ),
    }
  })
  const buffer = new ArrayBuffer(total)
  const bytes = new Uint8Array(buffer)
  columns.forEach((column, index) => {
    const { type } = fields[index]!
    const width = fixedWidth(type)
    let at = column.values.offset
    const offsets =
      column.offsets === null ? null : new Int32Array(buffer, column.offsets.offset, rows.length + 1)
    encoded[index]!.forEach((value, row) => {
      const bit = 1 << (row & 7)
      if (value !== null) {
        if (column.validity !== null) bytes[column.validity.offset + (row >> 3)]! |= bit
        if (type.kind === 'bool') {
          if (value[0] === 1) bytes[column.values.offset + (row >> 3)]! |= bit
        } else bytes.set(value, at)
      }
      if (type.kind !== 'bool') at += width ?? value?.length ?? 0
      if (offsets !== null) offsets[row + 1] = at - column.values.offset
    })
  })
  return { fields, rowCount: rows.length, columns, buffer }
}

function encodeValue(type: ColumnType, value: NonNullable<Value>): Uint8Array {
  const bytes = new Uint8Array(fixedWidth(type) ?? 1)
  const view = new DataView(bytes.buffer)
  switch (type.kind) {
    case 'bool':
      bytes[0] = value === true ? 1 : 0
      return bytes
    case 'int':
      if (type.bits === 64) view.setBigInt64(0, inRange(BigInt(value as bigint), 64), true)
      else if (type.bits === 32) view.setInt32(0, Number(inRange(BigInt(value as number), 32)), true)
      else view.setInt16(0, Number(inRange(BigInt(value as number), 16)), true)
      return bytes
    case 'float':
      if (type.bits === 64) view.setFloat64(0, Number(value), true)
      else view.setFloat32(0, Number(value), true)
      return bytes
    case 'decimal': {
      const unscaled = parseDecimal(String(value), type.precision, type.scale)
      view.setBigInt64(0, BigInt.asIntN(64, unscaled), true)
      if (bytes.length === 16) view.setBigInt64(8, unscaled >> 64n, true)
      return bytes
    }
    case 'date':
      view.setInt32(0, parseDate(value as string), true)
      return bytes
    case 'time':
      view.setBigInt64(0, parseTime(value as string), true)
      return bytes
    case 'timestamp':
      view.setBigInt64(0, inRange(parseStamp(value as string, type.unit), 64), true)
      return bytes
    case 'interval': {
      const { months, days, micros } = parseInterval(value as string)
      view.setInt32(0, months, true)
      view.setInt32(4, days, true)
      view.setBigInt64(8, micros, true)
      return bytes
    }
    case 'uuid': {
      const hex = (value as string).replaceAll('-', '')
      if (!/^[0-9a-fA-F]{32}$/.test(hex)) throw new RangeError(`not a uuid: ${String(value)}`)
      return Uint8Array.from(Buffer.from(hex, 'hex'))
    }
    case 'text':
    case 'json':
      return new TextEncoder().encode(value as string)
    case 'binary':
      return value as Uint8Array
    default:
      return unreachable(type)
  }
}

function parseStamp(text: string, unit: 'ns' | undefined): bigint {
  const micros = parseTimestamp(text)
  const infinite = micros === TIMESTAMP_INFINITY || micros === -TIMESTAMP_INFINITY
  return unit === undefined || infinite ? micros : micros * NANOS_PER_MICRO
}

/** Text to unscaled value. @throws RangeError where it does not fit. */
export function parseDecimal(text: string, precision: number, scale: number): bigint {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  if (match === null) throw new RangeError(`not a decimal: ${text}`)
  const [, sign, whole = '', fraction = ''] = match
  const kept = fraction.slice(0, scale).padEnd(scale, '0')
  const unscaled = BigInt(whole + kept)
  if (/[1-9]/.test(fraction.slice(scale)) || unscaled >= 10n ** BigInt(precision)) {
    throw new RangeError(`${text} does not fit decimal(${precision},${scale})`)
  }
  return sign === '-' ? -unscaled : unscaled
}

function inRange(value: bigint, bits: 16 | 32 | 64): bigint {
  if (BigInt.asIntN(bits, value) !== value) throw new RangeError(`${value} does not fit ${bits} bits`)
  return value
}
