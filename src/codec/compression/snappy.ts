/**
 * Snappy blocks: varint bytes of the content, then literals and copies of what came before.
 * https://github.com/google/snappy/blob/main/format_description.txt
 *
 *   literal        (length − 1) << 2 where length ≤ 60; else 59 + n, in the upper six bits, and length − 1 in n bytes; then the bytes
 *   copy, 1 byte   offset high bits << 5 | (length − 4) << 2 | 1, offset low byte: 4 to 11 bytes from up to 2 047 before
 *   copy, 2 bytes  (length − 1) << 2 | 2, uint16 offset: 1 to 64 bytes from up to 65 535 before
 *
 * Content is gone through in fragments of 64 KiB, so that positions fit in 16 bits and no offset needs four bytes. Where nothing
 * repeats, the search skips ever more bytes, so that what cannot be compressed costs little.
 */
const FRAGMENT = 65_536
const TABLE_BITS = 14
const HASH_FACTOR = 0x1e35a7bd
/** So many bytes at the end of a fragment are never searched: reads of eight bytes stay inside. */
const MARGIN = 15

/** Where the four bytes of a hash were last seen, from the start of the fragment. */
const table = new Uint16Array(1 << TABLE_BITS)

/** Bytes that the block of so much content has at most. */
export function snappyBound(bytes: number): number {
  return 32 + bytes + Math.ceil(bytes / 6)
}

/** Writes the block of `input` to `output`, which has room for {@link snappyBound}, and gives its length. */
export function compressSnappy(input: Uint8Array, output: Uint8Array): number {
  let at = 0
  let rest = input.length
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) output[at++] = (rest % 0x80) | 0x80
  output[at++] = rest
  const view = new DataView(input.buffer, input.byteOffset, input.length)
  const target = new DataView(output.buffer, output.byteOffset, output.length)
  for (let start = 0; start < input.length; start += FRAGMENT) {
    const end = Math.min(input.length, start + FRAGMENT)
    at = compressFragment({ input, view, start, end }, output, target, at)
  }
  return at
}

interface Fragment {
  readonly input: Uint8Array
  readonly view: DataView
  readonly start: number
  readonly end: number
}

function compressFragment(
  { input, view, start, end }: Fragment,
  output: Uint8Array,
  target: DataView,
  from: number,
): number {
  let at = from
  let literal = start
  const limit = end - MARGIN
  if (limit > start) {
    // A small fragment clears and uses a small part of the table.
    let shift = 32 - 8
    while (shift > 32 - TABLE_BITS && 1 << (32 - shift) < end - start) shift--
    table.fill(0, 0, 1 << (32 - shift))
    let position = start + 1
    let hash = Math.imul(view.getInt32(position, true), HASH_FACTOR) >>> shift
    search: for (;;) {
      let skip = 32
      let candidate: number
      let next = position
      for (;;) {
        position = next
        next = position + (skip++ >> 5)
        if (next > limit) break search
        candidate = start + table[hash]!
        table[hash] = position - start
        const word = view.getInt32(position, true)
        if (word === view.getInt32(candidate, true)) break
        hash = Math.imul(view.getInt32(next, true), HASH_FACTOR) >>> shift
      }

      at = emitLiteral(input, view, literal, position, output, target, at)
      for (;;) {
        const matched = position
        position += 4
        let other = candidate + 4
        while (position + 4 <= end && view.getInt32(position, true) === view.getInt32(other, true)) {
          position += 4
          other += 4
        }
        while (position < end && input[position] === input[other]) {
          position++
          other++
        }
        at = emitCopy(target, at, matched - candidate, position - matched)
        literal = position
        if (position >= limit) break search
        const before = Math.imul(view.getInt32(position - 1, true), HASH_FACTOR) >>> shift
        table[before] = position - 1 - start
        const word = view.getInt32(position, true)
        hash = Math.imul(word, HASH_FACTOR) >>> shift
        candidate = start + table[hash]!
        table[hash] = position - start
        if (word !== view.getInt32(candidate, true)) break
      }
      position++
      hash = Math.imul(view.getInt32(position, true), HASH_FACTOR) >>> shift
    }
  }
  return literal < end ? emitLiteral(input, view, literal, end, output, target, at) : at
}

/** Longer ones are copied by the platform. */
const SHORT_LITERAL = 96

function emitLiteral(
  input: Uint8Array,
  view: DataView,
  from: number,
  to: number,
  output: Uint8Array,
  target: DataView,
  start: number,
): number {
  const length = to - from
  let at = start
  if (length <= 60) {
    output[at++] = (length - 1) << 2
  } else if (length <= 256) {
    output[at++] = 60 << 2
    output[at++] = length - 1
  } else {
    output[at++] = 61 << 2
    target.setUint16(at, length - 1, true)
    at += 2
  }
  if (length > SHORT_LITERAL) {
    output.set(input.subarray(from, to), at)
    return at + length
  }
  let position = from
  const words = to - 4
  for (; position <= words; position += 4, at += 4) target.setInt32(at, view.getInt32(position, true), true)
  for (; position < to; position++, at++) output[at] = input[position]!
  return at
}

function emitCopy(target: DataView, start: number, offset: number, matched: number): number {
  let at = start
  let length = matched
  // What is left after pieces of 64 must be 4 or more, so that it can be a short copy.
  while (length >= 68) {
    target.setUint8(at, (63 << 2) | 2)
    target.setUint16(at + 1, offset, true)
    at += 3
    length -= 64
  }
  if (length > 64) {
    target.setUint8(at, (59 << 2) | 2)
    target.setUint16(at + 1, offset, true)
    at += 3
    length -= 60
  }
  if (length >= 12 || offset >= 2048) {
    target.setUint8(at, ((length - 1) << 2) | 2)
    target.setUint16(at + 1, offset, true)
    return at + 3
  }
  target.setUint8(at, ((offset >> 8) << 5) | ((length - 4) << 2) | 1)
  target.setUint8(at + 1, offset & 0xff)
  return at + 2
}
