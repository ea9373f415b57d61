import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { isAlive } from '../../scripts/servers/install.mjs'
import { oldestAndNewestMajors, startServer } from './servers.js'

const majors = oldestAndNewestMajors()
const newest = Math.max(...majors)

test.each(majors)('a standby of PostgreSQL %i follows its primary and can be promoted', async (major) => {
  await using primary = await startServer({ major })
  const database = await primary.createDatabase()
  await database.sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) AS g')
  await using standby = await primary.startStandby({ slot: 'standby_slot' })
  await database.sql('INSERT INTO t VALUES (1001)')
  await standby.catchUp()
  const client = await standby.connect(database.name)
  const counted = await client.query('SELECT count(*)::int AS n, pg_is_in_recovery() AS standby FROM t')
  expect(counted.rows).toEqual([{ n: 1001, standby: true }])
  await standby.promote()
  expect((await client.query('SELECT pg_is_in_recovery() AS standby')).rows).toEqual([{ standby: false }])
  await client.end()
})

test.each(majors)('PostgreSQL %i recovers what was committed before a kill', async (major) => {
  await using server = await startServer({ major, durable: true })
  const database = await server.createDatabase()
  await database.sql('CREATE TABLE t (x int); INSERT INTO t VALUES (1)')
  const before = server.port
  await server.kill()
  expect(server.running).toBe(false)
  await server.start()
  expect(server.port).toBe(before)
  expect(await database.sql('SELECT x FROM t')).toEqual([{ x: '1' }])
  await server.restart()
  expect(await database.sql('SELECT x FROM t')).toEqual([{ x: '1' }])
})

test('settings, hba lines and files are those that were asked for', async () => {
  await using server = await startServer({
    major: newest,
    conf: { max_connections: 17, log_min_duration_statement: 0 },
    hba: ['host all guest 127.0.0.1/32 scram-sha-256'],
    files: { 'extra.conf': "application_name = 'it''s'" },
  })
  const database = await server.createDatabase()
  expect(await database.sql('SHOW max_connections')).toEqual([{ max_connections: '17' }])
  expect(await database.sql("SELECT pg_read_file('extra.conf') AS text")).toEqual([
    { text: "application_name = 'it''s'" },
  ])
  await database.sql("CREATE ROLE guest LOGIN PASSWORD 'right'")
  const wrong = new pg.Client({
    host: server.host,
    port: server.port,
    user: 'guest',
    password: 'wrong',
    database: database.name,
  })
  await expect(wrong.connect()).rejects.toMatchObject({ code: '28P01' })
  const right = new pg.Client({
    host: server.host,
    port: server.port,
    user: 'guest',
    password: 'right',
    database: database.name,
  })
  await right.connect()
  await right.end()
})

test('a server of its own identity differs from the others of its major', async () => {
  await using one = await startServer({ major: newest })
  await using other = await startServer({ major: newest, freshIdentity: true })
  const ids = []
  for (const server of [one, other]) {
    const client = await server.connect()
    ids.push(
      (await client.query<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()'))
        .rows[0]?.id,
    )
    await client.end()
  }
  expect(ids[0]).not.toBe(ids[1])
})

test('a server that cannot start says why, with the end of its log', async () => {
  await expect(startServer({ major: newest, conf: { shared_buffers: 'plenty' } })).rejects.toThrow(
    /PostgreSQL \d+ did not start[^]*shared_buffers/,
  )
})

test('a server ends with its owner, even one that is killed', async () => {
  const folder = await mkdtemp(join(import.meta.dirname, 'owner-'))
  try {
    const script = join(folder, 'owner.ts')
    await writeFile(
      script,
      `import { startServer } from '../../../scripts/servers/server.js'
       const server = await startServer({ major: ${newest} })
       console.log(JSON.stringify({ pid: server.postmasterPid, socketDir: server.socketDir }))
       setInterval(() => undefined, 1000)`,
    )
    const owner = spawn(process.execPath, ['--import', 'tsx', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(owner.stdout, 'data')) as [Buffer]
    const { pid, socketDir } = JSON.parse(line.toString()) as { pid: number; socketDir: string }
    expect(isAlive(pid)).toBe(true)
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    for (let waited = 0; waited < 300 && (isAlive(pid) || existsSync(socketDir)); waited++) await sleep(100)
    expect(isAlive(pid)).toBe(false)
    expect(existsSync(socketDir)).toBe(false)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
