/** All pieces as one compressed piece, in memory of its own. */
export type Compress = (pieces: readonly Uint8Array[]) => Uint8Array

/** The content again, which has so many bytes, in memory of its own; null for what is not compressed, or has another length. */
export type Expand = (compressed: Uint8Array, bytes: number) => Uint8Array | null

/** In memory of its own. */
export function joinPieces(pieces: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    joined.set(piece, at)
    at += piece.length
  }
  return joined
}
