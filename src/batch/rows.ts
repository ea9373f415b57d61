/** Rows as JavaScript objects: for looking, testing and small results; batches are what is fast. */
import { unreachable, type ElementType } from '../model/column-type.js'
import type { Batch } from './batch.js'
import { formatDate, formatInterval, formatTime, formatTimestamp } from './calendar.js'
import { columnReader, type StoredValue } from './column-reader.js'
import { formatDecimal, formatUuid, textOf } from './format-value.js'

/**
 * bool → boolean; int16, int32 and floats → number; int64 → bigint; decimal → string with all its decimals; date, time,
 * timestamp and interval → ISO 8601 text (`2024-01-31T12:00:00.5Z`, years outside 0000 to 9999 expanded, `infinity`);
 * uuid, text and json → string; binary → a copy of the bytes; list → an array of what its elements become.
 */
export type Value = SingleValue | readonly SingleValue[]

/** A value that is no list. */
export type SingleValue = boolean | number | bigint | string | Uint8Array | null

/** One object per row, its keys in the order of the fields. */
export function* rows(batch: Batch): Generator<Record<string, Value>, void, undefined> {
  const readers = batch.fields.map((_, index) => valueReader(batch, index))
  for (let row = 0; row < batch.rowCount; row++) {
    const record: Record<string, Value> = {}
    batch.fields.forEach((field, index) => {
      const value = readers[index]!(row)
      if (field.name !== '__proto__') record[field.name] = value
      else Object.defineProperty(record, '__proto__', { value, enumerable: true })
    })
    yield record
  }
}

/** One value, as {@link rows} has it. For many values of a column, {@link valueReader}. */
export function readValue(batch: Batch, columnIndex: number, row: number): Value {
  return valueReader(batch, columnIndex)(row)
}

/** A function that gives the values of a column by row. */
export function valueReader(batch: Batch, columnIndex: number): (row: number) => Value {
  const read = columnReader(batch, columnIndex)
  const { type } = batch.fields[columnIndex]!
  if (type.kind === 'list') {
    const { element } = type
    const toElement = (stored: StoredValue | null): SingleValue =>
      stored === null ? null : toValue(element, stored)
    return (row) => (read(row) as readonly (StoredValue | null)[] | null)?.map(toElement) ?? null
  }
  return (row) => {
    const stored = read(row)
    return stored === null ? null : toValue(type, stored)
  }
}

function toValue(type: ElementType, stored: StoredValue): SingleValue {
  switch (type.kind) {
    case 'bool':
    case 'int':
    case 'float':
      return stored as boolean | number | bigint
    case 'decimal':
      return formatDecimal(stored as bigint, type.scale)
    case 'date':
      return formatDate(stored as number, 'iso')
    case 'time':
      return formatTime(stored as bigint)
    case 'timestamp':
      return formatTimestamp(stored as bigint, type.utc, 'iso')
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
      return (stored as Uint8Array).slice()
    default:
      return unreachable(type)
  }
}
