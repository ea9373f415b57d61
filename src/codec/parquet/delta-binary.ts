/**
 * Whole numbers in Parquet's DELTA_BINARY_PACKED: differences to the number before, in as few bits as 32 of them need.
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#delta-encoding-delta_binary_packed--5
 *
 *   varint 128 values in a block, varint 4 miniblocks, varint values, zigzag first value, blocks
 *   block: zigzag least difference, 4 bytes of bit widths, for each miniblock 32 × (difference − least difference)
 *
 * Miniblocks without values have width 0 and no bytes. Numbers of 64 bits are worked on as doubles, which hold those below 2^52 and
 * their differences exactly: beyond that, or where differences in one block spread over 32 bits, this encoding would save little
 * and is not used.
 */
import { packBits } from './hybrid.js'
import type { TakeMemory } from './scratch.js'
import { pushVarint, pushZigzag } from './varint.js'

const BLOCK = 128
const MINIBLOCK = 32
const MINIBLOCKS = BLOCK / MINIBLOCK
/** The upper words of numbers from −2^52 to 2^52 − 1. */
const HIGH_LIMIT = 2 ** 20
/** By words of a number: what readers take for a difference, and what zigzag can double exactly. */
const DIFFERENCE_LIMIT = { 1: 2 ** 31, 2: 2 ** 51 } as const
const MOST_HEAD_BYTES = 10 + MINIBLOCKS

const differences = new Float64Array(BLOCK)
const packed = new Int32Array(BLOCK)

/** @param width int32 words a number; null where the values are not fit for it */
export function deltaBinaryValues(
  words: Int32Array,
  count: number,
  width: 1 | 2,
  takeMemory: TakeMemory,
): Uint8Array | null {
  if (count === 0) return null
  if (width === 2) {
    for (let index = 1; index < 2 * count; index += 2) {
      const high = words[index]!
      if (high >= HIGH_LIMIT || high < -HIGH_LIMIT) return null
    }
  }
  const limit = DIFFERENCE_LIMIT[width]
  const blocks = Math.ceil((count - 1) / BLOCK)
  const memory = takeMemory(32 + blocks * (MOST_HEAD_BYTES + 4 * BLOCK))
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length)
  const head: number[] = []
  let last = width === 1 ? words[0]! : words[1]! * 4294967296 + (words[0]! >>> 0)
  pushVarint(head, BLOCK)
  pushVarint(head, MINIBLOCKS)
  pushVarint(head, count)
  pushZigzag(head, last)
  memory.set(head)
  let at = head.length
  for (let start = 1; start < count; start += BLOCK) {
    const size = Math.min(BLOCK, count - start)
    let least = Infinity
    let most = -Infinity
    for (let index = 0; index < size; index++) {
      const place = start + index
      const value =
        width === 1 ? words[place]! : words[2 * place + 1]! * 4294967296 + (words[2 * place]! >>> 0)
      const difference = value - last
      last = value
      differences[index] = difference
      if (difference < least) least = difference
      if (difference > most) most = difference
    }
    if (most - least >= 4294967296 || least < -limit || least >= limit) return null
    at = putBlock(view, at, size, least)
  }
  return memory.subarray(0, at)
}

function putBlock(view: DataView, start: number, size: number, least: number): number {
  const head: number[] = []
  pushZigzag(head, least)
  let at = start
  for (const byte of head) view.setUint8(at++, byte)
  const widths = at
  at += MINIBLOCKS
  for (let miniblock = 0; miniblock < MINIBLOCKS; miniblock++) {
    const from = miniblock * MINIBLOCK
    const to = Math.min(from + MINIBLOCK, size)
    let bits = 0
    for (let index = from; index < to; index++) {
      const rest = (differences[index]! - least) | 0
      packed[index] = rest
      bits |= rest
    }
    const width = from < to ? 32 - Math.clz32(bits) : 0
    view.setUint8(widths + miniblock, width)
    if (width === 0) continue
    packed.fill(0, to, from + MINIBLOCK)
    packBits(packed, from, from + MINIBLOCK, width, view, at)
    at += 4 * width
  }
  return at
}
