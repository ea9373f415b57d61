import { afterAll, beforeAll, expect, it } from 'vitest'
import { TrunklineError } from '../../src/model/error.js'
import type { CopyIn } from '../../src/postgres/connection.js'
import { onEachServer, onNewestServer } from '../server/servers.js'
import type { TestDatabase } from '../server/servers.js'
import { startFaultProxy, type FaultProxy } from '../server/fault-proxy.js'
import { STALL_MS, copyOnce, open } from './open.js'

const COPY_TEXT = 'COPY landed (id, note) FROM STDIN'
const COPY_BINARY = 'COPY landed (id, note) FROM STDIN (FORMAT binary)'
const OPTIONS = { stallTimeoutMs: STALL_MS, columns: ['id', 'note'] }

async function failureOf(work: Promise<unknown>): Promise<TrunklineError> {
  const outcome = await work.then(
    () => null,
    (error: unknown) => error,
  )
  expect(outcome).toBeInstanceOf(TrunklineError)
  return outcome as TrunklineError
}

async function sendAll(copy: CopyIn, bytes: Uint8Array): Promise<number> {
  await copy.write(bytes)
  return copy.finish()
}

onEachServer('a COPY into a table', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(
      'CREATE TABLE source AS SELECT i::int4 AS id, repeat(chr(65 + i % 26), i % 300) AS note FROM generate_series(1, 20000) i',
    )
    await database.sql('CREATE TABLE landed (id int4 PRIMARY KEY, note text)')
  })

  const count = async (): Promise<string | null | undefined> =>
    (await database.sql('SELECT count(*) AS n FROM landed'))[0]?.['n']

  it('lands what another COPY sent, cut anywhere, and counts its rows', async () => {
    const { payload } = await copyOnce(database.url, 'COPY source TO STDOUT (FORMAT binary)')
    await using connection = await open(database.url)
    for (const size of [1 + payload.length, 65_521, 4_999]) {
      await connection.execute('TRUNCATE landed')
      const copy = await connection.copyIn(COPY_BINARY, OPTIONS)
      await expect(connection.query('SELECT 1')).rejects.toMatchObject({ code: 'INTERNAL' })
      const writes: Promise<void>[] = []
      for (let at = 0; at < payload.length; at += size)
        writes.push(copy.write(payload.subarray(at, at + size)))
      await Promise.all(writes)
      expect(await copy.finish()).toBe(20_000)
      expect(await connection.query('SELECT 1 AS still')).toEqual([{ still: 1 }])
    }
    expect(await database.sql('TABLE source EXCEPT ALL TABLE landed')).toEqual([])
  })

  it('lands text, and nothing at all', async () => {
    await using connection = await open(database.url)
    await connection.execute('TRUNCATE landed')
    const copy = await connection.copyIn(COPY_TEXT, OPTIONS)
    expect(await sendAll(copy, Buffer.from('1\tone\n2\t\\N\n'))).toBe(2)
    const empty = await connection.copyIn(COPY_TEXT, OPTIONS)
    expect(await empty.finish()).toBe(0)
    expect(await database.sql('TABLE landed ORDER BY id')).toEqual([
      { id: '1', note: 'one' },
      { id: '2', note: null },
    ])
  })

  it('says which row and column the server refused, but no value, and is of use afterwards', async () => {
    await using connection = await open(database.url)
    await connection.execute('TRUNCATE landed')
    const bad = await failureOf(
      sendAll(await connection.copyIn(COPY_TEXT, OPTIONS), Buffer.from('1\tone\nsecret42\ttwo\n')),
    )
    expect(bad).toMatchObject({
      code: 'QUERY_FAILED',
      context: { sqlstate: '22P02', rowNumber: 2, field: 'id' },
    })
    const twice = await failureOf(
      sendAll(await connection.copyIn(COPY_TEXT, OPTIONS), Buffer.from('77123\tone\n77123\ttwo\n')),
    )
    expect(twice).toMatchObject({ context: { sqlstate: '23505', rowNumber: 2 } })
    const missing = await failureOf(
      sendAll(await connection.copyIn(COPY_TEXT, OPTIONS), Buffer.from('\\N\tsecret42\n')),
    )
    expect(missing).toMatchObject({ context: { sqlstate: '23502', rowNumber: 1, field: 'id' } })
    for (const { message, hint } of [bad, twice, missing])
      expect(`${message} ${hint}`).not.toMatch(/secret42|77123/)
    expect(await connection.query('SELECT count(*)::int4 AS n FROM landed')).toEqual([{ n: 0 }])
    expect(connection.lost.aborted).toBe(false)
  })

  it('tells of an error in the middle of many rows once the connection is idle', async () => {
    await using connection = await open(database.url)
    await connection.execute('TRUNCATE landed')
    const copy = await connection.copyIn(COPY_TEXT, OPTIONS)
    const rows = Buffer.from('x\ty\n'.repeat(2_000_000))
    const failures = await Promise.all([copy.write(rows), copy.write(rows)].map((work) => failureOf(work)))
    expect(failures.map(({ context }) => context.sqlstate)).toEqual(['22P02', '22P02'])
    expect((await failureOf(copy.finish())).context.sqlstate).toBe('22P02')
    await copy.fail('too late')
    expect(await connection.query('SELECT 1 AS still')).toEqual([{ still: 1 }])
  })

  it('can be refused by the sender, whose transaction fails', async () => {
    await using connection = await open(database.url)
    await connection.execute('TRUNCATE landed')
    await connection.execute('BEGIN; SAVEPOINT before')
    const copy = await connection.copyIn(COPY_TEXT, OPTIONS)
    await copy.write(Buffer.from('1\tone\n'))
    await copy.fail('the source went away')
    await copy.fail('once more')
    expect((await failureOf(copy.finish())).context.sqlstate).toBe('57014')
    await connection.execute('ROLLBACK TO before; COMMIT')
    expect(await count()).toBe('0')
  })

  it('is refused before it takes rows where the table is missing or the statement is no COPY', async () => {
    await using connection = await open(database.url)
    expect((await failureOf(connection.copyIn('COPY missing FROM STDIN', OPTIONS))).context.sqlstate).toBe(
      '42P01',
    )
    expect(await connection.query('SELECT 1 AS still')).toEqual([{ still: 1 }])
    const notACopy = await open(database.url)
    expect((await failureOf(notACopy.copyIn('SELECT 1', OPTIONS))).code).toBe('QUERY_FAILED')
    notACopy.destroy()
  })

  it('says what the server said when it ends the session', async () => {
    const connection = await open(database.url)
    const copy = await connection.copyIn(COPY_TEXT, OPTIONS)
    await copy.write(Buffer.from('5\tfive\n'))
    const ended = failureOf(
      (async () => {
        for (;;) await copy.write(Buffer.from('6\tsix\n'))
      })(),
    )
    await database.sql(`SELECT pg_terminate_backend(${connection.backendPid})`)
    // The session may be found closed before what the server said is read.
    expect((await ended).code).toBe('CONNECTION_LOST')
    await copy.fail('gone')
    expect((await failureOf(copy.finish())).code).toBe('CONNECTION_LOST')
    connection.destroy()
  })
})

onNewestServer('a COPY into a table over a bad network', (server) => {
  let database: TestDatabase
  let proxy: FaultProxy
  let url: string
  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql('CREATE TABLE landed (id int4, note text)')
    proxy = await startFaultProxy({ host: database.host, port: database.port })
    const through = new URL(database.url)
    through.port = String(proxy.port)
    url = `${through.href}?sslmode=disable`
  })
  afterAll(() => proxy.close())

  const row = Buffer.from(`1\t${'x'.repeat(1000)}\n`)
  const many = Buffer.concat(Array.from({ length: 5000 }, () => row))

  it.each(['fin', 'rst'] as const)('ends with an error when it is cut by %s', async (cutBy) => {
    proxy.faults = { cutAfterClientBytes: 200_000, cutBy }
    const connection = await open(url)
    const copy = await connection.copyIn(COPY_TEXT, OPTIONS)
    expect((await failureOf(sendAll(copy, many))).code).toBe('CONNECTION_LOST')
    await copy.fail('gone')
    await expect(connection.query('SELECT 1')).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
    connection.destroy()
    expect(await database.sql('SELECT count(*) AS n FROM landed')).toEqual([{ n: '0' }])
  })

  it('does not wait for ever for an answer that does not come', async () => {
    proxy.faults = {}
    const connection = await open(url)
    let isAlive = true
    const copy = await connection.copyIn(COPY_TEXT, {
      ...OPTIONS,
      stallTimeoutMs: 200,
      isAlive: () => Promise.resolve(isAlive),
    })
    await copy.write(row)
    isAlive = false
    // Our CopyDone reaches the server, its answer does not reach us.
    for (const relayed of proxy.connections) relayed.blackHole()
    expect((await failureOf(copy.finish())).code).toBe('CONNECTION_STALLED')
    connection.destroy()
  })

  it('ends with the reason of the signal while the server is slow to take rows', async () => {
    await using locker = await open(database.url)
    await locker.execute('CREATE TABLE locked ()')
    await locker.execute('BEGIN; LOCK TABLE locked')
    const abort = new AbortController()
    const connection = await open(database.url)
    const begun = connection.copyIn('COPY locked FROM STDIN', { ...OPTIONS, signal: abort.signal })
    const rejected = expect(begun).rejects.toThrow('enough')
    await expect
      .poll(
        () => database.sql(`SELECT 1 FROM pg_locks WHERE pid = ${connection.backendPid} AND NOT granted`),
        { timeout: 20_000 },
      )
      .toHaveLength(1)
    abort.abort(new Error('enough'))
    await rejected
    connection.destroy()
  })
})
