/** A file that a command writes its data to: there whole, or as it was before. */
import { open, realpath, rename, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { TrunklineError } from '../model/error.js'

export interface OutputFile {
  /** Resolves when the piece's memory may be used again. */
  write(piece: Uint8Array): Promise<void>
  /** On disk, and in its place, when it resolves. */
  finish(): Promise<void>
  /** What was there stays. Never rejects; does nothing after `finish`. */
  discard(): Promise<void>
}

/** Readable by its owner alone. @throws DESTINATION_READ_ONLY, DESTINATION_FAILED, and DESTINATION_FULL from `write` */
export async function openOutputFile(path: string): Promise<OutputFile> {
  const there = await stat(path).catch(() => null)
  // A pipe or a device is written to as it is: a file in its place would be something else.
  const inPlace = there !== null && !there.isFile() && !there.isDirectory()
  const target = there === null ? path : await realpath(path)
  const partial = inPlace ? target : `${target}.${process.pid}.partial`
  const guarded = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work()
    } catch (cause) {
      throw outputError(cause, path)
    }
  }
  const handle = await guarded<FileHandle>(() => open(partial, inPlace ? 'w' : 'wx', 0o600))
  let closed = false
  const close = async (): Promise<void> => {
    if (closed) return
    closed = true
    await handle.close()
  }
  const discard = async (): Promise<void> => {
    if (closed) return
    await close().catch(() => undefined)
    if (!inPlace) await rm(partial, { force: true }).catch(() => undefined)
  }
  return {
    write: (piece) =>
      guarded(async () => {
        for (let at = 0; at < piece.length;) at += (await handle.write(piece, at)).bytesWritten
      }),
    finish: () =>
      guarded(async () => {
        if (!inPlace) await handle.sync()
        await close()
        if (!inPlace) await rename(partial, target)
      }),
    discard,
  }
}

/** What keeps data from being written there, in words. */
export function outputError(cause: unknown, place: string): TrunklineError {
  const { code } = cause as NodeJS.ErrnoException
  const context = { ...(code === undefined ? {} : { path: place }) }
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    const hint = 'Make room, or write somewhere else.'
    return new TrunklineError('DESTINATION_FULL', `${place}: no space is left.`, { hint, context, cause })
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    const hint = 'Choose a folder that you may write to.'
    return new TrunklineError('DESTINATION_READ_ONLY', `${place} cannot be written.`, {
      hint,
      context,
      cause,
    })
  }
  return new TrunklineError('DESTINATION_FAILED', `${place} cannot be written: ${code ?? 'unknown'}.`, {
    hint: 'Name a file in a folder that is there.',
    context,
    cause,
  })
}
