/** A load of a new generation on its way: hands out its parts, knows which of them are there, and saves them from time to time. */
import type { PartialLoad, StreamWriter } from '../destination/contract.js'
import type { SplitRange } from '../model/split-range.js'
import type { Snapshot, Split } from '../source/contract.js'
import type { Clock } from './clock.js'
import { formatProgress, SaveSchedule, type LoadParts } from './first-load.js'
import type { StreamPlan } from './plan.js'

export interface FirstLoadOptions {
  readonly snapshot: Pick<Snapshot, 'position'>
  readonly plan: StreamPlan
  readonly generation: number
  /** Null where nothing of it can be saved. */
  readonly parts: LoadParts | null
  /** All that is to be read in this snapshot. */
  readonly splits: readonly Split[]
  readonly saveEveryMs: number
  readonly clock: Pick<Clock, 'now'>
  /** Whether the server has on its disk what the snapshot saw. */
  readonly fence: () => Promise<{ readonly durable: boolean }>
  readonly onSaved: (partial: PartialLoad) => void
}

export class FirstLoad {
  readonly #options: FirstLoadOptions
  readonly #waiting: Split[]
  readonly #schedule: SaveSchedule
  /** Handed out since the last save. */
  #handedOut = 0

  constructor(options: FirstLoadOptions) {
    this.#options = options
    this.#waiting = [...options.splits]
    this.#schedule = new SaveSchedule(options.clock.now(), options.saveEveryMs)
  }

  /** Every part was handed out. */
  get isOver(): boolean {
    return this.#waiting.length === 0
  }

  /** The next part to be read; null after the last one, and when those under way should end so that they can be saved. */
  take(): Split | null {
    if (this.#handedOut > 0 && this.#isDue()) return null
    this.#handedOut++
    return this.#waiting.shift() ?? null
  }

  /**
   * Everything that was handed out has come and was written.
   * @param rows that were landed in this snapshot so far
   */
  async save(writer: StreamWriter, rows: number): Promise<void> {
    const { parts, plan, snapshot, clock, generation } = this.#options
    this.#handedOut = 0
    if (parts === null) return
    const began = clock.now()
    // What a crash of the server undoes must not be there: its transaction ids are given to others, and who was not read again
    // would stay as it never was.
    const { durable } = await this.#options.fence()
    if (durable) {
      const progress = formatProgress(parts, {
        position: snapshot.position,
        rows: parts.rowsBefore + rows,
        remaining: this.#waiting.map(({ range }): SplitRange => range),
      })
      await writer.save(progress)
      this.#options.onSaved({ generation, table: plan.table, savedAt: new Date(clock.now()), progress })
    }
    this.#schedule.saved(began, clock.now())
  }

  #isDue(): boolean {
    return this.#options.parts !== null && this.#schedule.isDue(this.#options.clock.now())
  }
}
