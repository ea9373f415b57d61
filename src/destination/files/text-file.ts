/** Files of lines: plain, or compressed piece by piece, which readers of gzip and zstd take as one. */
import { loadCompressor, type Compress } from '../../codec/compression/compressor.js'
import { chooseOption, type FormatOptions } from '../../codec/stated-options.js'
import type { RowEncoder } from '../../codec/text/row-encoder.js'
import type { FileEncoder } from './file-format.js'

/** What compresses whole files of text piece by piece, and what their names end with. */
export interface TextCompression {
  readonly name: 'none' | 'gzip' | 'zstd'
  readonly suffix: '' | '.gz' | '.zst'
  readonly compress: Compress | null
}

/** @throws CONFIG_INVALID */
export async function readTextCompression(format: string, options: FormatOptions): Promise<TextCompression> {
  const name = chooseOption(format, options, 'compression', {
    none: 'none',
    gzip: 'gzip',
    zstd: 'zstd',
  } as const)
  if (name === 'none') return { name, suffix: '', compress: null }
  return { name, suffix: name === 'gzip' ? '.gz' : '.zst', compress: await loadCompressor(name) }
}

export function encodeTextFile(rows: RowEncoder, { compress }: TextCompression): FileEncoder {
  if (compress === null) return rows
  function* compressed(pieces: Iterable<readonly Uint8Array[]>): Iterable<readonly Uint8Array[]> {
    for (const piece of pieces) if (piece.length > 0) yield [compress!(piece)]
  }
  return { add: (range) => compressed(rows.add(range)), end: () => compressed(rows.end()) }
}
