/**
 * COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format"): what `COPY … TO STDOUT` prints and
 * `COPY … FROM STDIN` and `\copy` take back. A line per row, values as the server prints them, a tab between them; null is `\N`;
 * backspace, form feed, line feed, carriage return, tab, vertical tab and backslash are written with a backslash.
 */
import type { Batch } from '../batch/batch.js'
import { unreachable, type Field } from '../model/column-type.js'
import { arrayTextCell, boundedCell, escapedCell, type EscapeBytes, type Escaping } from './text/cells.js'
import { createRowEncoder, type Cell, type RowEncoder } from './text/row-encoder.js'
import { writeHex } from './text/value-writer.js'

const utf8 = new TextEncoder()
const BACKSLASH = 0x5c
/** By byte: what stands behind the backslash; 0 where none is needed. */
const ESCAPES = new Uint8Array(256)
for (const [byte, letter] of ['\bb', '\ff', '\nn', '\rr', '\tt', '\vv', '\\\\']) {
  ESCAPES[byte!.charCodeAt(0)] = letter!.charCodeAt(0)
}

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
    case 'bool':
    case 'int':
    case 'float':
    case 'decimal':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'interval':
    case 'uuid':
      return boundedCell(batch, index, type, 'server')
    default:
      return unreachable(type)
  }
}

const escapeText: EscapeBytes = (source, from, to, target, at) => {
  for (let index = from; index < to; index++) {
    const byte = source[index]!
    const letter = ESCAPES[byte]!
    if (letter === 0) target[at++] = byte
    else {
      target[at++] = BACKSLASH
      target[at++] = letter
    }
  }
  return at
}

const NOTHING = new Uint8Array(0)
const TEXT: Escaping = { escape: escapeText, factor: 2, opening: NOTHING, closing: NOTHING }
/** `\x…`, its backslash written with another. */
const BYTES: Escaping = {
  escape: (source, from, to, target, at) => writeHex(target, at, source, { from, to }),
  factor: 2,
  opening: utf8.encode('\\\\x'),
  closing: NOTHING,
}
