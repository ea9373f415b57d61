/**
 * Which transactions a snapshot may not see, by when they began: what keeps a read by a cursor of times from passing over rows
 * that commit late.
 *
 * A transaction that the snapshot does not see was either under way when the server's activity was looked at, just before, or
 * began after that. Its now() and clock_timestamp() are not before its start. So no time that it writes lies below the earliest
 * start that was seen, or below the moment of looking where nothing was under way.
 */
import type { Connection } from '../postgres/connection.js'
import type { InFlight } from './contract.js'
import { ifAllowed } from './guarded.js'

/**
 * A backend decides on the time of its transaction a few instructions before it shows it. Only a process that the operating system
 * stops just there for longer than this escapes.
 */
const MARGIN = '5 seconds'

/** Times as every session reads them. What is hidden, or not tracked, has no start: the texts beside it tell. */
const ACTIVITY_SQL = `
SELECT pg_catalog.pg_is_in_recovery() AS standby,
       coalesce(pg_catalog.bool_or(query = '<insufficient privilege>' OR state = 'disabled'), false) AS hidden,
       pg_catalog.to_char((LEAST(pg_catalog.clock_timestamp(), pg_catalog.min(xact_start)
         FILTER (WHERE pid <> pg_catalog.pg_backend_pid() AND backend_type IS DISTINCT FROM 'autovacuum worker'))
         - '${MARGIN}'::pg_catalog.interval) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00' AS time
  FROM pg_catalog.pg_stat_activity`

/** Before the transaction that takes the snapshot. */
export async function observeActivity(connection: Connection): Promise<InFlight> {
  const [row] = await connection.query<{ standby: boolean; hidden: boolean; time: string | null }>(
    ACTIVITY_SQL,
  )
  if (row === undefined) throw new Error('an aggregate gave no row')
  if (row.standby) return unknown('a standby does not show what is under way on its primary')
  if (row.hidden || row.time === null) {
    return unknown('the role may not see what other sessions do (it needs pg_read_all_stats)')
  }
  return { kind: 'since', time: row.time }
}

/** Inside the transaction, after its snapshot was taken: what is prepared has left the activity and is not over. */
export async function withoutPrepared(connection: Connection, activity: InFlight): Promise<InFlight> {
  if (activity.kind === 'unknown') return activity
  const rows = await ifAllowed(connection, () =>
    connection.query<{ prepared: boolean }>(
      'SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()) AS prepared',
    ),
  )
  if (rows === null) return unknown('the server does not say whether transactions are prepared')
  return rows[0]?.prepared === true
    ? unknown('a prepared transaction is open, and nothing tells when it began')
    : activity
}

function unknown(why: string): InFlight {
  return { kind: 'unknown', why }
}
