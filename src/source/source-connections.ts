/** The connections of a source: a pool of them for what runs here, and a part of its room for those of snapshots. */
import { TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { Limits } from '../model/sync-spec.js'
import { POOL_TIMEOUT_MS } from '../model/thresholds.js'
import { connect } from '../postgres/connect.js'
import type { ConnectionLease } from '../postgres/connection-budget.js'
import type { ConnectionObserver } from '../postgres/connection-observer.js'
import { ConnectionPool, type PoolStatus } from '../postgres/connection-pool.js'
import type { ConnectionSettings } from '../postgres/connection-settings.js'
import type { Connection } from '../postgres/connection.js'
import { SshTunnel } from '../postgres/ssh/ssh-tunnel.js'
import type { Contact } from './contract.js'

export interface SourceConnectionsOptions {
  readonly settings: ConnectionSettings
  readonly limits: Limits
  readonly logger: Logger
  readonly password: (() => string | Promise<string>) | undefined
  readonly observer: ConnectionObserver | undefined
  readonly contact: Contact | undefined
}

export class SourceConnections {
  readonly #options: SourceConnectionsOptions
  readonly #pool: ConnectionPool
  readonly #tunnel: SshTunnel | null

  constructor(options: SourceConnectionsOptions) {
    const { limits, logger, settings } = options
    this.#options = options
    const { sshTunnel, connectTimeoutMs } = settings
    this.#tunnel = sshTunnel === undefined ? null : new SshTunnel(sshTunnel, { connectTimeoutMs, logger })
    this.#pool = new ConnectionPool({
      connect: (signal) => this.#connect(signal),
      max: limits.maxConnections,
      min: limits.minConnections,
      idleTimeoutMs: limits.idleTimeoutMs,
      maxAgeMs: limits.connectionMaxAgeMs,
      logger,
    })
  }

  get status(): PoolStatus {
    return this.#pool.status
  }

  /** Whether another one can be had without waiting, where there may be `most`. */
  hasRoom(most = Infinity): boolean {
    const { open, idle, max } = this.#pool.status
    const inUse = open - idle
    return inUse < Math.min(most, max)
  }

  /** Lets there be more than the source was made for, where a snapshot is. */
  allow(max: number): void {
    this.#pool.allow(max)
  }

  /** A whole contact: the connection is used again unless `work` fails, whatever it left behind then. */
  async borrow<Result>(
    signal: AbortSignal | undefined,
    work: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    return this.begin(signal, async (connection) => {
      let result: Result
      try {
        result = await work(connection)
      } catch (error) {
        await connection.close()
        throw error
      }
      await this.#pool.release(connection)
      return result
    })
  }

  /** As borrow, but never waits for what reads: where there is no room, on a connection outside of the pool that ends after it. */
  async probe<Result>(
    signal: AbortSignal,
    work: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    if (this.hasRoom()) return this.borrow(signal, work)
    const connection = await this.#connect(signal)
    const onAbort = (): void => {
      connection.destroy()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await work(connection)
    } finally {
      signal.removeEventListener('abort', onAbort)
      await connection.close()
    }
  }

  /** The same for work that goes on with the connection: what comes of it gives it back. */
  async begin<Result>(
    signal: AbortSignal | undefined,
    work: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    const { contact = justDo } = this.#options
    return contact(async () => {
      const connection = await this.#acquire(signal)
      const onAbort = (): void => {
        connection.destroy()
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        return await work(connection)
      } catch (error) {
        this.#pool.discard(connection)
        throw signal?.aborted === true ? signal.reason : error
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    }, signal)
  }

  async #acquire(signal: AbortSignal | undefined): Promise<Connection> {
    const patience = new AbortController()
    const timer = setTimeout(() => {
      const { max } = this.#pool.status
      patience.abort(
        new TrunklineError(
          'SOURCE_PRESSURE',
          `All ${max} connections to the source are in use, and none came free within ${POOL_TIMEOUT_MS / 1000} seconds.`,
          { hint: 'Close snapshots sooner, or raise limits.max_connections.' },
        ),
      )
    }, POOL_TIMEOUT_MS)
    try {
      return await this.#pool.acquire(
        signal === undefined ? patience.signal : AbortSignal.any([signal, patience.signal]),
      )
    } finally {
      clearTimeout(timer)
    }
  }

  /** Room for connections of reader threads, as much as there is. */
  reserve(count: number): Promise<readonly ConnectionLease[]> {
    return this.#pool.reserve(count)
  }

  /** One beside the leader, to the same server, outside of the pool but within its room; null where there is none. */
  async openBeside(
    leader: Connection,
    purpose: string,
  ): Promise<{ readonly connection: Connection; readonly lease: ConnectionLease } | null> {
    const [lease] = await this.#pool.reserve(1)
    if (lease === undefined) return null
    try {
      const connection = await connect(leader.settings, {
        applicationName: `${leader.settings.applicationName} ${purpose}`,
        ...this.#how(),
      })
      return { connection, lease }
    } catch (error) {
      lease.release()
      throw error
    }
  }

  /**
   * Ends what a leader held; one that is broken goes to nobody. By COMMIT, though nothing was written: what a scan noted on pages
   * can be in the log, and only after a COMMIT does an idle server flush it. The next run waits for that.
   */
  async giveBack(leader: Connection): Promise<void> {
    try {
      await leader.execute('COMMIT')
      await this.#pool.release(leader)
    } catch {
      this.#pool.discard(leader)
    }
  }

  /** A password that is asked for by a function cannot be asked for in another thread. */
  async readerSettings(leader: Connection): Promise<ConnectionSettings> {
    const password = await this.#options.password?.()
    return password === undefined ? leader.settings : { ...leader.settings, password }
  }

  async close(): Promise<void> {
    await this.#pool.close()
    await this.#tunnel?.close()
  }

  #connect(signal: AbortSignal | undefined): Promise<Connection> {
    const { settings, logger } = this.#options
    const options = { logger, ...this.#how(), ...(signal === undefined ? {} : { signal }) }
    if (this.#tunnel === null) return connect(settings, options)
    return this.#tunnel.through(settings, signal, (routed) => connect(routed, options))
  }

  #how(): { readonly password?: () => string | Promise<string>; readonly observer?: ConnectionObserver } {
    const { password, observer } = this.#options
    return {
      ...(password === undefined ? {} : { password }),
      ...(observer === undefined ? {} : { observer }),
    }
  }
}

const justDo: Contact = (work) => work()
