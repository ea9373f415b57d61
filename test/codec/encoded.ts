/** What an encoder gives, put together as a writer would: each piece is copied before the next is asked for. */
import type { RowRange } from '../../src/batch/row-range.js'

interface Encoder {
  add(rows: RowRange): Iterable<readonly Uint8Array[]>
  end(): Iterable<readonly Uint8Array[]>
}

export function encoded(encoder: Encoder, ranges: readonly RowRange[]): Buffer {
  const copies: Uint8Array[] = []
  const take = (all: Iterable<readonly Uint8Array[]>): void => {
    for (const pieces of all) for (const piece of pieces) copies.push(piece.slice())
  }
  for (const range of ranges) take(encoder.add(range))
  take(encoder.end())
  return Buffer.concat(copies)
}
