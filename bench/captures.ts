/** COPY BINARY rows like those of the benchmark tables, made in memory from a seed. */
import type { ColumnType } from '../src/model/column-type.js'
import type { DecoderColumn, WireFormat } from '../src/codec/decoder-column.js'

export interface Capture {
  readonly columns: readonly DecoderColumn[]
  /** Each row's bytes, field count included. */
  readonly rows: readonly Uint8Array[]
}

const encoder = new TextEncoder()

export function captureOf(name: 'lineitem' | 'events' | 'narrow', rowCount = 200_000): Capture {
  const random = seededRandom(7)
  const { columns, row } = { lineitem, events, narrow }[name]
  const rows: Uint8Array[] = []
  for (let i = 0; i < rowCount; i++) rows.push(encodeRow(row(i, random)))
  return { columns, rows }
}

const column = (name: string, wire: WireFormat, type: ColumnType): DecoderColumn => ({
  name,
  type,
  wire,
  nullable: true,
  unrepresentable: 'error',
})
const int = (bits: 16 | 32 | 64): ColumnType => ({ kind: 'int', bits })
const text: ColumnType = { kind: 'text' }
const money: ColumnType = { kind: 'decimal', precision: 15, scale: 2 }

const lineitem = {
  columns: [
    column('l_orderkey', 'int8', int(64)),
    column('l_partkey', 'int4', int(32)),
    column('l_suppkey', 'int4', int(32)),
    column('l_linenumber', 'int4', int(32)),
    ...['l_quantity', 'l_extendedprice', 'l_discount', 'l_tax'].map((name) => column(name, 'numeric', money)),
    column('l_returnflag', 'text', text),
    column('l_linestatus', 'text', text),
    ...['l_shipdate', 'l_commitdate', 'l_receiptdate'].map((name) => column(name, 'date', { kind: 'date' })),
    column('l_shipinstruct', 'text', text),
    column('l_shipmode', 'text', text),
    column('l_comment', 'text', text),
  ],
  row: (i: number, random: () => number): (Uint8Array | null)[] => [
    int8(BigInt(i >> 2)),
    int4(random() * 200_000),
    int4(random() * 10_000),
    int4(1 + (i & 3)),
    cents(100 * Math.ceil(random() * 50)),
    cents(Math.floor(random() * 10_000_000)),
    cents(Math.floor(random() * 11)),
    cents(Math.floor(random() * 9)),
    utf8('NRA'[i % 3]!),
    utf8('OF'[i & 1]!),
    int4(-2000 + random() * 2500),
    int4(-2000 + random() * 2500),
    int4(-2000 + random() * 2500),
    utf8(['DELIVER IN PERSON', 'TAKE BACK RETURN', 'NONE', 'COLLECT COD'][i & 3]!.padEnd(25)),
    utf8(['TRUCK', 'MAIL', 'REG AIR', 'SHIP'][i & 3]!.padEnd(10)),
    utf8('carefully final deposits sleep quickly '.slice(0, 10 + random() * 29)),
  ],
}

const events = {
  columns: [
    column('id', 'int8', int(64)),
    column('at', 'timestamp', { kind: 'timestamp', utc: true }),
    column('session', 'uuid', { kind: 'uuid' }),
    column('kind', 'text', text),
    column('payload', 'jsonb', { kind: 'json' }),
    column('tags', 'text', { kind: 'json' }),
    column('amount', 'float8', { kind: 'float', bits: 64 }),
    column('note', 'text', text),
    column('ok', 'bool', { kind: 'bool' }),
  ],
  row: (i: number, random: () => number): (Uint8Array | null)[] => [
    int8(BigInt(i)),
    int8(BigInt(Math.floor(random() * 8e14))),
    Uint8Array.from({ length: 16 }, () => random() * 256),
    utf8(['click', 'view', 'purchase'][i % 3]!),
    utf8(
      `\x01{"user": ${i}, "path": "/products/${i % 977}", "ms": ${Math.floor(random() * 900)}, "agent": "${'Mozilla/5.0 '.repeat(1 + (i & 7))}"}`,
    ),
    i % 5 === 0 ? null : utf8('["a", "b", null]'),
    random() < 0.3 ? null : float8(random() * 1000),
    random() < 0.5 ? null : utf8('Größe 42, café, naïve — '.repeat(1 + (i & 3))),
    Uint8Array.of(i & 1),
  ],
}

const narrow = {
  columns: [
    column('id', 'int8', int(64)),
    column('value', 'float8', { kind: 'float', bits: 64 }),
    column('at', 'timestamp', { kind: 'timestamp', utc: false }),
  ],
  row: (i: number, random: () => number): (Uint8Array | null)[] => [
    int8(BigInt(i)),
    float8(random()),
    int8(BigInt(Math.floor(random() * 8e14))),
  ],
}

function encodeRow(fields: readonly (Uint8Array | null)[]): Uint8Array {
  const bytes = new Uint8Array(2 + fields.reduce((sum, field) => sum + 4 + (field?.length ?? 0), 0))
  const view = new DataView(bytes.buffer)
  view.setInt16(0, fields.length)
  let at = 2
  for (const field of fields) {
    view.setInt32(at, field?.length ?? -1)
    at += 4
    if (field !== null) bytes.set(field, at)
    at += field?.length ?? 0
  }
  return bytes
}

function int4(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, value)
  return bytes
}

function int8(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigInt64(0, value)
  return bytes
}

function float8(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value)
  return bytes
}

/** numeric(15,2) as numeric_send writes it: leading and trailing zero digits stripped. */
function cents(value: number): Uint8Array {
  const digits: number[] = []
  let rest = value * 100
  for (let k = 0; k < 4; k++) {
    digits.unshift(rest % 10000)
    rest = Math.floor(rest / 10000)
  }
  let weight = 2
  while (digits[0] === 0) {
    digits.shift()
    weight--
  }
  while (digits.at(-1) === 0) digits.pop()
  const bytes = new Uint8Array(8 + 2 * digits.length)
  const view = new DataView(bytes.buffer)
  view.setInt16(0, digits.length)
  view.setInt16(2, digits.length === 0 ? 0 : weight)
  view.setInt16(6, 2)
  digits.forEach((digit, k) => view.setInt16(8 + 2 * k, digit))
  return bytes
}

function utf8(value: string): Uint8Array {
  return encoder.encode(value)
}

function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 4294967296
  }
}
