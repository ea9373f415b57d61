/** Where a snapshot stands in the life of its server. */
import type { SourcePosition } from '../model/checkpoint.js'
import { parseXid8, type Xid8 } from '../model/xid.js'
import type { Connection } from '../postgres/connection.js'
import type { ContextRow } from './assemble-catalog.js'
import { ifAllowed } from './guarded.js'

export interface SnapshotFacts {
  /** `xmin:xmax:list` of the snapshot. */
  readonly contents: string
  readonly horizon: Xid8
  readonly xmax: Xid8
}

/** The first query of the transaction, so this is where its snapshot is taken. */
export async function takeSnapshot(connection: Connection): Promise<SnapshotFacts> {
  const [row] = await connection.query<{ contents: string; horizon: string; xmax: string }>(
    `SELECT s::text AS contents, txid_snapshot_xmin(s)::text AS horizon, txid_snapshot_xmax(s)::text AS xmax
       FROM (SELECT txid_current_snapshot() AS s) AS q`,
  )
  if (row === undefined) throw new Error('a query without FROM gave no row')
  return { contents: row.contents, horizon: parseXid8(row.horizon), xmax: parseXid8(row.xmax) }
}

/** Read after the snapshot: everything that the snapshot sees was written to the log before this position. */
export async function readPosition(
  connection: Connection,
  context: ContextRow,
  facts: SnapshotFacts,
): Promise<SourcePosition> {
  const text = async (sql: string): Promise<string | null> =>
    (await ifAllowed(connection, () => connection.query<{ value: string | null }>(sql)))?.[0]?.value ?? null
  const lsn = await text(
    context.standby
      ? 'SELECT pg_last_wal_replay_lsn()::text AS value'
      : 'SELECT pg_current_wal_insert_lsn()::text AS value',
  )
  const systemIdentifier = await text('SELECT system_identifier::text AS value FROM pg_control_system()')
  // pg_control_checkpoint() still names the old timeline after a promotion, until the next checkpoint.
  const timeline = context.standby
    ? await text('SELECT received_tli::text AS value FROM pg_stat_wal_receiver')
    : await text(
        `SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8::text AS value`,
      )
  return {
    systemIdentifier,
    database: context.database,
    timeline: timeline === null ? null : Number(timeline),
    lsn,
    standby: context.standby,
    xmax: facts.xmax.toString(),
  }
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
