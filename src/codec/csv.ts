/**
 * CSV (https://www.rfc-editor.org/rfc/rfc4180) with `\n`, UTF-8 without a byte order mark, values as the server prints them.
 *
 * Null is told from the empty text: null is `nullText` without quotes (nothing, unless told otherwise), the empty text is `""`. Text is
 * quoted where it has to be, where it equals `nullText`, and where it begins or ends with what some readers cut off.
 */
import type { Batch } from '../batch/batch.js'
import { offsetsOf } from '../batch/list-elements.js'
import type { Field } from '../model/column-type.js'
import type { CsvOptions } from './csv-options.js'
import {
  arrayTextCell,
  boundedCell,
  escapedCell,
  escapedPieces,
  valuesOf,
  type EscapeBytes,
  type Escaping,
} from './text/cells.js'
import { createRowEncoder, type Cell, type RowEncoder } from './text/row-encoder.js'
import { writeHex } from './text/value-writer.js'

const utf8 = new TextEncoder()
const NOTHING = new Uint8Array(0)
/** `= + - @`, tab and carriage return: what makes a formula of a cell (OWASP, "CSV Injection"). */
const FORMULA_STARTS = utf8.encode('=+-@\t\r')
const APOSTROPHE = utf8.encode("'")
const SPACE = 0x20
/** Of a byte order mark in UTF-8, which many readers drop where text begins. */
const MARK_START = 0xef
/** Together, on a line of their own, what ends the data for servers before 18. */
const [BACKSLASH, POINT] = [0x5c, 0x2e]

/** The column's name as the header says it, quotes aside. */
export function headerText(name: string, { formulas }: CsvOptions): string {
  const start = utf8.encode(name)[0]
  return formulas === 'escape' && start !== undefined && FORMULA_STARTS.includes(start) ? `'${name}` : name
}

export function createCsvEncoder(fields: readonly Field[], options: CsvOptions): RowEncoder {
  const text = textForm(options)
  const names = fields.map(({ name }) => text.encode(utf8.encode(name)))
  const separator = utf8.encode(options.delimiter)
  const heading = names.flatMap((name, index) => (index === 0 ? [name] : [separator, name]))
  const form = createCells(text, utf8.encode(options.nullText))
  return createRowEncoder({
    heading: options.header ? Buffer.concat([...heading, utf8.encode('\n')]) : NOTHING,
    before: fields.map((_, index) => (index === 0 ? NOTHING : separator)),
    afterRow: utf8.encode('\n'),
    nullText: utf8.encode(options.nullText),
    cell: form,
  })
}

function createCells(text: TextForm, nullText: Uint8Array): (batch: Batch, index: number) => Cell {
  return (batch, index) => {
    const { type } = batch.fields[index]!
    switch (type.kind) {
      case 'text':
        return textCell(batch, index, text)
      case 'json':
        return textCell(batch, index, { ...text, isFormula: () => false })
      case 'binary':
        return toldFromNull(escapedCell(batch, index, BYTES), nullText, text.quote)
      case 'list':
        return arrayTextCell(batch, index, (array) => text.escaping(array, 0, array.length))
      default:
        return toldFromNull(boundedCell(batch, index, type, 'server'), nullText, text.quote)
    }
  }
}

interface TextForm {
  readonly quote: number
  /** 1 for bytes that must be in quotes. */
  readonly special: Uint8Array
  readonly isFormula: (source: Uint8Array, from: number) => boolean
  /** What these bytes would be mistaken for without quotes: null, or less than they are. */
  readonly isMistakable: (source: Uint8Array, from: number, to: number) => boolean
  readonly plain: Escaping
  readonly quoted: Escaping
  readonly disarmed: Escaping
  readonly escaping: (source: Uint8Array, from: number, to: number) => Escaping
  readonly encode: (text: Uint8Array) => Uint8Array
}

function textForm({ delimiter, quote, nullText, formulas }: CsvOptions): TextForm {
  const quoteByte = quote.charCodeAt(0)
  const special = new Uint8Array(256)
  for (const byte of utf8.encode(`${delimiter}${quote}\r\n`)) special[byte] = 1
  const nullBytes = utf8.encode(nullText)
  const isMistakable: TextForm['isMistakable'] = (source, from, to) =>
    from === to ||
    source[from]! <= SPACE ||
    source[to - 1]! <= SPACE ||
    source[from] === MARK_START ||
    (to - from === 2 && source[from] === BACKSLASH && source[from + 1] === POINT) ||
    (to - from === nullBytes.length && nullBytes.every((byte, index) => byte === source[from + index]))
  const isFormula: TextForm['isFormula'] = (source, from) =>
    formulas === 'escape' && FORMULA_STARTS.includes(source[from]!)
  const doubled: EscapeBytes = (source, from, to, target, at) => {
    for (let index = from; index < to; index++) {
      const byte = source[index]!
      if (byte === quoteByte) target[at++] = byte
      target[at++] = byte
    }
    return at
  }
  const quotes = utf8.encode(quote)
  const plain: Escaping = { escape: copyBytes, factor: 1, opening: NOTHING, closing: NOTHING }
  const quoted: Escaping = { escape: doubled, factor: 2, opening: quotes, closing: quotes }
  const disarmed = {
    ...quoted,
    opening: Buffer.concat([quotes, quote === "'" ? quotes : NOTHING, APOSTROPHE]),
  }
  const escaping: TextForm['escaping'] = (source, from, to) => {
    if (from < to && isFormula(source, from)) return disarmed
    if (isMistakable(source, from, to)) return quoted
    for (let index = from; index < to; index++) if (special[source[index]!] === 1) return quoted
    return plain
  }
  const encode = (text: Uint8Array): Uint8Array => {
    const pieces = escapedPieces(text, escaping(text, 0, text.length), new Uint8Array(2 * text.length + 2))
    return Buffer.concat([...pieces].map((piece) => piece.slice()))
  }
  return { quote: quoteByte, special, isFormula, isMistakable, plain, quoted, disarmed, escaping, encode }
}

const copyBytes: EscapeBytes = (source, from, to, target, at) => {
  target.set(source.subarray(from, to), at)
  return at + to - from
}

/** Copies, and begins again in quotes where a byte turns up that needs them. */
function textCell(batch: Batch, index: number, text: TextForm): Cell {
  const source = valuesOf(batch, index)
  const ends = offsetsOf(batch, index)
  const { special, isFormula, isMistakable } = text
  return {
    write: (target, start, row) => {
      const from = ends[row]!
      const to = ends[row + 1]!
      if (from < to && isFormula(source, from))
        return writeEscaped(source, from, to, target, start, text.disarmed)
      if (isMistakable(source, from, to)) return writeEscaped(source, from, to, target, start, text.quoted)
      let at = start
      let found = 0
      for (let index = from; index < to; index++) {
        const byte = source[index]!
        found |= special[byte]!
        target[at++] = byte
      }
      return found === 0 ? at : writeEscaped(source, from, to, target, start, text.quoted)
    },
    // Two quotes, and an apostrophe that may be doubled.
    most: (start, count) => 4 * count + 2 * (ends[start + count]! - ends[start]!),
    writeLong: (row, memory) => {
      const value = source.subarray(ends[row], ends[row + 1])
      return escapedPieces(value, text.escaping(value, 0, value.length), memory)
    },
  }
}

function writeEscaped(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
  { escape, opening, closing }: Escaping,
): number {
  for (let k = 0; k < opening.length; k++) target[at++] = opening[k]!
  at = escape(source, from, to, target, at)
  for (let k = 0; k < closing.length; k++) target[at++] = closing[k]!
  return at
}

/** In quotes where the value's text is that of null. */
function toldFromNull(cell: Cell, nullText: Uint8Array, quote: number): Cell {
  if (nullText.length === 0) return cell
  const { write, most } = cell
  return {
    ...cell,
    write: (target, start, row) => {
      const end = write(target, start, row)
      if (end - start !== nullText.length) return end
      if (!nullText.every((byte, index) => byte === target[start + index])) return end
      target[start] = quote
      target.set(nullText, start + 1)
      target[end + 1] = quote
      return end + 2
    },
    most: (start, count) => most(start, count) + 2 * count,
  }
}

const BYTES: Escaping = {
  escape: (source, from, to, target, at) => writeHex(target, at, source, { from, to }),
  factor: 2,
  opening: utf8.encode('\\x'),
  closing: NOTHING,
}
