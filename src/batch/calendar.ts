/**
 * Dates and times as text and back, over the whole range a batch can hold (proleptic Gregorian, no time zone but UTC).
 *
 * Two forms. `server`: what PostgreSQL prints with DateStyle ISO, TimeZone UTC, IntervalStyle iso_8601: `0044-03-15 BC`,
 * `2024-01-31 12:00:00.5+00`. `iso`: ISO 8601 with expanded years outside 0000 to 9999 and years before 1 counted from 0:
 * `-000043-03-15`, `2024-01-31T12:00:00.5Z`. Infinities are `infinity` and `-infinity` in both.
 */
import { DATE_INFINITY, TIMESTAMP_INFINITY } from '../model/column-type.js'

export type TemporalForm = 'server' | 'iso'

const DAYS_PER_ERA = 146_097
/** 1970-01-01 counted from 0000-03-01, where the 400-year eras of the algorithm start. */
const EPOCH_DAYS = 719_468
const MICROS_PER_DAY = 86_400_000_000n
const MICROS_PER_HOUR = 3_600_000_000n
const MICROS_PER_MINUTE = 60_000_000n
const MICROS_PER_SECOND = 1_000_000n

/** Astronomical year (0 is 1 BC), month and day of a day counted from 1970-01-01. */
export function civilFromDays(days: number): { year: number; month: number; day: number } {
  const shifted = days + EPOCH_DAYS
  const era = Math.floor(shifted / DAYS_PER_ERA)
  const dayOfEra = shifted - era * DAYS_PER_ERA
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  }
}

/** The inverse of {@link civilFromDays}. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const shiftedYear = month <= 2 ? year - 1 : year
  const era = Math.floor(shiftedYear / 400)
  const yearOfEra = shiftedYear - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * DAYS_PER_ERA + dayOfEra - EPOCH_DAYS
}

export function formatDate(days: number, form: TemporalForm): string {
  const infinite = infinity(days, DATE_INFINITY, -DATE_INFINITY)
  if (infinite !== null) return infinite
  const { text, bc } = civilText(days, form)
  return bc ? `${text} BC` : text
}

export function formatTime(micros: bigint): string {
  const fraction = micros % MICROS_PER_SECOND
  const seconds = Number(micros / MICROS_PER_SECOND)
  const hour = Math.floor(seconds / 3600)
  const minute = Math.floor(seconds / 60) % 60
  return `${pad(hour, 2)}:${pad(minute, 2)}:${pad(seconds % 60, 2)}${formatFraction(fraction)}`
}

export function formatTimestamp(micros: bigint, utc: boolean, form: TemporalForm): string {
  const infinite = infinity(micros, TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY)
  if (infinite !== null) return infinite
  let ofDay = micros % MICROS_PER_DAY
  if (ofDay < 0n) ofDay += MICROS_PER_DAY
  const { text, bc } = civilText(Number((micros - ofDay) / MICROS_PER_DAY), form)
  return form === 'iso'
    ? `${text}T${formatTime(ofDay)}${utc ? 'Z' : ''}`
    : `${text} ${formatTime(ofDay)}${utc ? '+00' : ''}${bc ? ' BC' : ''}`
}

/** `P1Y2M-3DT4H5M-6.7S`, the same in both forms. */
export function formatInterval(months: number, days: number, micros: bigint): string {
  if (months === 0 && days === 0 && micros === 0n) return 'PT0S'
  const part = (value: number | bigint, unit: string): string =>
    Number(value) === 0 ? '' : `${value}${unit}`
  let text = `P${part(Math.trunc(months / 12), 'Y')}${part(months % 12, 'M')}${part(days, 'D')}`
  if (micros === 0n) return text
  const ofMinute = micros % MICROS_PER_MINUTE
  text += `T${part(micros / MICROS_PER_HOUR, 'H')}${part((micros % MICROS_PER_HOUR) / MICROS_PER_MINUTE, 'M')}`
  if (ofMinute !== 0n) {
    const absolute = ofMinute < 0n ? -ofMinute : ofMinute
    text += `${ofMinute < 0n ? '-' : ''}${absolute / MICROS_PER_SECOND}${formatFraction(absolute % MICROS_PER_SECOND)}S`
  }
  return text
}

/** Reads either form. @throws RangeError for anything else. */
export function parseDate(text: string): number {
  const infinite = parseInfinity(text)
  if (infinite !== 0) return infinite * DATE_INFINITY
  const match = /^([+-]?\d{4,})-(\d\d)-(\d\d)( BC)?$/.exec(text)
  if (match === null) throw new RangeError(`not a date: ${text}`)
  return daysOf(match)
}

/** Reads either form, with at most microseconds. @throws RangeError for anything else. */
export function parseTime(text: string): bigint {
  const match = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(text)
  if (match === null) throw new RangeError(`not a time: ${text}`)
  const [, hour, minute, second, fraction] = match
  return (
    BigInt(hour!) * MICROS_PER_HOUR +
    BigInt(minute!) * MICROS_PER_MINUTE +
    BigInt(second!) * MICROS_PER_SECOND +
    parseFraction(fraction)
  )
}

/** Reads either form, in UTC where it names a zone. @throws RangeError for anything else. */
export function parseTimestamp(text: string): bigint {
  const infinite = parseInfinity(text)
  if (infinite !== 0) return BigInt(infinite) * TIMESTAMP_INFINITY
  const match = /^([+-]?\d{4,})-(\d\d)-(\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,6})?)(?:Z|\+00)?( BC)?$/.exec(text)
  if (match === null) throw new RangeError(`not a timestamp: ${text}`)
  const [whole, year, month, day, time, bc] = match
  return BigInt(daysOf([whole, year!, month!, day!, bc])) * MICROS_PER_DAY + parseTime(time!)
}

export function parseInterval(text: string): { months: number; days: number; micros: bigint } {
  const match =
    /^P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?$/.exec(
      text,
    )
  if (match === null) throw new RangeError(`not an interval: ${text}`)
  const [, years, months, days, hours, minutes, sign, seconds, fraction] = match
  const ofMinute = BigInt(seconds ?? 0) * MICROS_PER_SECOND + parseFraction(fraction)
  return {
    months: Number(years ?? 0) * 12 + Number(months ?? 0),
    days: Number(days ?? 0),
    micros:
      BigInt(hours ?? 0) * MICROS_PER_HOUR +
      BigInt(minutes ?? 0) * MICROS_PER_MINUTE +
      (sign === '-' ? -ofMinute : ofMinute),
  }
}

function civilText(days: number, form: TemporalForm): { text: string; bc: boolean } {
  const { year, month, day } = civilFromDays(days)
  const monthAndDay = `-${pad(month, 2)}-${pad(day, 2)}`
  if (form === 'server') {
    const bc = year <= 0
    return { text: pad(bc ? 1 - year : year, 4) + monthAndDay, bc }
  }
  const expanded = year < 0 || year > 9999
  const yearText = expanded ? `${year < 0 ? '-' : '+'}${pad(Math.abs(year), 6)}` : pad(year, 4)
  return { text: yearText + monthAndDay, bc: false }
}

function daysOf(match: readonly (string | undefined)[]): number {
  const [, year, month, day, bc] = match
  const number = Number(year)
  return daysFromCivil(bc === undefined ? number : 1 - number, Number(month), Number(day))
}

function infinity<T extends number | bigint>(value: T, positive: T, negative: T): string | null {
  return value === positive ? 'infinity' : value === negative ? '-infinity' : null
}

function parseInfinity(text: string): -1 | 0 | 1 {
  return text === 'infinity' ? 1 : text === '-infinity' ? -1 : 0
}

function formatFraction(micros: bigint): string {
  return micros === 0n ? '' : `.${String(micros).padStart(6, '0').replace(/0+$/, '')}`
}

function parseFraction(digits: string | undefined): bigint {
  return digits === undefined ? 0n : BigInt(digits.padEnd(6, '0'))
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0')
}
