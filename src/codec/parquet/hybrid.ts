/**
 * Parquet's hybrid of run lengths and bit-packing, in which levels and dictionary indices are stored.
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#run-length-encoding--bit-packing-hybrid-rle--3
 *
 *   run of one value       varint count << 1, the value in whole bytes
 *   groups of 8 values     varint groups << 1 | 1, then `width` bits a value, from the lowest bit on; the last group is filled up
 */
import type { TakeMemory } from './scratch.js'

/** A shorter run is packed with its neighbours: what it saves is less than what the two headers cost. */
const SHORTEST_RUN = 16

/** Bits that hold every number up to `most`. */
export function bitWidth(most: number): number {
  return 32 - Math.clz32(most)
}

/** The first `count` of values that all fit in `width` bits, 1 to 31. */
export function encodeHybrid(
  values: Int32Array,
  count: number,
  width: number,
  takeMemory: TakeMemory,
): Uint8Array {
  // Packed, and for each run at most a header of each kind more; a run spares more than that, but for the widest values.
  const memory = takeMemory(Math.ceil(count / 8) * width + 16 + Math.ceil(count / SHORTEST_RUN) * 14)
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length)
  let at = 0
  let literal = 0
  for (let index = 0; index < count;) {
    const value = values[index]!
    let next = index + 1
    while (next < count && values[next] === value) next++
    // Groups are of 8: what the literals before lack of one is taken from the run.
    const taken = -(index - literal) & 7
    if (next - index - taken >= SHORTEST_RUN) {
      if (index > literal) at = packGroups(values, literal, index + taken, width, view, at)
      at = putVarint(view, at, (next - index - taken) << 1)
      for (let shift = 0; shift < width; shift += 8) view.setUint8(at++, (value >>> shift) & 0xff)
      literal = next
    }
    index = next
  }
  if (literal < count) at = packGroups(values, literal, count, width, view, at)
  return memory.subarray(0, at)
}

function packGroups(
  values: Int32Array,
  from: number,
  to: number,
  width: number,
  view: DataView,
  start: number,
): number {
  const groups = (to - from + 7) >> 3
  const at = putVarint(view, start, (groups << 1) | 1)
  packBits(values, from, to, width, view, at)
  return at + groups * width
}

/** Values of up to 32 bits, one after the other from the lowest bit on, filled up with zeros to a multiple of 8 values. */
export function packBits(
  values: Int32Array,
  from: number,
  to: number,
  width: number,
  view: DataView,
  start: number,
): void {
  let at = start
  let word = 0
  let used = 0
  for (let index = from; index < to; index++) {
    const value = values[index]!
    word |= value << used
    used += width
    if (used >= 32) {
      view.setInt32(at, word, true)
      at += 4
      used -= 32
      // Shifts count modulo 32: what is left of a value is nothing where none of its bits are.
      word = used === 0 ? 0 : value >>> (width - used)
    }
  }
  const end = start + ((to - from + 7) >> 3) * width
  while (at < end) {
    view.setUint8(at++, word & 0xff)
    word >>>= 8
  }
}

/** The first `count` bits as levels 0 and 1. */
export function encodeBits(bits: Uint8Array, count: number, takeMemory: TakeMemory): Uint8Array {
  const bytes = (count + 7) >> 3
  const memory = takeMemory(bytes + 16 + Math.ceil(bytes / SHORTEST_RUN) * 12)
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length)
  const whole = count >> 3
  let at = 0
  let literal = 0
  const pack = (to: number): void => {
    if (to === literal) return
    at = putVarint(view, at, ((to - literal) << 1) | 1)
    memory.set(bits.subarray(literal, to), at)
    at += to - literal
  }
  for (let index = 0; index < whole;) {
    const byte = bits[index]!
    let next = index + 1
    if (byte === 0 || byte === 0xff) {
      while (next < whole && bits[next] === byte) next++
      if (next - index >= SHORTEST_RUN) {
        pack(index)
        at = putVarint(view, at, (8 * (next - index)) << 1)
        view.setUint8(at++, byte & 1)
        literal = next
      }
    }
    index = next
  }
  pack(bytes)
  return memory.subarray(0, at)
}

/** `count` times the same value of up to 8 bits. */
export function encodeRun(value: number, count: number, takeMemory: TakeMemory): Uint8Array {
  const memory = takeMemory(8)
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length)
  const at = putVarint(view, 0, count << 1)
  view.setUint8(at, value)
  return memory.subarray(0, at + 1)
}

function putVarint(view: DataView, start: number, value: number): number {
  let at = start
  let rest = value
  for (; rest >= 0x80; rest >>>= 7) view.setUint8(at++, (rest & 0x7f) | 0x80)
  view.setUint8(at++, rest)
  return at
}
