/**
 * Rows as lines of bytes, whatever the format: what stands before, between and after the values, and how each is written, is handed
 * in. The bytes go into one buffer that is used again and again: a row that does not fit is written piece by piece, so memory does not
 * grow with the length of values.
 */
import type { Batch } from '../../batch/batch.js'
import type { RowRange } from '../../batch/row-range.js'
import type { WriteValue } from './value-writer.js'

/** The values of one column of a batch. */
export interface Cell {
  readonly write: WriteValue
  /** Most bytes that the values of these rows can take. */
  readonly most: (start: number, count: number) => number
  /** A value piece by piece, each in `memory`, or the cell's own; absent where every value is short. */
  readonly writeLong?: (row: number, memory: Uint8Array) => Iterable<Uint8Array>
}

export interface RowForm {
  /** Before the first row. */
  readonly heading: Uint8Array
  /** Before each value, by column; what begins the row included. */
  readonly before: readonly Uint8Array[]
  readonly afterRow: Uint8Array
  readonly nullText: Uint8Array
  readonly cell: (batch: Batch, index: number) => Cell
}

/** Gives pieces over memory that is used again: write each before the next is asked for. */
export interface RowEncoder {
  add(rows: RowRange): Iterable<readonly Uint8Array[]>
  end(): Iterable<readonly Uint8Array[]>
}

/** As much as is written at once. */
const BUFFER_BYTES = 256 * 1024
/** Rows whose length is estimated together. */
const BLOCK_ROWS = 64

interface OpenBatch {
  readonly cells: readonly Cell[]
  readonly write: readonly WriteValue[]
  /** Bits by column; null where no value is null. */
  readonly validity: readonly (Uint8Array | null)[]
}

export function createRowEncoder(form: RowForm): RowEncoder {
  const buffer = new Uint8Array(BUFFER_BYTES)
  const ofRow = form.before.reduce(
    (sum, { length }) => sum + length + form.nullText.length,
    form.afterRow.length,
  )
  let begun = false
  function* begin(): Iterable<readonly Uint8Array[]> {
    if (begun) return
    begun = true
    if (form.heading.length > 0) yield [form.heading]
  }
  return {
    *add({ batch, start, count }) {
      yield* begin()
      const open = openBatch(form, batch)
      const most = (from: number, rows: number): number =>
        open.cells.reduce((sum, cell) => sum + cell.most(from, rows), rows * ofRow)
      const end = start + count
      let at = 0
      let row = start
      while (row < end) {
        let rows = Math.min(BLOCK_ROWS, end - row)
        let need = most(row, rows)
        if (need > BUFFER_BYTES - at && at > 0) {
          yield [buffer.subarray(0, at)]
          at = 0
        }
        while (need > BUFFER_BYTES && rows > 1) {
          rows >>= 1
          need = most(row, rows)
        }
        if (need > BUFFER_BYTES) for (const piece of longRow(form, open, row, buffer)) yield [piece]
        else at = writeRows(form, open, { buffer, at, row, rows })
        row += rows
      }
      if (at > 0) yield [buffer.subarray(0, at)]
    },
    end: begin,
  }
}

function openBatch(form: RowForm, batch: Batch): OpenBatch {
  const cells = batch.columns.map((_, index) => form.cell(batch, index))
  const validity = batch.columns.map(({ validity: span }) =>
    span === null ? null : new Uint8Array(batch.buffer, span.offset, span.length),
  )
  return { cells, write: cells.map(({ write }) => write), validity }
}

function writeRows(
  { before, afterRow, nullText }: RowForm,
  { write, validity }: OpenBatch,
  place: { readonly buffer: Uint8Array; readonly at: number; readonly row: number; readonly rows: number },
): number {
  const { buffer } = place
  const end = place.row + place.rows
  let at = place.at
  for (let row = place.row; row < end; row++) {
    for (let index = 0; index < write.length; index++) {
      const text = before[index]!
      for (let k = 0; k < text.length; k++) buffer[at++] = text[k]!
      const bits = validity[index]
      if (bits && ((bits[row >> 3]! >> (row & 7)) & 1) === 0) {
        for (let k = 0; k < nullText.length; k++) buffer[at++] = nullText[k]!
      } else at = write[index]!(buffer, at, row)
    }
    for (let k = 0; k < afterRow.length; k++) buffer[at++] = afterRow[k]!
  }
  return at
}

/** A row that may be longer than the buffer. */
function* longRow(
  { before, afterRow, nullText }: RowForm,
  { cells, validity }: OpenBatch,
  row: number,
  buffer: Uint8Array,
): Generator<Uint8Array, void, undefined> {
  let at = 0
  const put = (text: Uint8Array): void => {
    buffer.set(text, at)
    at += text.length
  }
  for (const [index, cell] of cells.entries()) {
    const text = before[index]!
    const bits = validity[index]
    const isNull = bits ? ((bits[row >> 3]! >> (row & 7)) & 1) === 0 : false
    const need = text.length + (isNull ? nullText.length : cell.most(row, 1))
    if (need > buffer.length - at) {
      yield buffer.subarray(0, at)
      at = 0
    }
    if (need <= buffer.length) {
      put(text)
      if (isNull) put(nullText)
      else at = cell.write(buffer, at, row)
    } else {
      yield text
      yield* cellPieces(cell, row, buffer)
    }
  }
  if (at > 0) yield buffer.subarray(0, at)
  yield afterRow
}

/** One value in as many pieces as it needs. */
export function* cellPieces(
  cell: Cell,
  row: number,
  memory: Uint8Array,
): Generator<Uint8Array, void, undefined> {
  if (cell.writeLong !== undefined && cell.most(row, 1) > memory.length) yield* cell.writeLong(row, memory)
  else yield memory.subarray(0, cell.write(memory, 0, row))
}
