/** A load of a new generation on its way: hands out its parts, knows which of them are there, and saves them from time to time. */
import type { PartialLoad, StreamWriter } from '../destination/contract.js'
import type { SplitRange } from '../model/split-range.js'
import type { Snapshot, Split } from '../source/contract.js'
import { HURRIED_SAVE_MS } from '../model/thresholds.js'
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
  /** Null: only by time. */
  readonly saveEveryRows: number | null
  /** That came in this snapshot so far. */
  readonly rows: () => number
  /** The snapshot may not last: saves come without waiting for their time. */
  readonly isHurried: () => boolean
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
  #savedRows = 0
  #savedAtMs: number

  constructor(options: FirstLoadOptions) {
    this.#options = options
    this.#waiting = [...options.splits]
    this.#savedAtMs = options.clock.now()
    this.#schedule = new SaveSchedule(this.#savedAtMs, options.saveEveryMs)
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
    this.#savedRows = rows
    this.#savedAtMs = clock.now()
    this.#schedule.saved(began, this.#savedAtMs)
  }

  #isDue(): boolean {
    const { parts, clock, saveEveryRows, rows, isHurried } = this.#options
    if (parts === null) return false
    const now = clock.now()
    if (this.#schedule.isDue(now)) return true
    if (saveEveryRows !== null && rows() - this.#savedRows >= saveEveryRows) return true
    return now - this.#savedAtMs >= HURRIED_SAVE_MS && isHurried()
  }
}
