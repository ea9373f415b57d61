/** Batches as text, a line per row, every value exact: JSON Lines and CSV. */
import type { Batch } from './batch/batch.js'
import { validityReader } from './batch/column-reader.js'
import { columnFormatter } from './batch/format-value.js'
import { elementBatch, offsetsOf } from './batch/list-elements.js'
import { valueReader } from './batch/rows.js'
import type { Field } from './model/column-type.js'
import { unreachable } from './model/column-type.js'

type WriteValue = (row: number) => string

/**
 * Objects on one line each. Integers are JSON numbers with all their digits, decimals, dates and times text, json documents are
 * themselves, lists arrays, bytea is `\x…` text; NaN and infinities are text, as PostgreSQL's `to_json` has them.
 */
export function toJsonLines(batch: Batch): string {
  const names = batch.fields.map(({ name }) => JSON.stringify(name))
  const writers = batch.fields.map((field, index) => jsonWriter(batch, field, index))
  const lines: string[] = []
  for (let row = 0; row < batch.rowCount; row++) {
    const members = writers.map((write, index) => `${names[index] ?? ''}:${write(row)}`)
    lines.push(`{${members.join(',')}}\n`)
  }
  return lines.join('')
}

/** RFC 4180 with `\n`; null is an empty field and an empty text is `""`; values are the server's own text. */
export function toCsvLines(batch: Batch): string {
  const readers = batch.fields.map((_, index) => columnFormatter(batch, index))
  const lines: string[] = []
  for (let row = 0; row < batch.rowCount; row++) {
    lines.push(`${readers.map((read) => toCsvField(read(row))).join(',')}\n`)
  }
  return lines.join('')
}

export function toCsvHeading(fields: readonly Field[]): string {
  return `${fields.map(({ name }) => toCsvField(name)).join(',')}\n`
}

function toCsvField(text: string | null): string {
  if (text === null) return ''
  return text === '' || /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** A function that gives the JSON of a column's values by row. */
function jsonWriter(batch: Batch, { type }: Field, index: number): WriteValue {
  switch (type.kind) {
    case 'bool':
    case 'int':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'decimal':
    case 'uuid':
    case 'interval':
    case 'text': {
      const read = valueReader(batch, index)
      return (row) => {
        const value = read(row)
        return typeof value === 'bigint' ? value.toString() : JSON.stringify(value)
      }
    }
    case 'float':
      return orNull(columnFormatter(batch, index), (text) =>
        /[a-z]{2}/i.test(text) ? JSON.stringify(text) : text,
      )
    case 'binary':
      return orNull(columnFormatter(batch, index), (text) => JSON.stringify(text))
    case 'json':
      // A line break can only stand between the parts of a document: inside its strings it is escaped.
      return orNull(columnFormatter(batch, index), (text) => text.replaceAll(/[\r\n]+/g, ' '))
    case 'list': {
      const isValid = validityReader(batch, index)
      const ends = offsetsOf(batch, index)
      const elements = elementBatch(batch, index)
      const write = jsonWriter(elements, elements.fields[0]!, 0)
      return (row) => {
        if (!isValid(row)) return 'null'
        const start = ends[row]!
        return `[${Array.from({ length: ends[row + 1]! - start }, (_, at) => write(start + at)).join(',')}]`
      }
    }
    default:
      return unreachable(type)
  }
}

function orNull(read: (row: number) => string | null, write: (text: string) => string): WriteValue {
  return (row) => {
    const text = read(row)
    return text === null ? 'null' : write(text)
  }
}
