/** The durability fence of a snapshot: what holds for one of its streams holds for all, so it is waited for once. */
import type { Snapshot } from '../source/contract.js'

type Fenced = Awaited<ReturnType<Snapshot['awaitDurable']>>

export class SnapshotFence {
  readonly #snapshot: Pick<Snapshot, 'awaitDurable'>
  readonly #signal: AbortSignal
  #pending: Promise<Fenced> | null = null
  #waitedMs: number | null = null

  constructor(snapshot: Pick<Snapshot, 'awaitDurable'>, signal: AbortSignal) {
    this.#snapshot = snapshot
    this.#signal = signal
  }

  /** The longest wait that ended well; null while there was none. */
  get waitedMs(): number | null {
    return this.#waitedMs
  }

  /** A fence that did not hold is asked for again by whoever comes later. */
  async pass(): Promise<Fenced> {
    this.#pending ??= this.#snapshot.awaitDurable({ signal: this.#signal })
    const asked = this.#pending
    try {
      const fenced = await asked
      if (fenced.durable) this.#waitedMs = Math.max(this.#waitedMs ?? 0, fenced.waitedMs)
      else this.#forget(asked)
      return fenced
    } catch (error) {
      this.#forget(asked)
      throw error
    }
  }

  #forget(asked: Promise<Fenced>): void {
    if (this.#pending === asked) this.#pending = null
  }
}
