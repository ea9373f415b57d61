/**
 * Zstandard frames: by Node where it can (22.15 and later), else by the same C code as WebAssembly.
 *
 * The package's own `compress` builds its result through an array of numbers, which takes 15 times as long as compressing (1 MiB of
 * text: 19 ms instead of 3.5). So the module is called as that method calls it, and the result is copied as bytes.
 */
import zlib from 'node:zlib'
import { TrunklineError } from '../../model/error.js'
import { joinPieces, type Compress, type Expand } from './join-pieces.js'

/** Since Node 22.15; the types are of Node 20. */
interface WithZstd {
  readonly zstdCompressSync?: (
    bytes: Uint8Array,
    options: { readonly params: Readonly<Record<number, number>> },
  ) => Uint8Array
  readonly zstdDecompressSync?: (
    bytes: Uint8Array,
    options: { readonly maxOutputLength: number },
  ) => Uint8Array
}
/** ZSTD_c_compressionLevel of zstd.h. */
const LEVEL_PARAMETER = 100

/** `native`: whether Node's own is used where there is one. */
export async function loadZstd(level: number, native = true): Promise<Compress> {
  const { zstdCompressSync } = zlib as WithZstd
  if (native && zstdCompressSync !== undefined) {
    return (pieces) => zstdCompressSync(joinPieces(pieces), { params: { [LEVEL_PARAMETER]: level } })
  }
  return compressInModule(await loadModule(), level)
}

/** Of frames that say how long their content is, as those of {@link loadZstd} do. `native`: as there. */
export async function loadZstdExpander(native = true): Promise<Expand> {
  const { zstdDecompressSync } = zlib as WithZstd
  if (!native || zstdDecompressSync === undefined) return expandInModule(await loadModule())
  return (compressed, bytes) => {
    try {
      const content = zstdDecompressSync(compressed, { maxOutputLength: Math.max(1, bytes) })
      return content.length === bytes ? content : null
    } catch {
      return null
    }
  }
}

async function loadModule(): Promise<ZstdModule> {
  const { Zstd } = await import('@hpcc-js/wasm-zstd')
  const loaded: unknown = await Zstd.load()
  return (loaded as LoadedZstd)._mainModule._module
}

/** The package's object: what it keeps the module in. */
interface LoadedZstd {
  readonly _mainModule: { readonly _module: ZstdModule }
}

/** What is used of the WebAssembly module. Its memory moves when it grows. */
interface ZstdModule {
  readonly HEAPU8: Uint8Array
  readonly _malloc: (bytes: number) => number
  readonly _free: (at: number) => void
  readonly zstd: {
    compressBound(bytes: number): number
    compress(to: number, room: number, from: number, bytes: number, level: number): number
    getFrameContentSize(from: number, bytes: number): number | bigint
    decompress(to: number, room: number, from: number, bytes: number): number
    isError(result: number): number
  }
}

/** Memory for so much content is kept from call to call. */
const KEPT_BYTES = 4 * 1024 * 1024

function compressInModule(module: ZstdModule, level: number): Compress {
  const { zstd } = module
  let room = 0
  let from = 0
  return (pieces) => {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
    const bound = zstd.compressBound(bytes)
    if (bytes > room) {
      if (room > 0) module._free(from)
      room = 0
      from = module._malloc(bytes + bound) >>> 0
      if (from === 0) throw new TrunklineError('INTERNAL', `No memory to compress ${bytes} bytes.`)
      room = bytes
    }
    let at = from
    for (const piece of pieces) {
      module.HEAPU8.set(piece, at)
      at += piece.length
    }
    const size = zstd.compress(from + bytes, bound, from, bytes, level)
    if (zstd.isError(size) !== 0) throw new TrunklineError('INTERNAL', `${bytes} bytes were not compressed.`)
    const result = module.HEAPU8.slice(from + bytes, from + bytes + size)
    if (room > KEPT_BYTES) {
      module._free(from)
      room = 0
    }
    return result
  }
}

function expandInModule(module: ZstdModule): Expand {
  const { zstd } = module
  return (compressed, bytes) => {
    const from = take(module, compressed.length)
    try {
      module.HEAPU8.set(compressed, from)
      // Asked before there is room for what the caller was told.
      if (Number(zstd.getFrameContentSize(from, compressed.length)) !== bytes) return null
      const to = take(module, bytes)
      try {
        const size = zstd.decompress(to, bytes, from, compressed.length)
        return zstd.isError(size) === 0 && size === bytes ? module.HEAPU8.slice(to, to + bytes) : null
      } finally {
        module._free(to)
      }
    } finally {
      module._free(from)
    }
  }
}

function take(module: ZstdModule, bytes: number): number {
  const at = module._malloc(Math.max(1, bytes)) >>> 0
  if (at === 0) throw new TrunklineError('INTERNAL', `No memory to expand ${bytes} bytes.`)
  return at
}
