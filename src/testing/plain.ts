/** Values as the suite writes them, and one text for each by which what was landed and what was read are compared. */
import { parseDate, parseInterval, parseTime, parseTimestamp } from '../batch/calendar.js'
import { TIMESTAMP_INFINITY, unreachable } from '../model/column-type.js'
import type { ColumnType } from '../model/column-type.js'

/**
 * A value of a column. bool: boolean; int: number or bigint; float: number; decimal: text with any number of decimals up to the scale;
 * date: days since 1970-01-01; time: microseconds since midnight; timestamp: microseconds since 1970-01-01T00:00:00, nanoseconds
 * where its unit says so; interval: [months, days, microseconds]; text, json: text; uuid: text with hyphens; binary: bytes; list: an
 * array of these.
 * Infinite dates and timestamps are ±`DATE_INFINITY` and ±`TIMESTAMP_INFINITY`.
 */
export type Plain = PlainElement | readonly PlainElement[]

/** A value that is no list. */
export type PlainElement =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly [months: number, days: number, micros: bigint]

export interface NormalizeOptions {
  /** Documents are equal where their values are. */
  readonly jsonByValue?: boolean
  /** The document `null` is NULL. */
  readonly jsonNullIsNull?: boolean
  /** −0 is 0. */
  readonly mixesZeros?: boolean
}

/**
 * The one text that a value has, equal for equal values and for no others: −0 is not 0, and NaN is NaN. Beside {@link Plain} it takes
 * text as PostgreSQL prints it (`t`, `NaN`, `-infinity`, `0044-03-15 BC`, `24:00:00`, `P1Y2M-3DT4H`, `\x00ff`), which is what readers
 * of text have.
 *
 * @throws Error for what is not a value of the type
 */
export function normalize(type: ColumnType, value: Plain, options: NormalizeOptions = {}): string | null {
  if (value === null) return null
  switch (type.kind) {
    case 'bool':
      return booleanText(value)
    case 'int':
      return String(BigInt(value as string | number | bigint))
    case 'float': {
      const number = typeof value === 'string' ? parseFloatText(value) : Number(value)
      const stored = type.bits === 32 ? Math.fround(number) : number
      return Object.is(stored, -0) && options.mixesZeros !== true ? '-0' : String(stored)
    }
    case 'decimal':
      return decimalText(String(value), type.scale)
    case 'date':
      return String(typeof value === 'string' ? parseDate(value) : Number(value))
    case 'time':
      return String(typeof value === 'string' ? parseTime(value) : BigInt(value as number | bigint))
    case 'timestamp':
      return String(typeof value === 'string' ? parseStamp(value, type.unit) : BigInt(value as bigint))
    case 'interval': {
      if (typeof value !== 'string') return (value as readonly unknown[]).map(String).join(' ')
      const { months, days, micros } = parseInterval(value)
      return `${months} ${days} ${micros}`
    }
    case 'json':
      if (value === 'null' && options.jsonNullIsNull === true) return null
      return options.jsonByValue === true ? sortedJson(JSON.parse(value as string)) : (value as string)
    case 'text':
      return value as string
    case 'uuid':
      return (value as string).toLowerCase()
    case 'list':
      // As JSON, so that no element can look like two.
      return JSON.stringify(
        (value as readonly PlainElement[]).map((element) => normalize(type.element, element, options)),
      )
    case 'binary':
      return typeof value === 'string'
        ? value.replace(/^\\x/, '').toLowerCase()
        : Buffer.from(value as Uint8Array).toString('hex')
    default:
      return unreachable(type)
  }
}

function booleanText(value: Plain): string {
  if (value === true || value === 't' || value === 'true') return 'true'
  if (value === false || value === 'f' || value === 'false') return 'false'
  throw new Error(`not a boolean: ${String(value)}`)
}

function parseFloatText(text: string): number {
  const infinite = /^([+-]?)inf(inity)?$/i.exec(text)
  if (infinite) return infinite[1] === '-' ? -Infinity : Infinity
  if (/^nan$/i.test(text)) return NaN
  const number = text.trim() === '' ? NaN : Number(text)
  if (Number.isNaN(number)) throw new Error(`not a number: ${text}`)
  return number
}

function decimalText(text: string, scale: number): string {
  const match = /^(-?)(\d*)(?:\.(\d*))?$/.exec(text)
  const [, sign = '', whole = '', fraction = ''] = match ?? []
  if (match === null || whole + fraction === '') throw new Error(`not a decimal: ${text}`)
  const unscaled = BigInt(whole + fraction.padEnd(scale, '0'))
  if (fraction.length > scale) throw new Error(`more than ${scale} decimals: ${text}`)
  return unscaled === 0n ? '0' : `${sign}${unscaled}e-${scale}`
}

function parseStamp(text: string, unit: 'ns' | undefined): bigint {
  if (unit === undefined) return parseTimestamp(text)
  const match = /^(.*?\.\d{6})(\d{1,3})(.*)$/.exec(text)
  const micros = parseTimestamp(match === null ? text : `${match[1]}${match[3]}`)
  if (micros === TIMESTAMP_INFINITY || micros === -TIMESTAMP_INFINITY) return micros
  return micros * 1000n + BigInt((match?.[2] ?? '').padEnd(3, '0'))
}

/** Keys in one order, so that documents of the same value are the same text. */
function sortedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${sortedJson(item)}`).join(',')}}`
}
