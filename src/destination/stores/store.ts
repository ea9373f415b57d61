/**
 * Where files land: a folder of this machine or a bucket. The few effects that a file destination has on the world, so that a test
 * can stop a run before and after each of them.
 *
 * Paths are relative to the store's root, `/`-separated, never with a leading slash, `.`, `..` or an empty part. None is both one of
 * a file and what others begin with. A file is there whole or not at all, for whoever lists or reads: nobody sees one that is being
 * written. Errors name files, but not the values of rows that their folders are called by.
 */
import { TrunklineError } from '../../model/error.js'

export interface Store extends AsyncDisposable {
  /** As a person would write it, without secrets: `./lake`, `s3://bucket/prefix`. */
  readonly description: string
  /** The folder of this machine, for whoever watches the disk; absent where that is elsewhere. */
  readonly folder?: string
  /** What SQL of DuckDB reads the file by: an absolute path, or the bucket's URL. */
  locate(path: string): string
  /**
   * Creates what is missing. Rejects with the signal's reason as soon as that aborts.
   * @throws DESTINATION_INVALID, DESTINATION_READ_ONLY, … where the store cannot be used
   */
  open(options: { readonly signal?: AbortSignal }): Promise<void>
  /** A new file, to be written piece by piece. One of the same path is replaced when this one is finished. */
  create(path: string): Promise<StoreFile>
  /** A small file at once. One of the same path is replaced. */
  put(path: string, content: Uint8Array): Promise<void>
  /**
   * A small file that must not be there: the one effect that a commit is. Durable when it returns. False: there is one, of other
   * content; an answer that was lost on its way is found out about before this returns.
   */
  putNew(path: string, content: Uint8Array): Promise<boolean>
  /** Null where there is none: a folder is no file. */
  read(path: string): Promise<Uint8Array | null>
  /** Files whose paths begin so, in the order of the bytes of their paths. `after`: only those that come after this path. */
  list(prefix: string, options?: { readonly after?: string }): AsyncIterable<StoredFile>
  /** Those that are not there are none to it. */
  remove(paths: readonly string[]): Promise<void>
  /**
   * A copy on this machine, or the file itself where it lies here; `release` when it is not needed any more.
   * @throws DESTINATION_FAILED where there is no such file
   */
  fetch(path: string): Promise<LocalCopy>
  /**
   * Removes what is left of files that were begun before then and never finished, where the store keeps such out of lists.
   * @param isOurs whether the path is of those that the caller makes: others may have files below the same place
   * @returns how many
   */
  removeAbandoned?(before: Date, isOurs: (path: string) => boolean): Promise<number>
  /** Aborts what was begun and not finished. */
  close(): Promise<void>
}

export interface StoredFile {
  readonly path: string
  readonly bytes: number
  readonly modifiedAt: Date
}

export interface StoreFile {
  /** Resolves when the pieces' memory may be used again. */
  write(pieces: readonly Uint8Array[]): Promise<void>
  /** Durable, and there, when it returns. */
  finish(): Promise<void>
  /** Nothing of it stays. Never rejects; safe after a failed call. */
  abort(): Promise<void>
}

export interface LocalCopy {
  readonly path: string
  release(): Promise<void>
}

/** @param name where it should be, for a person to read */
export function missingFile(name: string): TrunklineError {
  return new TrunklineError('DESTINATION_FAILED', `${name} is not there.`, {
    hint: 'Somebody removed it: files there are removed by `trunkline gc` only. Load its table anew with trunkline state resync.',
  })
}
