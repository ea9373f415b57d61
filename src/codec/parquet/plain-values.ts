/**
 * Values of a batch's column in Parquet's PLAIN encoding: without those that are null.
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#plain
 *
 * Where a batch stores what PLAIN wants (fixed widths, no nulls) the result lies over the batch's memory, uncopied.
 */
import type { Batch, Column } from '../../batch/batch.js'
import type { ColumnType } from '../../model/column-type.js'
import type { Leaf } from './schema.js'

/** Values up to this many bytes are copied in words of four; above, a native copy is faster. */
const WORD_COPY_BYTES = 96

export function plainValues(batch: Batch, leaf: Leaf): Uint8Array {
  const { type } = batch.fields[leaf.fieldIndex]!
  const column = batch.columns[leaf.fieldIndex]!
  switch (leaf.physical) {
    case 'byteArray':
      return byteArrays(batch, column)
    case 'boolean':
      return booleans(batch, column)
    case 'float':
      return wordsOf(batch, column, 1, 0, 1)
    case 'double':
      return wordsOf(batch, column, 2, 0, 2)
    case 'int32':
      if (type.kind === 'int' && type.bits === 16) return widened(batch, column)
      return leaf.part === 'whole'
        ? wordsOf(batch, column, 1, 0, 1)
        : wordsOf(batch, column, 4, leaf.part === 'months' ? 0 : 1, 1)
    case 'int64':
      return leaf.part === 'whole' ? wordsOf(batch, column, 2, 0, 2) : wordsOf(batch, column, 4, 2, 2)
    case 'fixedByteArray':
      return isDecimal(type) ? bigEndian(batch, column) : wordsOf(batch, column, 4, 0, 4)
  }
}

function isDecimal(type: ColumnType): boolean {
  return type.kind === 'decimal'
}

/** Of each value of `width` words, `count` words from `first` on. */
function wordsOf(batch: Batch, column: Column, width: 1 | 2 | 4, first: number, count: number): Uint8Array {
  const { rowCount } = batch
  if (column.nullCount === 0 && count === width) {
    return new Uint8Array(batch.buffer, column.values.offset, 4 * width * rowCount)
  }
  const source = new Int32Array(batch.buffer, column.values.offset, width * rowCount)
  const target = new Int32Array(count * (rowCount - column.nullCount))
  const validity = validityOf(batch, column)
  let to = 0
  for (let row = 0; row < rowCount; row++) {
    if (validity !== null && ((validity[row >> 3]! >> (row & 7)) & 1) === 0) continue
    const from = width * row + first
    for (let word = 0; word < count; word++) target[to++] = source[from + word]!
  }
  return new Uint8Array(target.buffer)
}

function widened(batch: Batch, column: Column): Uint8Array {
  const { rowCount } = batch
  const source = new Int16Array(batch.buffer, column.values.offset, rowCount)
  const target = new Int32Array(rowCount - column.nullCount)
  const validity = validityOf(batch, column)
  let to = 0
  for (let row = 0; row < rowCount; row++) {
    if (validity === null || ((validity[row >> 3]! >> (row & 7)) & 1) === 1) target[to++] = source[row]!
  }
  return new Uint8Array(target.buffer)
}

/** 16-byte decimals, most significant byte first. */
function bigEndian(batch: Batch, column: Column): Uint8Array {
  const { rowCount } = batch
  const source = new DataView(batch.buffer, column.values.offset, 16 * rowCount)
  const bytes = new Uint8Array(16 * (rowCount - column.nullCount))
  const target = new DataView(bytes.buffer)
  const validity = validityOf(batch, column)
  let to = 0
  for (let row = 0; row < rowCount; row++) {
    if (validity !== null && ((validity[row >> 3]! >> (row & 7)) & 1) === 0) continue
    for (let word = 0; word < 4; word++) {
      target.setInt32(to + 4 * word, source.getInt32(16 * row + 12 - 4 * word, true))
    }
    to += 16
  }
  return bytes
}

/** Bit-packed from the lowest bit on, as a batch has it. */
function booleans(batch: Batch, column: Column): Uint8Array {
  const { rowCount } = batch
  const source = new Uint8Array(batch.buffer, column.values.offset, column.values.length)
  const validity = validityOf(batch, column)
  if (validity === null) return source
  const target = new Uint8Array((rowCount - column.nullCount + 7) >> 3)
  let to = 0
  for (let row = 0; row < rowCount; row++) {
    if (((validity[row >> 3]! >> (row & 7)) & 1) === 0) continue
    target[to >> 3]! |= ((source[row >> 3]! >> (row & 7)) & 1) << (to & 7)
    to++
  }
  return target
}

/** int32 length and bytes, one value after the other. */
function byteArrays(batch: Batch, column: Column): Uint8Array {
  const { rowCount } = batch
  const offsets = new Int32Array(batch.buffer, column.offsets!.offset, rowCount + 1)
  const source = new Uint8Array(batch.buffer, column.values.offset, column.values.length)
  const sourceView = new DataView(batch.buffer, column.values.offset, column.values.length)
  const validity = validityOf(batch, column)
  const target = new Uint8Array(column.values.length + 4 * (rowCount - column.nullCount))
  const view = new DataView(target.buffer)
  let to = 0
  let from = 0
  for (let row = 0; row < rowCount; row++) {
    const end = offsets[row + 1]!
    if (validity !== null && ((validity[row >> 3]! >> (row & 7)) & 1) === 0) continue
    const length = end - from
    view.setInt32(to, length, true)
    to += 4
    if (length <= WORD_COPY_BYTES) {
      let k = 0
      for (; k + 4 <= length; k += 4) view.setInt32(to + k, sourceView.getInt32(from + k, true), true)
      for (; k < length; k++) target[to + k] = source[from + k]!
    } else {
      target.set(source.subarray(from, end), to)
    }
    to += length
    from = end
  }
  return target
}

function validityOf(batch: Batch, column: Column): Uint8Array | null {
  return column.validity === null || column.nullCount === 0
    ? null
    : new Uint8Array(batch.buffer, column.validity.offset, column.validity.length)
}
