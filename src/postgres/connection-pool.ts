/**
 * Connections to one server that are used again: at most so many at a time, at least so many kept open, each only up to an age.
 *
 * Whoever wants one more than there may be waits. Connections that are opened elsewhere, by reader threads, are counted by a
 * reservation. A connection is replaced between two uses only, which are transactions: never inside of one.
 */
import { TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import { ConnectionBudget, type ConnectionLease } from './connection-budget.js'
import type { Connection } from './connection.js'

export interface ConnectionPoolOptions {
  readonly connect: (signal: AbortSignal | undefined) => Promise<Connection>
  readonly max: number
  /** Stay open however long nobody uses them; opened when the first one is asked for. */
  readonly min: number
  readonly idleTimeoutMs: number
  readonly maxAgeMs: number
  readonly logger: Logger
  /** Milliseconds, of any origin. */
  readonly now?: () => number
}

export interface PoolStatus {
  /** Connections there are, those of reader threads included. */
  readonly open: number
  readonly idle: number
  /** Uses that wait for one. */
  readonly waiting: number
  readonly max: number
}

interface Pooled {
  readonly connection: Connection
  lease: ConnectionLease
  readonly openedAt: number
  idleSince: number
}

export class ConnectionPool {
  readonly #options: ConnectionPoolOptions
  readonly #budget: ConnectionBudget
  readonly #now: () => number
  readonly #used = new Map<Connection, Pooled>()
  /** The one used last comes last, and goes first. */
  readonly #idle: Pooled[] = []
  /** For whoever waited; their places went to them apart. */
  readonly #handedOver: Pooled[] = []
  #closed = false
  #timer: NodeJS.Timeout | null = null

  constructor(options: ConnectionPoolOptions) {
    this.#options = options
    this.#budget = new ConnectionBudget(options.max)
    this.#now = options.now ?? (() => performance.now())
  }

  get status(): PoolStatus {
    return {
      open: this.#budget.open,
      idle: this.#idle.length,
      waiting: this.#budget.waiting,
      max: this.#budget.max,
    }
  }

  /** Lets there be more than before. */
  allow(max: number): void {
    this.#budget.raise(max)
  }

  /** One to be given back by `release`. @throws what connecting does, and the signal's reason */
  async acquire(signal?: AbortSignal): Promise<Connection> {
    signal?.throwIfAborted()
    this.#assertOpen()
    for (let pooled = this.#idle.pop(); pooled !== undefined; pooled = this.#idle.pop()) {
      if (this.#isUsable(pooled)) return this.#use(pooled)
      await this.#end(pooled)
    }
    const lease = await this.#budget.acquire(signal)
    const handedOver = this.#handedOver.shift()
    if (handedOver !== undefined) {
      handedOver.lease = lease
      return this.#use(handedOver)
    }
    const connection = this.#use(await this.#open(lease, signal))
    this.#fill()
    return connection
  }

  /** Outside of any transaction. A connection that is lost or too old is not kept. */
  async release(connection: Connection): Promise<void> {
    const pooled = this.#used.get(connection)
    if (pooled === undefined) return
    this.#used.delete(connection)
    await this.#keep(pooled)
  }

  /** The connection is of no more use, whatever state it is in. */
  discard(connection: Connection): void {
    connection.destroy()
    this.#used.get(connection)?.lease.release()
    this.#used.delete(connection)
  }

  /** Room for up to `count` connections that are opened elsewhere, for which idle ones are closed. Waits only for those. */
  async reserve(count: number): Promise<readonly ConnectionLease[]> {
    const leases: ConnectionLease[] = []
    while (leases.length < count) {
      const lease = this.#budget.tryAcquire()
      if (lease !== null) {
        leases.push(lease)
        continue
      }
      const idle = this.#idle.shift()
      if (idle === undefined) break
      await this.#end(idle)
    }
    return leases
  }

  /** Those in use end when they are released. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await Promise.all(this.#idle.splice(0).map((pooled) => this.#end(pooled)))
  }

  /** Those that are ending, whose room is not free yet, are no longer among them. */
  get #kept(): number {
    return this.#used.size + this.#idle.length
  }

  #assertOpen(): void {
    if (this.#closed) throw new TrunklineError('INTERNAL', 'The source is closed.')
  }

  #use(pooled: Pooled): Connection {
    this.#used.set(pooled.connection, pooled)
    return pooled.connection
  }

  #isUsable({ connection, openedAt }: Pooled): boolean {
    return !connection.lost.aborted && this.#now() - openedAt < this.#options.maxAgeMs
  }

  async #open(lease: ConnectionLease, signal: AbortSignal | undefined): Promise<Pooled> {
    try {
      this.#assertOpen()
      const connection = await this.#options.connect(signal)
      const now = this.#now()
      return { connection, lease, openedAt: now, idleSince: now }
    } catch (error) {
      lease.release()
      throw error
    }
  }

  async #end({ connection, lease }: Pooled): Promise<void> {
    try {
      await connection.close()
    } finally {
      lease.release()
    }
  }

  async #keep(pooled: Pooled): Promise<void> {
    if (this.#closed || !this.#isUsable(pooled)) return this.#end(pooled)
    if (this.#budget.waiting > 0) {
      this.#handedOver.push(pooled)
      pooled.lease.release()
      return
    }
    pooled.idleSince = this.#now()
    this.#idle.push(pooled)
    this.#look()
  }

  /** As many as are kept, as far as nobody needs the room. */
  #fill(): void {
    while (this.#budget.open < this.#options.min) {
      const lease = this.#budget.tryAcquire()
      if (lease === null) return
      this.#open(lease, undefined).then(
        (pooled) => this.#keep(pooled),
        (error: unknown) => {
          this.#options.logger.debug({ error: String(error) }, 'a connection to be kept could not be opened')
        },
      )
    }
  }

  /** Closes what nobody used for long enough, and looks again when the next one is due. */
  #look(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const { min, idleTimeoutMs } = this.#options
    const spare = Math.max(0, this.#kept - min)
    const now = this.#now()
    for (const pooled of this.#idle.slice(0, spare)) {
      if (now - pooled.idleSince < idleTimeoutMs) break
      this.#idle.splice(this.#idle.indexOf(pooled), 1)
      void this.#end(pooled)
    }
    const [oldest] = this.#idle
    if (oldest === undefined || this.#kept <= min) return
    this.#timer = setTimeout(
      () => {
        this.#look()
      },
      Math.min(Math.max(1, oldest.idleSince + idleTimeoutMs - now), 2 ** 31 - 1),
    )
    this.#timer.unref()
  }
}
