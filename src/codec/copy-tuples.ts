/**
 * Collects rows of COPY BINARY as they are, for a destination that takes them so: nothing is decoded, and no less is believed.
 *
 * Each row is walked from length to length: that it has the columns that were asked for, that no field is longer than
 * `max_field_bytes` and that it ends where it says. So rows are counted as they are when they are decoded, and what is not a row is
 * refused here, not by whoever gets it. The layout stands in `row-reader.ts`.
 */
import type { Batch } from '../batch/batch.js'
import { COPY_DATA_HEADER_BYTES, COPY_DATA_TYPE, DATA_ROW_TYPE } from '../model/copy-message.js'
import { DecodeError, TrunklineError } from '../model/error.js'
import type { Field } from '../model/column-type.js'
import type { CopyDecoder, CopyDecoderOptions } from './copy-decoder.js'
import { takeBuffer } from './idle-buffers.js'
import { COPY_HEADER_BYTES, readCopyHeader } from './row-reader.js'

const FIRST_BYTES = 64 * 1024
const NULL_LENGTH = -1
const NOTHING = new Uint8Array(0)
/** Rows up to this many bytes are copied in words; above, a native copy is faster. */
const WORD_COPY_BYTES = 160

/** What the next bytes of a row that did not come in one piece are. */
type Expects = 'header' | 'extension' | 'row' | 'length' | 'end'

/** As {@link createCopyDecoder}; its batches have `tuples` and no columns. `columns`: those of each row. */
export function createTupleReader(columns: readonly Field[], options: CopyDecoderOptions): CopyDecoder {
  const fields = columns.map(({ name, type, nullable }): Field => ({ name, type, nullable }))
  const { stream, maxFieldBytes, batchBytes, batchRows, framing = 'copy' } = options
  const messageType = framing === 'rows' ? DATA_ROW_TYPE : COPY_DATA_TYPE
  const fieldCount = fields.length
  const leastRowBytes = 2 + 4 * fieldCount
  const ready: Batch[] = []
  let failure: Error | null = null
  let finished = false

  let memory = NOTHING
  let memoryView = new DataView(memory.buffer)
  /** Of the next memory: what the last one grew to, but for a row that was larger than a batch. */
  let memoryBytes = FIRST_BYTES
  /** Bytes of whole rows, and of everything: what lies between is a row that is not complete. */
  let wholeEnd = 0
  let used = 0
  let rowsHere = 0
  let rowsBefore = 0
  /** Written, less what was taken off the front of `memory`. */
  let bytesWritten = 0
  let bytesGone = 0

  let expects: Expects = framing === 'copy' ? 'header' : 'row'
  /** Where in `memory` the next thing begins, which need not have come yet. */
  let next = 0
  let fieldsLeft = 0

  let viewed: Uint8Array | null = null
  let view: DataView = memoryView

  /** Makes room for `bytes` behind `used`. */
  function reserve(bytes: number): void {
    const needed = used + bytes
    if (needed <= memory.length) return
    const grown = new Uint8Array(takeBuffer(Math.max(needed, memoryBytes, 2 * memory.length)))
    grown.set(memory.subarray(0, used))
    memory = grown
    memoryView = new DataView(memory.buffer)
    memoryBytes = Math.max(memoryBytes, Math.min(memory.length, batchBytes))
  }

  /** The first `end` bytes, whole rows, become a batch; what follows is kept. */
  function close(end: number, rows: number): void {
    const batch: Batch = {
      fields,
      rowCount: rows,
      columns: [],
      buffer: memory.buffer,
      tuples: { offset: 0, length: end },
    }
    const rest = memory.subarray(end, used)
    memory = NOTHING
    used = 0
    if (rest.length > 0) {
      reserve(rest.length)
      memory.set(rest)
      used = rest.length
    }
    wholeEnd -= end
    next -= end
    bytesGone += end
    rowsBefore += rows
    rowsHere -= rows
    ready.push(batch)
  }

  /** A whole row of that many bytes is about to be added to those that are there, or has been. */
  function closeBefore(rowBytes: number): void {
    if (rowsHere > 0 && (wholeEnd + rowBytes > batchBytes || rowsHere >= batchRows)) close(wholeEnd, rowsHere)
  }

  /** Where the row at `pos` ends, which lies whole before `end`; −1 for anything that is not ordinary. */
  function endOfRow(pos: number, end: number): number {
    if (end - pos < leastRowBytes || view.getInt16(pos) !== fieldCount) return -1
    let at = pos + 2
    for (let left = fieldCount; left > 0; left--) {
      if (end - at < 4 * left) return -1
      const length = view.getInt32(at)
      at += 4
      if (length < 0) {
        if (length !== NULL_LENGTH) return -1
      } else {
        if (length > maxFieldBytes) return -1
        at += length
      }
    }
    return at === end ? at : -1
  }

  function takeMessages(bytes: Uint8Array, start: number, end: number): number {
    if (viewed !== bytes) {
      view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      viewed = bytes
    }
    let pos = start
    while (end - pos >= COPY_DATA_HEADER_BYTES && view.getUint8(pos) === messageType) {
      const messageEnd = pos + 1 + view.getInt32(pos + 1)
      const from = pos + COPY_DATA_HEADER_BYTES
      if (messageEnd > end || messageEnd < from || endOfRow(from, messageEnd) === -1) break
      const length = messageEnd - from
      closeBefore(length)
      reserve(length)
      copy(bytes, from, length)
      used += length
      wholeEnd = used
      next = used
      rowsHere++
      bytesWritten += length
      pos = messageEnd
    }
    return pos
  }

  function copy(bytes: Uint8Array, from: number, length: number): void {
    if (length > WORD_COPY_BYTES) {
      memory.set(bytes.subarray(from, from + length), used)
      return
    }
    const to = used
    const last = length - 4
    if (last < 0) {
      for (let k = 0; k < length; k++) memory[to + k] = bytes[from + k]!
      return
    }
    // The last word may overlap the one before.
    for (let k = 0; k < last; k += 4) memoryView.setInt32(to + k, view.getInt32(from + k, true), true)
    memoryView.setInt32(to + last, view.getInt32(from + last, true), true)
  }

  /** Goes on over what has come, as far as it can be understood. */
  function parse(): void {
    for (;;) {
      switch (expects) {
        case 'header':
          if (used - next < COPY_HEADER_BYTES) return
          next += COPY_HEADER_BYTES + readCopyHeader(memoryView, next, stream)
          expects = 'extension'
          break
        case 'extension':
          // Nothing of it is kept.
          dropFront(Math.min(used, next))
          if (next > 0) return
          expects = 'row'
          break
        case 'row': {
          if (used - next < 2) return
          const count = memoryView.getInt16(next)
          if (count === -1 && framing === 'copy') {
            next += 2
            expects = 'end'
            break
          }
          if (count !== fieldCount) {
            throw new DecodeError(`${stream}: a row has ${count} fields instead of ${fieldCount}.`, {
              stream,
              byteOffset: bytesGone + next,
              rowNumber: rowNumber(),
            })
          }
          next += 2
          fieldsLeft = fieldCount
          expects = 'length'
          break
        }
        case 'length':
          if (fieldsLeft === 0) {
            if (used < next) return
            endRow()
            break
          }
          if (used - next < 4) return
          skipField(memoryView.getInt32(next))
          break
        case 'end':
          if (used > next) {
            throw new DecodeError(`${stream}: bytes follow the end of the COPY data.`, {
              stream,
              byteOffset: bytesGone + next,
            })
          }
          return
      }
    }
  }

  function endRow(): void {
    const rowBytes = next - wholeEnd
    closeBefore(rowBytes)
    wholeEnd = next
    rowsHere++
    expects = 'row'
  }

  function skipField(length: number): void {
    const index = fieldCount - fieldsLeft
    if (length < NULL_LENGTH) {
      throw new DecodeError(
        `${place(index)}: a value cannot be read, its length is ${length}.`,
        context(index),
      )
    }
    if (length > maxFieldBytes) {
      throw new TrunklineError(
        'FIELD_TOO_LARGE',
        `${place(index)}: the value has ${length} bytes, and max_field_bytes is ${maxFieldBytes}.`,
        {
          hint: 'Raise max_field_bytes, or leave the column out with exclude_columns.',
          context: context(index),
        },
      )
    }
    next += 4 + Math.max(0, length)
    fieldsLeft--
  }

  const rowNumber = (): number => rowsBefore + rowsHere + 1
  const nameOf = (index: number): string => fields[index]?.name ?? ''
  const place = (index: number): string => `${stream}, field ${nameOf(index)}, row ${rowNumber()}`
  const context = (index: number): Record<string, string | number> => ({
    stream,
    field: nameOf(index),
    byteOffset: bytesGone + next,
    rowNumber: rowNumber(),
  })

  function dropFront(bytes: number): void {
    memory.copyWithin(0, bytes, used)
    used -= bytes
    next -= bytes
    bytesGone += bytes
  }

  function attempt<Result>(work: () => Result): Result {
    if (failure !== null) throw failure
    try {
      return work()
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
      throw failure
    }
  }

  return {
    writeMessages(bytes, start, end) {
      if (failure !== null) throw failure
      // Only between two rows.
      if (expects !== 'row' || used !== wholeEnd) return start
      return attempt(() => takeMessages(bytes, start, end))
    },
    write(bytes, start, end) {
      attempt(() => {
        reserve(end - start)
        memory.set(bytes.subarray(start, end), used)
        used += end - start
        bytesWritten += end - start
        parse()
      })
    },
    take() {
      return ready.shift() ?? null
    },
    finish() {
      if (failure !== null) throw failure
      // Rows alone have no end mark: that all came is for their messages to say.
      if (framing === 'copy' ? expects !== 'end' : expects !== 'row' || used !== wholeEnd) {
        throw new TrunklineError(
          'COPY_INCOMPLETE',
          `${stream}: the data ended after ${rowsBefore + rowsHere} rows without its end mark.`,
          {
            hint: 'The connection or the server went away. Nothing was landed from this read; it is tried again.',
            context: { stream, byteOffset: bytesWritten },
          },
        )
      }
      if (ready.length > 0 || finished) {
        throw new TrunklineError('INTERNAL', 'A copy was finished twice, or with batches not yet taken.')
      }
      finished = true
      viewed = null
      if (rowsHere === 0) return null
      used = wholeEnd
      close(wholeEnd, rowsHere)
      return ready.shift() ?? null
    },
    get rows() {
      return rowsBefore + rowsHere
    },
    get bytes() {
      return bytesWritten
    },
  }
}
