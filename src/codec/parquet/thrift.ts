/**
 * Thrift's compact protocol, as much of it as Parquet metadata needs to be written.
 * https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
 *
 * A struct is data: field number to value, written in ascending order. Integers are zigzag varints; a field header is one
 * byte of (delta to the last number << 4 | type) where the delta fits, which it does for every struct of Parquet.
 */
export type ThriftValue =
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'i8' | 'i32'; readonly value: number }
  | { readonly kind: 'i64'; readonly value: number | bigint }
  | { readonly kind: 'binary'; readonly value: string | Uint8Array }
  | { readonly kind: 'struct'; readonly fields: ThriftStruct }
  /** A struct as {@link encodeThrift} gave it. */
  | { readonly kind: 'encoded'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'list'
      readonly of: 'i32' | 'binary' | 'struct'
      readonly items: readonly ThriftValue[]
    }

/** By field number; undefined leaves the field out. */
export type ThriftStruct = Readonly<Record<number, ThriftValue | undefined>>

export const i32 = (value: number): ThriftValue => ({ kind: 'i32', value })
export const i64 = (value: number | bigint): ThriftValue => ({ kind: 'i64', value })
export const binary = (value: string | Uint8Array): ThriftValue => ({ kind: 'binary', value })
export const bool = (value: boolean): ThriftValue => ({ kind: 'bool', value })
export const struct = (fields: ThriftStruct): ThriftValue => ({ kind: 'struct', fields })
export const encoded = (bytes: Uint8Array): ThriftValue => ({ kind: 'encoded', bytes })
export const list = (of: 'i32' | 'binary' | 'struct', items: readonly ThriftValue[]): ThriftValue => ({
  kind: 'list',
  of,
  items,
})

const TYPE_IDS = { i8: 3, i32: 5, i64: 6, binary: 8, list: 9, struct: 12, encoded: 12 } as const
const TRUE_ID = 1
const FALSE_ID = 2
/** List sizes from here on stand after the header byte. */
const LONG_LIST = 15
/** A varint of 64 bits and a header before it. */
const MOST_NUMBER_BYTES = 12

/** Bytes in the making. */
interface Output {
  bytes: Uint8Array
  at: number
}

export function encodeThrift(fields: ThriftStruct): Uint8Array {
  const out: Output = { bytes: new Uint8Array(128), at: 0 }
  writeStruct(out, fields)
  return out.bytes.slice(0, out.at)
}

/** Room for so many bytes more, and for a number after them. */
function reserve(out: Output, bytes: number): void {
  const needed = out.at + bytes + MOST_NUMBER_BYTES
  if (needed <= out.bytes.length) return
  const grown = new Uint8Array(Math.max(needed, 2 * out.bytes.length))
  grown.set(out.bytes.subarray(0, out.at))
  out.bytes = grown
}

function writeStruct(out: Output, fields: ThriftStruct): void {
  let last = 0
  // Integer keys of an object come in ascending order.
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue
    const id = Number(key)
    const type = value.kind === 'bool' ? (value.value ? TRUE_ID : FALSE_ID) : TYPE_IDS[value.kind]
    reserve(out, 1)
    out.bytes[out.at++] = ((id - last) << 4) | type
    if (value.kind !== 'bool') writeValue(out, value)
    last = id
  }
  reserve(out, 1)
  out.bytes[out.at++] = 0
}

function writeValue(out: Output, value: ThriftValue): void {
  reserve(out, 1)
  switch (value.kind) {
    case 'bool':
      out.bytes[out.at++] = value.value ? TRUE_ID : FALSE_ID
      break
    case 'i8':
      out.bytes[out.at++] = value.value & 0xff
      break
    case 'i32':
    case 'i64':
      writeVarint(out, zigzag(BigInt(value.value)))
      break
    case 'binary': {
      const bytes = typeof value.value === 'string' ? new TextEncoder().encode(value.value) : value.value
      writeVarint(out, BigInt(bytes.length))
      writeBytes(out, bytes)
      break
    }
    case 'struct':
      writeStruct(out, value.fields)
      break
    case 'encoded':
      writeBytes(out, value.bytes)
      break
    case 'list': {
      const size = value.items.length
      out.bytes[out.at++] = (Math.min(size, LONG_LIST) << 4) | TYPE_IDS[value.of]
      if (size >= LONG_LIST) writeVarint(out, BigInt(size))
      for (const item of value.items) writeValue(out, item)
      break
    }
  }
}

function writeBytes(out: Output, bytes: Uint8Array): void {
  reserve(out, bytes.length)
  out.bytes.set(bytes, out.at)
  out.at += bytes.length
}

function zigzag(value: bigint): bigint {
  return value < 0n ? -value * 2n - 1n : value * 2n
}

function writeVarint(out: Output, value: bigint): void {
  let rest = value
  while (rest >= 0x80n) {
    out.bytes[out.at++] = Number(rest & 0x7fn) | 0x80
    rest >>= 7n
  }
  out.bytes[out.at++] = Number(rest)
}
