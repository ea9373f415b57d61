/**
 * Decodes whole rows column by column from the list of columns: what the generated function does, without generating one.
 * Used where the runtime forbids generated code (`--disallow-code-generation-from-strings`). The same rules: at anything that is
 * not a complete and ordinary row it stops before that row, and the row reader takes it.
 */
import { COPY_DATA_HEADER_BYTES } from '../model/copy-message.js'
import { growText, type BatchArena } from './batch-arena.js'
import type { DecoderColumn } from './decoder-column.js'
import type { DecodeRows, RowLimits } from './generate-row-decoder.js'
import { dropElements } from './list-elements.js'
import { STORED } from './numeric.js'
import { storeField, storeNull } from './store-field.js'
import { elementDecoder, NOT_STORED, storeList } from './store-list.js'
import { WIRE_FORMATS } from './wire-format.js'

/** Values up to this many bytes are copied in words of four; above, a native copy is faster. */
const WORD_COPY_BYTES = 96

export function createRowInterpreter(
  decoders: readonly DecoderColumn[],
  arena: BatchArena,
  { maxFieldBytes, messageType }: RowLimits,
): DecodeRows {
  const { columns } = arena
  const count = columns.length
  const leastRowBytes = 2 + 4 * count
  const longest = Math.min(maxFieldBytes, arena.largeBytes - 1)
  const elements = decoders.map(elementDecoder)
  /** 0 where values have no fixed length. */
  const lengths = Int32Array.from(decoders, (decoder) => WIRE_FORMATS[decoder.wire].length ?? 0)

  /** Decodes one row and returns where it ends, or −1 where it is not ordinary, as one `alone` is that does not end at `end`. */
  function decodeRow(bytes: Uint8Array, view: DataView, start: number, end: number, alone: boolean): number {
    if (end - start < leastRowBytes || view.getInt16(start) !== count) return -1
    const row = arena.rowCount
    let pos = start + 2
    let textBytes = 0
    for (let i = 0; i < count; i++) {
      const column = columns[i]!
      let length = view.getInt32(pos)
      pos += 4
      if (length === -1) {
        storeNull(column, row)
      } else {
        const bytesAfter = 4 * (count - i - 1)
        if (length < 0 || length > end - pos - bytesAfter) return -1
        const element = elements[i] ?? null
        if (element !== null) {
          if (length > longest) return -1
          const taken = storeList(element, column, row, bytes, view, pos, length)
          if (taken === NOT_STORED) return -1
          textBytes += taken
        } else if (!column.variable) {
          if (lengths[i] !== 0 && length !== lengths[i]) return -1
          if (storeField(decoders[i]!, column, row, view, pos, length) !== STORED) return -1
        } else {
          if (length > longest) return -1
          if (decoders[i]!.wire === 'jsonb') {
            if (length < 2 || view.getUint8(pos) !== 1) return -1
            pos++
            length--
          }
          growText(column, length)
          copyBytes(bytes, view, pos, length, column.text, column.textView, column.textEnd)
          column.textEnd += length
          textBytes += length
        }
        pos += length
      }
      if (column.variable) column.offsets[row + 1] = column.textEnd
      else if (column.elements !== null) column.offsets[row + 1] = column.elementCount
    }
    if (alone && pos !== end) return -1
    arena.rowCount++
    arena.usedBytes += textBytes + arena.rowBytes
    return pos
  }

  /** The same for a row that is the whole payload of the message that begins at `start`. */
  function decodeMessage(bytes: Uint8Array, view: DataView, start: number, limit: number): number {
    if (limit - start < COPY_DATA_HEADER_BYTES || view.getUint8(start) !== messageType) return -1
    const end = start + 1 + view.getInt32(start + 1)
    return end > limit ? -1 : decodeRow(bytes, view, start + COPY_DATA_HEADER_BYTES, end, true)
  }

  return (bytes, view, start, end, inMessages) => {
    let pos = start
    while (arena.usedBytes < arena.batchBytes && arena.rowCount < arena.maxRows) {
      const next = inMessages ? decodeMessage(bytes, view, pos, end) : decodeRow(bytes, view, pos, end, false)
      if (next === -1) {
        // What the row left behind is overwritten: text ends where the complete rows say.
        for (const column of columns) {
          if (column.variable) column.textEnd = column.offsets[arena.rowCount]!
          else if (column.elements !== null) dropElements(column, column.offsets[arena.rowCount]!)
        }
        break
      }
      pos = next
    }
    return pos
  }
}

function copyBytes(
  bytes: Uint8Array,
  view: DataView,
  from: number,
  length: number,
  target: Uint8Array,
  targetView: DataView,
  to: number,
): void {
  if (length > WORD_COPY_BYTES) {
    target.set(bytes.subarray(from, from + length), to)
    return
  }
  let k = 0
  for (; k + 4 <= length; k += 4) targetView.setInt32(to + k, view.getInt32(from + k, true), true)
  for (; k < length; k++) target[to + k] = bytes[from + k]!
}
