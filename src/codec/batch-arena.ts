/**
 * Where the rows of the batch in the making are collected, and packed from into a batch of its own.
 *
 * Memory is kept from batch to batch. Fixed-width columns, offsets and validity lie in one block sized for the most rows a
 * batch can have; values of variable width lie in one growing block per column. A value at least as large as a batch is
 * kept as the pieces it arrived in, so that it exists once until it is packed.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import type { Batch, Column, Span } from '../batch/batch.js'
import { fixedWidth, type Field } from '../model/column-type.js'
import { DecodeError } from '../model/error.js'
import { takeBuffer } from './idle-buffers.js'
import { createElements, elementBytes, heldByElements, keepElements } from './list-elements.js'

const FIRST_TEXT_BYTES = 4096
/** Values from this size on, or from the size of a batch if that is more, are kept in pieces. */
const MIN_LARGE_BYTES = 1024 * 1024
const PIECE_BYTES = 1024 * 1024
/** Text memory kept from batch to batch, in batches: columns that take turns in being long must not each keep the most they had. */
const KEPT_TEXT_BATCHES = 4
/** Keeps int32 offsets from overflowing whatever the settings: one batch and one value (at most 1 GiB) stay below 2^31. */
const MAX_BATCH_BYTES = 512 * 1024 * 1024

const align8 = (bytes: number): number => (bytes + 7) & ~7

export interface ArenaColumn {
  readonly field: Field
  readonly width: number | null
  readonly variable: boolean
  /** One bit per row, 1 = not null; all ones unless `hasNull`. */
  readonly validity: Uint8Array
  hasNull: boolean
  /** The fixed-width values, as what they are stored by; the views that do not apply are empty. */
  readonly bits: Uint8Array
  readonly halves: Int16Array
  readonly words: Int32Array
  readonly offsets: Int32Array
  text: Uint8Array
  textView: DataView
  textEnd: number
  /** Pieces of the last row's value, all full but the last; null where it lies in `text`. */
  pieces: Uint8Array[] | null
  piecesLength: number
  /** Of a list, whose offsets count them. */
  elements: ArenaColumn | null
  elementCount: number
}

const NO_BYTES = new Uint8Array(0)
const NO_HALVES = new Int16Array(0)
const NO_WORDS = new Int32Array(0)

export interface BatchArena {
  readonly fields: readonly Field[]
  readonly columns: readonly ArenaColumn[]
  readonly stream: string
  readonly batchBytes: number
  /** Rows after which a batch is closed. */
  readonly maxRows: number
  /** Rows whose bytes all arrived. */
  rowCount: number
  /** Packed bytes of these rows, a little over-estimated. */
  usedBytes: number
  /** Packed bytes of a row without its variable parts. */
  readonly rowBytes: number
  /** Values of at least this length are kept in pieces. */
  readonly largeBytes: number
  /** Rows of earlier batches. */
  rowsBefore: number
}

export function createBatchArena(
  fields: readonly Field[],
  options: { readonly stream: string; readonly batchBytes: number; readonly batchRows: number },
): BatchArena {
  const widths = fields.map((field) => fixedWidth(field.type))
  const bitmaps = fields.length + fields.filter((field) => field.type.kind === 'bool').length
  let rowBytes = Math.ceil(bitmaps / 8)
  fields.forEach((field, i) => (rowBytes += field.type.kind === 'bool' ? 0 : (widths[i] ?? 4)))

  const batchBytes = Math.min(options.batchBytes, MAX_BATCH_BYTES)
  const rowsThatFit = rowBytes === 0 ? options.batchRows : Math.floor(batchBytes / rowBytes)
  const maxRows = Math.max(1, Math.min(options.batchRows, rowsThatFit))
  /** One row more: the row that made the batch too large and moves to the next. */
  const capacity = maxRows + 1

  const bitmapBytes = align8(Math.ceil(capacity / 8))
  let blockBytes = 0
  const reserve = (bytes: number): number => {
    const offset = blockBytes
    blockBytes += align8(bytes)
    return offset
  }
  const places = fields.map((field, i) => ({
    validity: reserve(bitmapBytes),
    values: reserve(field.type.kind === 'bool' ? bitmapBytes : (widths[i] ?? 0) * capacity),
    offsets: reserve(widths[i] === null && field.type.kind !== 'bool' ? 4 * (capacity + 1) : 0),
  }))
  const block = new ArrayBuffer(blockBytes)

  const columns = fields.map((field, i): ArenaColumn => {
    const place = places[i]!
    const width = widths[i] ?? null
    const bool = field.type.kind === 'bool'
    const list = field.type.kind === 'list'
    const variable = width === null && !bool && !list
    const text = variable ? new Uint8Array(FIRST_TEXT_BYTES) : NO_BYTES
    return {
      field,
      width,
      variable,
      validity: new Uint8Array(block, place.validity, bitmapBytes).fill(0xff),
      hasNull: false,
      bits: bool ? new Uint8Array(block, place.values, bitmapBytes) : NO_BYTES,
      halves: width === 2 ? new Int16Array(block, place.values, capacity) : NO_HALVES,
      words:
        width !== null && width >= 4 ? new Int32Array(block, place.values, (width / 4) * capacity) : NO_WORDS,
      offsets: variable || list ? new Int32Array(block, place.offsets, capacity + 1) : NO_WORDS,
      text,
      textView: new DataView(text.buffer),
      textEnd: 0,
      pieces: null,
      piecesLength: 0,
      elements: field.type.kind === 'list' ? createElements(field.name, field.type.element) : null,
      elementCount: 0,
    }
  })
  return {
    fields,
    columns,
    stream: options.stream,
    batchBytes,
    maxRows,
    rowCount: 0,
    usedBytes: 0,
    rowBytes,
    largeBytes: Math.max(MIN_LARGE_BYTES, batchBytes),
    rowsBefore: 0,
  }
}

/** Makes room for `bytes` more in the column's text. */
export function growText(column: ArenaColumn, bytes: number): void {
  const needed = column.textEnd + bytes
  if (needed <= column.text.length) return
  const grown = new Uint8Array(Math.max(needed, 2 * column.text.length))
  grown.set(column.text.subarray(0, column.textEnd))
  column.text = grown
  column.textView = new DataView(grown.buffer)
}

/** Adds bytes to the value in the making that {@link BatchArena.largeBytes} keeps in pieces. */
export function appendPiece(
  column: ArenaColumn,
  bytes: Uint8Array,
  start: number,
  end: number,
  remaining: number,
): void {
  const pieces = (column.pieces ??= [])
  let from = start
  while (from < end) {
    const used = column.piecesLength % PIECE_BYTES
    let piece = pieces[pieces.length - 1]
    if (used === 0 || piece === undefined) {
      piece = new Uint8Array(Math.min(PIECE_BYTES, remaining - (from - start)))
      pieces.push(piece)
    }
    const count = Math.min(end - from, piece.length - used)
    piece.set(bytes.subarray(from, from + count), used)
    column.piecesLength += count
    from += count
  }
}

/** Whether the rows so far must be closed before another is decoded. */
export function isFull(arena: BatchArena): boolean {
  return arena.rowCount >= arena.maxRows || arena.usedBytes >= arena.batchBytes
}

/**
 * Packs the rows into a batch, or all but the last where that one made the batch larger than it may be; that row is then
 * the first of the next batch. Null without rows.
 *
 * @throws DecodeError for text that is not UTF-8.
 */
export function closeBatch(arena: BatchArena): Batch | null {
  if (arena.rowCount === 0) return null
  const carried = arena.rowCount > 1 && arena.usedBytes > arena.batchBytes
  const rows = carried ? arena.rowCount - 1 : arena.rowCount
  const batch = packRows(arena, rows, carried)
  arena.usedBytes = 0
  for (const column of arena.columns) {
    if (carried) moveRow(arena, column, rows)
    else if (column.hasNull) {
      column.validity.fill(0xff, 0, (rows >> 3) + 1)
      column.hasNull = false
    }
    if (!carried) {
      column.textEnd = 0
      column.pieces = null
      column.piecesLength = 0
      if (column.elements !== null) keepElements(column, column.elementCount)
    }
  }
  if (carried) arena.usedBytes += arena.rowBytes
  else releaseText(arena)
  arena.rowCount = carried ? 1 : 0
  arena.rowsBefore += rows
  return batch
}

function releaseText(arena: BatchArena): void {
  const kept = arena.columns.reduce(
    (sum, column) => sum + column.text.length + (column.elements === null ? 0 : heldByElements(column)),
    0,
  )
  if (kept <= KEPT_TEXT_BATCHES * arena.largeBytes) return
  for (const column of arena.columns) {
    const { type } = column.field
    if (type.kind === 'list') column.elements = createElements(column.field.name, type.element)
    if (column.text.length <= FIRST_TEXT_BYTES) continue
    column.text = new Uint8Array(FIRST_TEXT_BYTES)
    column.textView = new DataView(column.text.buffer)
  }
}

function moveRow(arena: BatchArena, column: ArenaColumn, row: number): void {
  const valid = ((column.validity[row >> 3]! >> (row & 7)) & 1) === 1
  if (column.hasNull) column.validity.fill(0xff, 0, (row >> 3) + 1)
  column.hasNull = !valid
  if (!valid) column.validity[0]! &= 0xfe
  if (column.variable) {
    const start = column.offsets[row]!
    column.text.copyWithin(0, start, column.textEnd)
    column.textEnd -= start
    column.offsets[1] = column.textEnd
    arena.usedBytes += column.textEnd + column.piecesLength
  } else if (column.elements !== null) {
    keepElements(column, column.offsets[row]!)
    column.offsets[1] = column.elementCount
    arena.usedBytes += elementBytes(column, 0)
  } else if (column.width === null) {
    column.bits[0] = (column.bits[row >> 3]! >> (row & 7)) & 1
  } else if (column.width === 2) {
    column.halves[0] = column.halves[row]!
  } else {
    const count = column.width / 4
    column.words.copyWithin(0, row * count, (row + 1) * count)
  }
}

/** `piecesFollow`: the pieces belong to the row after the packed ones. */
function packRows(arena: BatchArena, rows: number, piecesFollow: boolean): Batch {
  let total = 0
  const reserve = (length: number): Span => {
    const span = { offset: total, length }
    total += align8(length)
    return span
  }
  const columns = arena.columns.map((column) => {
    const pieces = piecesFollow ? 0 : column.piecesLength
    return reserveColumn(column, rows, { pieces, reserve })
  })

  const buffer = takeBuffer(total)
  columns.forEach((packed, i) => {
    const column = arena.columns[i]!
    const pieces = piecesFollow ? null : column.pieces
    packColumn(column, packed, rows, { buffer, pieces })
    const bad = firstNotUtf8(column, packed, buffer, rows)
    if (bad !== -1) throw notUtf8(arena, column, bad)
    if (packed.elements !== undefined && column.elements !== null) {
      const ends = column.offsets.subarray(0, rows + 1)
      const badElement = firstNotUtf8(column.elements, packed.elements, buffer, ends[rows]!)
      if (badElement !== -1)
        throw notUtf8(
          arena,
          column,
          ends.findLastIndex((end) => end <= badElement),
        )
    }
  })
  return { fields: arena.fields, rowCount: rows, columns, buffer }
}

function reserveColumn(
  column: ArenaColumn,
  rows: number,
  { pieces, reserve }: { readonly pieces: number; readonly reserve: (length: number) => Span },
): Column {
  const bitmapBytes = (rows + 7) >> 3
  const nullCount = column.hasNull ? countNulls(column.validity, rows) : 0
  const { elements, width, variable } = column
  const own = {
    nullCount,
    validity: nullCount > 0 ? reserve(bitmapBytes) : null,
    offsets: variable || elements !== null ? reserve(4 * (rows + 1)) : null,
    values: reserve(
      variable
        ? column.offsets[rows]! + pieces
        : elements !== null
          ? 0
          : width === null
            ? bitmapBytes
            : width * rows,
    ),
  }
  if (elements === null) return own
  return { ...own, elements: reserveColumn(elements, column.offsets[rows]!, { pieces: 0, reserve }) }
}

function packColumn(
  column: ArenaColumn,
  packed: Column,
  rows: number,
  { buffer, pieces }: { readonly buffer: ArrayBuffer; readonly pieces: readonly Uint8Array[] | null },
): void {
  const target = new Uint8Array(buffer)
  if (packed.validity !== null) copyBits(column.validity, target, packed.validity.offset, rows)
  if (packed.offsets === null) {
    if (column.width === null) copyBits(column.bits, target, packed.values.offset, rows)
    else {
      const source = column.width === 2 ? column.halves : column.words
      target.set(new Uint8Array(source.buffer, source.byteOffset, packed.values.length), packed.values.offset)
    }
    return
  }
  new Int32Array(buffer, packed.offsets.offset, rows + 1).set(column.offsets.subarray(0, rows + 1))
  if (column.elements !== null) {
    packColumn(column.elements, packed.elements!, column.offsets[rows]!, { buffer, pieces: null })
    return
  }
  const inText = column.offsets[rows]!
  target.set(column.text.subarray(0, inText), packed.values.offset)
  if (pieces === null) return
  let at = packed.values.offset + inText
  for (const piece of pieces) {
    target.set(piece, at)
    at += piece.length
  }
  new Int32Array(buffer, packed.offsets.offset, rows + 1)[rows] = packed.values.length
}

/**
 * The first value that is not UTF-8; −1 where all are. A UTF-8 server session converts, but a SQL_ASCII database sends whatever it
 * holds, and a destination must never see it. Checked over the whole column at once, which costs next to nothing: 50 GB/s for
 * ASCII, 16 GB/s and 2 ns a value for other text (Node 20, AMD EPYC).
 */
function firstNotUtf8(column: ArenaColumn, packed: Column, buffer: ArrayBuffer, rows: number): number {
  if (!column.variable || column.field.type.kind === 'binary' || rows === 0) return -1
  const values = new Uint8Array(buffer, packed.values.offset, packed.values.length)
  const offsets = new Int32Array(buffer, packed.offsets!.offset, rows + 1)
  if (isAscii(values)) return -1
  let whole = isUtf8(values)
  // Together they may be valid where one ends inside a character that the next one continues.
  for (let row = 1; whole && row < rows; row++) {
    if ((values[offsets[row]!]! & 0xc0) === 0x80) whole = false
  }
  if (whole) return -1
  let row = 0
  while (isUtf8(values.subarray(offsets[row], offsets[row + 1]))) row++
  return row
}

function notUtf8(arena: BatchArena, column: ArenaColumn, row: number): DecodeError {
  const rowNumber = arena.rowsBefore + row + 1
  return new DecodeError(
    `${arena.stream}, field ${column.field.name}, row ${rowNumber}: the text is not valid UTF-8.`,
    { stream: arena.stream, field: column.field.name, rowNumber },
    {
      hint: 'A SQL_ASCII database can hold any bytes. Set `invalid_utf8: binary` to land such columns as bytes, or repair the value.',
    },
  )
}

function countNulls(validity: Uint8Array, rows: number): number {
  let nulls = 0
  for (let row = 0; row < rows; row++) nulls += 1 - ((validity[row >> 3]! >> (row & 7)) & 1)
  return nulls
}

function copyBits(source: Uint8Array, target: Uint8Array, offset: number, rows: number): void {
  const bytes = (rows + 7) >> 3
  target.set(source.subarray(0, bytes), offset)
  if ((rows & 7) !== 0) target[offset + bytes - 1]! &= (1 << (rows & 7)) - 1
}
