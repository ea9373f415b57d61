/** What DuckDB and the file system throw, as Trunkline's errors. */
import { statfs } from 'node:fs/promises'
import path from 'node:path'
import { TrunklineError } from '../../model/error.js'
import { systemErrorCode } from '../system-error.js'

/** Less than this is no space: DuckDB allocates 256 KiB blocks and needs a few to commit. */
const FULL_BELOW_BYTES = 4 * 1024 * 1024

export interface FailureContext {
  /** What was being done, as `loading rows of public.orders`. */
  readonly doing: string
  readonly path: string
  readonly stream?: string
}

const HINTS = {
  DESTINATION_FULL:
    'Free space there, or choose another place, and run again; what was committed before is complete.',
  DESTINATION_READ_ONLY:
    'Make the file and its folder writable for this user, or choose another place: the folder is needed for the log of the file.',
  DESTINATION_INVALID: 'Check the path of the destination.',
  DESTINATION_FAILED: 'Nothing of this stream was committed; what was there before is unchanged.',
} as const

/**
 * Wraps whatever is not already ours. DuckDB's errors carry nothing but words, so a full disk is recognised by asking the
 * file system rather than by reading them.
 */
export async function toDestinationError(cause: unknown, context: FailureContext): Promise<TrunklineError> {
  if (cause instanceof TrunklineError) return cause
  const systemCode = systemErrorCode(cause)
  const code = systemCode ?? ((await isFull(context.path)) ? 'DESTINATION_FULL' : 'DESTINATION_FAILED')
  const words = cause instanceof Error ? cause.message : String(cause)
  return new TrunklineError(code, `${context.path}: ${context.doing} failed: ${words}`, {
    hint: HINTS[code],
    context: { path: context.path, ...(context.stream === undefined ? {} : { stream: context.stream }) },
    cause,
  })
}

async function isFull(file: string): Promise<boolean> {
  try {
    const space = await statfs(path.dirname(file))
    return space.bavail * space.bsize < FULL_BELOW_BYTES
  } catch {
    return false
  }
}
