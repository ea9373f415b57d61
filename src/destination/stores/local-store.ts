/**
 * A folder of this machine as a store. A file is written under `_trunkline/tmp`, flushed, and then moved to its name; one that
 * must not be there yet is linked to its name, which fails where there is one. The folder that names it is flushed as well.
 *
 * Files are made for this user alone (0600), and so are folders (0700).
 */
import { randomUUID } from 'node:crypto'
import type { Dirent } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { link, mkdir, open, readFile, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { TrunklineError } from '../../model/error.js'
import { systemErrorCode } from '../system-error.js'
import { hideValues, withoutValues } from './hide-values.js'
import type { LocalCopy, Store, StoreFile, StoredFile } from './store.js'
import { missingFile } from './store.js'

const STAGING = '_trunkline/tmp'
/** Small pieces are gathered up to this much before they are written. */
const GATHER_BYTES = 256 * 1024
/** What is written is brought to the disk by as much at a time, beside what comes next: the end then has little left to wait for. */
const FLUSH_BYTES = 32 * 1024 * 1024

const FOLDER_ATTEMPTS = 3

export interface LocalStoreOptions {
  /** Absolute, or relative to the working directory. */
  readonly path: string
}

export function createLocalStore(options: LocalStoreOptions): Store {
  return new LocalStore(options.path)
}

class LocalStore implements Store {
  readonly description: string
  readonly folder: string
  /** Folders known to be there. */
  readonly #made = new Set<string>()
  /** That were begun and are not over. */
  readonly #going = new Set<StoreFile>()

  constructor(stated: string) {
    this.description = stated
    this.folder = path.resolve(stated)
  }

  locate(file: string): string {
    return this.#at(file)
  }

  async open({ signal }: { readonly signal?: AbortSignal }): Promise<void> {
    signal?.throwIfAborted()
    await this.#tell('opening it', async () => {
      await this.#makeFolder('')
      await this.#makeFolder(STAGING)
      // What cannot be written is told before a row is read.
      const probe = await this.#stage()
      await probe.handle.close()
      await rm(probe.path)
    })
    signal?.throwIfAborted()
  }

  async create(file: string): Promise<StoreFile> {
    const staged = await this.#tell(`creating ${file}`, () => this.#stage())
    const created = new LocalFile(staged, {
      tell: (doing, work) => this.#tell(`${doing} ${file}`, work),
      moveIntoPlace: () => this.#moveIntoPlace(staged.path, file),
      onEnd: () => this.#going.delete(created),
    })
    this.#going.add(created)
    return created
  }

  async put(file: string, content: Uint8Array): Promise<void> {
    await this.#tell(`writing ${file}`, async () => {
      const staged = await this.#stageContent(content)
      await this.#moveIntoPlace(staged, file)
    })
  }

  async putNew(file: string, content: Uint8Array): Promise<boolean> {
    return this.#tell(`writing ${file}`, async () => {
      const target = this.#at(file)
      const staged = await this.#stageContent(content)
      try {
        await this.#makeFolder(path.posix.dirname(file))
        await link(staged, target)
      } catch (error) {
        if (LINKS_UNKNOWN.has((error as NodeJS.ErrnoException).code ?? '')) throw this.#withoutLinks(error)
        if (!isThere(error)) throw error
        // It may be ours, of an attempt whose end was not seen.
        if (!(await readFile(target)).equals(content)) return false
        await syncPath(target)
      } finally {
        await rm(staged, { force: true })
      }
      await syncPath(path.dirname(target))
      return true
    })
  }

  async read(file: string): Promise<Uint8Array | null> {
    try {
      return await readFile(this.#at(file))
    } catch (error) {
      if (isNoFile(error)) return null
      throw this.#failure(`reading ${file}`, error)
    }
  }

  async *list(prefix: string, options: { readonly after?: string } = {}): AsyncIterable<StoredFile> {
    const slash = prefix.lastIndexOf('/')
    yield* this.#walk(slash === -1 ? '' : prefix.slice(0, slash), prefix, options.after ?? '')
  }

  async remove(files: readonly string[]): Promise<void> {
    await this.#tell('removing files', async () => {
      const folders = new Set<string>()
      for (const file of files) {
        await rm(this.#at(file), { force: true }).catch((error: unknown) => {
          if (!isNoFile(error)) throw error
        })
        folders.add(path.posix.dirname(file))
      }
      for (const folder of folders) await this.#removeEmpty(folder)
    })
  }

  async fetch(file: string): Promise<LocalCopy> {
    const found = await stat(this.#at(file)).catch((error: unknown) => {
      if (isNoFile(error)) return null
      throw this.#failure(`reading ${file}`, error)
    })
    if (found?.isFile() !== true) throw missingFile(hideValues(this.#at(file)))
    return { path: this.#at(file), release: () => Promise.resolve() }
  }

  /** What processes that are gone left half written. */
  async removeAbandoned(before: Date): Promise<number> {
    return this.#tell('removing what was never finished', async () => {
      let removed = 0
      for (const entry of await readFolder(this.#at(STAGING))) {
        const file = path.join(this.#at(STAGING), entry.name)
        const found = await stat(file).catch(() => null)
        if (found === null || found.mtime >= before) continue
        await rm(file, { recursive: true, force: true })
        removed++
      }
      return removed
    })
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#going, (file) => file.abort()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** In the order of paths: `a.b/x` comes before `a/x`, as `.` comes before `/`. */
  async *#walk(folder: string, prefix: string, after: string): AsyncIterable<StoredFile> {
    const entries = await this.#tell('listing it', () => readFolder(this.#at(folder)))
    // The order of UTF-8, as object stores have it: that of JavaScript is another one beyond the first plane.
    const paths = entries.map((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      const name = entry.isDirectory() ? `${path}/` : path
      return { entry, name, bytes: Buffer.from(name) }
    })
    paths.sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    const afterBytes = Buffer.from(after)
    for (const { entry, name, bytes } of paths) {
      if (entry.isDirectory()) {
        const related = name.startsWith(prefix) || prefix.startsWith(name)
        // Everything in a folder whose name is not after its beginning, and does not begin it, comes before.
        const isBefore = Buffer.compare(bytes, afterBytes) < 0 && !after.startsWith(name)
        if (related && !isBefore && name !== `${STAGING}/`)
          yield* this.#walk(name.slice(0, -1), prefix, after)
      } else if (name.startsWith(prefix) && Buffer.compare(bytes, afterBytes) > 0) {
        const found = await stat(this.#at(name)).catch(() => null)
        if (found !== null) yield { path: name, bytes: found.size, modifiedAt: found.mtime }
      }
    }
  }

  #at(file: string): string {
    return path.join(this.folder, file)
  }

  /**
   * One after the other: Node's way of making several at once never ends where the file system says that there is no such folder
   * although there is, as that of processes does.
   */
  async #makeFolder(folder: string): Promise<void> {
    if (this.#made.has(folder)) return
    for (let attempt = 1; ; attempt++) {
      try {
        for (const missing of await this.#findMissing(this.#at(folder))) {
          await mkdir(missing, { mode: 0o700 }).catch((error: unknown) => {
            if (!isThere(error)) throw error
          })
          // Each new name is flushed with the folder that holds it.
          await syncPath(path.dirname(missing))
        }
        break
      } catch (error) {
        // Folders that are empty may be taken away meanwhile.
        if (!isMissing(error) || attempt === FOLDER_ATTEMPTS) throw error
      }
    }
    this.#made.add(folder)
  }

  /** The outermost first. */
  async #findMissing(target: string): Promise<readonly string[]> {
    const missing: string[] = []
    for (let at = target; ; at = path.dirname(at)) {
      const found = await stat(at).catch((error: unknown) => {
        if (isNoFile(error)) return null
        throw error
      })
      if (found?.isDirectory() === false) throw this.#notAFolder(at)
      if (found !== null) return missing.reverse()
      missing.push(at)
    }
  }

  #notAFolder(target: string): TrunklineError {
    return new TrunklineError('DESTINATION_INVALID', `${hideValues(target)} is not a folder.`, {
      hint: HINTS.DESTINATION_INVALID,
      context: { path: this.description },
    })
  }

  async #stage(): Promise<StagedFile> {
    const file = path.join(this.#at(STAGING), `${process.pid}-${randomUUID()}`)
    try {
      return { path: file, handle: await open(file, 'wx', 0o600) }
    } catch (error) {
      if (!isMissing(error)) throw error
      this.#made.delete(STAGING)
      await this.#makeFolder(STAGING)
      return { path: file, handle: await open(file, 'wx', 0o600) }
    }
  }

  async #stageContent(content: Uint8Array): Promise<string> {
    const staged = await this.#stage()
    try {
      await staged.handle.writeFile(content)
      await staged.handle.sync()
      await staged.handle.close()
      return staged.path
    } catch (error) {
      await staged.handle.close().catch(() => undefined)
      await rm(staged.path, { force: true }).catch(() => undefined)
      throw error
    }
  }

  async #moveIntoPlace(staged: string, file: string): Promise<void> {
    const folder = path.posix.dirname(file)
    const target = this.#at(file)
    try {
      await this.#makeFolder(folder === '.' ? '' : folder)
      await rename(staged, target).catch(async (error: unknown) => {
        if (!isMissing(error)) throw error
        // A folder that was empty may have been taken away.
        this.#made.delete(folder)
        await this.#makeFolder(folder)
        await rename(staged, target)
      })
      await syncPath(path.dirname(target))
    } catch (error) {
      await rm(staged, { force: true }).catch(() => undefined)
      throw error
    }
  }

  /** Up to the first that is not empty, and never the root. */
  async #removeEmpty(folder: string): Promise<void> {
    for (let empty = folder; empty !== '.' && empty !== ''; empty = path.posix.dirname(empty)) {
      try {
        await rmdir(this.#at(empty))
      } catch {
        return
      }
      this.#made.delete(empty)
    }
  }

  async #tell<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.#failure(doing, error)
    }
  }

  /** A commit is a link, which nothing else makes only where there is none. */
  #withoutLinks(cause: unknown): TrunklineError {
    return new TrunklineError(
      'DESTINATION_INVALID',
      `${this.description}: its file system makes no hard links, and so cannot hold commits.`,
      { hint: 'Choose a folder of another file system.', context: { path: this.description }, cause },
    )
  }

  #failure(doing: string, cause: unknown): unknown {
    if (cause instanceof TrunklineError) return cause
    const code = systemErrorCode(cause) ?? 'DESTINATION_FAILED'
    const words = hideValues(cause instanceof Error ? cause.message : String(cause))
    return new TrunklineError(code, `${this.description}: ${hideValues(doing)} failed: ${words}`, {
      hint: HINTS[code],
      context: { path: this.description },
      cause: withoutValues(cause),
    })
  }
}

/** What file systems say that know no hard links. */
const LINKS_UNKNOWN: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])

const HINTS = {
  DESTINATION_FULL:
    'Free space there, or choose another place, and run again; what was committed before is complete.',
  DESTINATION_READ_ONLY: 'Make the folder writable for this user, or choose another place.',
  DESTINATION_INVALID: 'Check the path of the destination.',
  DESTINATION_FAILED: 'Nothing of this was committed; what was there before is unchanged.',
} as const

interface StagedFile {
  readonly path: string
  readonly handle: FileHandle
}

interface LocalFileOptions {
  readonly tell: (doing: string, work: () => Promise<void>) => Promise<void>
  readonly moveIntoPlace: () => Promise<void>
  /** Told when it is over, however. */
  readonly onEnd: () => void
}

class LocalFile implements StoreFile {
  readonly #staged: StagedFile
  readonly #options: LocalFileOptions
  readonly #gathered = Buffer.allocUnsafe(GATHER_BYTES)
  #gatheredBytes = 0
  #unflushedBytes = 0
  #flushing: Promise<void> | null = null
  /** The system tells once that something did not reach the disk, to whoever asks first: a later flush would know nothing of it. */
  #failure: { readonly error: unknown } | null = null
  #ended = false

  constructor(staged: StagedFile, options: LocalFileOptions) {
    this.#staged = staged
    this.#options = options
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    await this.#options.tell('writing', async () => {
      for (const piece of pieces) {
        if (this.#gatheredBytes + piece.length > GATHER_BYTES) await this.#writeGathered()
        if (piece.length > GATHER_BYTES) {
          await this.#writeOut(piece)
        } else {
          this.#gathered.set(piece, this.#gatheredBytes)
          this.#gatheredBytes += piece.length
        }
      }
    })
  }

  async finish(): Promise<void> {
    await this.#options.tell('finishing', async () => {
      await this.#writeGathered()
      await this.#flushing
      this.#throwIfFailed()
      await this.#staged.handle.sync()
      await this.#staged.handle.close()
      this.#end()
      await this.#options.moveIntoPlace()
    })
  }

  async abort(): Promise<void> {
    if (this.#ended) return
    this.#end()
    await this.#staged.handle.close().catch(() => undefined)
    await rm(this.#staged.path, { force: true }).catch(() => undefined)
  }

  #end(): void {
    this.#ended = true
    this.#options.onEnd()
  }

  async #writeGathered(): Promise<void> {
    const bytes = this.#gatheredBytes
    if (bytes === 0) return
    await this.#writeOut(this.#gathered.subarray(0, bytes))
    this.#gatheredBytes = 0
  }

  async #writeOut(bytes: Uint8Array): Promise<void> {
    this.#throwIfFailed()
    try {
      await writeAll(this.#staged.handle, bytes)
    } catch (error) {
      this.#failure = { error }
      throw error
    }
    this.#unflushedBytes += bytes.length
    if (this.#unflushedBytes >= FLUSH_BYTES && this.#flushing === null) this.#flushBeside()
  }

  /** One at a time; a disk that is slower than we are is waited for at the end. */
  #flushBeside(): void {
    this.#unflushedBytes = 0
    this.#flushing = this.#staged.handle
      .datasync()
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .then(() => {
        this.#flushing = null
      })
  }

  #throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure.error
  }
}

/** A full disk shows as a write of fewer bytes before it shows as an error. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten
}

async function syncPath(file: string): Promise<void> {
  const handle = await open(file, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function readFolder(folder: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

function isThere(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST'
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}

/** There is nothing by that name, or something else than a file: a folder, or what stands where a folder would have to. */
function isNoFile(error: unknown): boolean {
  const { code = '' } = error as NodeJS.ErrnoException
  return ['ENOENT', 'EISDIR', 'ERR_FS_EISDIR', 'ENOTDIR'].includes(code)
}
