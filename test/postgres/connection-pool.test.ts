/** The pool by itself, over connections that do nothing. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { silentLogger } from '../../src/model/log.js'
import { ConnectionPool, type ConnectionPoolOptions } from '../../src/postgres/connection-pool.js'
import type { Connection } from '../../src/postgres/connection.js'

class Idle {
  readonly lost = new AbortController()
  ended = false
  /** @param closingMs - how long a close takes */
  asConnection(closingMs = 0): Connection {
    const end = (): Promise<void> => {
      this.ended = true
      return closingMs === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, closingMs))
    }
    return { lost: this.lost.signal, close: end, destroy: () => void end() } as unknown as Connection
  }
}

interface World {
  readonly pool: ConnectionPool
  readonly made: Idle[]
  /** Of those that are not ended. */
  readonly open: () => number
}

function makePool(options: Partial<ConnectionPoolOptions> = {}): World {
  const made: Idle[] = []
  const pool = new ConnectionPool({
    connect: () => {
      const one = new Idle()
      made.push(one)
      return Promise.resolve(one.asConnection())
    },
    max: 3,
    min: 1,
    idleTimeoutMs: 1000,
    maxAgeMs: 10_000,
    logger: silentLogger,
    now: () => Date.now(),
    ...options,
  })
  return { pool, made, open: () => made.filter(({ ended }) => !ended).length }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a pool of connections', () => {
  test('gives the one that came back last again', async () => {
    const { pool, made } = makePool()
    const one = await pool.acquire()
    const two = await pool.acquire()
    await pool.release(one)
    await pool.release(two)
    expect(await pool.acquire()).toBe(two)
    expect(await pool.acquire()).toBe(one)
    expect(made).toHaveLength(2)
  })

  test('never has more than it may, and whoever waits gets what comes back, in order', async () => {
    const { pool, made } = makePool({ max: 2 })
    const held = [await pool.acquire(), await pool.acquire()]
    const got: string[] = []
    const waiting = ['first', 'second'].map(async (name) => {
      const connection = await pool.acquire()
      got.push(name)
      return connection
    })
    await Promise.resolve()
    expect(pool.status).toEqual({ open: 2, idle: 0, waiting: 2, max: 2 })
    for (const connection of held) await pool.release(connection)
    expect(await Promise.all(waiting)).toEqual(held)
    expect(got).toEqual(['first', 'second'])
    expect(made).toHaveLength(2)
    expect(pool.status).toEqual({ open: 2, idle: 0, waiting: 0, max: 2 })
  })

  test('forgets whoever gives up waiting', async () => {
    const { pool } = makePool({ max: 1 })
    const held = await pool.acquire()
    const abort = new AbortController()
    const waiting = pool.acquire(abort.signal)
    const reason = new Error('enough')
    abort.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await pool.release(held)
    expect(pool.status).toEqual({ open: 1, idle: 1, waiting: 0, max: 1 })
    expect(await pool.acquire()).toBe(held)
  })

  test('does not use a connection again that is older than allowed, or lost', async () => {
    const { pool, made, open } = makePool()
    const one = await pool.acquire()
    vi.advanceTimersByTime(9_999)
    await pool.release(one)
    expect(await pool.acquire()).toBe(one)
    vi.advanceTimersByTime(1)
    await pool.release(one)
    expect(open()).toBe(0)
    const two = await pool.acquire()
    expect(two).not.toBe(one)
    await pool.release(two)
    made[1]?.lost.abort(new Error('gone'))
    expect(await pool.acquire()).not.toBe(two)
    expect(pool.status.open).toBe(1)
  })

  test('closes what nobody used for the time that is allowed, down to what is kept', async () => {
    const { pool, open } = makePool({ max: 5, min: 2, idleTimeoutMs: 1000 })
    const held = await Promise.all(Array.from({ length: 5 }, () => pool.acquire()))
    for (const connection of held) await pool.release(connection)
    await vi.advanceTimersByTimeAsync(999)
    expect(open()).toBe(5)
    await vi.advanceTimersByTimeAsync(2)
    expect(open()).toBe(2)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(open()).toBe(2)
  })

  test('keeps what is kept also while others take long to close', async () => {
    const made: Idle[] = []
    const connect = (): Promise<Connection> => {
      const one = new Idle()
      made.push(one)
      return Promise.resolve(one.asConnection(5000))
    }
    const { pool } = makePool({ max: 5, min: 1, idleTimeoutMs: 1000, maxAgeMs: 1_000_000, connect })
    const held = await Promise.all(Array.from({ length: 5 }, () => pool.acquire()))
    for (const connection of held) {
      await pool.release(connection)
      await vi.advanceTimersByTimeAsync(10)
    }
    await vi.advanceTimersByTimeAsync(4000)
    expect(made.filter(({ ended }) => !ended)).toHaveLength(1)
    expect(pool.status).toEqual({ open: 5, idle: 1, waiting: 0, max: 5 })
  })

  test('keeps none where none are to be kept, and opens as many as are', async () => {
    const none = makePool({ min: 0 })
    await none.pool.release(await none.pool.acquire())
    await vi.advanceTimersByTimeAsync(1001)
    expect(none.open()).toBe(0)
    const three = makePool({ min: 3, max: 4 })
    const connection = await three.pool.acquire()
    await vi.advanceTimersByTimeAsync(1)
    expect(three.open()).toBe(3)
    await three.pool.release(connection)
    expect(three.pool.status).toEqual({ open: 3, idle: 3, waiting: 0, max: 4 })
  })

  test('makes room for those that are opened elsewhere by closing idle ones, and no more than there is', async () => {
    const { pool, open } = makePool({ max: 3 })
    const held = [await pool.acquire(), await pool.acquire(), await pool.acquire()]
    await pool.release(held[0] as Connection)
    const leases = await pool.reserve(2)
    expect(leases).toHaveLength(1)
    expect(open()).toBe(2)
    expect(pool.status.open).toBe(3)
    for (const lease of leases) lease.release()
    expect(pool.status.open).toBe(2)
  })

  test('gives the place of one that cannot be opened to the next', async () => {
    let refuse = true
    const one = new Idle()
    const { pool } = makePool({
      max: 1,
      connect: () => (refuse ? Promise.reject(new Error('refused')) : Promise.resolve(one.asConnection())),
    })
    await expect(pool.acquire()).rejects.toThrow('refused')
    refuse = false
    const connection = await pool.acquire()
    const next = pool.acquire()
    pool.discard(connection)
    expect(one.ended).toBe(true)
    await next
    expect(pool.status.open).toBe(1)
  })

  test('that is closed gives none, and what comes back is closed', async () => {
    const { pool, open } = makePool()
    const held = await pool.acquire()
    await pool.release(await pool.acquire())
    await pool.close()
    expect(open()).toBe(1)
    await pool.release(held)
    expect(open()).toBe(0)
    await expect(pool.acquire()).rejects.toMatchObject({ code: 'INTERNAL' })
  })
})
