import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { detectPooling } from '../../src/postgres/pooling.js'
import { beginReading } from '../../src/postgres/session.js'
import { onEachServer } from '../server/servers.js'
import type { TestDatabase } from '../server/servers.js'
import { STALL_MS, drain, open } from './open.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

// Debian keeps it where only root looks.
const PGBOUNCER = ['pgbouncer', '/usr/sbin/pgbouncer'].find(
  (path) => spawnSync(path, ['--version']).status === 0 && (path === 'pgbouncer' || existsSync(path)),
)
if (PGBOUNCER === undefined)
  console.warn('pgbouncer is not on this machine: the tests of poolers are skipped.')
const NOBODY = 65_534

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

onEachServer('through pgbouncer in transaction mode', (server) => {
  let database: TestDatabase
  let bouncer: ChildProcess | null = null
  let url: string

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql('CREATE TABLE item AS SELECT generate_series(1, 1000) AS id')
    if (PGBOUNCER === undefined) return
    const port = await freePort()
    const folder = makeTemporaryFolder('pgbouncer')
    chmodSync(folder, 0o755)
    const config = join(folder, 'pgbouncer.ini')
    writeFileSync(
      config,
      `[databases]
* = host=${database.host} port=${database.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
min_pool_size = 3
default_pool_size = 3
server_round_robin = 1
`,
    )
    const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
    bouncer = spawn(PGBOUNCER, ['-q', config], { stdio: 'ignore', ...asNobody })
    url = `postgresql://postgres@127.0.0.1:${port}/${database.name}`
    await vi.waitFor(async () => (await open(url)).close(), { timeout: 20_000 })
    // Several server connections, so that the turns are seen.
    await Promise.all(
      [1, 2, 3].map(async () => {
        await using connection = await open(url)
        await connection.query('SELECT pg_sleep(0.2)')
      }),
    )
  })
  afterAll(() => {
    bouncer?.kill()
  })

  it.skipIf(PGBOUNCER === undefined)('reads in one transaction with its session pinned', async () => {
    await using connection = await open(url)
    await beginReading(connection, { lockTimeoutMs: 5000 })
    const [settings] = await connection.query<{ zone: string; pid: number }>(
      `SELECT current_setting('TimeZone') AS zone, pg_backend_pid() AS pid`,
    )
    expect(settings?.zone).toBe('UTC')
    const copy = await connection.copyOut('COPY (SELECT * FROM public.item) TO STDOUT (FORMAT binary)', {
      stallTimeoutMs: STALL_MS,
    })
    const payload = await drain(copy)
    expect(copy.rows).toBe(1000)
    expect(payload.length).toBe(19 + 2 + 1000 * 10)
    // The same backend: the transaction held it.
    expect(await connection.query('SELECT pg_backend_pid() AS pid')).toEqual([{ pid: settings?.pid }])
    await connection.execute('COMMIT')
    for (let i = 0; i < 20; i += 1)
      expect(await connection.query('SELECT $1::int4 AS i', [i])).toEqual([{ i }])
  })

  it.skipIf(PGBOUNCER === undefined)(
    'is recognised, and a server without pooler is not taken for one',
    async () => {
      await using pooled = await open(url)
      expect(await detectPooling(pooled, pooled.backendPid)).toBe(true)
      await using direct = await open(database.url)
      expect(await detectPooling(direct, direct.backendPid)).toBe(false)
    },
  )

  it.skipIf(PGBOUNCER === undefined)('cancels what runs', async () => {
    await using connection = await open(url)
    const canceled = expect(
      connection.query(`SELECT pg_sleep(60), 'through the pooler'`),
    ).rejects.toMatchObject({
      code: 'QUERY_CANCELED',
    })
    await expect
      .poll(
        () =>
          database.sql(
            `SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%through the pooler%' AND pid <> pg_backend_pid()`,
          ),
        { timeout: 20_000 },
      )
      .toHaveLength(1)
    await connection.cancel()
    await canceled
  })
})
