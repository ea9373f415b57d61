/** Builds a batch from single values: for tests, transforms and small tables. The decoder has its own, faster way. */
import {
  fixedWidth,
  TIMESTAMP_INFINITY,
  unreachable,
  type ElementType,
  type Field,
} from '../model/column-type.js'
import type { Batch, Column, Span } from './batch.js'
import { parseDate, parseInterval, parseTime, parseTimestamp } from './calendar.js'
import { NANOS_PER_MICRO } from './column-reader.js'
import type { SingleValue, Value } from './rows.js'

/**
 * Values as `rows` gives them, by position. Dates and times may also be in the server's form, decimals have any number of
 * decimals up to the scale.
 *
 * @throws RangeError for a value that is not of its type.
 */
export function buildBatch(fields: readonly Field[], rows: readonly (readonly Value[])[]): Batch {
  let total = 0
  const reserve = (length: number): Span => {
    const span = { offset: total, length }
    total += (length + 7) & ~7
    return span
  }
  const drafts = fields.map(({ type }, index) => {
    const values = rows.map((row) => row[index] ?? null)
    return type.kind === 'list'
      ? draftList(type.element, values, reserve)
      : draftSingles(type, values as readonly SingleValue[], reserve)
  })
  const buffer = new ArrayBuffer(total)
  for (const { write } of drafts) write(buffer)
  return { fields, rowCount: rows.length, columns: drafts.map(({ column }) => column), buffer }
}

/** Where a column will be, and what puts it there once there is a buffer. */
interface Draft {
  readonly column: Column
  readonly write: (buffer: ArrayBuffer) => void
}

function draftList(element: ElementType, values: readonly Value[], reserve: (length: number) => Span): Draft {
  const lists = values.map((value) => {
    if (value !== null && !Array.isArray(value)) throw new RangeError('not an array')
    return value as readonly SingleValue[] | null
  })
  const bitmap = reserveBitmap(lists, reserve)
  const offsets = reserve(4 * (lists.length + 1))
  const elements = draftSingles(
    element,
    lists.flatMap((list) => list ?? []),
    reserve,
  )
  return {
    column: { ...bitmap, offsets, values: reserve(0), elements: elements.column },
    write: (buffer) => {
      writeBitmap(buffer, bitmap.validity, lists)
      const ends = new Int32Array(buffer, offsets.offset, lists.length + 1)
      lists.forEach((list, row) => (ends[row + 1] = ends[row]! + (list?.length ?? 0)))
      elements.write(buffer)
    },
  }
}

function draftSingles(
  type: ElementType,
  values: readonly SingleValue[],
  reserve: (length: number) => Span,
): Draft {
  const encoded = values.map((value) => (value === null ? null : encodeValue(type, value)))
  const width = fixedWidth(type)
  const bool = type.kind === 'bool'
  const bitmap = reserveBitmap(encoded, reserve)
  const column: Column = {
    ...bitmap,
    offsets: width === null && !bool ? reserve(4 * (encoded.length + 1)) : null,
    values: reserve(
      bool
        ? (encoded.length + 7) >> 3
        : width !== null
          ? width * encoded.length
          : encoded.reduce((sum, value) => sum + (value?.length ?? 0), 0),
    ),
  }
  const write = (buffer: ArrayBuffer): void => {
    const bytes = new Uint8Array(buffer)
    let at = column.values.offset
    const offsets =
      column.offsets === null ? null : new Int32Array(buffer, column.offsets.offset, encoded.length + 1)
    writeBitmap(buffer, column.validity, encoded)
    encoded.forEach((value, row) => {
      if (value !== null) {
        if (!bool) bytes.set(value, at)
        else if (value[0] === 1) bytes[column.values.offset + (row >> 3)]! |= 1 << (row & 7)
      }
      if (!bool) at += width ?? value?.length ?? 0
      if (offsets !== null) offsets[row + 1] = at - column.values.offset
    })
  }
  return { column, write }
}

function reserveBitmap(
  values: readonly unknown[],
  reserve: (length: number) => Span,
): Pick<Column, 'nullCount' | 'validity'> {
  const nullCount = values.filter((value) => value === null).length
  return { nullCount, validity: nullCount > 0 ? reserve((values.length + 7) >> 3) : null }
}

function writeBitmap(buffer: ArrayBuffer, validity: Span | null, values: readonly unknown[]): void {
  if (validity === null) return
  const bits = new Uint8Array(buffer, validity.offset, validity.length)
  values.forEach((value, row) => {
    if (value !== null) bits[row >> 3]! |= 1 << (row & 7)
  })
}

function encodeValue(type: ElementType, value: NonNullable<SingleValue>): Uint8Array {
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
