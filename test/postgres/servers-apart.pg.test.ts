/** What needs a server of its own: standbys, and servers that go away. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startServer } from '../server/servers.js'
import type { SpecialServer } from '../server/servers.js'
import { STALL_MS, type drain, open } from './open.js'

const MAJORS = (process.env['TRUNKLINE_TEST_PG'] ?? '12,18').split(',').map(Number)
// Servers from 14 on report by themselves what older ones must be asked.
const [OLDEST, NEWEST] = [Math.min(...MAJORS), Math.max(...MAJORS)]

describe.each([...new Set([OLDEST, NEWEST])])('target_session_attrs on PostgreSQL %i', (major) => {
  let primary: SpecialServer
  let standby: Awaited<ReturnType<SpecialServer['startStandby']>>
  beforeAll(async () => {
    primary = await startServer({ major })
    standby = await primary.startStandby()
    await standby.catchUp()
  })
  afterAll(async () => {
    await standby.close()
    await primary.close()
  })

  async function chosen(order: 'primary first' | 'standby first', wanted: string): Promise<string> {
    const hosts = [primary.port, standby.port].map((port) => `127.0.0.1:${port}`)
    if (order === 'standby first') hosts.reverse()
    await using connection = await open(
      `postgresql://postgres@${hosts.join(',')}/postgres?target_session_attrs=${wanted}&sslmode=disable`,
    )
    return connection.settings.hosts[0]?.port === primary.port ? 'primary' : 'standby'
  }

  it.each([
    ['any', 'primary', 'standby'],
    ['read-write', 'primary', 'primary'],
    ['primary', 'primary', 'primary'],
    ['read-only', 'standby', 'standby'],
    ['standby', 'standby', 'standby'],
    ['prefer-standby', 'standby', 'standby'],
  ])('%s', async (wanted, primaryFirst, standbyFirst) => {
    expect(await chosen('primary first', wanted)).toBe(primaryFirst)
    expect(await chosen('standby first', wanted)).toBe(standbyFirst)
  })

  it('says of each host why it does not do', async () => {
    const url = `postgresql://postgres@127.0.0.1:${primary.port},127.0.0.1:1/postgres?target_session_attrs=standby`
    const error: unknown = await open(url).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'CONNECT_NO_SUITABLE_HOST', retry: 'backoff' })
    expect((error as Error).message).toMatch(/is not a standby[^]*refused/)
  })

  it('prefer-standby takes a primary when there is no standby, and load balancing takes either', async () => {
    const alone = `postgresql://postgres@127.0.0.1:1,127.0.0.1:${primary.port}/postgres`
    await using connection = await open(`${alone}?target_session_attrs=prefer-standby`)
    expect(connection.settings.hosts[0]?.port).toBe(primary.port)
    const seen = new Set<number | undefined>()
    const both = `postgresql://postgres@127.0.0.1:${primary.port},127.0.0.1:${standby.port}/postgres`
    for (let i = 0; i < 60 && seen.size < 2; i += 1) {
      await using balanced = await open(`${both}?load_balance_hosts=random`)
      seen.add(balanced.settings.hosts[0]?.port)
    }
    expect(seen.size).toBe(2)
  })
})

describe('a server that goes away in the middle of a COPY', () => {
  let server: SpecialServer
  beforeAll(async () => {
    server = await startServer({ major: NEWEST })
  })
  afterAll(() => server.close())

  const ENDLESS = `COPY (SELECT generate_series(1, 100000000), repeat('x', 500)) TO STDOUT (FORMAT binary)`

  it.each([
    ['is stopped', (s: SpecialServer) => s.stop('fast'), ['CONNECTION_LOST', 'COPY_INCOMPLETE']],
    [
      'is stopped at once',
      (s: SpecialServer) => s.stop('immediate'),
      ['SERVER_RESTARTING', 'CONNECTION_LOST', 'COPY_INCOMPLETE'],
    ],
    [
      'is killed',
      (s: SpecialServer) => s.kill(),
      ['SERVER_RESTARTING', 'CONNECTION_LOST', 'COPY_INCOMPLETE'],
    ],
  ])('because it %s is an error that a retry mends', async (_, end, codes) => {
    const connection = await open(server.url('postgres'))
    const copy = await connection.copyOut(ENDLESS, { stallTimeoutMs: STALL_MS })
    for (let i = 0; i < 20; i += 1) expect(await copy.next(() => undefined)).toBe(true)
    const reading = drainQuietly(copy)
    const stopped = end(server)
    const error = await reading
    expect(codes).toContain((error as { code: string }).code)
    expect(['safe', 'backoff']).toContain((error as { retry: string }).retry)
    expect(copy.rows).toBeNull()
    await stopped
    await expect.poll(() => connection.lost.aborted, { timeout: 20_000 }).toBe(true)
    await expect(open(server.url('postgres'))).rejects.toMatchObject({
      code: expect.stringMatching(/^(CONNECT_FAILED|SERVER_RESTARTING)$/) as string,
      retry: 'backoff',
    })
    await server.start()
  })

  it('because an administrator ends the session can be retried at once', async () => {
    const connection = await open(server.url('postgres'))
    const copy = await connection.copyOut(ENDLESS, { stallTimeoutMs: STALL_MS })
    expect(await copy.next(() => undefined)).toBe(true)
    const reading = drainQuietly(copy)
    const admin = await server.connect()
    await admin.query(`SELECT pg_terminate_backend(${connection.backendPid})`)
    await admin.end()
    // A server that was blocked in sending says nothing before it closes: half a message cannot be followed by another.
    const error = await reading
    expect(error).toMatchObject({ retry: 'safe' })
    const { code, context } = error as { code: string; context: { sqlstate?: string } }
    expect([code, context.sqlstate]).toEqual(
      code === 'CONNECTION_LOST' ? ['CONNECTION_LOST', '57P01'] : ['COPY_INCOMPLETE', undefined],
    )
  })

  it('passes a row of 150 MB on in pieces, in flat memory', { timeout: 120_000 }, async () => {
    await using connection = await open(server.url('postgres'))
    const sql = `COPY (SELECT convert_to(repeat('0123456789', 15000000), 'UTF8')) TO STDOUT (FORMAT binary)`
    const copy = await connection.copyOut(sql, { stallTimeoutMs: STALL_MS })
    const memory = (): number => process.memoryUsage().external + process.memoryUsage().arrayBuffers
    const before = memory()
    let [bytes, largestPiece, peak] = [0, 0, 0]
    while (
      await copy.next((_, start, end) => {
        bytes += end - start
        largestPiece = Math.max(largestPiece, end - start)
      })
    ) {
      peak = Math.max(peak, memory() - before)
    }
    expect(copy.rows).toBe(1)
    expect(bytes).toBe(19 + 2 + 4 + 150_000_000 + 2)
    expect(largestPiece).toBeLessThanOrEqual(1024 * 1024)
    expect(peak).toBeLessThan(100_000_000)
  })

  async function drainQuietly(copy: Parameters<typeof drain>[0]): Promise<unknown> {
    try {
      while (await copy.next(() => undefined)) {
        // Nothing is kept.
      }
      return null
    } catch (error) {
      return error
    }
  }
})
