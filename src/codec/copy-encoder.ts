/**
 * Batches to the data of a `COPY … FROM STDIN`, as binary or as text.
 *
 * Binary is what `row-reader.ts` reads: header, rows, trailer. Rows that were not decoded (`Batch.tuples`) pass as they are, with an
 * encoder of their own. Values are written column by column over some hundred rows at a time (`copy-encoder-columns.ts`); nothing is made per value.
 *
 * Processor time a row of TPC-H's lineitem on a busy machine (2 cores of an AMD EPYC): 550 ns, where decoding it took 180 and
 * collecting it undecoded 160.
 */
import type { Batch } from '../batch/batch.js'
import { TrunklineError } from '../model/error.js'
import { columnWriter, type ColumnWriter, type TargetForm } from './copy-encoder-columns.js'
import { targetForm, type CopyColumn } from './copy-encoder-form.js'
import { createCopyTextEncoder } from './copy-text.js'

export interface CopyEncoder {
  /** Stands before all rows; may be empty. */
  readonly header: Uint8Array
  /**
   * The batch's rows, in pieces of some 256 KiB, longer where a value is; cut anywhere, and valid until the next is asked for. Those of
   * undecoded rows and of long values are the batch's own memory.
   *
   * @throws VALUE_UNREPRESENTABLE for a value that the target type has no form for
   */
  encode(batch: Batch): Iterable<Uint8Array>
  /** Stands behind all rows; may be empty. */
  readonly trailer: Uint8Array
}

/** Signature, no flags, no extension. */
const BINARY_HEADER = Uint8Array.from([
  0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00, 0, 0, 0, 0, 0, 0, 0, 0,
])
const BINARY_TRAILER = Uint8Array.of(0xff, 0xff)
const NOTHING = new Uint8Array(0)

/** Rows measured and written together: their places stay in the nearest cache. */
const MOST_ROWS = 1024
const PIECE_BYTES = 256 * 1024
/** Of rows that turn out longer; a row beyond is not put together, and its long values go out as the memory they are in. */
const MOST_PIECE_BYTES = 1024 * 1024
const FIELD_COUNT_BYTES = 2

/**
 * `columns`: those of the COPY in its order, which are the fields of each batch.
 * @throws INTERNAL where a column has no binary form; {@link chooseCopyForm} says so before.
 */
export function createCopyEncoder(columns: readonly CopyColumn[], form: 'binary' | 'text'): CopyEncoder {
  if (form === 'text') return textEncoder(columns)
  const forms = columns.map((column): TargetForm => {
    const found = targetForm(column)
    if (found !== null) return found
    throw new TrunklineError('INTERNAL', `Column ${column.field.name} has no binary form.`)
  })
  return binaryEncoder(forms)
}

/** For batches of rows that were not decoded, and for no others: their columns need no binary form that is made here. */
export function createTupleEncoder(): CopyEncoder {
  return {
    header: BINARY_HEADER,
    encode({ buffer, tuples }) {
      if (tuples === undefined) throw new TrunklineError('INTERNAL', 'These rows are decoded.')
      return [new Uint8Array(buffer, tuples.offset, tuples.length)]
    },
    trailer: BINARY_TRAILER,
  }
}

function textEncoder(columns: readonly CopyColumn[]): CopyEncoder {
  const rows = createCopyTextEncoder(columns.map(({ field }) => field))
  return {
    header: NOTHING,
    *encode(batch) {
      if (batch.tuples !== undefined) throw new TrunklineError('INTERNAL', 'These rows are not decoded.')
      for (const pieces of rows.add({ batch, start: 0, count: batch.rowCount })) yield* pieces
      for (const pieces of rows.end()) yield* pieces
    },
    trailer: NOTHING,
  }
}

function binaryEncoder(forms: readonly TargetForm[]): CopyEncoder {
  const at = new Int32Array(MOST_ROWS)
  const sizes = new Int32Array(MOST_ROWS)
  let bytes = new Uint8Array(0)
  let view = new DataView(bytes.buffer)

  function* encode(batch: Batch): Generator<Uint8Array, void, undefined> {
    if (batch.tuples !== undefined) throw new TrunklineError('INTERNAL', 'These rows are not decoded.')
    const writers = forms.map((form, index) => columnWriter(batch, index, form))
    const measured = writers.filter(({ rowBytes }) => rowBytes === null)
    const least = writers.reduce((sum, { rowBytes }) => sum + (rowBytes ?? 0), FIELD_COUNT_BYTES)
    const mostRows = Math.max(1, Math.min(MOST_ROWS, Math.floor(PIECE_BYTES / least)))
    for (let row = 0; row < batch.rowCount;) {
      let count = Math.min(mostRows, batch.rowCount - row)
      sizes.fill(least, 0, count)
      for (const writer of measured) writer.measure(sizes, row, count)
      const { rows, total } = rowsThatFit(sizes, count)
      count = rows
      if (total > MOST_PIECE_BYTES) {
        yield* longRow(batch, writers, row)
      } else {
        reserve(total)
        for (let i = 0, next = 0; i < count; i++) {
          view.setInt16(next, writers.length)
          at[i] = next + FIELD_COUNT_BYTES
          next += sizes[i]!
        }
        for (const writer of writers) writer.write({ bytes, view, at }, row, count)
        yield bytes.subarray(0, total)
      }
      row += count
    }
  }

  function reserve(total: number): void {
    if (bytes.length >= total) return
    bytes = new Uint8Array(Math.max(PIECE_BYTES, total))
    view = new DataView(bytes.buffer)
  }

  function* longRow(
    batch: Batch,
    writers: readonly ColumnWriter[],
    row: number,
  ): Generator<Uint8Array, void> {
    yield Uint8Array.of(writers.length >> 8, writers.length & 0xff)
    const one = new Int32Array(1)
    for (const [index, writer] of writers.entries()) {
      const long = longValue(batch, index, row)
      if (long !== null) {
        const prefix = forms[index] === 'jsonb' ? 1 : 0
        const head = new DataView(new ArrayBuffer(4 + prefix))
        head.setInt32(0, long.length + prefix)
        if (prefix === 1) head.setUint8(4, 1)
        yield new Uint8Array(head.buffer)
        yield long
        continue
      }
      one[0] = writer.rowBytes ?? 0
      if (writer.rowBytes === null) writer.measure(one, row, 1)
      const total = one[0]
      reserve(total)
      at[0] = 0
      writer.write({ bytes, view, at }, row, 1)
      yield bytes.subarray(0, total)
    }
  }

  /** A long value of the forms that are their bytes. */
  function longValue(batch: Batch, index: number, row: number): Uint8Array | null {
    if (forms[index] !== 'bytes' && forms[index] !== 'jsonb') return null
    const { offsets, values } = batch.columns[index]!
    const ends = new Int32Array(batch.buffer, offsets!.offset, batch.rowCount + 1)
    const length = ends[row + 1]! - ends[row]!
    // A null has no bytes.
    return length < PIECE_BYTES ? null : new Uint8Array(batch.buffer, values.offset + ends[row]!, length)
  }

  return { header: BINARY_HEADER, encode, trailer: BINARY_TRAILER }
}

/** The first rows that make a piece, at least one. */
function rowsThatFit(sizes: Int32Array, count: number): { readonly rows: number; readonly total: number } {
  let total = sizes[0]!
  let rows = 1
  for (; rows < count; rows++) {
    const sum = total + sizes[rows]!
    if (sum > MOST_PIECE_BYTES) break
    total = sum
  }
  return { rows, total }
}
