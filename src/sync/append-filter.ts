/**
 * Appends each row version once: of the rows a run reads again because their transactions were near the last horizon, drops
 * those that were landed, and remembers which ones the next run will meet again. See `seen-set.ts`.
 */
import type { Batch } from '../batch/batch.js'
import { dropColumns, filterRows } from '../batch/select.js'
import { TrunklineError } from '../model/error.js'
import { MAX_SEEN_XIDS } from '../model/thresholds.js'
import { parseXid8, type Xid8 } from '../model/xid.js'
import type { RowWindow, Snapshot, XMIN_FIELD } from '../source/contract.js'
import type { Load } from './fingerprint.js'
import { placeInWindow, SeenSet } from './seen-set.js'

/** The contract's own name, of which only the type may be imported here. */
const XMIN: typeof XMIN_FIELD = '_trunkline_xmin'

export interface Pass {
  /** Null reads everything. */
  readonly window: RowWindow | null
}

export interface AppendFilterOptions {
  readonly stream: string
  /** Null for a first load. */
  readonly window: RowWindow | null
  readonly seen: SeenSet
  /** Horizon that this run will save, and the end of its snapshot. */
  readonly horizon: Xid8
  readonly xmax: Xid8
  readonly maxSeen: number
}

export class AppendFilter {
  readonly passes: readonly Pass[]
  readonly #options: AppendFilterOptions
  /** Whether rows of a transaction were landed neither by an earlier run nor lie outside the window, by 32-bit xmin. */
  readonly #isNew = new Map<number, boolean>()
  readonly #next = new Set<Xid8>()

  constructor(options: AppendFilterOptions) {
    this.#options = options
    const { window, xmax } = options
    // A row of a leaf that joined may carry a transaction id that was landed from another leaf, so it cannot be told apart by
    // its id in a read of all leaves: a second pass reads the joined leaves alone and lands what the first one dropped.
    const joined: Pass[] =
      window === null || window.wholeLeaves.length === 0
        ? []
        : [{ window: { horizon: xmax, xmax, wholeLeaves: window.wholeLeaves } }]
    this.passes = [{ window }, ...joined]
  }

  static for(load: Load, snapshot: Snapshot, stream: string): AppendFilter {
    return new AppendFilter({
      stream,
      window: load.kind === 'since' ? load.window : null,
      seen: SeenSet.parse(load.kind === 'since' ? load.seen : []),
      horizon: snapshot.horizon,
      xmax: parseXid8(snapshot.position.xmax),
      maxSeen: MAX_SEEN_XIDS,
    })
  }

  /** The rows to land of a batch that ends with the xmin column, without that column. */
  apply(batch: Batch, pass: number): Batch {
    const xmins = readXmins(batch)
    const keep = new Uint8Array(batch.rowCount)
    for (let row = 0; row < batch.rowCount; row++) {
      const xmin = Number(xmins[row] ?? 0n)
      const isNew = this.#lookUp(xmin)
      if (this.#options.window === null || (pass === 0 ? isNew : !isNew)) keep[row] = 1
    }
    return filterRows(dropColumns(batch, [XMIN]), keep)
  }

  /** What the next run may meet again; call it after the last batch. */
  nextSeen(): SeenSet {
    return SeenSet.fromIds(this.#next)
  }

  #lookUp(xmin: number): boolean {
    const known = this.#isNew.get(xmin)
    if (known !== undefined) return known
    const { window, seen, horizon, xmax } = this.#options
    const id = window === null ? null : placeInWindow(xmin, window.horizon, xmax)
    const isNew = id !== null && !seen.has(id)
    this.#isNew.set(xmin, isNew)
    const upcoming = placeInWindow(xmin, horizon, xmax)
    if (upcoming !== null) this.#remember(upcoming)
    return isNew
  }

  #remember(id: Xid8): void {
    this.#next.add(id)
    if (this.#next.size <= this.#options.maxSeen) return
    throw new TrunklineError(
      'SOURCE_PRESSURE',
      `${this.#options.stream}: more than ${this.#options.maxSeen} transactions committed while the oldest one still running was open, too many to remember for an append without repeats.`,
      {
        hint: 'End the oldest transaction (pg_stat_activity, pg_prepared_xacts), or land by upsert with a key.',
        retry: 'never',
        context: { stream: this.#options.stream },
      },
    )
  }
}

function readXmins(batch: Batch): BigInt64Array {
  const column = batch.columns.at(-1)
  if (column === undefined || batch.fields.at(-1)?.name !== XMIN) {
    throw new TrunklineError('INTERNAL', 'A read with transaction ids came without them.')
  }
  return new BigInt64Array(batch.buffer, column.values.offset, batch.rowCount)
}
