/**
 * Values as the text that PostgreSQL prints for them, byte for byte, under the settings Trunkline reads with:
 * DateStyle ISO, TimeZone UTC, IntervalStyle iso_8601, extra_float_digits 3, bytea_output hex.
 *
 * The differential tests compare this text with the server's own.
 */
import { unreachable, type ColumnType, type ElementType } from '../model/column-type.js'
import type { Batch } from './batch.js'
import { formatDate, formatInterval, formatTime, formatTimestamp } from './calendar.js'
import { columnReader, type StoredValue } from './column-reader.js'
import { formatFloat } from './format-float.js'

/** The server's text of one value, or null. For many values of a column, {@link columnFormatter}. */
export function formatValue(batch: Batch, columnIndex: number, row: number): string | null {
  return columnFormatter(batch, columnIndex)(row)
}

/** A function that gives the server's text of a column's values by row. */
export function columnFormatter(batch: Batch, columnIndex: number): (row: number) => string | null {
  const read = columnReader(batch, columnIndex)
  const { type } = batch.fields[columnIndex]!
  return (row) => {
    const stored = read(row)
    return stored === null ? null : formatStored(type, stored)
  }
}

function formatStored(type: ColumnType, stored: StoredValue): string {
  switch (type.kind) {
    case 'bool':
      return (stored as boolean) ? 't' : 'f'
    case 'int':
      return (stored as number | bigint).toString()
    case 'float':
      return formatFloat(stored as number, type.bits)
    case 'decimal':
      return formatDecimal(stored as bigint, type.scale)
    case 'date':
      return formatDate(stored as number, 'server')
    case 'time':
      return formatTime(stored as bigint)
    case 'timestamp':
      return formatTimestamp(stored as bigint, type.utc, 'server')
    case 'interval': {
      const { months, days, micros } = stored as { months: number; days: number; micros: bigint }
      return formatInterval(months, days, micros)
    }
    case 'uuid':
      return formatUuid(stored as Uint8Array)
    case 'text':
    case 'json':
      return textOf(stored as Uint8Array)
    case 'binary':
      return `\\x${bufferOf(stored as Uint8Array).toString('hex')}`
    case 'list':
      return formatList(type.element, stored as readonly (StoredValue | null)[])
    default:
      return unreachable(type)
  }
}

/** What array_out must put in quotes: what would read as something else. Its white space is that of C. */
const QUOTED_ELEMENT = /^$|^null$|[{}",\\ \t\n\v\f\r]/i

/** As PostgreSQL prints an array that counts from 1: `{a,"b c",NULL}`. */
function formatList(type: ElementType, elements: readonly (StoredValue | null)[]): string {
  const texts = elements.map((element) => {
    if (element === null) return 'NULL'
    const text = formatStored(type, element)
    return QUOTED_ELEMENT.test(text) ? `"${text.replaceAll(/["\\]/g, '\\$&')}"` : text
  })
  return `{${texts.join(',')}}`
}

/** Unscaled value to text with exactly `scale` decimals. */
export function formatDecimal(unscaled: bigint, scale: number): string {
  if (scale === 0) return String(unscaled)
  const negative = unscaled < 0n
  const digits = String(negative ? -unscaled : unscaled).padStart(scale + 1, '0')
  return `${negative ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

export function formatUuid(bytes: Uint8Array): string {
  const hex = bufferOf(bytes).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** UTF-8 to string; a byte order mark is text like any other. */
export function textOf(bytes: Uint8Array): string {
  return bufferOf(bytes).toString('utf8')
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
