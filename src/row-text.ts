/** Batches as text, a line per row, every value exact: JSON Lines and CSV. */
import type { Batch } from './batch/batch.js'
import { columnFormatter } from './batch/format-value.js'
import type { Field } from './model/column-type.js'

type WriteValue = (row: number) => string

/**
 * Objects on one line each. Integers are JSON numbers with all their digits, decimals, dates and times text, json documents are
 * themselves, bytea is `\x…` text; NaN and infinities are text, as PostgreSQL's `to_json` has them.
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

function jsonWriter(batch: Batch, { type }: Field, index: number): WriteValue {
  const format = columnFormatter(batch, index)
  const quote = (text: string): string => JSON.stringify(text)
  const write: (text: string) => string = ((): ((text: string) => string) => {
    switch (type.kind) {
      case 'bool':
        return (text) => (text === 't' ? 'true' : 'false')
      case 'int':
        return (text) => text
      case 'float':
        return (text) => (/[a-z]{2}/i.test(text) ? quote(text) : text)
      case 'json':
        // A line break can only stand between the parts of a document: inside its strings it is escaped.
        return (text) => text.replaceAll(/[\r\n]+/g, ' ')
      default:
        return quote
    }
  })()
  return (row) => {
    const text = format(row)
    return text === null ? 'null' : write(text)
  }
}
