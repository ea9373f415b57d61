/** Settings that differ between reads of one transaction, in force while one of them runs. */
import type { SplitRange } from '../model/split-range.js'
import type { Connection } from '../postgres/connection.js'
import { quoteIdent } from '../postgres/quote.js'
import { type Around, guarded } from './guarded.js'

export interface ReadSettings {
  /** Row security filters instead of refusing. */
  readonly rowSecurity: boolean
  /** Where the unqualified names of a query are looked for, after pg_catalog. */
  readonly searchPath?: readonly string[]
  /** Read by the scan that touches only this part. */
  readonly range?: SplitRange
  /** Read through a cursor. */
  readonly cursor?: boolean
  /** Processes that may help the server's own with one statement. */
  readonly workers?: number
}

/** Under a savepoint. What the session's preamble set comes back afterwards; after a failure the savepoint brings it back. */
export async function withReadSettings<Result>(
  connection: Connection,
  settings: ReadSettings,
  work: () => Promise<Result>,
): Promise<Result> {
  return guarded(connection, work, aroundRead(settings))
}

function aroundRead({
  rowSecurity,
  searchPath = [],
  range,
  cursor = false,
  workers = 0,
}: ReadSettings): Around | null {
  const before: string[] = []
  const after: string[] = []
  if (rowSecurity) {
    before.push('SET LOCAL row_security = on')
    after.push('SET LOCAL row_security = off')
  }
  if (searchPath.length > 0) {
    before.push(searchPathSql(searchPath))
    after.push(searchPathSql([]))
  }
  if (workers > 0) {
    before.push(`SET LOCAL max_parallel_workers_per_gather = ${workers}`)
    after.push('SET LOCAL max_parallel_workers_per_gather = 0')
  }
  if (cursor) {
    // All of it is read: it is to be planned as the same SELECT is elsewhere, and gives its rows in the same order.
    before.push('SET LOCAL cursor_tuple_fraction = 1')
    after.push('SET LOCAL cursor_tuple_fraction = DEFAULT')
  }
  for (const scan of range === undefined ? [] : OTHER_SCANS[range.kind]) {
    before.push(`SET LOCAL enable_${scan} = off`)
    after.push(`SET LOCAL enable_${scan} = on`)
  }
  return before.length === 0 ? null : { before: before.join('; '), after: after.join('; ') }
}

/**
 * Scans that would read more than the range, or its rows in an order that is not the same each time. They are avoided, not
 * forbidden: where no other scan is possible, one of them is used.
 */
const OTHER_SCANS: Readonly<Record<SplitRange['kind'], readonly string[]>> = {
  all: [],
  blocks: ['seqscan', 'indexscan', 'indexonlyscan', 'bitmapscan'],
  segment: [],
  keys: ['seqscan', 'bitmapscan'],
}

/** pg_catalog stays first, so that nobody can put a function of their own before a built-in one. */
export function searchPathSql(searchPath: readonly string[]): string {
  return `SET LOCAL search_path = ${['pg_catalog', ...searchPath].map(quoteIdent).join(', ')}`
}
