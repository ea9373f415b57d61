/** Divides streams into groups whose locks fit the server's lock table, one snapshot for each. */
import type { CatalogStream } from '../model/catalog.js'

/** The leader's locks and those of whoever reads: each relation and index is locked by both. */
const HOLDERS = 2
/** Share of the lock table that one sync may fill; it is one table for all sessions of the server. */
const SHARE = 0.5

/** How many locks the table has room for: `max_locks_per_transaction * (max_connections + max_prepared_transactions)`. */
export function lockBudget(lockTableSize: number): number {
  return Math.max(1, Math.floor((lockTableSize * SHARE) / HOLDERS))
}

/** In the order given; a stream that alone exceeds the budget makes a group of its own, and the server has the last word. */
export function formSnapshotGroups(
  streams: readonly CatalogStream[],
  budget: number,
): readonly (readonly CatalogStream[])[] {
  const groups: CatalogStream[][] = []
  let locks = 0
  for (const stream of streams) {
    const group = groups.at(-1)
    if (group === undefined || locks + stream.lockCount > budget) {
      groups.push([stream])
      locks = stream.lockCount
    } else {
      group.push(stream)
      locks += stream.lockCount
    }
  }
  return groups
}
