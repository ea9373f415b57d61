/**
 * The right to write as a sync, held for as long as a run goes on: an advisory lock that the server gives back by itself when the
 * session ends, and an epoch that every commit checks.
 *
 * The lock belongs to a transaction that stays open and does nothing else, so that it is ours behind a pooler in transaction mode, too.
 * A transaction that has no snapshot between its statements (READ COMMITTED) and has written nothing keeps no VACUUM back.
 */
import { TrunklineError } from '../../model/error.js'
import type { Connection } from '../../postgres/connection.js'
import { fenced } from '../refusals.js'
import { releaseLease, takeLease } from './state-store.js'
import { STATE } from './state-layout.js'
import type { OpenOptions } from '../contract.js'
import { beginWriting, inTransaction } from './write-session.js'

/** Told apart from advisory locks of applications: of the two keys of a lock, ours is always this first one. */
const LOCK_CLASS = 1_414_680_139

/**
 * A run whose machine is gone is found out by the server in about a minute. Said last on the holder: it also ends what the statement
 * before has left open, which would hold on to its snapshot.
 */
const KEEPALIVES =
  'SET LOCAL tcp_keepalives_idle = 30; SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 3'

export class Lease {
  readonly sync: string
  readonly runId: string
  readonly epoch: number
  readonly #description: string
  readonly #connect: () => Promise<Connection>
  #holder: Connection

  private constructor(
    holder: Connection,
    epoch: number,
    { sync, runId }: OpenOptions,
    { connect, description }: LeaseOptions,
  ) {
    this.sync = sync
    this.runId = runId
    this.epoch = epoch
    this.#holder = holder
    this.#connect = connect
    this.#description = description
  }

  /** @throws DESTINATION_LOCKED */
  static async take(control: Connection, run: OpenOptions, options: LeaseOptions): Promise<Lease> {
    const holder = await options.connect()
    try {
      await lock(holder, run.sync, options.description)
      const epoch = await inTransaction(control, () => takeLease(control, run))
      return new Lease(holder, epoch, run, options)
    } catch (error) {
      await holder.close()
      throw error
    }
  }

  /**
   * Makes sure that the lock is held: after the server was away, it is taken again.
   * @throws FENCED when another run had it meanwhile, DESTINATION_LOCKED when another has it now
   */
  async hold(): Promise<void> {
    if (!this.#holder.lost.aborted) return
    const holder = await this.#connect()
    try {
      await lock(holder, this.sync, this.#description)
      const [row] = await holder.query<{ epoch: string }>(
        `SELECT epoch FROM ${STATE}.syncs WHERE sync = $1`,
        [this.sync],
      )
      if (Number(row?.epoch) !== this.epoch) throw fenced(`Another run has taken over the sync ${this.sync}.`)
      await holder.execute(KEEPALIVES)
      this.#holder = holder
    } catch (error) {
      await holder.close()
      throw error
    }
  }

  async release(control: Connection | null): Promise<void> {
    try {
      if (control !== null) {
        await inTransaction(control, () => releaseLease(control, this.sync, this.epoch))
      }
    } finally {
      await this.#holder.close()
    }
  }
}

export interface LeaseOptions {
  readonly connect: () => Promise<Connection>
  readonly description: string
}

/** @throws DESTINATION_LOCKED */
async function lock(holder: Connection, sync: string, description: string): Promise<void> {
  await beginWriting(holder)
  const [row] = await holder.query<{ ours: boolean }>(
    `SELECT pg_try_advisory_xact_lock(${LOCK_CLASS}, hashtext($1)) AS ours`,
    [sync],
  )
  if (row?.ours === true) {
    await holder.execute(KEEPALIVES)
    return
  }
  const [other] = await holder.query<{ run_id: string; host: string; pid: string }>(
    `SELECT run_id, host, pid FROM ${STATE}.syncs WHERE sync = $1`,
    [sync],
  )
  const by = other === undefined ? '' : `: run ${other.run_id}, process ${other.pid} on ${other.host}`
  throw new TrunklineError(
    'DESTINATION_LOCKED',
    `${description}: another run of the sync ${sync} goes on${by}.`,
    {
      hint: 'Wait for it to end. A run that died is found out by the server within minutes.',
    },
  )
}
