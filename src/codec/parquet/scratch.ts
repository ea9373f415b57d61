/** Memory for what has to be rewritten on its way into a page, used again and again. */

/** Gives that many bytes, beginning at a multiple of 8 of their buffer, with anything in them. */
export type TakeMemory = (bytes: number) => Uint8Array

export const freshMemory: TakeMemory = (bytes) => new Uint8Array(bytes)

export interface Scratch {
  readonly take: TakeMemory
  /** Everything that was taken may be given out again. */
  readonly release: () => void
}

const FIRST_BYTES = 1024 * 1024
/** A larger piece is not kept. */
const MOST_BYTES = 16 * 1024 * 1024

export function createScratch(): Scratch {
  let block = new ArrayBuffer(0)
  let used = 0
  return {
    take(bytes) {
      if (used + bytes > block.byteLength) {
        if (bytes > MOST_BYTES) return new Uint8Array(bytes)
        // What was taken of the block before stays where it is until nobody holds it.
        block = new ArrayBuffer(Math.min(MOST_BYTES, Math.max(bytes, FIRST_BYTES, 2 * block.byteLength)))
        used = 0
      }
      const taken = new Uint8Array(block, used, bytes)
      used = (used + bytes + 7) & ~7
      return taken
    },
    release() {
      used = 0
    },
  }
}
