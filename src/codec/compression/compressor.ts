/** Ways to compress a piece of a file, by the names that Parquet's users know. */
import { gzipSync } from 'node:zlib'
import { unreachable } from '../../model/column-type.js'
import { joinPieces, type Compress } from './join-pieces.js'
import { compressSnappy, snappyBound } from './snappy.js'
import { loadZstd } from './zstd.js'

export type { Compress } from './join-pieces.js'

export const COMPRESSIONS = ['zstd', 'snappy', 'gzip', 'none'] as const
export type Compression = (typeof COMPRESSIONS)[number]

/** The levels there are, and the one that is meant where none is given; null where there are none. */
export const COMPRESSION_LEVELS: Readonly<
  Record<Compression, { readonly least: number; readonly most: number; readonly usual: number } | null>
> = {
  // 1 is as small as 3 within some percent, at two thirds of the time.
  zstd: { least: 1, most: 22, usual: 1 },
  snappy: null,
  gzip: { least: 1, most: 9, usual: 6 },
  none: null,
}

/** @param level one of {@link COMPRESSION_LEVELS}; default: the usual one */
export async function loadCompressor(compression: Compression, level?: number): Promise<Compress> {
  const used = level ?? COMPRESSION_LEVELS[compression]?.usual ?? 0
  switch (compression) {
    case 'zstd':
      return loadZstd(used)
    case 'snappy':
      return compressPieces
    case 'gzip':
      return (pieces) => gzipSync(joinPieces(pieces), { level: used })
    case 'none':
      return joinPieces
    default:
      return unreachable(compression)
  }
}

/** What a block is made in, kept from call to call unless it is large. */
let scratch = new Uint8Array(0)
const KEPT_BYTES = 4 * 1024 * 1024

function compressPieces(pieces: readonly Uint8Array[]): Uint8Array {
  const input = joinPieces(pieces)
  const bound = snappyBound(input.length)
  const output = bound <= scratch.length ? scratch : new Uint8Array(Math.max(bound, 65_536))
  if (output.length <= KEPT_BYTES) scratch = output
  return output.slice(0, compressSnappy(input, output))
}
