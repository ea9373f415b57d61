/** Which buffers of batches are the source's own, so that only those are taken back, each once. */
import type { Batch } from '../batch/batch.js'

const lenders = new WeakMap<ArrayBuffer, (buffer: ArrayBuffer) => void>()

/** `takeBack` gets the buffer when whoever has the batch has no more use for it. */
export function lend(batch: Batch, takeBack: (buffer: ArrayBuffer) => void): Batch {
  lenders.set(batch.buffer, takeBack)
  return batch
}

/** Also of a batch that was made of a lent one over the same memory; any other is left alone. */
export function giveBack(batch: Batch): void {
  const takeBack = lenders.get(batch.buffer)
  lenders.delete(batch.buffer)
  takeBack?.(batch.buffer)
}
