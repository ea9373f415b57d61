/** One budget for all connections to a source: leader, readers and one side connection never exceed max_connections. */
import { TrunklineError } from '../model/error.js'

export interface BudgetDivision {
  /** Connections that read beside the leader; at 0 the leader reads, one stream after the other. */
  readonly readers: number
  /** A connection that watches for sessions waiting on us and asks whether a silent reader is alive. */
  readonly side: boolean
}

/** At 1 a single connection does all in order; the second is the side connection; the rest reads. */
export function divideBudget(maxConnections: number): BudgetDivision {
  if (!Number.isSafeInteger(maxConnections) || maxConnections < 1) {
    throw new TrunklineError('CONFIG_INVALID', 'limits.max_connections is not a whole number from 1 on.', {
      hint: 'One connection is enough; four are the default.',
    })
  }
  return { readers: Math.max(0, maxConnections - 2), side: maxConnections >= 2 }
}

export interface ConnectionLease {
  release(): void
}

/** Counts what is open; whoever wants one more than allowed waits. */
export class ConnectionBudget {
  #max: number
  #open = 0
  readonly #waiting: { readonly grant: () => void }[] = []

  constructor(max: number) {
    divideBudget(max)
    this.#max = max
  }

  get max(): number {
    return this.#max
  }

  /** Never lets there be fewer. */
  raise(max: number): void {
    this.#max = Math.max(this.#max, max)
  }

  get open(): number {
    return this.#open
  }

  /** How many wait for one. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Null where there is no room now. */
  tryAcquire(): ConnectionLease | null {
    if (this.#open >= this.max) return null
    this.#open += 1
    return this.#lease()
  }

  /** Rejects with the signal's reason. */
  async acquire(signal?: AbortSignal): Promise<ConnectionLease> {
    signal?.throwIfAborted()
    const free = this.tryAcquire()
    if (free !== null) return free
    await new Promise<void>((resolve, reject) => {
      const waiter = {
        grant: (): void => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        const reason: unknown = signal?.reason
        reject(reason instanceof Error ? reason : new TrunklineError('ABORTED', 'The run was interrupted.'))
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(waiter)
    })
    // The place of whoever left was handed over as it was.
    return this.#lease()
  }

  #lease(): ConnectionLease {
    let released = false
    return {
      release: () => {
        if (released) return
        released = true
        const next = this.#waiting.shift()
        if (next === undefined) this.#open -= 1
        else next.grant()
      },
    }
  }
}
