import { afterAll, beforeAll, expect, it } from 'vitest'
import { TrunklineError } from '../../src/model/error.js'
import { onOldestAndNewestServer } from '../server/servers.js'
import type { TestDatabase } from '../server/servers.js'
import { startCuttingProxy } from './cutting-proxy.js'
import type { CuttingProxy } from './cutting-proxy.js'
import { STALL_MS, drain, open } from './open.js'

const COPY = 'COPY (SELECT * FROM part ORDER BY id) TO STDOUT (FORMAT binary)'

onOldestAndNewestServer('a COPY whose connection is cut', (server) => {
  let database: TestDatabase
  let proxy: CuttingProxy
  let url: string
  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql('CREATE TABLE part (id int, name text, price numeric(10,2), made timestamptz)')
    await database.sql(
      "INSERT INTO part VALUES (1, 'nut', 0.10, now()), (2, NULL, NULL, NULL), (3, '', 12345.67, now())",
    )
    proxy = await startCuttingProxy({ host: database.host, port: database.port })
    const direct = new URL(database.url)
    direct.port = String(proxy.port)
    url = `${direct.href}?sslmode=disable`
  })
  afterAll(() => proxy.close())

  it.each(['fin', 'rst'] as const)(
    'fails at every byte of the answer when it is cut by %s, and is whole behind the last',
    { timeout: 240_000 },
    async (by) => {
      const length = await answerLength()
      expect(length).toBeGreaterThan(150)
      for (let after = 0; after < length; after += 1) {
        const outcome = await copyCutAt({ after, by })
        expect(outcome, `cut by ${by} after ${after} of ${length} bytes`).toBeInstanceOf(TrunklineError)
        expect(['CONNECTION_LOST', 'COPY_INCOMPLETE']).toContain((outcome as TrunklineError).code)
        expect((outcome as TrunklineError).retry).toBe('safe')
      }
      const whole = await copyCutAt({ after: length, by: 'fin' })
      expect(whole).toEqual({ rows: 3 })
      console.info(`cut by ${by}: ${length} positions, every one an error`)
    },
  )

  async function answerLength(): Promise<number> {
    proxy.disarm()
    await using connection = await open(url)
    proxy.disarm()
    const copy = await connection.copyOut(COPY, { stallTimeoutMs: STALL_MS })
    await drain(copy)
    return proxy.passed
  }

  async function copyCutAt(cut: Parameters<CuttingProxy['arm']>[0]): Promise<unknown> {
    proxy.disarm()
    const connection = await open(url)
    try {
      proxy.arm(cut)
      if (cut.after === 0) return await copyCutAtStart(connection)
      const copy = await connection.copyOut(COPY, { stallTimeoutMs: STALL_MS })
      await drain(copy)
      return { rows: copy.rows }
    } catch (error) {
      return error
    } finally {
      connection.destroy()
    }
  }

  async function copyCutAtStart(connection: Awaited<ReturnType<typeof open>>): Promise<unknown> {
    const copy = await connection.copyOut(COPY, { stallTimeoutMs: STALL_MS })
    return { rows: copy.rows }
  }

  it('is called stalled when the server falls silent, but only when it is not alive', async () => {
    proxy.disarm()
    const questions: string[] = []
    const connection = await open(url)
    proxy.arm({ after: 60, by: 'silence' })
    const copy = await connection.copyOut(COPY, {
      stallTimeoutMs: 100,
      isAlive: () => Promise.resolve(questions.push('alive?') < 3),
    })
    await expect(drain(copy)).rejects.toMatchObject({ code: 'CONNECTION_STALLED', retry: 'safe' })
    expect(questions).toHaveLength(3)
    await expect(connection.query('SELECT 1')).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
  })

  it('is called stalled when nobody can be asked, or the question fails or is never answered', async () => {
    for (const isAlive of [
      undefined,
      () => Promise.reject(new Error('gone, too')),
      () => new Promise<boolean>(() => undefined),
    ]) {
      proxy.disarm()
      const connection = await open(url)
      proxy.arm({ after: 60, by: 'silence' })
      const options = { stallTimeoutMs: 100, ...(isAlive === undefined ? {} : { isAlive }) }
      const copy = await connection.copyOut(COPY, options)
      await expect(drain(copy)).rejects.toMatchObject({ code: 'CONNECTION_STALLED' })
    }
  })

  it('does not count the time in which nobody asks for more', async () => {
    proxy.disarm()
    await using connection = await open(url)
    const sql = `COPY (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) TO STDOUT`
    const copy = await connection.copyOut(sql, { stallTimeoutMs: 50 })
    expect(await copy.next(() => undefined)).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 400))
    await drain(copy)
    expect(copy.rows).toBe(20_000)
  })
})
