/** Columns that are made rather than read: masked, empty, of one value, or a digest of others. */
import type { Batch, Column, Span } from '../batch/batch.js'
import { buildBatch } from '../batch/build-batch.js'
import { validityReader } from '../batch/column-reader.js'
import { columnFormatter } from '../batch/format-value.js'
import type { Value } from '../batch/rows.js'
import { fixedWidth, type Field } from '../model/column-type.js'
import type { Build } from './assemble.js'
import { sha256 } from './sha256.js'

const ROW_ID_CHARACTERS = 32

/** Text by row; null where there is none. */
export type TextOfRow = (row: number) => string | null

/** What stands for the values of a column. */
export function maskColumn(batch: Batch, index: number, mask: (text: string) => string | null): Build {
  const format = columnFormatter(batch, index)
  const from = batch.columns[index]
  const validity = from?.validity ?? null
  const isValid = validityReader(batch, index)
  const masked = (row: number): string => {
    const text = isValid(row) ? format(row) : null
    return text === null ? '' : (mask(text) ?? '')
  }
  return (reserve) => {
    const texts = encodeTexts(batch.rowCount, masked)
    const column: Column = {
      nullCount: from?.nullCount ?? 0,
      validity: validity && reserve(validity.length),
      offsets: reserve(texts.offsets.byteLength),
      values: reserve(texts.bytes.length),
    }
    return {
      column,
      write: (target) => {
        if (validity !== null && column.validity !== null)
          target.set(new Uint8Array(batch.buffer, validity.offset, validity.length), column.validity.offset)
        writeTexts(target, column, texts)
      },
    }
  }
}

/** Text of every row, some of them null. No text may end within a character: it is encoded together with the next one. */
export function textColumn(rowCount: number, textOf: TextOfRow): Build {
  const bitmap = new Uint8Array((rowCount + 7) >> 3)
  let nullCount = 0
  const texts = encodeTexts(rowCount, (row) => {
    const text = textOf(row)
    if (text === null) nullCount++
    else bitmap[row >> 3]! |= 1 << (row & 7)
    return text ?? ''
  })
  return (reserve) => {
    const column: Column = {
      nullCount,
      validity: nullCount > 0 ? reserve(bitmap.length) : null,
      offsets: reserve(texts.offsets.byteLength),
      values: reserve(texts.bytes.length),
    }
    return {
      column,
      write: (target) => {
        if (column.validity !== null) target.set(bitmap, column.validity.offset)
        writeTexts(target, column, texts)
      },
    }
  }
}

/** All null: zeros everywhere, in the validity too. */
export function emptyColumn(field: Field, rowCount: number): Build {
  const bitmapBytes = (rowCount + 7) >> 3
  const width = fixedWidth(field.type)
  const bool = field.type.kind === 'bool'
  const noElements =
    field.type.kind === 'list' ? emptyColumn({ ...field, type: field.type.element }, 0) : null
  return (reserve) => {
    const own = {
      nullCount: rowCount,
      validity: rowCount === 0 ? null : reserve(bitmapBytes),
      offsets: width === null && !bool ? reserve(4 * (rowCount + 1)) : null,
      values: reserve(bool ? bitmapBytes : (width ?? 0) * rowCount),
    }
    const column = noElements === null ? own : { ...own, elements: noElements(reserve).column }
    return { column, write: () => undefined }
  }
}

/** The same value in every row. */
export function constantColumn(field: Field, value: Value, rowCount: number): Build {
  if (value === null) return emptyColumn(field, rowCount)
  const noNulls = { nullCount: 0, validity: null }
  if (field.type.kind === 'bool') {
    return (reserve) => {
      const column: Column = { ...noNulls, offsets: null, values: reserve((rowCount + 7) >> 3) }
      const write = (target: Uint8Array): void => {
        if (value === true) fillBits(target, column.values, rowCount)
      }
      return { column, write }
    }
  }
  const single = buildBatch([field], [[value]])
  const { values, offsets: hasOffsets } = single.columns[0]!
  const one = new Uint8Array(single.buffer, values.offset, values.length)
  const offsets =
    hasOffsets === null ? null : Int32Array.from({ length: rowCount + 1 }, (_, row) => row * one.length)
  return (reserve) => {
    const column: Column = {
      ...noNulls,
      offsets: offsets && reserve(offsets.byteLength),
      values: reserve(one.length * rowCount),
    }
    return {
      column,
      write: (target) => {
        if (offsets !== null && column.offsets !== null)
          target.set(new Uint8Array(offsets.buffer), column.offsets.offset)
        for (let row = 0; row < rowCount; row++) target.set(one, column.values.offset + row * one.length)
      },
    }
  }
}

/**
 * The first 32 hex digits of SHA-256 over the texts, each behind its length, `-` for a null: equal rows have equal ones, and only
 * they, but for chances of 2^-128.
 */
export function rowIdColumn(parts: readonly TextOfRow[], rowCount: number): Build {
  const rowId = (row: number): string => {
    let joined = ''
    for (const part of parts) {
      const text = part(row)
      joined += text === null ? '-' : `${text.length}:${text}`
    }
    return sha256(joined).slice(0, ROW_ID_CHARACTERS)
  }
  return textColumn(rowCount, rowId)
}

interface Texts {
  readonly offsets: Int32Array
  readonly bytes: Buffer
}

/** Encoded a piece at a time, which is faster than one by one; all at once could be longer than a string can be. */
const PIECE_CHARACTERS = 65_536

function encodeTexts(rowCount: number, textOf: (row: number) => string): Texts {
  const offsets = new Int32Array(rowCount + 1)
  const pieces: Buffer[] = []
  let piece = ''
  let end = 0
  for (let row = 0; row < rowCount; row++) {
    const text = textOf(row)
    piece += text
    end += Buffer.byteLength(text, 'utf8')
    offsets[row + 1] = end
    if (piece.length > PIECE_CHARACTERS) {
      pieces.push(Buffer.from(piece, 'utf8'))
      piece = ''
    }
  }
  pieces.push(Buffer.from(piece, 'utf8'))
  return { offsets, bytes: Buffer.concat(pieces) }
}

function writeTexts(target: Uint8Array, column: Column, { offsets, bytes }: Texts): void {
  if (column.offsets !== null) target.set(new Uint8Array(offsets.buffer), column.offsets.offset)
  target.set(bytes, column.values.offset)
}

/** Bits behind the last row stay 0. */
function fillBits(target: Uint8Array, span: Span, rowCount: number): void {
  for (let row = 0; row < rowCount; row++) target[span.offset + (row >> 3)]! |= 1 << (row & 7)
}
