/** What a snapshot of a Greenplum cluster knows of its streams beyond the catalog; pure. */
import type { CatalogStream } from '../../model/catalog.js'
import type { GreenplumDialect } from '../../postgres/dialect.js'
import type { ContextRow } from '../assemble-catalog.js'
import type { InFlight, SnapshotOptions } from '../contract.js'
import type { Prepared } from './prepare.js'

export const UNKNOWN_ON_GREENPLUM: InFlight = {
  kind: 'unknown',
  why: 'on Greenplum each segment has transactions under way that the coordinator does not show',
}

/** Before 6.24.3 sessions that import a snapshot were seen to read rows of later transactions; newer versions were not measured. */
export function isSharingTrusted(
  { verified }: GreenplumDialect,
  { allowUnverifiedSnapshot }: SnapshotOptions,
): boolean {
  return verified || allowUnverifiedSnapshot === true
}

/** With the number of segments to read by, and the mark; a stream of PostgreSQL as it is. */
export function withFactsOfSnapshot(
  stream: CatalogStream,
  context: ContextRow,
  prepared: Prepared | null,
): CatalogStream {
  const { greenplum } = stream
  if (greenplum === undefined) return stream
  return {
    ...stream,
    greenplum: {
      ...greenplum,
      segments: isDivisible(stream) ? (context.greenplum?.segments ?? 0) : 0,
      changeMark: prepared?.marks.get(stream.oid) ?? null,
    },
  }
}

/** Replicated tables, views and external tables have no `gp_segment_id` of use; who may read some columns may not read it. */
function isDivisible({ kind, greenplum, oddity, tablePrivilege, rowSecurity }: CatalogStream): boolean {
  const spread = greenplum?.distribution === 'hashed' || greenplum?.distribution === 'random'
  const stored = kind === 'table' || kind === 'partitioned' || kind === 'matview'
  return spread && stored && oddity === 'greenplum' && tablePrivilege && !rowSecurity
}
