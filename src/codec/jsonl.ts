/**
 * JSON Lines (https://jsonlines.org): an object per row on a line of its own, UTF-8, members in the order of the columns, every value
 * exact.
 *
 * Integers are JSON numbers with all their digits, floats with the fewest that tell them apart; NaN and the infinities are text, as
 * PostgreSQL's `to_json` has them, and −0 is `-0.0`, which more readers keep than `-0`. Decimals, dates, times and intervals are text
 * (ISO 8601), bytea is `\x…`, documents are themselves, but for line breaks between their parts, lists are arrays.
 */
import type { Batch } from '../batch/batch.js'
import { formatFloat } from '../batch/format-float.js'
import { unreachable, type ColumnType, type Field } from '../model/column-type.js'
import { backslashEscape } from './text/backslash.js'
import { boundedCell, escapedCell, jsonArrayCell, type EscapeBytes, type Escaping } from './text/cells.js'
import { writeAscii } from './text/digits.js'
import { createRowEncoder, type Cell, type RowEncoder } from './text/row-encoder.js'
import { MOST_BYTES, writeHex, type WriteValue } from './text/value-writer.js'

const utf8 = new TextEncoder()

export function createJsonlEncoder(fields: readonly Field[]): RowEncoder {
  return createRowEncoder({
    heading: new Uint8Array(0),
    before: fields.map(({ name }, index) =>
      utf8.encode(`${index === 0 ? '{' : ','}${JSON.stringify(name)}:`),
    ),
    afterRow: utf8.encode('}\n'),
    nullText: utf8.encode('null'),
    cell: jsonCell,
  })
}

function jsonCell(batch: Batch, index: number): Cell {
  const { type } = batch.fields[index]!
  switch (type.kind) {
    case 'bool':
    case 'int':
      return boundedCell(batch, index, type, 'iso')
    case 'float':
      return floatCell(batch, index, type)
    case 'decimal':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'interval':
    case 'uuid':
      return quoted(boundedCell(batch, index, type, 'iso'))
    case 'text':
      return escapedCell(batch, index, TEXT)
    case 'json':
      return escapedCell(batch, index, DOCUMENT)
    case 'binary':
      return escapedCell(batch, index, BYTES)
    case 'list':
      return jsonArrayCell(batch, index, (elements) => jsonCell(elements, 0))
    default:
      return unreachable(type)
  }
}

const QUOTE = 0x22

function quoted({ write, most }: Cell): Cell {
  return {
    write: (target, at, row) => {
      target[at] = QUOTE
      const end = write(target, at + 1, row)
      target[end] = QUOTE
      return end + 1
    },
    most: (start, count) => most(start, count) + 2 * count,
  }
}

function floatCell(batch: Batch, index: number, { bits }: Extract<ColumnType, { kind: 'float' }>): Cell {
  const { offset } = batch.columns[index]!.values
  const values =
    bits === 32
      ? new Float32Array(batch.buffer, offset, batch.rowCount)
      : new Float64Array(batch.buffer, offset, batch.rowCount)
  const write: WriteValue = (target, at, row) => {
    const value = values[row]!
    if (!Number.isFinite(value)) return writeAscii(target, at, `"${formatFloat(value, bits)}"`)
    return writeAscii(target, at, Object.is(value, -0) ? '-0.0' : formatFloat(value, bits))
  }
  return { write, most: (_, count) => count * MOST_BYTES }
}

/** A line break can only stand between the parts of a document: inside its strings it is escaped. */
const writeDocument: EscapeBytes = (source, from, to, target, at) => {
  for (let index = from; index < to; index++) {
    const byte = source[index]!
    target[at++] = byte === 0x0a || byte === 0x0d ? 0x20 : byte
  }
  return at
}

const NOTHING = new Uint8Array(0)
const QUOTES = utf8.encode('"')
const SPACE = 0x20
const TEXT: Escaping = {
  escape: backslashEscape(['\bb', '\ff', '\nn', '\rr', '\tt', '""', '\\\\'], SPACE),
  factor: 6,
  opening: QUOTES,
  closing: QUOTES,
}
const DOCUMENT: Escaping = { escape: writeDocument, factor: 1, opening: NOTHING, closing: NOTHING }
const BYTES: Escaping = {
  escape: (source, from, to, target, at) => writeHex(target, at, source, { from, to }),
  factor: 2,
  opening: utf8.encode('"\\\\x'),
  closing: QUOTES,
}
