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

  /** How long it took to hold; null while it does not. */
  get waitedMs(): number | null {
    return this.#waitedMs
  }

  /** What it came to holds for the whole snapshot, also that it did not hold: then each stream would wait as long in vain. */
  async pass(): Promise<Fenced> {
    this.#pending ??= this.#snapshot.awaitDurable({ signal: this.#signal })
    const asked = this.#pending
    try {
      const fenced = await asked
      if (fenced.durable) this.#waitedMs = fenced.waitedMs
      return fenced
    } catch (error) {
      if (this.#pending === asked) this.#pending = null
      throw error
    }
  }
}
