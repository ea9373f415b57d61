/** COPY BINARY written by hand, well-formed or not. */
import type { DecoderColumn, ElementWire } from '../../src/codec/decoder-column.js'
import type { ElementType } from '../../src/model/column-type.js'

export const HEADER = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
export const TRAILER = Buffer.from([0xff, 0xff])

/** Null, the bytes of a field, or a length that its bytes do not have. */
export type RawField = Uint8Array | null | { readonly length: number; readonly bytes: Uint8Array }

export function encodeRow(fields: readonly RawField[], count = fields.length): Buffer {
  return Buffer.concat([int16(count), ...fields.map(encodeField)])
}

export function encodeCopy(rows: readonly (readonly RawField[])[]): Buffer {
  return Buffer.concat([HEADER, ...rows.map((row) => encodeRow(row)), TRAILER])
}

function encodeField(field: RawField): Buffer {
  if (field === null) return int32(-1)
  return field instanceof Uint8Array
    ? Buffer.concat([int32(field.length), field])
    : Buffer.concat([int32(field.length), field.bytes])
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

export function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return bytes
}

/** numeric_send's form, each part given. */
export function numeric(parts: {
  readonly weight?: number
  readonly sign?: number
  readonly dscale?: number
  readonly digits: readonly number[]
  /** What it claims to be the number of digits. */
  readonly count?: number
}): Buffer {
  const { weight = 0, sign = 0, dscale = 0, digits, count = digits.length } = parts
  const bytes = Buffer.alloc(8 + 2 * digits.length)
  bytes.writeInt16BE(count, 0)
  bytes.writeInt16BE(weight, 2)
  bytes.writeUInt16BE(sign, 4)
  bytes.writeUInt16BE(dscale, 6)
  digits.forEach((digit, i) => bytes.writeUInt16BE(digit, 8 + 2 * i))
  return bytes
}

/** array_send's form of a one-dimensional array, or of an empty one. */
export function encodeArray(
  elements: readonly RawField[],
  parts: { readonly lowerBound?: number; readonly oid?: number } = {},
): Buffer {
  const flags = elements.includes(null) ? 1 : 0
  const head = [int32(elements.length === 0 ? 0 : 1), int32(flags), int32(parts.oid ?? 23)]
  if (elements.length > 0) head.push(int32(elements.length), int32(parts.lowerBound ?? 1))
  return Buffer.concat([...head, ...elements.map(encodeField)])
}

/** A column whose values could also be elements. */
export type ElementColumn = DecoderColumn & { readonly wire: ElementWire; readonly type: ElementType }

/** The column of lists of what the column has. */
export function listOf(column: ElementColumn): DecoderColumn {
  return { ...column, wire: 'array', elementWire: column.wire, type: { kind: 'list', element: column.type } }
}

/** A column to decode, of the type its wire format lands as. */
export function decoderColumn(
  wire: ElementWire,
  options: {
    readonly name?: string
    readonly type?: ElementType
    readonly unrepresentable?: 'error' | 'null'
  } = {},
): ElementColumn {
  return {
    name: options.name ?? 'x',
    wire,
    type: options.type ?? TYPES[wire],
    nullable: true,
    unrepresentable: options.unrepresentable ?? 'error',
  }
}

const TYPES: Record<ElementWire, ElementType> = {
  bool: { kind: 'bool' },
  int2: { kind: 'int', bits: 16 },
  int4: { kind: 'int', bits: 32 },
  int8: { kind: 'int', bits: 64 },
  oid: { kind: 'int', bits: 64 },
  float4: { kind: 'float', bits: 32 },
  float8: { kind: 'float', bits: 64 },
  numeric: { kind: 'decimal', precision: 15, scale: 2 },
  date: { kind: 'date' },
  time: { kind: 'time' },
  timestamp: { kind: 'timestamp', utc: false },
  interval: { kind: 'interval' },
  uuid: { kind: 'uuid' },
  text: { kind: 'text' },
  bytea: { kind: 'binary' },
  jsonb: { kind: 'json' },
}
