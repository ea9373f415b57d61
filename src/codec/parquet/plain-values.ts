/**
 * Values of a batch's column in Parquet's PLAIN encoding: without those that are null.
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#plain
 *
 * Where a batch stores what PLAIN wants (fixed widths, no nulls) the result lies over the batch's memory, uncopied.
 */
import type { Column } from '../../batch/batch.js'
import { bitsOf, type RowRange } from '../../batch/row-range.js'
import type { Leaf } from './schema.js'
import type { TakeMemory } from './scratch.js'

/** `nullCount`: how many of the rows are null. */
export function plainValues(
  rows: RowRange,
  leaf: Leaf,
  nullCount: number,
  takeMemory: TakeMemory,
): Uint8Array {
  const { type } = rows.batch.fields[leaf.fieldIndex]!
  const column = rows.batch.columns[leaf.fieldIndex]!
  const source: Source = { rows, column, nullCount, takeMemory }
  switch (leaf.physical) {
    case 'boolean':
      return booleans(source)
    case 'float':
      return wordsOf(source, 1, 0, 1)
    case 'double':
      return wordsOf(source, 2, 0, 2)
    case 'int32':
      if (type.kind === 'int' && type.bits === 16) return widened(source)
      return leaf.part === 'whole'
        ? wordsOf(source, 1, 0, 1)
        : wordsOf(source, 4, leaf.part === 'months' ? 0 : 1, 1)
    case 'int64':
      return leaf.part === 'whole' ? wordsOf(source, 2, 0, 2) : wordsOf(source, 4, 2, 2)
    case 'fixedByteArray':
      return type.kind === 'decimal' ? bigEndian(source) : wordsOf(source, 4, 0, 4)
    case 'byteArray':
      throw new RangeError('Texts and bytes are not written plainly.')
  }
}

interface Source {
  readonly rows: RowRange
  readonly column: Column
  readonly nullCount: number
  readonly takeMemory: TakeMemory
}

/** Of each value of `width` words, `count` words from `first` on. */
function wordsOf(source: Source, width: 1 | 2 | 4, first: number, count: number): Uint8Array {
  const { rows, column, nullCount, takeMemory } = source
  const at = column.values.offset + 4 * width * rows.start
  if (nullCount === 0 && count === width) {
    return new Uint8Array(rows.batch.buffer, at, 4 * width * rows.count)
  }
  const words = new Int32Array(rows.batch.buffer, at, width * rows.count)
  const memory = takeMemory(4 * count * (rows.count - nullCount))
  const target = new Int32Array(memory.buffer, memory.byteOffset, memory.length / 4)
  const validity = validityOf(source)
  let to = 0
  for (let row = 0; row < rows.count; row++) {
    if (validity !== null && ((validity[row >> 3]! >> (row & 7)) & 1) === 0) continue
    const from = width * row + first
    for (let word = 0; word < count; word++) target[to++] = words[from + word]!
  }
  return memory
}

function widened(source: Source): Uint8Array {
  const { rows, column, nullCount, takeMemory } = source
  const halves = new Int16Array(rows.batch.buffer, column.values.offset + 2 * rows.start, rows.count)
  const memory = takeMemory(4 * (rows.count - nullCount))
  const target = new Int32Array(memory.buffer, memory.byteOffset, memory.length / 4)
  const validity = validityOf(source)
  let to = 0
  for (let row = 0; row < rows.count; row++) {
    if (validity === null || ((validity[row >> 3]! >> (row & 7)) & 1) === 1) target[to++] = halves[row]!
  }
  return memory
}

/** 16-byte decimals, most significant byte first. */
function bigEndian(source: Source): Uint8Array {
  const { rows, column, nullCount, takeMemory } = source
  const view = new DataView(rows.batch.buffer, column.values.offset + 16 * rows.start, 16 * rows.count)
  const memory = takeMemory(16 * (rows.count - nullCount))
  const target = new DataView(memory.buffer, memory.byteOffset, memory.length)
  const validity = validityOf(source)
  let to = 0
  for (let row = 0; row < rows.count; row++) {
    if (validity !== null && ((validity[row >> 3]! >> (row & 7)) & 1) === 0) continue
    for (let word = 0; word < 4; word++) {
      target.setInt32(to + 4 * word, view.getInt32(16 * row + 12 - 4 * word, true))
    }
    to += 16
  }
  return memory
}

/** Bit-packed from the lowest bit on, as a batch has it. */
function booleans(source: Source): Uint8Array {
  const { rows, column, nullCount, takeMemory } = source
  const bits = bitsOf(rows, column.values.offset)
  const validity = validityOf(source)
  if (validity === null) return bits.subarray(0, (rows.count + 7) >> 3)
  const target = takeMemory((rows.count - nullCount + 7) >> 3).fill(0)
  let to = 0
  for (let row = 0; row < rows.count; row++) {
    if (((validity[row >> 3]! >> (row & 7)) & 1) === 0) continue
    target[to >> 3]! |= ((bits[row >> 3]! >> (row & 7)) & 1) << (to & 7)
    to++
  }
  return target
}

/** Bits of the rows, the first row's lowest; null where no value is null. */
function validityOf({ rows, column, nullCount }: Source): Uint8Array | null {
  return nullCount === 0 ? null : bitsOf(rows, column.validity!.offset)
}
