/**
 * Watches what a held snapshot does to others, and says when it has to be given up: a session that waits for one of our locks,
 * the age of the snapshot, the lag of a standby. Also keeps the leader's session from idling out.
 *
 * Only waits for a lock on a table count: such a session holds up everybody who comes after it. CREATE INDEX CONCURRENTLY and
 * its kind wait for our transaction without being in anybody's way. Autovacuum never waits for ACCESS SHARE.
 */
import { TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { Limits } from '../model/sync-spec.js'
import { WAITER_POLL_MS } from '../model/thresholds.js'
import { REPLICA_LAG } from './read-pressure.js'

/** Longer than this and a firewall or a pooler may forget the leader's connection. */
const PING_MS = 10_000

export interface GoodGuestOptions {
  readonly limits: Limits
  readonly standby: boolean
  readonly logger: Logger
  /** Pids whose locks are ours: the leader's and the readers'. */
  readonly backendPids: () => readonly number[]
  /** Runs a query where it disturbs nothing; null when that is not possible now. */
  readonly ask: <Row>(sql: string, values: readonly unknown[]) => Promise<readonly Row[] | null>
  /** In place of {@link WAITERS_SQL}, where the server has no pg_blocking_pids. */
  readonly waitersSql?: string
  /** Does something small on the leader, if it is idle. */
  readonly ping: () => Promise<void>
  readonly giveUp: (reason: TrunklineError) => void
  /** How many sessions wait for a lock of ours, whenever it was looked at. */
  readonly onWaiting?: (sessions: number) => void
}

/** Sessions that wait for a table lock of ours, directly; those queued behind them are theirs. */
const WAITERS_SQL = `
SELECT w.pid, w.mode, w.relation::regclass::text AS relation
  FROM pg_catalog.pg_locks w
 WHERE NOT w.granted AND w.locktype = 'relation' AND w.pid <> ALL ($1::int[])
   AND pg_catalog.pg_blocking_pids(w.pid) && $1::int[]`

const REPLICA_LAG_SQL = `SELECT ${REPLICA_LAG} AS lag_ms`

interface Waiter {
  readonly pid: number
  readonly mode: string
  readonly relation: string | null
}

/** Starts watching; the returned function ends it. */
export function watchAsGoodGuest(options: GoodGuestOptions): () => void {
  const { limits, logger, giveUp } = options
  const timers = new Set<NodeJS.Timeout>()
  const waitingSince = new Map<number, number>()
  let stopped = false

  const after = (ms: number, action: () => void): void => {
    const timer = setTimeout(
      () => {
        timers.delete(timer)
        if (!stopped) action()
      },
      Math.min(ms, 2 ** 31 - 1),
    )
    timers.add(timer)
  }

  const lookForWaiters = async (): Promise<void> => {
    const waiters = await options.ask<Waiter>(options.waitersSql ?? WAITERS_SQL, [
      `{${options.backendPids().join(',')}}`,
    ])
    if (stopped || waiters === null) return
    options.onWaiting?.(waiters.length)
    const now = performance.now()
    for (const pid of waitingSince.keys()) {
      if (!waiters.some((waiter) => waiter.pid === pid)) waitingSince.delete(pid)
    }
    for (const { pid, mode, relation } of waiters) {
      const since = waitingSince.get(pid) ?? now
      waitingSince.set(pid, since)
      if (now - since < limits.yieldToDdlMs) continue
      giveUp(
        new TrunklineError(
          'YIELDED_TO_DDL',
          `Session ${pid} waited for ${mode} on ${relation ?? 'a table'} that we read, so we let go of it.`,
          {
            hint: 'What is committed is kept; the rest goes on in a new snapshot. limits.yield_to_ddl says how long to hold on.',
          },
        ),
      )
      return
    }
  }

  const lookAtReplicaLag = async (maxLagMs: number): Promise<void> => {
    const lag = Number((await options.ask<{ lag_ms: string | null }>(REPLICA_LAG_SQL, []))?.[0]?.lag_ms ?? 0)
    if (stopped || lag <= maxLagMs) return
    giveUp(
      new TrunklineError(
        'SOURCE_PRESSURE',
        `The standby is ${Math.round(lag / 1000)} s behind, more than limits.max_replica_lag allows.`,
        {
          hint: 'Our snapshot may be what holds replay back; the rest goes on when the standby has caught up.',
        },
      ),
    )
  }

  const poll = async (): Promise<void> => {
    try {
      await lookForWaiters()
      if (options.standby && limits.maxReplicaLagMs !== null) await lookAtReplicaLag(limits.maxReplicaLagMs)
    } catch (error) {
      logger.debug({ error: String(error) }, 'the watch for waiting sessions failed; trying again')
    }
    // Someone waits: look again when the time is up, at the latest.
    const oldest = Math.min(...waitingSince.values())
    const left = oldest + limits.yieldToDdlMs - performance.now()
    if (!stopped) {
      after(Math.max(20, Math.min(WAITER_POLL_MS, left)), () => {
        void poll()
      })
    }
  }

  const ping = async (): Promise<void> => {
    await options.ping().catch(() => undefined)
    if (!stopped) {
      after(PING_MS, () => {
        void ping()
      })
    }
  }

  const { maxSnapshotAgeMs } = limits
  after(maxSnapshotAgeMs / 2, () => {
    logger.warn(
      { maxSnapshotAgeMs },
      'the snapshot has reached half of its allowed age; the server cannot clean up behind it',
    )
  })
  after(maxSnapshotAgeMs, () => {
    giveUp(
      new TrunklineError(
        'SNAPSHOT_TOO_OLD',
        'The snapshot reached the age that limits.max_snapshot_age allows.',
        {
          hint: 'What is committed is kept; the rest goes on in a new snapshot. Raise the limit if one table takes longer.',
        },
      ),
    )
  })
  after(Math.min(WAITER_POLL_MS, limits.yieldToDdlMs), () => {
    void poll()
  })
  after(PING_MS, () => {
    void ping()
  })
  return () => {
    stopped = true
    for (const timer of timers) clearTimeout(timer)
  }
}
