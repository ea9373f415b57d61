/**
 * Transaction ids whose rows an append has landed already, as ranges.
 *
 * A run reads every row whose transaction id is at or above the last horizon; those of transactions that had committed by
 * then are there a second time. A transaction (and a subtransaction) becomes visible as a whole, so its id tells whether its
 * rows were landed.
 */
import { formatXid8, isWindowUsable, parseXid8, widenXid, type Xid8 } from '../model/xid.js'

/** Inclusive, ascending, disjoint and not adjacent. */
export type XidRange = readonly [Xid8, Xid8]

/** Ids below this one are PostgreSQL's own: bootstrap and frozen. */
const FIRST_NORMAL_XID = 3n

export class SeenSet {
  readonly #ranges: readonly XidRange[]
  readonly size: number

  constructor(ranges: readonly XidRange[]) {
    this.#ranges = ranges
    this.size = ranges.reduce((sum, [low, high]) => sum + Number(high - low) + 1, 0)
  }

  static fromIds(ids: Iterable<Xid8>): SeenSet {
    const sorted = [...ids].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
    const ranges: [Xid8, Xid8][] = []
    for (const id of sorted) {
      const last = ranges.at(-1)
      if (last !== undefined && id <= last[1] + 1n) last[1] = id
      else ranges.push([id, id])
    }
    return new SeenSet(ranges)
  }

  static parse(saved: readonly (readonly [string, string])[]): SeenSet {
    return new SeenSet(saved.map(([low, high]) => [parseXid8(low), parseXid8(high)] as const))
  }

  format(): [string, string][] {
    return this.#ranges.map(([low, high]) => [formatXid8(low), formatXid8(high)])
  }

  has(id: Xid8): boolean {
    let low = 0
    let high = this.#ranges.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const range = this.#ranges[middle]
      if (range === undefined) return false
      if (id < range[0]) high = middle - 1
      else if (id > range[1]) low = middle + 1
      else return true
    }
    return false
  }
}

/**
 * The 64-bit id of a row's 32-bit xmin if it lies in [horizon, xmax), else null: the same rule as the window of the reading
 * query, so that both always agree about a row.
 */
export function placeInWindow(xmin: number, horizon: Xid8, xmax: Xid8): Xid8 | null {
  const narrow = BigInt(xmin)
  if (narrow < FIRST_NORMAL_XID || !isWindowUsable(horizon, xmax)) return null
  const id = widenXid(horizon, narrow)
  return id < xmax ? id : null
}
