/**
 * Reads a split again from where a lost reader stopped: what was given on is read and dropped, and compared with what it was.
 *
 * In one snapshot a scan gives a table's rows in the order of their places, so the second read begins with the batches of the
 * first one. That this is so is not only assumed: digests of the batches have to agree.
 */
import type { Batch, Column, Span } from '../batch/batch.js'
import { TrunklineError } from '../model/error.js'

/** The batches of a split that were given on. */
export interface Given {
  batches: number
  /** Of all of them, in their order. */
  digest: number
}

export interface Replay {
  /** False for a batch that was given before. @throws CONNECTION_LOST where it is another one. */
  accept(batch: Batch): boolean
  /** Of all batches accepted. */
  readonly digest: number
  /** After the last batch. @throws CONNECTION_LOST where fewer came than were given. */
  finish(): void
}

export function startReplay(given: Readonly<Given>): Replay {
  let seen = 0
  let digest = 0
  return {
    accept(batch) {
      digest = digestBatch(digest, batch)
      seen++
      if (seen === given.batches && digest !== given.digest) throw otherOrder()
      return seen > given.batches
    },
    get digest() {
      return digest
    },
    finish() {
      if (seen < given.batches) throw otherOrder()
    },
  }
}

/** Every sixteenth word, one of each cache line: 0.1 ms for 8 MiB. Any shift of rows changes nearly all of them. */
const STRIDE = 16
const PRIME = 0x01000193

/** Of the rows, the lengths of the columns and a sample of their bytes; `previous` goes in. */
function digestBatch(previous: number, batch: Batch): number {
  let digest = mix(previous, batch.rowCount)
  for (const column of batch.columns) digest = digestColumn(digest, batch.buffer, column)
  return batch.tuples === undefined ? digest : digestSpan(digest, batch.buffer, batch.tuples)
}

function digestColumn(previous: number, buffer: ArrayBuffer, column: Column): number {
  const { validity, offsets, values, elements } = column
  let digest = previous
  if (validity !== null) digest = digestSpan(digest, buffer, validity)
  if (offsets !== null) digest = digestSpan(digest, buffer, offsets)
  digest = digestSpan(digest, buffer, values)
  return elements === undefined ? digest : digestColumn(digest, buffer, elements)
}

function digestSpan(previous: number, buffer: ArrayBuffer, { offset, length }: Span): number {
  let digest = mix(previous, length)
  const words = new Int32Array(buffer, offset, length >> 2)
  for (let index = 0; index < words.length; index += STRIDE) digest = mix(digest, words[index]!)
  const tail = new Uint8Array(buffer, offset, length)
  for (let index = Math.max(0, length - 8); index < length; index++) digest = mix(digest, tail[index]!)
  return digest
}

function mix(digest: number, word: number): number {
  const mixed = Math.imul(digest ^ word, PRIME)
  return mixed ^ (mixed >>> 15)
}

function otherOrder(): TrunklineError {
  return new TrunklineError(
    'CONNECTION_LOST',
    'A reader was lost, and the rows of its split came in another order when they were read again.',
    { hint: 'Nothing of this read is landed; a retry reads the stream in a new snapshot.' },
  )
}
