/** Where a snapshot stands in the life of its server. */
import type { SourcePosition } from '../model/checkpoint.js'
import { parseXid8, type Xid8 } from '../model/xid.js'
import type { Connection } from '../postgres/connection.js'
import type { ContextRow } from './assemble-catalog.js'
import { CONTEXT_SQL } from './catalog-sql.js'
import { ifAllowed, isRefusal, queryGuarded } from './guarded.js'

export interface SnapshotFacts {
  /** `xmin:xmax:list` of the snapshot. */
  readonly contents: string
  readonly horizon: Xid8
  readonly xmax: Xid8
}

/** Where the transaction's snapshot stands, and what the server is just then. */
export interface SnapshotStart {
  readonly facts: SnapshotFacts
  readonly context: ContextRow
  readonly position: SourcePosition
  /** What other sessions import; null where it was not to be exported, and on a standby. */
  readonly exported: string | null
  /** The server says how far its log is on disk. */
  readonly canAwaitFlush: boolean
}

interface SnapshotRow {
  readonly contents: string
  readonly horizon: string
  readonly xmax: string
}

interface PositionRow {
  readonly lsn: string | null
  readonly system_identifier: string | null
  readonly timeline: string | null
}

/** The first query of the transaction, so this is where its snapshot is taken. */
const SNAPSHOT_SQL = `
SELECT s::text AS contents, txid_snapshot_xmin(s)::text AS horizon, txid_snapshot_xmax(s)::text AS xmax
  FROM (SELECT txid_current_snapshot() AS s) AS q`

/**
 * A snapshot exported on a standby while many nested transactions run can come without the list of running transactions
 * (`sof:1` in its file); whoever imports it then sees each of them once it commits. There the leader reads everything.
 */
const EXPORT_SQL = 'SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_export_snapshot() END AS exported'
const NO_EXPORT_SQL = 'SELECT NULL::text AS exported'

const REPLAY_LSN = 'pg_last_wal_replay_lsn()::text'
const INSERT_LSN = 'pg_current_wal_insert_lsn()::text'
const SYSTEM_IDENTIFIER_SQL = 'SELECT system_identifier::text AS value FROM pg_control_system()'
const RECEIVED_TIMELINE_SQL = 'SELECT received_tli::text AS value FROM pg_stat_wal_receiver'
/** pg_control_checkpoint() still names the old timeline after a promotion, until the next checkpoint. */
const CURRENT_TIMELINE = `('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8::text`
const FLUSH_SQL = 'SELECT pg_current_wal_flush_lsn()'

/** All of it at once, which a server refuses that hides a part. */
const POSITION_SQL = `
SELECT CASE WHEN standby THEN ${REPLAY_LSN} ELSE ${INSERT_LSN} END AS lsn,
       (${SYSTEM_IDENTIFIER_SQL}) AS system_identifier,
       CASE WHEN standby THEN (${RECEIVED_TIMELINE_SQL}) ELSE ${CURRENT_TIMELINE} END AS timeline,
       CASE WHEN NOT standby THEN pg_current_wal_flush_lsn()::text END AS flushed
  FROM (SELECT pg_is_in_recovery() AS standby) AS q`

/**
 * Takes the transaction's snapshot, in one round trip where the server tells everything.
 * @param mayExport also exports it, where it can be imported safely
 */
export async function startSnapshot(connection: Connection, mayExport: boolean): Promise<SnapshotStart> {
  const first = [SNAPSHOT_SQL, CONTEXT_SQL, mayExport ? EXPORT_SQL : NO_EXPORT_SQL]
  type First = [SnapshotRow, ContextRow, { exported: string | null }]
  try {
    const [snapshots, contexts, exports, positions] = await queryGuarded<[...First, PositionRow]>(
      connection,
      [POSITION_SQL],
      first,
    )
    const start = toStart([snapshots, contexts, exports])
    const { lsn, system_identifier: identifier, timeline } = only(positions)
    const { standby } = start.context
    return {
      ...start,
      position: toPosition(start.context, start.facts, { lsn, identifier, timeline }),
      canAwaitFlush: !standby,
    }
  } catch (error) {
    if (connection.lost.aborted || !isRefusal(error)) throw error
  }
  // The snapshot of the transaction is what it was.
  const start = toStart(await connection.queryAll<First>(first))
  const position = await readPosition(connection, start.context, start.facts)
  const canAwaitFlush =
    !start.context.standby && (await ifAllowed(connection, () => connection.query(FLUSH_SQL))) !== null
  return { ...start, position, canAwaitFlush }
}

function toStart([snapshots, contexts, exports]: readonly [
  readonly SnapshotRow[],
  readonly ContextRow[],
  readonly { exported: string | null }[],
]): Omit<SnapshotStart, 'position' | 'canAwaitFlush'> {
  const { contents, horizon, xmax } = only(snapshots)
  return {
    facts: { contents, horizon: parseXid8(horizon), xmax: parseXid8(xmax) },
    context: only(contexts),
    exported: only(exports).exported,
  }
}

function only<Row>(rows: readonly Row[]): Row {
  const [row] = rows
  if (row === undefined) throw new Error('a query without FROM gave no row')
  return row
}

function toPosition(
  context: ContextRow,
  facts: SnapshotFacts,
  found: {
    readonly lsn: string | null
    readonly identifier: string | null
    readonly timeline: string | null
  },
): SourcePosition {
  return {
    systemIdentifier: found.identifier,
    database: context.database,
    timeline: found.timeline === null ? null : Number(found.timeline),
    lsn: found.lsn,
    standby: context.standby,
    xmax: facts.xmax.toString(),
  }
}

/** One by one. Read after the snapshot: everything that it sees was written to the log before this position. */
async function readPosition(
  connection: Connection,
  context: ContextRow,
  facts: SnapshotFacts,
): Promise<SourcePosition> {
  const { standby } = context
  const text = async (sql: string): Promise<string | null> =>
    (await ifAllowed(connection, () => connection.query<{ value: string | null }>(sql)))?.[0]?.value ?? null
  const lsn = await text(`SELECT ${standby ? REPLAY_LSN : INSERT_LSN} AS value`)
  const identifier = await text(SYSTEM_IDENTIFIER_SQL)
  const timeline = await text(standby ? RECEIVED_TIMELINE_SQL : `SELECT ${CURRENT_TIMELINE} AS value`)
  return toPosition(context, facts, { lsn, identifier, timeline })
}

/** How long the transaction that holds the horizon back has been open; null where the role may not see it. */
export async function readHorizonAge(
  connection: Connection,
  context: ContextRow,
  facts: SnapshotFacts,
): Promise<number | null> {
  if (facts.horizon === facts.xmax) return 0
  if (context.standby) return null
  const rows = await ifAllowed(connection, () =>
    connection.query<{ age: string | null }>(
      `SELECT extract(epoch FROM clock_timestamp() - min(began))::float8::text AS age
         FROM (SELECT xact_start AS began FROM pg_stat_activity WHERE backend_xid = $1::xid
               UNION ALL SELECT prepared FROM pg_prepared_xacts WHERE transaction = $1::xid) AS holders`,
      [(facts.horizon % 2n ** 32n).toString()],
    ),
  )
  const age = rows?.[0]?.age ?? null
  return age === null ? null : Math.max(0, Number(age))
}
