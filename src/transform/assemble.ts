/** Puts a batch together out of columns of other batches and made ones, in a buffer of its own. */
import type { Batch, Column, Span } from '../batch/batch.js'
import type { Field } from '../model/column-type.js'

/** Where a column will be, and what puts it there once there is a buffer. */
export interface Draft {
  readonly column: Column
  readonly write: (target: Uint8Array) => void
}

/** Makes room in the buffer that will be. */
export type Reserve = (length: number) => Span
export type Build = (reserve: Reserve) => Draft

export function assembleBatch(fields: readonly Field[], rowCount: number, builds: readonly Build[]): Batch {
  let total = 0
  const reserve = (length: number): Span => {
    const span = { offset: total, length }
    total += (length + 7) & ~7
    return span
  }
  const drafts = builds.map((build) => build(reserve))
  const buffer = new ArrayBuffer(total)
  const target = new Uint8Array(buffer)
  for (const draft of drafts) draft.write(target)
  return { fields, rowCount, columns: drafts.map(({ column }) => column), buffer }
}

export function copyColumn(batch: Batch, index: number): Build {
  const from = batch.columns[index]
  if (from === undefined) throw new RangeError(`The batch has no column ${index}.`)
  return copyOf(batch.buffer, from)
}

function copyOf(buffer: ArrayBuffer, from: Column): Build {
  return (reserve) => {
    const own: Column = {
      nullCount: from.nullCount,
      validity: from.validity && reserve(from.validity.length),
      offsets: from.offsets && reserve(from.offsets.length),
      values: reserve(from.values.length),
    }
    const elements = from.elements === undefined ? null : copyOf(buffer, from.elements)(reserve)
    const column = elements === null ? own : { ...own, elements: elements.column }
    const copy = (target: Uint8Array, span: Span | null, source: Span | null): void => {
      if (span !== null && source !== null)
        target.set(new Uint8Array(buffer, source.offset, source.length), span.offset)
    }
    return {
      column,
      write: (target) => {
        copy(target, column.validity, from.validity)
        copy(target, column.offsets, from.offsets)
        copy(target, column.values, from.values)
        elements?.write(target)
      },
    }
  }
}
