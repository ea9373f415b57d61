/**
 * Data pages, version 1: header, definition levels, values.
 * https://github.com/apache/parquet-format/blob/master/README.md#data-pages
 *
 * Definition levels are RLE/bit-packed with one bit per value, which is exactly the validity bitmap of a batch:
 *   int32 byte length, then either one run (varint count << 1, value 1) or groups of 8 bits (varint groups << 1 | 1, bits).
 * Values of lists have levels of two bits, and repetition levels before them.
 */
import { bitsOf, countNulls, type RowRange } from '../../batch/row-range.js'
import { deltaLengthValues } from './delta-length.js'
import { plainValues } from './plain-values.js'
import { ENCODING, type Leaf } from './schema.js'
import type { TakeMemory } from './scratch.js'
import { encodeThrift, i32, struct } from './thrift.js'
import { ListLevels } from './value-levels.js'
import { pushVarint } from './varint.js'

const DATA_PAGE = 0

export interface Page {
  /** What is written, in order: header, then body. */
  readonly chunks: readonly Uint8Array[]
  /** Header and body. */
  readonly bytes: number
  /** Nulls included, and lists without an element. */
  readonly valueCount: number
}

export function encodeDataPage(rows: RowRange, leaf: Leaf, takeMemory: TakeMemory): Page {
  if (leaf.inList) return encodeListPage(rows, leaf, takeMemory)
  const column = rows.batch.columns[leaf.fieldIndex]!
  const nullCount = countNulls(rows, column)
  const levels = definitionLevels(rows, nullCount === 0 ? null : column.validity!.offset, takeMemory)
  return assemblePage(leaf, rows.count, [...levels, ...encodeValues(rows, leaf, nullCount, takeMemory)])
}

function encodeListPage(rows: RowRange, leaf: Leaf, takeMemory: TakeMemory): Page {
  const levels = new ListLevels(leaf.maxDefinition)
  const elements = levels.append(rows, leaf.fieldIndex)
  const nullCount = countNulls(elements, elements.batch.columns[0]!)
  const values = encodeValues(elements, { ...leaf, fieldIndex: 0 }, nullCount, takeMemory)
  return assemblePage(leaf, levels.count, [...levels.encode(takeMemory), ...values])
}

function encodeValues(
  rows: RowRange,
  leaf: Leaf,
  nullCount: number,
  takeMemory: TakeMemory,
): readonly Uint8Array[] {
  return leaf.encoding === 'plain'
    ? [plainValues(rows, leaf, nullCount, takeMemory)]
    : deltaLengthValues(rows, rows.batch.columns[leaf.fieldIndex]!, nullCount, takeMemory)
}

function assemblePage(leaf: Leaf, valueCount: number, body: readonly Uint8Array[]): Page {
  const bodyBytes = body.reduce((sum, chunk) => sum + chunk.length, 0)
  const header = encodeThrift({
    1: i32(DATA_PAGE),
    2: i32(bodyBytes),
    3: i32(bodyBytes),
    5: struct({
      1: i32(valueCount),
      2: i32(ENCODING[leaf.encoding]),
      3: i32(ENCODING.rle),
      4: i32(ENCODING.rle),
    }),
  })
  return { chunks: [header, ...body], bytes: header.length + bodyBytes, valueCount }
}

/** `bitmapOffset`: null where no value is null. */
function definitionLevels(
  rows: RowRange,
  bitmapOffset: number | null,
  takeMemory: TakeMemory,
): readonly Uint8Array[] {
  const bitmap = bitmapOffset === null ? Uint8Array.of(1) : bitsOf(rows, bitmapOffset)
  const run: number[] = []
  pushVarint(run, bitmapOffset === null ? rows.count << 1 : (((rows.count + 7) >> 3) << 1) | 1)
  const bits = bitmap.subarray(0, bitmapOffset === null ? 1 : (rows.count + 7) >> 3)
  const head = takeMemory(4 + run.length)
  new DataView(head.buffer, head.byteOffset).setInt32(0, run.length + bits.length, true)
  head.set(run, 4)
  return [head, bits]
}
