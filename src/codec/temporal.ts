/**
 * PostgreSQL's binary dates and times to the epochs of a batch.
 *
 *   date       int32 days since 2000-01-01; INT32_MIN and INT32_MAX are −infinity and infinity
 *   timestamp  int64 µs since 2000-01-01; INT64_MIN and INT64_MAX are −infinity and infinity
 *   time       int64 µs since midnight, 24:00:00 included
 *   interval   int64 µs, int32 days, int32 months; all fields at their minimum or maximum are the infinities of PostgreSQL 17
 *
 * Each function stores little-endian words and allocates nothing.
 */
import { DATE_INFINITY } from '../model/column-type.js'
import { MALFORMED, STORED, UNREPRESENTABLE, type Stored } from './numeric.js'

const INT32_MIN = -2147483648
const INT32_MAX = 2147483647

/** 2000-01-01 in days since 1970-01-01. */
export const DATE_SHIFT = 10957

/** 2000-01-01 in µs since 1970-01-01, 946 684 800 000 000, as two words. */
export const TIMESTAMP_SHIFT_HIGH = Math.floor(946_684_800_000_000 / 4294967296)
export const TIMESTAMP_SHIFT_LOW = (946_684_800_000_000 % 4294967296) | 0

/** A high word below this and above INT32_MIN needs no check: neither infinity nor beyond int64 once shifted. */
export const TIMESTAMP_CHECKED_HIGH = INT32_MAX - TIMESTAMP_SHIFT_HIGH - 1

const NANOS_PER_MICRO = 1000
const TWO_32 = 4294967296
/** 1677-09-22 in ns since 1970: int64 begins in the day before, but DuckDB cannot print a time of a day that is cut. */
const FIRST_NANOS = -9_223_286_400_000_000_000
const FIRST_NANOS_HIGH = Math.floor(FIRST_NANOS / TWO_32)
const FIRST_NANOS_LOW = FIRST_NANOS - FIRST_NANOS_HIGH * TWO_32

/** 24:00:00, 86 400 000 000 µs, as two words. */
const DAY_HIGH = 20
const DAY_LOW = 500_654_080

export function storeDate(view: DataView, pos: number, out: Int32Array, index: number): Stored {
  const days = view.getInt32(pos)
  if (days === INT32_MAX) out[index] = DATE_INFINITY
  else if (days === INT32_MIN) out[index] = -DATE_INFINITY
  else if (days >= DATE_INFINITY - DATE_SHIFT) return UNREPRESENTABLE
  else out[index] = days + DATE_SHIFT
  return STORED
}

export function storeTimestamp(view: DataView, pos: number, out: Int32Array, index: number): Stored {
  const high = view.getInt32(pos)
  const low = view.getInt32(pos + 4)
  if (high === INT32_MAX && low === -1) {
    out[index] = -1
    out[index + 1] = INT32_MAX
    return STORED
  }
  if (high === INT32_MIN && low === 0) {
    out[index] = 1
    out[index + 1] = INT32_MIN
    return STORED
  }
  const sumLow = (low + TIMESTAMP_SHIFT_LOW) | 0
  const carry = sumLow >>> 0 < low >>> 0 ? 1 : 0
  const sumHigh = high + TIMESTAMP_SHIFT_HIGH + carry
  // The last microsecond of int64 would read as infinity.
  if (sumHigh > INT32_MAX || (sumHigh === INT32_MAX && sumLow === -1)) return UNREPRESENTABLE
  out[index] = sumLow
  out[index + 1] = sumHigh
  return STORED
}

/** The same as nanoseconds: 1677-09-22 to 2262-04-11 23:47:16.854775, and the infinities. */
export function storeTimestampNanos(view: DataView, pos: number, out: Int32Array, index: number): Stored {
  const stored = storeTimestamp(view, pos, out, index)
  const high = out[index + 1]!
  const low = out[index]!
  if (stored !== STORED || (high === INT32_MAX && low === -1) || (high === INT32_MIN && low === 1))
    return stored
  const lowProduct = (low >>> 0) * NANOS_PER_MICRO
  const highProduct = high * NANOS_PER_MICRO + Math.floor(lowProduct / TWO_32)
  const nanosLow = lowProduct % TWO_32
  if (highProduct > INT32_MAX || highProduct < FIRST_NANOS_HIGH) return UNREPRESENTABLE
  if (highProduct === FIRST_NANOS_HIGH && nanosLow < FIRST_NANOS_LOW) return UNREPRESENTABLE
  out[index] = nanosLow
  out[index + 1] = highProduct
  return STORED
}

export function storeTime(view: DataView, pos: number, out: Int32Array, index: number): Stored {
  const high = view.getUint32(pos)
  const low = view.getUint32(pos + 4)
  if (high > DAY_HIGH || (high === DAY_HIGH && low > DAY_LOW)) return MALFORMED
  out[index] = low
  out[index + 1] = high
  return STORED
}

export function storeInterval(view: DataView, pos: number, out: Int32Array, index: number): Stored {
  const high = view.getInt32(pos)
  const low = view.getInt32(pos + 4)
  const days = view.getInt32(pos + 8)
  const months = view.getInt32(pos + 12)
  if (days === months) {
    if (days === INT32_MAX && high === INT32_MAX && low === -1) return UNREPRESENTABLE
    if (days === INT32_MIN && high === INT32_MIN && low === 0) return UNREPRESENTABLE
  }
  out[index] = months
  out[index + 1] = days
  out[index + 2] = low
  out[index + 3] = high
  return STORED
}
