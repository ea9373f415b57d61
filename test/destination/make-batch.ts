/** Batches from plain values, written without the builders of the product so that both can be wrong only apart. */
import type { Batch, Column, Span } from '../../src/batch/batch.js'
import type { ColumnType, Field } from '../../src/model/column-type.js'

/**
 * bool: boolean; int, date (days), time and timestamp (microseconds): number or bigint; float: number; decimal: text;
 * interval: [months, days, microseconds]; text, json, uuid: text; binary: bytes.
 */
export type Plain = null | boolean | number | bigint | string | Uint8Array | readonly [number, number, bigint]

export function makeBatch(fields: readonly Field[], rows: readonly (readonly Plain[])[]): Batch {
  const parts: { bytes: Uint8Array; place: (span: Span) => void }[] = []
  const columns: Column[] = fields.map((field, index) => {
    const values = rows.map((row) => row[index] ?? null)
    const column: { nullCount: number; validity: Span | null; offsets: Span | null; values: Span } = {
      nullCount: values.filter((value) => value === null).length,
      validity: null,
      offsets: null,
      values: { offset: 0, length: 0 },
    }
    if (column.nullCount > 0) {
      parts.push({
        bytes: bits(values.map((value) => value !== null)),
        place: (span) => (column.validity = span),
      })
    }
    const { data, offsets } = encode(field.type, values)
    if (offsets) {
      parts.push({ bytes: new Uint8Array(offsets.buffer), place: (span) => (column.offsets = span) })
    }
    parts.push({ bytes: data, place: (span) => (column.values = span) })
    return column
  })
  const total = parts.reduce((sum, part) => sum + align(part.bytes.length), 0)
  const buffer = new ArrayBuffer(total)
  let at = 0
  for (const part of parts) {
    new Uint8Array(buffer).set(part.bytes, at)
    part.place({ offset: at, length: part.bytes.length })
    at += align(part.bytes.length)
  }
  return { fields, rowCount: rows.length, columns, buffer }
}

const align = (length: number): number => Math.ceil(length / 8) * 8

function bits(flags: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(flags.length / 8))
  for (const [index, flag] of flags.entries())
    if (flag) bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (1 << (index & 7))
  return bytes
}

function encode(
  type: ColumnType,
  values: readonly Plain[],
): { data: Uint8Array; offsets: Int32Array | null } {
  if (type.kind === 'text' || type.kind === 'json' || type.kind === 'binary') {
    const chunks = values.map((value) =>
      value === null ? new Uint8Array() : value instanceof Uint8Array ? value : Buffer.from(value as string),
    )
    const offsets = new Int32Array(values.length + 1)
    for (const [index, chunk] of chunks.entries()) offsets[index + 1] = (offsets[index] ?? 0) + chunk.length
    return { data: Buffer.concat(chunks), offsets }
  }
  if (type.kind === 'bool') return { data: bits(values.map((value) => value === true)), offsets: null }
  const width = widthOf(type)
  const view = new DataView(new ArrayBuffer(width * values.length))
  for (const [index, value] of values.entries()) {
    if (value !== null) put(view, index * width, type, value)
  }
  return { data: new Uint8Array(view.buffer), offsets: null }
}

function widthOf(type: ColumnType): number {
  switch (type.kind) {
    case 'int':
    case 'float':
      return type.bits / 8
    case 'decimal':
      return type.precision <= 18 ? 8 : 16
    case 'date':
      return 4
    case 'time':
    case 'timestamp':
      return 8
    default:
      return 16
  }
}

function put(view: DataView, at: number, type: ColumnType, value: Exclude<Plain, null>): void {
  switch (type.kind) {
    case 'int':
      if (type.bits === 16) view.setInt16(at, Number(value), true)
      else if (type.bits === 32) view.setInt32(at, Number(value), true)
      else view.setBigInt64(at, BigInt(value as bigint), true)
      return
    case 'float':
      if (type.bits === 32) view.setFloat32(at, value as number, true)
      else view.setFloat64(at, value as number, true)
      return
    case 'decimal': {
      const [whole = '', fraction = ''] = (value as string).split('.')
      const unscaled = BigInt(whole + fraction.padEnd(type.scale, '0'))
      view.setBigUint64(at, BigInt.asUintN(64, unscaled), true)
      if (type.precision > 18) view.setBigInt64(at + 8, unscaled >> 64n, true)
      return
    }
    case 'date':
      view.setInt32(at, value as number, true)
      return
    case 'time':
    case 'timestamp':
      view.setBigInt64(at, BigInt(value as bigint), true)
      return
    case 'interval': {
      const [months, days, micros] = value as readonly [number, number, bigint]
      view.setInt32(at, months, true)
      view.setInt32(at + 4, days, true)
      view.setBigInt64(at + 8, micros, true)
      return
    }
    case 'uuid':
      new Uint8Array(view.buffer).set(Buffer.from((value as string).replaceAll('-', ''), 'hex'), at)
      return
    default:
      throw new Error(`no fixed width: ${type.kind}`)
  }
}
