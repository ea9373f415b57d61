/**
 * Buffers of batches that are done, to be used for the next ones on this thread.
 *
 * A fresh buffer of 8 MiB for each batch costs more than filling it: its pages have to be faulted in and cleared, and V8 counts
 * it as pressure and answers with full collections.
 */

/** One being filled is not among them; more than these are never on their way at once. */
const MOST_KEPT = 4
/** Larger ones are made for one large value. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024
/** Buffers from this size on are whole numbers of it, so that what one batch used fits the next. */
const STEP_BYTES = 1024 * 1024

const idle: ArrayBuffer[] = []

/** A buffer of at least that many bytes, at most twice as many and some, with anything in them. */
export function takeBuffer(bytes: number): ArrayBuffer {
  if (bytes < STEP_BYTES) return new ArrayBuffer(bytes)
  const at = idle.findIndex(({ byteLength }) => byteLength >= bytes && byteLength <= 2 * bytes + STEP_BYTES)
  const [found] = at === -1 ? [] : idle.splice(at, 1)
  return found ?? new ArrayBuffer(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES)
}

/** Takes a buffer that nobody else holds any more; what is longest unused makes way. */
export function keepBuffer(buffer: ArrayBuffer): void {
  if (buffer.byteLength < STEP_BYTES || buffer.byteLength > MAX_KEPT_BYTES) return
  idle.push(buffer)
  if (idle.length > MOST_KEPT) idle.shift()
}
