/** Batches with fewer columns or fewer rows. */
import type { Batch, Column, Span } from '../batch/batch.js'
import { fixedWidth, type Field } from '../model/column-type.js'

const ALIGNMENT = 8

/** The same memory without one column. */
export function dropColumn(batch: Batch, index: number): Batch {
  return {
    ...batch,
    fields: batch.fields.filter((_, position) => position !== index),
    columns: batch.columns.filter((_, position) => position !== index),
  }
}

/** Copies the rows where `keep` is not 0 into a batch of their own. */
export function selectRows(batch: Batch, keep: Uint8Array): Batch {
  const rows: number[] = []
  for (let row = 0; row < batch.rowCount; row++) if (keep[row] !== 0) rows.push(row)
  const source = new Uint8Array(batch.buffer)
  const view = new DataView(batch.buffer)
  const layouts = batch.columns.map((column, index) =>
    layOut(batch.fields[index]?.type, column, rows, view, batch.buffer.byteLength),
  )
  let total = 0
  const place = (length: number): Span => {
    const span = { offset: total, length }
    total += Math.ceil(length / ALIGNMENT) * ALIGNMENT
    return span
  }
  const spans = layouts.map((layout) => ({
    validity: layout.validityBytes === 0 ? null : place(layout.validityBytes),
    offsets: layout.offsetBytes === 0 ? null : place(layout.offsetBytes),
    values: place(layout.valueBytes),
  }))
  const buffer = new ArrayBuffer(total)
  const target = new Uint8Array(buffer)
  const targetView = new DataView(buffer)
  const columns = batch.columns.map((column, index): Column => {
    const span = spans[index]
    if (span === undefined) throw new Error('unreachable: a column without spans')
    const nullCount = copyValidity(column, rows, source, target, span.validity)
    copyValues(batch.fields[index]?.type, column, rows, { source, view, target, targetView }, span)
    return { nullCount, ...span }
  })
  return { fields: batch.fields, rowCount: rows.length, columns, buffer }
}

interface Layout {
  readonly validityBytes: number
  readonly offsetBytes: number
  readonly valueBytes: number
}

function layOut(
  type: Field['type'] | undefined,
  column: Column,
  rows: readonly number[],
  view: DataView,
  limit: number,
): Layout {
  if (type === undefined) throw new Error('unreachable: a column without a field')
  const bits = Math.ceil(rows.length / 8)
  const validityBytes = column.validity === null ? 0 : bits
  const width = fixedWidth(type)
  if (width !== null) return { validityBytes, offsetBytes: 0, valueBytes: rows.length * width }
  if (column.offsets === null) return { validityBytes, offsetBytes: 0, valueBytes: bits }
  let valueBytes = 0
  for (const row of rows) valueBytes += lengthAt(view, column.offsets, row)
  if (valueBytes > limit) throw new Error('unreachable: offsets beyond the buffer')
  return { validityBytes, offsetBytes: (rows.length + 1) * 4, valueBytes }
}

function lengthAt(view: DataView, offsets: Span, row: number): number {
  const at = offsets.offset + row * 4
  return view.getInt32(at + 4, true) - view.getInt32(at, true)
}

function copyValidity(
  column: Column,
  rows: readonly number[],
  source: Uint8Array,
  target: Uint8Array,
  span: Span | null,
): number {
  if (column.validity === null || span === null) return 0
  const kept = copyBits(source, column.validity.offset, rows, target, span.offset)
  return rows.length - kept
}

function copyBits(
  source: Uint8Array,
  from: number,
  rows: readonly number[],
  target: Uint8Array,
  to: number,
): number {
  let set = 0
  rows.forEach((row, position) => {
    if (((source[from + (row >> 3)] ?? 0) & (1 << (row & 7))) === 0) return
    const at = to + (position >> 3)
    target[at] = (target[at] ?? 0) | (1 << (position & 7))
    set++
  })
  return set
}

interface Memory {
  readonly source: Uint8Array
  readonly view: DataView
  readonly target: Uint8Array
  readonly targetView: DataView
}

function copyValues(
  type: Field['type'] | undefined,
  column: Column,
  rows: readonly number[],
  { source, view, target, targetView }: Memory,
  span: { readonly offsets: Span | null; readonly values: Span },
): void {
  const width = type === undefined ? null : fixedWidth(type)
  const from = column.values.offset
  if (width !== null) {
    rows.forEach((row, position) => {
      const start = from + row * width
      target.set(source.subarray(start, start + width), span.values.offset + position * width)
    })
    return
  }
  if (column.offsets === null || span.offsets === null) {
    copyBits(source, from, rows, target, span.values.offset)
    return
  }
  let end = 0
  for (const [position, row] of rows.entries()) {
    const start = from + view.getInt32(column.offsets.offset + row * 4, true)
    const length = lengthAt(view, column.offsets, row)
    target.set(source.subarray(start, start + length), span.values.offset + end)
    end += length
    targetView.setInt32(span.offsets.offset + (position + 1) * 4, end, true)
  }
}
