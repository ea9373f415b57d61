/** Arrow files of this machine as batches. */
import { open, type FileHandle } from 'node:fs/promises'
import type { Batch } from '../../batch/batch.js'
import { MalformedArrow, readArrow, type ArrowReadOptions } from '../../codec/arrow-reader.js'
import { TrunklineError } from '../../model/error.js'
import { systemErrorCode } from '../system-error.js'
import type { FileCopy } from './file-format.js'

/** @throws DESTINATION_FAILED where the file is not whole, or not of these fields; DESTINATION_READ_ONLY where it may not be read */
export async function* readArrowFile(file: FileCopy, options: ArrowReadOptions): AsyncGenerator<Batch> {
  let handle: FileHandle | null = null
  try {
    handle = await open(file.path, 'r')
    const { size } = await handle.stat()
    yield* readArrow({ length: size, read: readerOf(handle) }, options)
  } catch (error) {
    throw unreadable(file, error)
  } finally {
    await handle?.close()
  }
}

function readerOf(handle: FileHandle): (target: Uint8Array, position: number) => Promise<void> {
  return async (target, position) => {
    for (let at = 0; at < target.length;) {
      const { bytesRead } = await handle.read(target, at, target.length - at, position + at)
      if (bytesRead === 0) throw new MalformedArrow('it was cut off')
      at += bytesRead
    }
  }
}

function unreadable({ name }: FileCopy, cause: unknown): unknown {
  if (cause instanceof MalformedArrow) {
    return new TrunklineError(
      'DESTINATION_FAILED',
      `The Arrow file ${name} cannot be read: ${cause.message}.`,
      {
        hint: 'It is not as it was written. Load its table anew with trunkline state resync.',
        cause,
      },
    )
  }
  const code = systemErrorCode(cause)
  if (code === undefined) return cause
  return new TrunklineError(
    code === 'DESTINATION_INVALID' ? 'DESTINATION_FAILED' : code,
    `The file ${name} cannot be read.`,
    {
      hint: 'Look whether it is there and may be read, or load its table anew with trunkline state resync.',
      cause,
    },
  )
}
