/** Stores one complete field of fixed width or numeric: the one place that says what each wire format's bytes mean. */
import type { DecoderColumn } from './decoder-column.js'
import type { ArenaColumn } from './batch-arena.js'
import { MALFORMED, STORED, storeNumeric, type Stored } from './numeric.js'
import { storeDate, storeInterval, storeTime, storeTimestamp, storeTimestampNanos } from './temporal.js'

/**
 * Stores the value of `length` bytes at `pos` as the column's value of `row`; the caller has checked the length of fixed
 * widths and that the bytes are there.
 */
export function storeField(
  decoder: DecoderColumn,
  column: ArenaColumn,
  row: number,
  view: DataView,
  pos: number,
  length: number,
): Stored {
  const { words } = column
  switch (decoder.wire) {
    case 'bool': {
      const byte = view.getUint8(pos)
      if (byte > 1) return MALFORMED
      const bit = 1 << (row & 7)
      if (byte === 1) column.bits[row >> 3]! |= bit
      else column.bits[row >> 3]! &= ~bit
      return STORED
    }
    case 'int2':
      column.halves[row] = view.getInt16(pos)
      return STORED
    case 'int4':
    case 'float4':
      // Floats travel as words, so that every NaN keeps its bits.
      words[row] = view.getInt32(pos)
      return STORED
    case 'int8':
    case 'float8':
      words[2 * row] = view.getInt32(pos + 4)
      words[2 * row + 1] = view.getInt32(pos)
      return STORED
    case 'oid':
      words[2 * row] = view.getInt32(pos)
      words[2 * row + 1] = 0
      return STORED
    case 'numeric':
      return decoder.type.kind === 'decimal'
        ? storeNumeric(
            view,
            pos,
            length,
            decoder.type.precision,
            decoder.type.scale,
            words,
            (column.width! / 4) * row,
          )
        : MALFORMED
    case 'date':
      return storeDate(view, pos, words, row)
    case 'time':
      return storeTime(view, pos, words, 2 * row)
    case 'timestamp':
      return decoder.type.kind === 'timestamp' && decoder.type.unit === 'ns'
        ? storeTimestampNanos(view, pos, words, 2 * row)
        : storeTimestamp(view, pos, words, 2 * row)
    case 'interval':
      return storeInterval(view, pos, words, 4 * row)
    case 'uuid':
      for (let i = 0; i < 4; i++) words[4 * row + i] = view.getInt32(pos + 4 * i, true)
      return STORED
    case 'text':
    case 'bytea':
    case 'jsonb':
    case 'array':
      return MALFORMED
  }
}

/** Marks the row null and zeroes what the batch would otherwise carry under it. */
export function storeNull(column: ArenaColumn, row: number): void {
  column.hasNull = true
  column.validity[row >> 3]! &= ~(1 << (row & 7))
  if (column.variable || column.elements !== null) return
  if (column.width === null) column.bits[row >> 3]! &= ~(1 << (row & 7))
  else if (column.width === 2) column.halves[row] = 0
  else {
    const count = column.width / 4
    for (let i = 0; i < count; i++) column.words[count * row + i] = 0
  }
}
