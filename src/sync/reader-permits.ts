/** Permission to read a split: as many at a time as readers are in use, with a fair share for every stream. */

export interface Permit {
  /** Gives it back; more than once does no harm. */
  release(): void
}

interface Waiter {
  readonly stream: string
  readonly grant: (permit: Permit) => void
}

/**
 * Whoever reads a split holds one, from before the read until it has ended, and nothing else needs one: not a count, not a
 * commit. Of those who wait, the stream that holds the fewest comes first, then the one that was served longest ago: a stream of
 * a thousand splits takes whatever nobody else wants, and never keeps another waiting for more than one split.
 */
export class ReaderPermits {
  #limit: number
  #inUse = 0
  #mostInUse = 0
  #grants = 0
  readonly #held = new Map<string, number>()
  /** By stream, the number of the grant that it got last. */
  readonly #served = new Map<string, number>()
  readonly #waiters: Waiter[] = []
  /** By stream, the most that it may hold. */
  readonly #mostOf = new Map<string, number>()

  constructor(limit: number) {
    this.#limit = Math.max(1, limit)
  }

  get limit(): number {
    return this.#limit
  }

  /** Fewer only takes effect as splits end. */
  set limit(limit: number) {
    this.#limit = Math.max(1, limit)
    this.#serve()
  }

  /** From now on the stream holds no more than these; null: as many as there are. */
  limitStream(stream: string, most: number | null): void {
    if (most === null) this.#mostOf.delete(stream)
    else this.#mostOf.set(stream, Math.max(1, most))
    this.#serve()
  }

  /** The most that were in use at one time. */
  get mostInUse(): number {
    return this.#mostInUse
  }

  /** Streams that hold any. */
  get holders(): number {
    return this.#held.size
  }

  /** Every permit is in use, and there is a split that waits for one. */
  get isShort(): boolean {
    return this.#inUse >= this.#limit && this.#waiters.length > 0
  }

  /** Rejects with the signal's reason. */
  acquire(stream: string, signal: AbortSignal): Promise<Permit> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const waiter: Waiter = {
        stream,
        grant: (permit) => {
          signal.removeEventListener('abort', onAbort)
          resolve(permit)
        },
      }
      const onAbort = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
      this.#serve()
    })
  }

  #serve(): void {
    while (this.#inUse < this.#limit) {
      const waiter = this.#takeNext()
      if (waiter === null) return
      waiter.grant(this.#grant(waiter.stream))
    }
  }

  #takeNext(): Waiter | null {
    let best: Waiter | null = null
    for (const waiter of this.#waiters) {
      if ((this.#held.get(waiter.stream) ?? 0) >= (this.#mostOf.get(waiter.stream) ?? Infinity)) continue
      if (best === null || this.#comesBefore(waiter, best)) best = waiter
    }
    if (best !== null) this.#waiters.splice(this.#waiters.indexOf(best), 1)
    return best
  }

  #comesBefore(one: Waiter, other: Waiter): boolean {
    const held = (this.#held.get(one.stream) ?? 0) - (this.#held.get(other.stream) ?? 0)
    if (held !== 0) return held < 0
    return (this.#served.get(one.stream) ?? 0) < (this.#served.get(other.stream) ?? 0)
  }

  #grant(stream: string): Permit {
    this.#inUse++
    this.#mostInUse = Math.max(this.#mostInUse, this.#inUse)
    this.#held.set(stream, (this.#held.get(stream) ?? 0) + 1)
    this.#served.set(stream, ++this.#grants)
    let released = false
    return {
      release: () => {
        if (released) return
        released = true
        this.#inUse--
        const left = (this.#held.get(stream) ?? 1) - 1
        if (left > 0) this.#held.set(stream, left)
        else this.#held.delete(stream)
        this.#serve()
      },
    }
  }
}
