/** Which streams share a snapshot: as many as the server's lock table can take besides everyone else's locks. Pure. */

/**
 * Half of what a server holds at its defaults: max_locks_per_transaction (64) x max_connections (100). Every table, partition
 * and index that is read takes one.
 */
export const MAX_LOCKS_PER_SNAPSHOT = 3200

/** In the given order; a stream that needs more than the whole gets a group of its own. */
export function groupStreams<T>(streams: readonly T[], locksOf: (stream: T) => number): T[][] {
  const groups: T[][] = []
  let group: T[] = []
  let locks = 0
  for (const stream of streams) {
    const needed = locksOf(stream)
    if (group.length > 0 && locks + needed > MAX_LOCKS_PER_SNAPSHOT) {
      groups.push(group)
      group = []
      locks = 0
    }
    group.push(stream)
    locks += needed
  }
  if (group.length > 0) groups.push(group)
  return groups
}
