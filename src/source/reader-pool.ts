/**
 * The readers of a snapshot: splits go to whichever is free. They are opened one by one, as splits come that no open one is
 * free for; a reader that is lost is replaced, and where the server gives no more connections the pool goes on with fewer.
 */
import { TrunklineError, type ErrorCode } from '../model/error.js'
import type { Logger } from '../model/log.js'
import { createPace, type ReadPace } from './read-pace.js'
import { Reader, type ReaderOptions } from './reader.js'

export interface ReaderPoolOptions {
  /** At most; at least one. */
  readonly size: number
  readonly logger: Logger
  /** Asked once, when the first reader is opened. */
  readonly reader: () => Promise<ReaderOptions>
}

interface Waiter {
  /** Null: there will be none. */
  readonly resolve: (reader: Reader | null) => void
  readonly reject: (reason: unknown) => void
}

/** What a server or the network says when it has no connection for us. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'CONNECT_FAILED',
  'CONNECT_TIMEOUT',
  'CONNECTION_LOST',
  'CONNECTION_STALLED',
  'SERVER_BUSY',
  'SERVER_RESTARTING',
])

export class ReaderPool {
  /** What all of them, and whoever reads in their stead, keep to. */
  readonly pace: ReadPace = createPace()
  readonly #options: ReaderPoolOptions
  readonly #readers = new Set<Reader>()
  readonly #idle: Reader[] = []
  readonly #waiters: Waiter[] = []
  readonly #opening = new Set<Promise<void>>()
  readonly #leaving = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  /** How many there may be; falls when the server refuses one. */
  #size: number
  /** How many of them are kept, for now. */
  #kept = Infinity
  #readerOptions: Promise<ReaderOptions> | null = null
  #warned = false

  constructor(options: ReaderPoolOptions) {
    this.#options = options
    this.#size = options.size
  }

  /** Zero once the server refused even the first. */
  get size(): number {
    return this.#size
  }

  get backendPids(): readonly number[] {
    return [...this.#readers].map((reader) => reader.backendPid)
  }

  /** A reader for one split, to be given back by `release`; null where the server gives none at all. */
  async acquire(signal: AbortSignal): Promise<Reader | null> {
    signal.throwIfAborted()
    for (let reader = this.#idle.pop(); reader !== undefined; reader = this.#idle.pop()) {
      if (reader.failure === null) return reader
      this.#readers.delete(reader)
    }
    if (this.#size === 0) return null
    const arrived = this.#wait(signal)
    this.#grow()
    return arrived
  }

  /** Keeps no more than these, at least one: readers beyond are closed, those that read when they have read. */
  limit(most: number): void {
    this.#kept = Math.max(1, most)
    while (this.#readers.size > this.#kept) {
      const idle = this.#idle.pop()
      if (idle === undefined) break
      this.#dismiss(idle)
    }
    this.#grow()
  }

  #dismiss(reader: Reader): void {
    this.#readers.delete(reader)
    const closed = reader.close().catch(() => undefined)
    this.#leaving.add(closed)
    void closed.finally(() => this.#leaving.delete(closed))
  }

  release(reader: Reader): void {
    if (reader.failure === null && this.#readers.size > this.#kept) {
      this.#dismiss(reader)
      this.#grow()
    } else if (reader.failure === null) {
      this.#offer(reader)
    } else {
      this.#readers.delete(reader)
      this.#grow()
    }
  }

  async close(): Promise<void> {
    await this.#stopOpening()
    await Promise.all([...[...this.#readers].map((reader) => reader.close()), ...this.#leaving])
  }

  /** At once, whatever they are doing. */
  async terminate(): Promise<void> {
    const stopped = this.#stopOpening()
    await Promise.all([...this.#readers].map((reader) => reader.terminate()))
    await stopped
  }

  async #stopOpening(): Promise<void> {
    this.#closing.abort(new TrunklineError('ABORTED', 'The readers are closed.'))
    await Promise.all(this.#opening)
  }

  #wait(signal: AbortSignal): Promise<Reader | null> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(signal.reason)
      }
      const waiter: Waiter = {
        resolve: (reader) => {
          signal.removeEventListener('abort', onAbort)
          resolve(reader)
        },
        reject: (reason) => {
          signal.removeEventListener('abort', onAbort)
          reject(reason)
        },
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
    })
  }

  /** One more for each that waits and that none on its way is for. */
  #grow(): void {
    while (
      this.#opening.size < this.#waiters.length &&
      this.#readers.size + this.#opening.size < Math.min(this.#size, this.#kept)
    ) {
      const opening: Promise<void> = this.#open().then(
        (reader) => {
          this.#opening.delete(opening)
          this.#readers.add(reader)
          this.#offer(reader)
        },
        (error: unknown) => {
          this.#opening.delete(opening)
          this.#refused(error)
        },
      )
      this.#opening.add(opening)
    }
  }

  async #open(): Promise<Reader> {
    this.#readerOptions ??= this.#options.reader()
    return Reader.open(await this.#readerOptions, { pace: this.pace, signal: this.#closing.signal })
  }

  #refused(error: unknown): void {
    if (this.#closing.signal.aborted) return
    if (!(error instanceof TrunklineError && REFUSALS.has(error.code))) {
      this.#waiters.shift()?.reject(error)
      this.#grow()
      return
    }
    this.#size = Math.min(this.#size, this.#readers.size + this.#opening.size)
    if (!this.#warned) {
      this.#warned = true
      this.#options.logger.warn({ error: String(error) }, 'a reader could not connect; going on with fewer')
    }
    if (this.#size === 0) for (const waiter of this.#waiters.splice(0)) waiter.resolve(null)
  }

  #offer(reader: Reader): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) this.#idle.push(reader)
    else waiter.resolve(reader)
  }
}
