/** How many extractions there may be at once, and which there are. */
import { TrunklineError } from '../model/error.js'
import { ServiceError } from './service-error.js'

export interface Slot {
  /** Aborts when the extraction has to end now. */
  readonly signal: AbortSignal
  release(): void
}

export class ExtractionSlots {
  readonly max: number
  readonly #taken = new Set<AbortController>()
  #whenEmpty: (() => void) | null = null

  constructor(max: number) {
    this.max = max
  }

  get inUse(): number {
    return this.#taken.size
  }

  /** @throws ServiceError BUSY, at once: whoever asks knows better than we do whether waiting is worth it */
  take(): Slot {
    if (this.#taken.size >= this.max) {
      throw new ServiceError(
        'BUSY',
        `${this.#taken.size} of ${this.max} extractions are under way.`,
        'Try again in a while; service.max_extractions says how many there may be.',
      )
    }
    const abort = new AbortController()
    this.#taken.add(abort)
    return {
      signal: abort.signal,
      release: () => {
        this.#taken.delete(abort)
        if (this.#taken.size === 0) this.#whenEmpty?.()
      },
    }
  }

  /** Resolves when none is left: those that have not ended by themselves after the time are ended. */
  async drain(graceMs: number): Promise<void> {
    if (this.#taken.size === 0) return
    const empty = new Promise<void>((resolve) => {
      this.#whenEmpty = resolve
    })
    const timer = setTimeout(() => {
      const reason = new TrunklineError('ABORTED', 'The service stops.', {
        hint: 'The rows are not complete: ask again when it is back.',
      })
      for (const abort of this.#taken) abort.abort(reason)
    }, graceMs)
    await empty
    clearTimeout(timer)
  }
}
