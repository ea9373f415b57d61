/**
 * Data pages, version 1: header, definition levels where the column can be null, values.
 * https://github.com/apache/parquet-format/blob/master/README.md#data-pages
 *
 * Definition levels are RLE/bit-packed with one bit per value, which is exactly the validity bitmap of a batch:
 *   int32 byte length, then either one run (varint count << 1, value 1) or groups of 8 bits (varint groups << 1 | 1, bits).
 */
import type { Batch } from '../../batch/batch.js'
import { plainValues } from './plain-values.js'
import type { Leaf } from './schema.js'
import { encodeThrift, i32, struct } from './thrift.js'

export const ENCODING = { plain: 0, rle: 3 } as const
const DATA_PAGE = 0

export interface Page {
  /** What is written, in order: header, then body. */
  readonly chunks: readonly Uint8Array[]
  /** Header and body. */
  readonly bytes: number
}

export function encodeDataPage(batch: Batch, leaf: Leaf): Page {
  const values = plainValues(batch, leaf)
  const body = leaf.optional ? [definitionLevels(batch, leaf.fieldIndex), values] : [values]
  const bodyBytes = body.reduce((sum, chunk) => sum + chunk.length, 0)
  const header = encodeThrift({
    1: i32(DATA_PAGE),
    2: i32(bodyBytes),
    3: i32(bodyBytes),
    5: struct({
      1: i32(batch.rowCount),
      2: i32(ENCODING.plain),
      3: i32(ENCODING.rle),
      4: i32(ENCODING.rle),
    }),
  })
  return { chunks: [header, ...body], bytes: header.length + bodyBytes }
}

function definitionLevels(batch: Batch, fieldIndex: number): Uint8Array {
  const { validity, nullCount } = batch.columns[fieldIndex]!
  const bitmap =
    nullCount === 0 || validity === null
      ? null
      : new Uint8Array(batch.buffer, validity.offset, (batch.rowCount + 7) >> 3)
  const run = varint(bitmap === null ? batch.rowCount << 1 : (bitmap.length << 1) | 1)
  const runBytes = bitmap ?? Uint8Array.of(1)
  const length = run.length + runBytes.length
  const levels = new Uint8Array(4 + length)
  new DataView(levels.buffer).setInt32(0, length, true)
  levels.set(run, 4)
  levels.set(runBytes, 4 + run.length)
  return levels
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  bytes.push(rest)
  return bytes
}
