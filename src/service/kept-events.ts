/**
 * The events of a run, numbered, for those who follow it now and those who come later. Of a stream's progress only the last
 * event is kept, and of all events no more than a fixed number.
 */
import { SERVICE_KEPT_EVENTS } from '../model/thresholds.js'
import type { ProgressEvent } from '../model/report.js'

export interface NumberedEvent {
  readonly id: number
  readonly event: ProgressEvent
}

export class KeptEvents {
  readonly #events: NumberedEvent[] = []
  readonly #followers = new Set<() => void>()
  #lastId = 0
  #ended = false

  get ended(): boolean {
    return this.#ended
  }

  push(event: ProgressEvent): void {
    if (event.kind === 'stream_progress') this.#forgetProgress(event.stream)
    this.#events.push({ id: ++this.#lastId, event })
    if (this.#events.length > SERVICE_KEPT_EVENTS) this.#events.shift()
    this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
  }

  /** Those after an id, as they come; ends with the run. Rejects with the signal's reason. */
  async *follow(afterId: number, signal: AbortSignal): AsyncGenerator<readonly NumberedEvent[], void> {
    let last = afterId
    for (;;) {
      signal.throwIfAborted()
      const news = this.#events.filter(({ id }) => id > last)
      const [newest] = news.slice(-1)
      if (newest !== undefined) {
        last = newest.id
        yield news
      } else if (this.#ended) {
        return
      } else {
        await this.#change(signal)
      }
    }
  }

  #forgetProgress(stream: string): void {
    const index = this.#events.findLastIndex(
      ({ event }) => event.kind === 'stream_progress' && event.stream === stream,
    )
    if (index >= 0) this.#events.splice(index, 1)
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        this.#followers.delete(onChange)
        signal.removeEventListener('abort', onAbort)
        act()
      }
      const onChange = (): void => {
        settle(resolve)
      }
      const onAbort = (): void => {
        settle(() => {
          reject(signal.reason as Error)
        })
      }
      this.#followers.add(onChange)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  #wake(): void {
    for (const follower of [...this.#followers]) follower()
  }
}
