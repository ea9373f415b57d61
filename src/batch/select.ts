/** Parts of a batch: some of its columns, some of its rows, several as one. */
import { fixedWidth } from '../model/column-type.js'
import type { Batch, Column, Span } from './batch.js'
import { validityReader } from './column-reader.js'

/** The batch with these columns, in this order, over the same memory. @throws RangeError for a column it does not have. */
export function selectColumns(batch: Batch, names: readonly string[]): Batch {
  const indexes = names.map((name) => {
    const index = batch.fields.findIndex((field) => field.name === name)
    if (index === -1) throw new RangeError(`The batch has no column ${name}.`)
    return index
  })
  return {
    fields: indexes.map((index) => batch.fields[index]!),
    rowCount: batch.rowCount,
    columns: indexes.map((index) => batch.columns[index]!),
    buffer: batch.buffer,
  }
}

/** The batch without these columns, over the same memory. */
export function dropColumns(batch: Batch, names: readonly string[]): Batch {
  const dropped = new Set(names)
  return selectColumns(
    batch,
    batch.fields.map((field) => field.name).filter((name) => !dropped.has(name)),
  )
}

/** The rows where `keep` is not 0, in a buffer of their own; the batch itself where that is all of them. */
export function filterRows(batch: Batch, keep: Uint8Array): Batch {
  let count = 0
  for (let row = 0; row < batch.rowCount; row++) if (keep[row] !== 0) count++
  if (count === batch.rowCount) return batch
  const kept = new Int32Array(count)
  let at = 0
  for (let row = 0; row < batch.rowCount; row++) if (keep[row] !== 0) kept[at++] = row
  return gatherRows([batch], [kept])
}

/** The rows of several batches of the same fields as one batch. @throws RangeError for none. */
export function concatBatches(batches: readonly Batch[]): Batch {
  const [first] = batches
  if (first === undefined) throw new RangeError('There is no batch to take the fields from.')
  if (batches.length === 1) return first
  return gatherRows(
    batches,
    batches.map((batch) => Int32Array.from({ length: batch.rowCount }, (_, row) => row)),
  )
}

/** `rows[i]` are the rows to take from `batches[i]`. */
function gatherRows(batches: readonly Batch[], rows: readonly Int32Array[]): Batch {
  const { fields } = batches[0]!
  const rowCount = rows.reduce((sum, taken) => sum + taken.length, 0)
  const bitmapBytes = (rowCount + 7) >> 3
  let total = 0
  const reserve = (length: number): Span => {
    const span = { offset: total, length }
    total += (length + 7) & ~7
    return span
  }
  const columns = fields.map((field, index): Column => {
    const width = fixedWidth(field.type)
    const variable = width === null && field.type.kind !== 'bool'
    let nullCount = 0
    let textBytes = 0
    batches.forEach((batch, b) => {
      if (batch.columns[index]!.nullCount > 0) {
        const isValid = validityReader(batch, index)
        for (const row of rows[b]!) if (!isValid(row)) nullCount++
      }
      if (variable) {
        const offsets = offsetsOf(batch, index)
        for (const row of rows[b]!) textBytes += offsets[row + 1]! - offsets[row]!
      }
    })
    if (textBytes > 2147483647) throw new RangeError('Together the batches pass the offsets of a column.')
    return {
      nullCount,
      validity: nullCount > 0 ? reserve(bitmapBytes) : null,
      offsets: variable ? reserve(4 * (rowCount + 1)) : null,
      values: reserve(variable ? textBytes : width === null ? bitmapBytes : width * rowCount),
    }
  })

  const buffer = new ArrayBuffer(total)
  const target = new Uint8Array(buffer)
  columns.forEach((column, index) => {
    const width = fixedWidth(fields[index]!.type)
    let to = 0
    let textEnd = 0
    const newOffsets = column.offsets && new Int32Array(buffer, column.offsets.offset, rowCount + 1)
    batches.forEach((batch, b) => {
      const { values, offsets } = batch.columns[index]!
      const source = new Uint8Array(batch.buffer, values.offset, values.length)
      const isValid = column.validity && validityReader(batch, index)
      const ends = offsets === null ? null : offsetsOf(batch, index)
      for (const row of rows[b]!) {
        const bit = 1 << (to & 7)
        if (column.validity !== null && isValid!(row)) target[column.validity.offset + (to >> 3)]! |= bit
        if (ends !== null) {
          target.set(source.subarray(ends[row], ends[row + 1]), column.values.offset + textEnd)
          textEnd += ends[row + 1]! - ends[row]!
          newOffsets![to + 1] = textEnd
        } else if (width === null) {
          if (((source[row >> 3]! >> (row & 7)) & 1) === 1) target[column.values.offset + (to >> 3)]! |= bit
        } else {
          const start = column.values.offset + to * width
          for (let k = 0; k < width; k++) target[start + k] = source[row * width + k]!
        }
        to++
      }
    })
  })
  return { fields, rowCount, columns, buffer }
}

function offsetsOf(batch: Batch, index: number): Int32Array {
  const { offsets } = batch.columns[index]!
  return new Int32Array(batch.buffer, offsets!.offset, batch.rowCount + 1)
}
