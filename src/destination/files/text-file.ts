/** Files of lines: plain, or compressed piece by piece, which readers of gzip and zstd take as one. */
import type { RowEncoder } from '../../codec/text/row-encoder.js'
import type { FileEncoder } from './file-format.js'
import type { TextCompression } from './format-options.js'

export function encodeTextFile(rows: RowEncoder, { compress }: TextCompression): FileEncoder {
  if (compress === null) return rows
  function* compressed(pieces: Iterable<readonly Uint8Array[]>): Iterable<readonly Uint8Array[]> {
    for (const piece of pieces) if (piece.length > 0) yield [compress!(piece)]
  }
  return { add: (range) => compressed(rows.add(range)), end: () => compressed(rows.end()) }
}
