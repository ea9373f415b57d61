/** Parts of a batch: some of its columns, some of its rows, several as one. */
import { fixedWidth } from '../model/column-type.js'
import type { Batch, Column, Span } from './batch.js'
import { validityReader } from './column-reader.js'
import { elementBatch, offsetsOf } from './list-elements.js'

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

type Reserve = (length: number) => Span

/** Where a column will be, and what puts it there once there is a buffer. */
interface Draft {
  readonly column: Column
  readonly write: (buffer: ArrayBuffer) => void
}

/** `rows[i]` are the rows to take from `batches[i]`. */
function gatherRows(batches: readonly Batch[], rows: readonly Int32Array[]): Batch {
  const { fields } = batches[0]!
  let total = 0
  const reserve = (length: number): Span => {
    const span = { offset: total, length }
    total += (length + 7) & ~7
    return span
  }
  const drafts = fields.map((_, index) => gatherColumn(batches, index, rows, reserve))
  const buffer = new ArrayBuffer(total)
  for (const { write } of drafts) write(buffer)
  return { fields, rowCount: countRows(rows), columns: drafts.map(({ column }) => column), buffer }
}

function countRows(rows: readonly Int32Array[]): number {
  return rows.reduce((sum, taken) => sum + taken.length, 0)
}

function gatherColumn(
  batches: readonly Batch[],
  index: number,
  rows: readonly Int32Array[],
  reserve: Reserve,
): Draft {
  const { type } = batches[0]!.fields[index]!
  const width = fixedWidth(type)
  const list = type.kind === 'list'
  const variable = width === null && type.kind !== 'bool'
  const rowCount = countRows(rows)
  const bitmapBytes = (rowCount + 7) >> 3
  let nullCount = 0
  /** Bytes of text, elements of lists. */
  let parts = 0
  batches.forEach((batch, b) => {
    if (batch.columns[index]!.nullCount > 0) {
      const isValid = validityReader(batch, index)
      for (const row of rows[b]!) if (!isValid(row)) nullCount++
    }
    if (variable) {
      const offsets = offsetsOf(batch, index)
      for (const row of rows[b]!) parts += offsets[row + 1]! - offsets[row]!
    }
  })
  if (parts > 2147483647) throw new RangeError('Together the batches pass the offsets of a column.')
  const own = {
    nullCount,
    validity: nullCount > 0 ? reserve(bitmapBytes) : null,
    offsets: variable ? reserve(4 * (rowCount + 1)) : null,
    values: reserve(list ? 0 : variable ? parts : width === null ? bitmapBytes : width * rowCount),
  }
  const elements = list ? gatherElements(batches, index, rows, reserve) : null
  const column: Column = elements === null ? own : { ...own, elements: elements.column }

  const write = (buffer: ArrayBuffer): void => {
    const target = new Uint8Array(buffer)
    let to = 0
    let end = 0
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
          if (!list) target.set(source.subarray(ends[row], ends[row + 1]), column.values.offset + end)
          end += ends[row + 1]! - ends[row]!
          newOffsets![to + 1] = end
        } else if (width === null) {
          if (((source[row >> 3]! >> (row & 7)) & 1) === 1) target[column.values.offset + (to >> 3)]! |= bit
        } else {
          const start = column.values.offset + to * width
          for (let k = 0; k < width; k++) target[start + k] = source[row * width + k]!
        }
        to++
      }
    })
    elements?.write(buffer)
  }
  return { column, write }
}

/** The elements of the lists in these rows. */
function gatherElements(
  batches: readonly Batch[],
  index: number,
  rows: readonly Int32Array[],
  reserve: Reserve,
): Draft {
  const taken = batches.map((batch, b) => {
    const ends = offsetsOf(batch, index)
    const count = rows[b]!.reduce((sum, row) => sum + ends[row + 1]! - ends[row]!, 0)
    const indexes = new Int32Array(count)
    let at = 0
    for (const row of rows[b]!) {
      for (let element = ends[row]!; element < ends[row + 1]!; element++) indexes[at++] = element
    }
    return indexes
  })
  return gatherColumn(
    batches.map((batch) => elementBatch(batch, index)),
    0,
    taken,
    reserve,
  )
}
