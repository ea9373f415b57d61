/** The readers of a snapshot: splits go to whichever is free, and a reader that is lost is replaced. */
import type { Batch } from '../batch/batch.js'
import type { Logger } from '../model/log.js'
import type { Split } from './contract.js'
import { Reader, type ReaderOptions } from './reader.js'
import type { ReadTotals } from './read-split.js'

interface Waiter {
  readonly resolve: (reader: Reader) => void
  readonly reject: (reason: unknown) => void
}

export class ReaderPool {
  readonly #options: ReaderOptions
  readonly #readers: Set<Reader>
  readonly #idle: Reader[]
  readonly #waiters: Waiter[] = []
  readonly #size: number
  #closed = false

  private constructor(readers: readonly Reader[], options: ReaderOptions) {
    this.#options = options
    this.#readers = new Set(readers)
    this.#idle = [...readers]
    this.#size = readers.length
  }

  /** As many readers as the server gives; at least one, or the error of the first. */
  static async open(count: number, options: ReaderOptions, logger: Logger): Promise<ReaderPool> {
    const opened = await Promise.allSettled(Array.from({ length: count }, () => Reader.open(options)))
    const readers = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    for (const result of opened) {
      if (result.status === 'fulfilled') continue
      if (readers.length === 0) throw result.reason
      logger.warn({ error: String(result.reason) }, 'a reader could not connect; going on with fewer')
    }
    return new ReaderPool(readers, options)
  }

  get size(): number {
    return this.#size
  }

  get backendPids(): readonly number[] {
    return [...this.#readers].map((reader) => reader.backendPid)
  }

  async *read(split: Split, signal: AbortSignal): AsyncGenerator<Batch, ReadTotals> {
    const reader = await this.#acquire(signal)
    try {
      return yield* reader.read(split, signal)
    } finally {
      this.#release(reader)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#readers].map((reader) => reader.close()))
  }

  /** At once, whatever they are doing. */
  async terminate(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#readers].map((reader) => reader.terminate()))
  }

  async #acquire(signal: AbortSignal): Promise<Reader> {
    signal.throwIfAborted()
    for (let reader = this.#idle.pop(); reader !== undefined; reader = this.#idle.pop()) {
      if (reader.failure === null) return reader
      this.#readers.delete(reader)
    }
    if (this.#readers.size < this.#size) return this.#replace()
    return new Promise<Reader>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(signal.reason as Error)
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

  async #replace(): Promise<Reader> {
    const reader = await Reader.open(this.#options)
    this.#readers.add(reader)
    if (this.#closed) await reader.terminate()
    return reader
  }

  #release(reader: Reader): void {
    if (reader.failure !== null) this.#readers.delete(reader)
    const waiter = this.#waiters.shift()
    if (reader.failure === null) {
      if (waiter === undefined) this.#idle.push(reader)
      else waiter.resolve(reader)
    } else if (waiter !== undefined) {
      this.#replace().then(waiter.resolve, waiter.reject)
    }
  }
}
