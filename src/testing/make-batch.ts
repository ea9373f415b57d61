/**
 * Batches from plain values, in the layout that `batch.ts` states, written without the builders of the product so that both can be wrong
 * only apart.
 */
import type { Batch, Column, Span } from '../batch/batch.js'
import type { ColumnType, ElementType, Field } from '../model/column-type.js'
import type { Plain, PlainElement } from './plain.js'

/** Bytes to be laid into the buffer, and who is told where. */
interface Part {
  readonly bytes: Uint8Array
  place(span: Span): void
}

type Laid = { -readonly [Key in keyof Column]: Column[Key] }

/** @param rows values by position; what is left out at the end of a row is null */
export function makeBatch(fields: readonly Field[], rows: readonly (readonly Plain[])[]): Batch {
  const parts: Part[] = []
  const columns = fields.map(({ type }, index) =>
    layColumn(
      type,
      rows.map((row) => row[index] ?? null),
      parts,
    ),
  )
  const buffer = new ArrayBuffer(parts.reduce((sum, part) => sum + align(part.bytes.length), 0))
  let at = 0
  for (const part of parts) {
    new Uint8Array(buffer).set(part.bytes, at)
    part.place({ offset: at, length: part.bytes.length })
    at += align(part.bytes.length)
  }
  return { fields, rowCount: rows.length, columns, buffer }
}

function layColumn(type: ColumnType, values: readonly Plain[], parts: Part[]): Column {
  const column: Laid = {
    nullCount: values.filter((value) => value === null).length,
    validity: null,
    offsets: null,
    values: { offset: 0, length: 0 },
  }
  if (column.nullCount > 0) {
    const present = bits(values.map((value) => value !== null))
    parts.push({ bytes: present, place: (span) => (column.validity = span) })
  }
  if (type.kind === 'list') {
    const lists = values.map((value) => (value ?? []) as readonly PlainElement[])
    const offsets = offsetsOf(lists)
    parts.push({ bytes: new Uint8Array(offsets.buffer), place: (span) => (column.offsets = span) })
    column.elements = layColumn(
      type.element,
      lists.flatMap((list) => [...list]),
      parts,
    )
    return column
  }
  const { data, offsets } = encode(type, values as readonly PlainElement[])
  if (offsets) parts.push({ bytes: new Uint8Array(offsets.buffer), place: (span) => (column.offsets = span) })
  parts.push({ bytes: data, place: (span) => (column.values = span) })
  return column
}

function offsetsOf(chunks: readonly { readonly length: number }[]): Int32Array {
  const offsets = new Int32Array(chunks.length + 1)
  for (const [index, { length }] of chunks.entries()) offsets[index + 1] = (offsets[index] ?? 0) + length
  return offsets
}

const align = (length: number): number => Math.ceil(length / 8) * 8

function bits(flags: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(flags.length / 8))
  for (const [index, flag] of flags.entries())
    if (flag) bytes[index >> 3] = (bytes[index >> 3] ?? 0) | (1 << (index & 7))
  return bytes
}

function encode(
  type: ElementType,
  values: readonly PlainElement[],
): { data: Uint8Array; offsets: Int32Array | null } {
  if (type.kind === 'text' || type.kind === 'json' || type.kind === 'binary') {
    const chunks = values.map((value) =>
      value === null ? new Uint8Array() : value instanceof Uint8Array ? value : Buffer.from(value as string),
    )
    return { data: Buffer.concat(chunks), offsets: offsetsOf(chunks) }
  }
  if (type.kind === 'bool') return { data: bits(values.map((value) => value === true)), offsets: null }
  const width = widthOf(type)
  const view = new DataView(new ArrayBuffer(width * values.length))
  for (const [index, value] of values.entries()) {
    if (value !== null) put(view, index * width, type, value)
  }
  return { data: new Uint8Array(view.buffer), offsets: null }
}

function widthOf(type: ElementType): number {
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

function put(view: DataView, at: number, type: ElementType, value: Exclude<PlainElement, null>): void {
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
