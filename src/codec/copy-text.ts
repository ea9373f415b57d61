/**
 * COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"): what `COPY … TO STDOUT` prints and
 * `COPY … FROM STDIN` and `\copy` take back. A line per row, values as the server prints them, a tab between them; null is `\N`;
 * backspace, form feed, line feed, carriage return, tab, vertical tab and backslash are written with a backslash.
 */
import type { Batch } from '../batch/batch.js'
import type { Field } from '../model/column-type.js'
import { backslashEscape } from './text/backslash.js'
import { arrayTextCell, boundedCell, escapedCell, type Escaping } from './text/cells.js'
import { createRowEncoder, type Cell, type RowEncoder } from './text/row-encoder.js'
import { writeHex } from './text/value-writer.js'

const utf8 = new TextEncoder()

export function createCopyTextEncoder(fields: readonly Field[]): RowEncoder {
  return createRowEncoder({
    heading: new Uint8Array(0),
    before: fields.map((_, index) => utf8.encode(index === 0 ? '' : '\t')),
    afterRow: utf8.encode('\n'),
    nullText: utf8.encode('\\N'),
    cell: copyCell,
  })
}

function copyCell(batch: Batch, index: number): Cell {
  const { type } = batch.fields[index]!
  switch (type.kind) {
    case 'text':
    case 'json':
      return escapedCell(batch, index, TEXT)
    case 'binary':
      return escapedCell(batch, index, BYTES)
    case 'list':
      return arrayTextCell(batch, index, () => TEXT)
    default:
      return boundedCell(batch, index, type, 'server')
  }
}

const NOTHING = new Uint8Array(0)
const TEXT: Escaping = {
  escape: backslashEscape(['\bb', '\ff', '\nn', '\rr', '\tt', '\vv', '\\\\']),
  factor: 2,
  opening: NOTHING,
  closing: NOTHING,
}
/** `\x…`, its backslash written with another. */
const BYTES: Escaping = {
  escape: (source, from, to, target, at) => writeHex(target, at, source, { from, to }),
  factor: 2,
  opening: utf8.encode('\\\\x'),
  closing: NOTHING,
}
