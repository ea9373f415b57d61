import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect } from '../../src/postgres/connect.js'
import type { Connection, RowStream } from '../../src/postgres/connection.js'
import { resolveConnection } from '../../src/postgres/resolve-connection.js'
import { beginReading } from '../../src/postgres/session.js'
import { onEachServer } from '../server/servers.js'
import type { TestDatabase } from '../server/servers.js'

const STALL_MS = 30_000

async function open(url: string): Promise<Connection> {
  return connect(await resolveConnection({ url, env: {}, homeDir: '', userName: 'nobody' }))
}

async function drain(copy: RowStream): Promise<Buffer> {
  const pieces: Buffer[] = []
  while (await copy.next((bytes, start, end) => pieces.push(Buffer.from(bytes.subarray(start, end))))) {
    // visit collected the pieces
  }
  return Buffer.concat(pieces)
}

/** Servers begin to answer a COPY before its first row or with it. */
async function copySleep(connection: Connection, signal?: AbortSignal): Promise<Buffer> {
  const options = { stallTimeoutMs: STALL_MS, ...(signal === undefined ? {} : { signal }) }
  return drain(await connection.copyOut('COPY (SELECT pg_sleep(60)) TO STDOUT', options))
}

onEachServer('a connection', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql('CREATE TABLE item (id int PRIMARY KEY, note text)')
    await database.sql("INSERT INTO item SELECT i, repeat('x', i % 500) FROM generate_series(1, 20000) i")
  })

  async function backendIs(state: 'active' | 'gone', { backendPid }: Connection): Promise<void> {
    const active = state === 'active' ? "AND state = 'active'" : ''
    await expect
      .poll(() => database.sql(`SELECT 1 FROM pg_stat_activity WHERE pid = ${backendPid} ${active}`), {
        timeout: 20_000,
      })
      .toHaveLength(state === 'active' ? 1 : 0)
  }

  it('gives values in the types the contract names', async () => {
    await using connection = await open(database.url)
    const rows = await connection.query(
      `SELECT true AS b, 1::int2 AS s, 2::int4 AS i, 3::oid AS o, 4::int8 AS l, 5.50::numeric AS n,
              '{"a":[1]}'::json AS j, '{"a":[2]}'::jsonb AS jb, '{"a b","c,\\"d",NULL}'::text[] AS t,
              '{pg_class}'::name[] AS names, NULL::int AS missing, '2024-02-03'::date AS d`,
    )
    expect(rows).toEqual([
      {
        b: true,
        s: 1,
        i: 2,
        o: 3,
        l: '4',
        n: '5.50',
        j: { a: [1] },
        jb: { a: [2] },
        t: ['a b', 'c,"d', null],
        names: ['pg_class'],
        missing: null,
        d: '2024-02-03',
      },
    ])
    expect(connection.serverVersion).toBe(
      Number((await database.sql('SHOW server_version_num'))[0]?.['server_version_num']),
    )
    expect(connection.backendPid).toBe(
      (await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid'))[0]?.pid,
    )
    expect(connection.parameters.get('server_encoding')).toBe('UTF8')
    expect(connection.tls).toBeNull()
  })

  it('passes values as parameters and refuses a second statement', async () => {
    await using connection = await open(database.url)
    const hostile = `'; DROP TABLE item; --`
    expect(await connection.query('SELECT $1::text AS x', [hostile])).toEqual([{ x: hostile }])
    await expect(connection.query('SELECT 1; SELECT 2')).rejects.toMatchObject({
      code: 'QUERY_FAILED',
      context: { sqlstate: '42601' },
    })
    expect(await connection.query('SELECT 1 AS still')).toEqual([{ still: 1 }])
  })

  it('copies a table whole, counts its rows, and serves queries again', async () => {
    await using connection = await open(database.url)
    await beginReading(connection, { lockTimeoutMs: 1000 })
    const copy = await connection.copyOut('COPY (SELECT * FROM public.item) TO STDOUT (FORMAT binary)', {
      stallTimeoutMs: STALL_MS,
    })
    expect(copy.rows).toBeNull()
    await expect(connection.query('SELECT 1')).rejects.toMatchObject({ code: 'INTERNAL' })
    const bytes = await drain(copy)
    expect(copy.rows).toBe(20_000)
    expect(bytes.subarray(0, 11).toString('latin1')).toBe('PGCOPY\n\xff\r\n\0')
    expect(bytes.readInt16BE(bytes.length - 2)).toBe(-1)
    const [sizes] = await connection.query<{ bytes: string }>(
      'SELECT 19 + 2 + sum(2 + 4 + 4 + 4 + length(note))::int8 AS bytes FROM public.item',
    )
    expect(String(bytes.length)).toBe(sizes?.bytes)
    expect(await connection.query('SELECT 1 AS still')).toEqual([{ still: 1 }])
  })

  it('reports what the server refuses and stays usable', async () => {
    await using connection = await open(database.url)
    const options = { stallTimeoutMs: STALL_MS }
    await expect(connection.copyOut('COPY (SELECT * FROM missing) TO STDOUT', options)).rejects.toMatchObject(
      {
        code: 'STREAM_MISSING',
        context: { sqlstate: '42P01' },
      },
    )
    await expect(connection.copyOut('COPY item TO STDOUT; DROP TABLE item', options)).rejects.toMatchObject({
      context: { sqlstate: '42601' },
    })
    // Fails in the middle: the first rows have been sent.
    const copy = await connection.copyOut(
      `COPY (SELECT 1 / (19999 - id), repeat('y', 100) FROM item ORDER BY id) TO STDOUT`,
      options,
    )
    await expect(drain(copy)).rejects.toMatchObject({ code: 'QUERY_FAILED', context: { sqlstate: '22012' } })
    await expect(copy.next(() => undefined)).rejects.toMatchObject({ context: { sqlstate: '22012' } })
    expect(copy.rows).toBeNull()
    expect(await drain(await connection.copyOut('COPY (SELECT 7) TO STDOUT', options))).toEqual(
      Buffer.from('7\n'),
    )
    expect(await connection.query('SELECT count(*)::int4 AS n FROM item')).toEqual([{ n: 20_000 }])
  })

  it('leaves a copy early', async () => {
    const connection = await open(database.url)
    const copy = await connection.copyOut('COPY (SELECT pg_sleep(0.001), * FROM item) TO STDOUT', {
      stallTimeoutMs: STALL_MS,
    })
    expect(await copy.next(() => undefined)).toBe(true)
    copy.abandon()
    await expect(copy.next(() => undefined)).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(connection.query('SELECT 1')).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
    await backendIs('gone', connection)
  })

  it('ends with the reason of the signal', async () => {
    await using connection = await open(database.url)
    const controller = new AbortController()
    const pending = copySleep(connection, controller.signal)
    await backendIs('active', connection)
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(pending).rejects.toBe(reason)
    await backendIs('gone', connection)
  })

  let terminated: Connection
  it('says what the server said when it ends the session', async () => {
    terminated = await open(database.url)
    const pending = copySleep(terminated)
    await backendIs('active', terminated)
    await database.sql(`SELECT pg_terminate_backend(${terminated.backendPid})`)
    await expect(pending).rejects.toMatchObject({ code: 'CONNECTION_LOST', context: { sqlstate: '57P01' } })
    await expect.poll(() => terminated.lost.aborted, { timeout: 20_000 }).toBe(true)
    expect(terminated.lost.reason).toMatchObject({ code: 'CONNECTION_LOST', context: { sqlstate: '57P01' } })
  })
  afterAll(async () => {
    await terminated.close()
  })

  it('cancels what runs', async () => {
    await using connection = await open(database.url)
    const pending = connection.query('SELECT pg_sleep(60)')
    const rejected = expect(pending).rejects.toMatchObject({
      code: 'QUERY_CANCELED',
      context: { sqlstate: '57014' },
    })
    await backendIs('active', connection)
    await connection.cancel()
    await rejected
    expect(await connection.query('SELECT 1 AS still')).toEqual([{ still: 1 }])
    expect(connection.lost.aborted).toBe(false)
  })
})
