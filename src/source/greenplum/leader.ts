/**
 * The transaction that holds the snapshot.
 *
 * On PostgreSQL a session that imported a snapshot keeps it. On Greenplum it does not: once the exporting transaction has ended,
 * the importers see rows that were committed later, without any error (measured on 6.24.3). So the leader's transaction must be
 * shown to be alive after the last row was read and before any is committed.
 */
import { TrunklineError } from '../../model/error.js'
import { parseXid8 } from '../../model/xid.js'
import type { Connection } from '../../postgres/connection.js'
import type { SnapshotStart } from '../position.js'
import { CONTEXT_SQL } from './catalog-sql.js'
import { guardedByQueueLimit, withinQueueLimit, type QueueLimits } from './queue.js'
import { toGreenplumContext, type GreenplumContext, type GreenplumContextRow } from './read-catalog.js'

/** What tells the leader's transaction from any other. */
export interface HeldTransaction {
  /** transaction_timestamp(), which is the same as long as the transaction lasts. */
  readonly began: string
  readonly segments: number
}

export interface GreenplumStart extends Omit<SnapshotStart, 'context'> {
  readonly context: GreenplumContext
  readonly held: HeldTransaction
}

interface SnapshotRow {
  readonly contents: string
  readonly horizon: string
  readonly xmax: string
  readonly began: string
}

/** The first query of the transaction takes its snapshot. Transaction ids are the coordinator's; they say nothing about rows. */
const SNAPSHOT_SQL = `
SELECT s::text AS contents,
       txid_snapshot_xmin(s)::text AS horizon,
       txid_snapshot_xmax(s)::text AS xmax,
       transaction_timestamp()::text AS began
  FROM (SELECT txid_current_snapshot() AS s) AS q`
const EXPORT_SQL = 'SELECT pg_export_snapshot() AS exported'
const NO_EXPORT_SQL = 'SELECT NULL::text AS exported'

/** @throws SOURCE_PRESSURE when the resource queue is full */
export async function startGreenplumSnapshot(
  leader: Connection,
  options: { readonly mayExport: boolean; readonly limits: QueueLimits },
): Promise<GreenplumStart> {
  const [[snapshot], [row], [exports]] = await withinQueueLimit(leader, options.limits, () =>
    leader.queryAll<[SnapshotRow, GreenplumContextRow, { exported: string | null }]>([
      SNAPSHOT_SQL,
      CONTEXT_SQL,
      options.mayExport ? EXPORT_SQL : NO_EXPORT_SQL,
    ]),
  )
  if (snapshot === undefined || row === undefined) throw new Error('a query without FROM gave no row')
  const { contents, horizon, xmax, began } = snapshot
  const context = toGreenplumContext(row)
  return {
    facts: { contents, horizon: parseXid8(horizon), xmax: parseXid8(xmax) },
    context,
    // No version tells which cluster it is, or where its log stands.
    position: {
      systemIdentifier: null,
      database: context.database,
      timeline: null,
      lsn: null,
      standby: context.standby,
      xmax,
    },
    exported: exports?.exported ?? null,
    canAwaitFlush: false,
    held: { began, segments: context.greenplum.segments },
  }
}

/** By the coordinator alone. */
const TRANSACTION_SQL = `
SELECT pg_catalog.current_setting('transaction_isolation') AS isolation, pg_catalog.transaction_timestamp()::text AS began`
/** By every segment, in the transaction of the leader: an error where one of them has lost it. */
const SEGMENTS_SQL = `SELECT count(*)::int AS segments FROM gp_dist_random('gp_id')`

/**
 * The leader still is in the transaction that exported the snapshot and holds the locks, and so are its segments.
 * @throws SNAPSHOT_LOST; SOURCE_PRESSURE where the resource queue is full, and the transaction goes on
 */
export async function assertHeld(
  leader: Connection,
  held: HeldTransaction,
  limits: QueueLimits,
): Promise<void> {
  const [[transaction], [answered]] = await guardedByQueueLimit(leader, limits, () =>
    leader.queryAll<[{ isolation: string; began: string }, { segments: number }]>([
      TRANSACTION_SQL,
      SEGMENTS_SQL,
    ]),
  ).catch((error: unknown) => {
    if (error instanceof TrunklineError && error.code === 'SOURCE_PRESSURE') throw error
    throw lost(error instanceof Error ? error.message : String(error), error)
  })
  if (transaction?.began !== held.began || transaction.isolation !== 'repeatable read') {
    throw lost('it is in another transaction')
  }
  if (answered?.segments !== held.segments) throw lost('another number of segments answers')
}

function lost(why: string, cause?: unknown): TrunklineError {
  return new TrunklineError(
    'SNAPSHOT_LOST',
    `The session that holds the snapshot does not hold it any more: ${why}.`,
    {
      hint: 'What was read since then may be of several moments, so nothing of it is landed. A retry goes on in a new snapshot.',
      ...(cause === undefined ? {} : { cause }),
    },
  )
}
