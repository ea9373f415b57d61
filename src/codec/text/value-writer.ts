/**
 * Values of bounded length as ASCII text, straight into bytes: the text of `columnFormatter` (form `server`) and of `rows` (form
 * `iso`), which the tests compare them with.
 *
 * What is common is written digit by digit; what is rare (years outside 1 to 9999, more than 53 bits, intervals, nanoseconds) by
 * those two.
 */
import type { Batch } from '../../batch/batch.js'
import type { TemporalForm } from '../../batch/calendar.js'
import { columnFormatter } from '../../batch/format-value.js'
import { formatFloat } from '../../batch/format-float.js'
import { valueReader } from '../../batch/rows.js'
import { unreachable, type ColumnType } from '../../model/column-type.js'
import { writeAscii, writeFraction, writeInteger, writePadded, writeScaled } from './digits.js'

/** Writes the value of a row, which is not null, from `at` on; gives where it ended. */
export type WriteValue = (target: Uint8Array, at: number, row: number) => number

/** Kinds whose text has a most, {@link MOST_BYTES}. */
export type BoundedType = Exclude<ColumnType, { kind: 'text' | 'json' | 'binary' | 'list' }>

/** `P-178956970Y-8M-2147483648DT-2562047788H-59M-59.999999S` is the longest. */
export const MOST_BYTES = 64

const TWO_32 = 2 ** 32
/** Of the upper half of an int64 of at most 53 bits. */
const HIGH_LIMIT = 2 ** 21

export function boundedWriter(
  batch: Batch,
  index: number,
  { type, form }: { readonly type: BoundedType; readonly form: TemporalForm },
): WriteValue {
  const { offset } = batch.columns[index]!.values
  const { buffer, rowCount } = batch
  switch (type.kind) {
    case 'bool': {
      const bits = new Uint8Array(buffer, offset, (rowCount + 7) >> 3)
      const yes = form === 'server' ? 't' : 'true'
      const no = form === 'server' ? 'f' : 'false'
      return (target, at, row) =>
        writeAscii(target, at, ((bits[row >> 3]! >> (row & 7)) & 1) === 1 ? yes : no)
    }
    case 'int': {
      if (type.bits === 64)
        return longs(batch, index, { rare: slowWriter(batch, index, form), write: writeInteger })
      const values =
        type.bits === 16 ? new Int16Array(buffer, offset, rowCount) : new Int32Array(buffer, offset, rowCount)
      return (target, at, row) => writeInteger(target, at, values[row]!)
    }
    case 'float': {
      const values =
        type.bits === 32
          ? new Float32Array(buffer, offset, rowCount)
          : new Float64Array(buffer, offset, rowCount)
      return (target, at, row) => writeAscii(target, at, formatFloat(values[row]!, type.bits))
    }
    case 'decimal':
      return decimals(batch, index, type, slowWriter(batch, index, form))
    case 'date': {
      const values = new Int32Array(buffer, offset, rowCount)
      const rare = slowWriter(batch, index, form)
      return (target, at, row) => {
        const days = values[row]!
        return days >= FIRST_DAY && days <= LAST_DAY ? writeDate(target, at, days) : rare(target, at, row)
      }
    }
    case 'time': {
      const rare = slowWriter(batch, index, form)
      return longs(batch, index, { rare, write: writeTime })
    }
    case 'timestamp':
      return timestamps(batch, index, { type, form })
    case 'uuid': {
      const bytes = new Uint8Array(buffer, offset, 16 * rowCount)
      return (target, at, row) => writeUuid(target, at, bytes, 16 * row)
    }
    case 'interval':
      return slowWriter(batch, index, form)
    default:
      return unreachable(type)
  }
}

const HEX = new TextEncoder().encode('0123456789abcdef')

/** Two digits for each byte of [from, to). */
export function writeHex(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  { from, to }: { readonly from: number; readonly to: number },
): number {
  for (let index = from; index < to; index++) {
    const byte = source[index]!
    target[at++] = HEX[byte >> 4]!
    target[at++] = HEX[byte & 15]!
  }
  return at
}

function writeUuid(target: Uint8Array, at: number, source: Uint8Array, from: number): number {
  for (let index = 0; index < 16; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) target[at++] = 0x2d
    const byte = source[from + index]!
    target[at++] = HEX[byte >> 4]!
    target[at++] = HEX[byte & 15]!
  }
  return at
}

function slowWriter(batch: Batch, index: number, form: TemporalForm): WriteValue {
  const read = form === 'server' ? columnFormatter(batch, index) : valueReader(batch, index)
  return (target, at, row) => writeAscii(target, at, String(read(row)))
}

interface LongWriter {
  readonly write: (target: Uint8Array, at: number, value: number) => number
  /** For values of more than 53 bits. */
  readonly rare: WriteValue
}

function longs(batch: Batch, index: number, { write, rare }: LongWriter): WriteValue {
  const words = new Int32Array(batch.buffer, batch.columns[index]!.values.offset, 2 * batch.rowCount)
  return (target, at, row) => {
    const high = words[2 * row + 1]!
    if (high >= HIGH_LIMIT || high < -HIGH_LIMIT) return rare(target, at, row)
    return write(target, at, high * TWO_32 + (words[2 * row]! >>> 0))
  }
}

function decimals(
  batch: Batch,
  index: number,
  { precision, scale }: Extract<ColumnType, { kind: 'decimal' }>,
  rare: WriteValue,
): WriteValue {
  const place = { scale, power: 10 ** scale }
  // Powers of ten from 10^23 on are no doubles.
  if (scale > 22) return rare
  if (precision <= 18) {
    return longs(batch, index, { rare, write: (target, at, value) => writeScaled(target, at, value, place) })
  }
  const words = new Int32Array(batch.buffer, batch.columns[index]!.values.offset, 4 * batch.rowCount)
  return (target, at, row) => {
    const high = words[4 * row + 1]!
    const sign = high >> 31
    const fits = words[4 * row + 2] === sign && words[4 * row + 3] === sign
    if (!fits || high >= HIGH_LIMIT || high < -HIGH_LIMIT) return rare(target, at, row)
    return writeScaled(target, at, high * TWO_32 + (words[4 * row]! >>> 0), place)
  }
}

const MICROS_PER_SECOND = 1_000_000
const MICROS_PER_DAY = 86_400 * MICROS_PER_SECOND
/** 0001-01-01 and 9999-12-31. */
const FIRST_DAY = -719_162
const LAST_DAY = 2_932_896
const [DASH, COLON, SPACE] = [0x2d, 0x3a, 0x20]

function timestamps(
  batch: Batch,
  index: number,
  { type, form }: { readonly type: Extract<ColumnType, { kind: 'timestamp' }>; readonly form: TemporalForm },
): WriteValue {
  const rare = slowWriter(batch, index, form)
  if (type.unit === 'ns') return rare
  const separator = form === 'iso' ? 0x54 : SPACE
  const zone = !type.utc ? '' : form === 'iso' ? 'Z' : '+00'
  // 53 bits of microseconds reach from 1684 to 2255: all years of four digits.
  return longs(batch, index, {
    rare,
    write: (target, at, micros) => {
      const days = Math.floor(micros / MICROS_PER_DAY)
      at = writeDate(target, at, days)
      target[at++] = separator
      at = writeTime(target, at, micros - days * MICROS_PER_DAY)
      return zone === '' ? at : writeAscii(target, at, zone)
    },
  })
}

function writeTime(target: Uint8Array, at: number, micros: number): number {
  const seconds = Math.floor(micros / MICROS_PER_SECOND) | 0
  const fraction = micros - seconds * MICROS_PER_SECOND
  const minutes = (seconds / 60) | 0
  const hours = (minutes / 60) | 0
  at = writePadded(target, at, hours, 2)
  target[at++] = COLON
  at = writePadded(target, at, minutes - 60 * hours, 2)
  target[at++] = COLON
  return writeFraction(target, writePadded(target, at, seconds - 60 * minutes, 2), fraction)
}

/** Of the years 1 to 9999; `civilFromDays` in whole numbers of 32 bits. */
function writeDate(target: Uint8Array, at: number, days: number): number {
  const shifted = (days + 719_468) | 0
  const era = (shifted / 146_097) | 0
  const dayOfEra = shifted - era * 146_097
  const leaps = ((dayOfEra / 1460) | 0) - ((dayOfEra / 36_524) | 0) + ((dayOfEra / 146_096) | 0)
  const yearOfEra = ((dayOfEra - leaps) / 365) | 0
  const dayOfYear = dayOfEra - (365 * yearOfEra + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0))
  const shiftedMonth = ((5 * dayOfYear + 2) / 153) | 0
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  at = writePadded(target, at, yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 4)
  target[at++] = DASH
  at = writePadded(target, at, month, 2)
  target[at++] = DASH
  return writePadded(target, at, dayOfYear - (((153 * shiftedMonth + 2) / 5) | 0) + 1, 2)
}
