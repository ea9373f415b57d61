/**
 * Texts and bytes in Parquet's DELTA_LENGTH_BYTE_ARRAY: all lengths, then all bytes, which are a batch's own, uncopied.
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#delta-length-byte-array-delta_length_byte_array--6
 *
 * Lengths are DELTA_BINARY_PACKED, here always as one block of one miniblock:
 *   varint values in a block, varint miniblocks, varint values, zigzag first value,
 *   zigzag least difference, byte bits of a difference, (difference to the one before − least difference) each, in whole bytes
 * The block is a multiple of 128 values and is filled up with zeros, so that equal rows are equal bytes. Where all lengths are one,
 * differences take no bits.
 *
 * Measured with five texts like those of lineitem: 16 to 40 ns of processor time a row instead of 107 to 141 for writing them
 * PLAIN, length and bytes in turn (Node 20, busy machine).
 */
import type { Column } from '../../batch/batch.js'
import type { RowRange } from '../../batch/row-range.js'
import type { TakeMemory } from './scratch.js'
import { pushVarint, pushZigzag } from './varint.js'

const BLOCK_MULTIPLE = 128

/** In pieces. */
export function deltaLengthValues(
  { batch, start, count }: RowRange,
  column: Column,
  nullCount: number,
  takeMemory: TakeMemory,
): readonly Uint8Array[] {
  const offsets = new Int32Array(batch.buffer, column.offsets!.offset + 4 * start, count + 1)
  const bytes = new Uint8Array(
    batch.buffer,
    column.values.offset + offsets[0]!,
    offsets[count]! - offsets[0]!,
  )
  const ends =
    nullCount === 0 ? offsets : endsOfValid(batch.buffer, column, offsets, start, nullCount, takeMemory)
  return [...packLengths(ends, takeMemory), bytes]
}

/** Like offsets, without those of rows that are null, which have no bytes. */
export function endsOfValid(
  buffer: ArrayBuffer,
  column: Column,
  offsets: Int32Array,
  start: number,
  nullCount: number,
  takeMemory: TakeMemory,
): Int32Array {
  const count = offsets.length - 1
  const memory = takeMemory(4 * (count - nullCount + 1))
  const ends = new Int32Array(memory.buffer, memory.byteOffset, count - nullCount + 1)
  const validity = new Uint8Array(buffer, column.validity!.offset, column.validity!.length)
  ends[0] = offsets[0]!
  let to = 1
  for (let row = 0; row < count; row++) {
    const at = start + row
    if (((validity[at >> 3]! >> (at & 7)) & 1) === 1) ends[to++] = offsets[row + 1]!
  }
  return ends
}

export function packLengths(ends: Int32Array, takeMemory: TakeMemory): readonly Uint8Array[] {
  const count = ends.length - 1
  const differences = Math.max(0, count - 1)
  const block = Math.max(1, Math.ceil(differences / BLOCK_MULTIPLE)) * BLOCK_MULTIPLE
  const head: number[] = []
  pushVarint(head, block)
  pushVarint(head, 1)
  pushVarint(head, count)
  const first = count === 0 ? 0 : ends[1]! - ends[0]!
  pushZigzag(head, first)
  if (differences === 0) return [Uint8Array.from(head)]

  let shortest = first
  let longest = first
  for (let index = 1; index < count; index++) {
    const length = ends[index + 1]! - ends[index]!
    if (length < shortest) shortest = length
    else if (length > longest) longest = length
  }
  const least = shortest - longest
  const most = -2 * least
  const width = most === 0 ? 0 : most < 0x100 ? 1 : most < 0x10000 ? 2 : 4
  pushZigzag(head, least)
  head.push(8 * width)
  if (width === 0) return [Uint8Array.from(head)]

  const memory = takeMemory(width * block)
  const packed =
    width === 1
      ? memory
      : width === 2
        ? new Uint16Array(memory.buffer, memory.byteOffset, block)
        : new Uint32Array(memory.buffer, memory.byteOffset, block)
  let end = ends[1]!
  let before = first + least
  for (let index = 1; index < count; index++) {
    const next = ends[index + 1]!
    const length = next - end
    packed[index - 1] = length - before
    before = length + least
    end = next
  }
  packed.fill(0, differences)
  return [Uint8Array.from(head), memory]
}
