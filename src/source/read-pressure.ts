/** Asks the server how hard it is pressed. Runnable in psql; what the role may not see is NULL. */
import type { SourcePressure } from '../model/source-pressure.js'

/** Replay that has nothing left to do is not behind, however long ago the last transaction was. */
export const REPLICA_LAG = `
CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN NULL
     WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
     ELSE extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) * 1000
END::float8::text`

/**
 * Workers are backends, too, and take none of the connections; of other roles' backends a role without pg_read_all_stats does
 * not see what they are, so they count. The limits of a database and of a role are not looked at.
 */
const PRESSURE_SQL = `
SELECT ${REPLICA_LAG} AS lag_ms,
       (SELECT count(*) > 0 FROM pg_catalog.pg_stat_activity WHERE wait_event LIKE 'RecoveryConflict%') AS replay_blocked,
       (SELECT conflicts::float8 FROM pg_catalog.pg_stat_database WHERE datname = pg_catalog.current_database()) AS conflicts,
       (SELECT count(*)::int FROM pg_catalog.pg_stat_activity
         WHERE datid IS NOT NULL
           AND coalesce(backend_type, '') NOT IN ('parallel worker', 'autovacuum worker')) AS used,
       pg_catalog.current_setting('max_connections')::int
         - coalesce(pg_catalog.current_setting('superuser_reserved_connections', true)::int, 0)
         - coalesce(pg_catalog.current_setting('reserved_connections', true)::int, 0) AS most`

interface PressureRow {
  readonly lag_ms: string | null
  readonly replay_blocked: boolean
  readonly conflicts: number | null
  readonly used: number
  readonly most: number
}

/** @param ask runs a query where it disturbs nothing; null: not now */
export async function readPressure(
  ask: <Row>(sql: string) => Promise<readonly Row[] | null>,
  waitingSessions: number,
): Promise<SourcePressure | null> {
  const [row] = (await ask<PressureRow>(PRESSURE_SQL)) ?? []
  if (row === undefined) return null
  return {
    replicaLagMs: row.lag_ms === null ? null : Number(row.lag_ms),
    replayBlocked: row.replay_blocked,
    conflicts: row.conflicts,
    waitingSessions,
    connections: row.most > 0 ? { used: row.used, most: row.most } : null,
  }
}
