/** Cells that the formats have in common: of bounded length, of bytes that are escaped one by one, of lists. */
import type { Batch } from '../../batch/batch.js'
import { validityReader } from '../../batch/column-reader.js'
import type { TemporalForm } from '../../batch/calendar.js'
import { columnFormatter } from '../../batch/format-value.js'
import { elementBatch, offsetsOf } from '../../batch/list-elements.js'
import { cellPieces, type Cell } from './row-encoder.js'
import { boundedWriter, MOST_BYTES, type BoundedType } from './value-writer.js'

/** Bytes [from, to) of `source`, into `target` from `at` on; gives where they ended. Each byte by itself: they may come in parts. */
export type EscapeBytes = (
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
) => number

export interface Escaping {
  readonly escape: EscapeBytes
  /** Most bytes that one becomes. */
  readonly factor: number
  readonly opening: Uint8Array
  readonly closing: Uint8Array
}

export function boundedCell(batch: Batch, index: number, type: BoundedType, form: TemporalForm): Cell {
  return {
    write: boundedWriter(batch, index, { type, form }),
    most: (_, count) => count * MOST_BYTES,
  }
}

/** Of text, json and binary. */
export function escapedCell(batch: Batch, index: number, escaping: Escaping): Cell {
  const source = valuesOf(batch, index)
  const ends = offsetsOf(batch, index)
  const { escape, factor, opening, closing } = escaping
  const around = opening.length + closing.length
  return {
    write: (target, at, row) => {
      for (let k = 0; k < opening.length; k++) target[at++] = opening[k]!
      at = escape(source, ends[row]!, ends[row + 1]!, target, at)
      for (let k = 0; k < closing.length; k++) target[at++] = closing[k]!
      return at
    },
    most: (start, count) => count * around + factor * (ends[start + count]! - ends[start]!),
    writeLong: (row, memory) => escapedPieces(source.subarray(ends[row], ends[row + 1]), escaping, memory),
  }
}

export function* escapedPieces(
  source: Uint8Array,
  { escape, factor, opening, closing }: Escaping,
  memory: Uint8Array,
): Generator<Uint8Array, void, undefined> {
  yield opening
  const step = Math.floor(memory.length / factor)
  for (let from = 0; from < source.length; from += step) {
    yield memory.subarray(0, escape(source, from, Math.min(from + step, source.length), memory, 0))
  }
  yield closing
}

/** Of lists, as the server's text of an array, escaped as a text would be. */
export function arrayTextCell(batch: Batch, index: number, escapeText: (text: Uint8Array) => Escaping): Cell {
  const read = columnFormatter(batch, index)
  const bytesOf = (row: number): Uint8Array => Buffer.from(read(row) ?? '', 'utf8')
  const lengths = arrayTextLengths(batch, index)
  return {
    write: (target, at, row) => {
      const text = bytesOf(row)
      const { escape, opening, closing } = escapeText(text)
      target.set(opening, at)
      at = escape(text, 0, text.length, target, at + opening.length)
      target.set(closing, at)
      return at + closing.length
    },
    // No escaping takes more than two bytes for one, or two around all.
    most: (start, count) => 2 * lengths(start, count) + 2 * count,
    writeLong: (row, memory) => {
      const text = bytesOf(row)
      return escapedPieces(text, escapeText(text), memory)
    },
  }
}

/** At most: `\x…` and every character that has a backslash before it double in an array, which quotes its elements. */
function arrayTextLengths(batch: Batch, index: number): (start: number, count: number) => number {
  const ends = offsetsOf(batch, index)
  const elements = elementBatch(batch, index)
  const bytes = elements.columns[0]!.offsets === null ? null : offsetsOf(elements, 0)
  return (start, count) => {
    const first = ends[start]!
    const last = ends[start + count]!
    const ofValues = bytes === null ? (last - first) * MOST_BYTES : bytes[last]! - bytes[first]!
    return 2 * count + 8 * (last - first) + 2 * ofValues
  }
}

const [BRACKET, CLOSING_BRACKET, COMMA] = [0x5b, 0x5d, 0x2c]
const NULL = new TextEncoder().encode('null')

/** Of lists, as arrays of JSON; `elementCell` is given the elements as the one column of a batch. */
export function jsonArrayCell(batch: Batch, index: number, elementCell: (elements: Batch) => Cell): Cell {
  const ends = offsetsOf(batch, index)
  const elements = elementBatch(batch, index)
  const cell = elementCell(elements)
  const isValid = validityReader(elements, 0)
  return {
    write: (target, at, row) => {
      target[at++] = BRACKET
      for (let element = ends[row]!; element < ends[row + 1]!; element++) {
        if (element > ends[row]!) target[at++] = COMMA
        if (isValid(element)) at = cell.write(target, at, element)
        else {
          target.set(NULL, at)
          at += NULL.length
        }
      }
      target[at++] = CLOSING_BRACKET
      return at
    },
    most: (start, count) => {
      const first = ends[start]!
      const parts = ends[start + count]! - first
      return 2 * count + (1 + NULL.length) * parts + cell.most(first, parts)
    },
    *writeLong(row, memory) {
      let at = 0
      memory[at++] = BRACKET
      for (let element = ends[row]!; element < ends[row + 1]!; element++) {
        const valid = isValid(element)
        const need = 1 + (valid ? cell.most(element, 1) : NULL.length)
        if (need > memory.length - at) {
          yield memory.subarray(0, at)
          at = 0
        }
        if (element > ends[row]!) memory[at++] = COMMA
        if (need > memory.length) {
          if (at > 0) yield memory.subarray(0, at)
          at = 0
          yield* cellPieces(cell, element, memory)
        } else if (valid) at = cell.write(memory, at, element)
        else {
          memory.set(NULL, at)
          at += NULL.length
        }
      }
      if (at === memory.length) {
        yield memory
        at = 0
      }
      memory[at++] = CLOSING_BRACKET
      yield memory.subarray(0, at)
    },
  }
}

export function valuesOf(batch: Batch, index: number): Uint8Array {
  const { offset, length } = batch.columns[index]!.values
  return new Uint8Array(batch.buffer, offset, length)
}
