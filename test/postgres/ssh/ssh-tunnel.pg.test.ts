import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { utils } from 'ssh2'
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { connect, rows, sync, type ReadableSource, type SshTunnelOptions } from '../../../src/index.js'
import { onNewestServer, type TestDatabase } from '../../server/servers.js'
import { startSshServer, type TestSshServer } from './ssh-server.js'

const ROWS = 60_000

/** Host and port of the database are names that only the SSH server knows: what does not go through it goes nowhere. */
onNewestServer('through an SSH server', (server) => {
  const key = utils.generateKeyPairSync('ed25519')
  let database: TestDatabase
  let folder: string
  let ssh: TestSshServer
  let url: string

  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql(
      `CREATE TABLE orders AS SELECT g AS id, repeat(md5(g::text), 4) AS note FROM generate_series(1, ${ROWS}) g`,
    )
    await database.sql(`ALTER TABLE orders ADD PRIMARY KEY (id)`)
  })

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'trunkline-ssh-test-'))
    vi.stubEnv('TMPDIR', folder)
    vi.stubEnv('SSH_AUTH_SOCK', '')
    vi.stubEnv('HOME', folder)
    const there = { host: database.host, port: database.port }
    ssh = await startSshServer({
      hosts: { 'db.internal:7777': there },
      authorizedKey: key.public,
      password: 'canary-password',
    })
    await writeFile(join(folder, 'known_hosts'), ssh.knownHost)
    await writeFile(join(folder, 'id'), key.private, { mode: 0o600 })
    url = `postgresql://${database.user}@db.internal:7777/${database.name}?sslmode=disable`
  })

  afterEach(async () => {
    vi.unstubAllEnvs()
    await ssh[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const tunnel = (options: Partial<SshTunnelOptions> = {}): SshTunnelOptions => ({
    url: `ssh://tunnel@127.0.0.1:${ssh.port}`,
    key: join(folder, 'id'),
    knownHosts: join(folder, 'known_hosts'),
    ...options,
  })
  const open = (options: Partial<SshTunnelOptions> = {}): Promise<ReadableSource> =>
    connect({ url, sshTunnel: tunnel(options), limits: { maxConnections: 4 } })
  const refusal = async (options: Partial<SshTunnelOptions>): Promise<Error> => {
    const source = await open(options).catch((error: unknown) => error)
    if (source instanceof Error) return source
    throw new Error('it was let in')
  }

  test('every connection of a run, those of readers included, goes through it, and nothing is left behind', async () => {
    const source = await open()
    const report = await sync({ source, destination: `duckdb:${join(folder, 'shop.duckdb')}`, jobs: 2 })
    expect(report.outcome).toBe('done')
    expect(report.streams.map(({ destinationCount }) => destinationCount)).toEqual([ROWS])
    expect(ssh.sessions).toBe(1)
    expect(report.readers).toBeGreaterThanOrEqual(1)
    expect(ssh.forwards).toBeGreaterThan(report.readers)
    await source.close()
    expect((await readdir(folder)).filter((name) => name.startsWith('trunkline-ssh-'))).toEqual([])
  })

  test('a session that is cut in the middle is made again, and the run still copies every row once', async () => {
    await using source = await open()
    ssh.cutAfter(2_000_000)
    const report = await sync({
      source,
      destination: `duckdb:${join(folder, 'shop.duckdb')}`,
      limits: { firstRetryDelayMs: 10 },
      verify: true,
    })
    expect(report.outcome).toBe('done')
    expect(report.streams[0]).toMatchObject({
      destinationCount: ROWS,
      verified: { equal: true, missing: 0, unexpected: 0 },
    })
    expect(ssh.sessions).toBeGreaterThanOrEqual(2)
  })

  test('a key is taken as text, too, and a password from a command', async () => {
    for (const options of [
      { key: key.private },
      { key: undefined, passwordCommand: 'echo canary-password' },
    ]) {
      await using source = await open(options)
      await using snapshot = await source.snapshot(['public.orders'])
      let first: unknown = null
      for await (const batch of snapshot.read('public.orders', { columns: ['id'] })) {
        for (const row of rows(batch)) first ??= row
        break
      }
      expect(first).toMatchObject({ id: 1 })
    }
  })

  test('a key or a password that the server does not take is refused for good, and no password is shown', async () => {
    const stranger = utils.generateKeyPairSync('ed25519').private
    const byKey = await refusal({ key: stranger })
    expect(byKey).toMatchObject({
      code: 'AUTH_FAILED',
      retry: 'never',
      message: expect.stringContaining('tried: key') as string,
    })
    const byPassword = await refusal({ key: undefined, password: 'canary-wrong' })
    expect(byPassword).toMatchObject({
      code: 'AUTH_FAILED',
      message: expect.stringContaining('tried: password') as string,
    })
    expect(JSON.stringify([byPassword, byPassword.stack, String(byPassword.cause)])).not.toContain('canary')
    expect(await refusal({ key: undefined })).toMatchObject({
      code: 'AUTH_FAILED',
      hint: expect.stringContaining('ssh_key') as string,
    })
  })

  test('a private key that others can read, or that is none, is not used', async () => {
    await writeFile(join(folder, 'open'), key.private, { mode: 0o644 })
    await writeFile(join(folder, 'none'), 'not a key', { mode: 0o600 })
    expect(await refusal({ key: join(folder, 'open') })).toMatchObject({ code: 'SECRET_FILE_PERMISSIONS' })
    expect(await refusal({ key: join(folder, 'none') })).toMatchObject({ code: 'CONFIG_INVALID' })
    expect(await refusal({ key: join(folder, 'absent') })).toMatchObject({ code: 'CONFIG_INVALID' })
    const encrypted = utils.generateKeyPairSync('ed25519', {
      passphrase: 'canary',
      cipher: 'aes256-ctr',
      rounds: 4,
    }).private
    expect(await refusal({ key: encrypted })).toMatchObject({
      code: 'CONFIG_INVALID',
      hint: expect.stringContaining('ssh_passphrase') as string,
    })
    // With its passphrase it is read, but nobody there knows it.
    expect(await refusal({ key: encrypted, passphrase: 'canary' })).toMatchObject({ code: 'AUTH_FAILED' })
    expect(ssh.sessions).toBe(0)
  })

  test('an unknown server is told nothing: the error has its fingerprint and how to enter its key', async () => {
    await writeFile(join(folder, 'known_hosts'), '')
    const error = await refusal({})
    expect(error).toMatchObject({
      code: 'SSH_HOST_KEY',
      retry: 'never',
      message: expect.stringMatching(/ssh-ed25519 key SHA256:[A-Za-z0-9+/]{43}\./) as string,
      hint: expect.stringContaining(
        `ssh-keyscan -p ${ssh.port} -t ed25519 127.0.0.1 >> ${join(folder, 'known_hosts')}`,
      ) as string,
    })
    expect(ssh.sessions).toBe(0)
  })

  test.each([
    ['another key than before', (line: string) => line, 'says another one'],
    ['a revoked key', (_: string, own: string) => `@revoked * ${own}`, 'revokes'],
  ])('a server with %s is told nothing', async (_, write, says) => {
    const other = `[127.0.0.1]:${ssh.port} ${utils.generateKeyPairSync('ed25519').public}`
    await writeFile(join(folder, 'known_hosts'), write(other, ssh.hostKey))
    const error = await refusal({})
    expect(error).toMatchObject({ code: 'SSH_HOST_KEY', retry: 'never' })
    expect(error.message).toContain(says)
    expect(error.message).toContain(`${join(folder, 'known_hosts')}:1`)
    expect(ssh.sessions).toBe(0)
  })

  test('a database that the SSH server does not reach, and an SSH server that is not there, are told apart', async () => {
    url = url.replace('db.internal', 'elsewhere.internal')
    expect(await refusal({})).toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining('from there elsewhere.internal:7777 cannot be reached') as string,
    })
    expect(await refusal({ url: 'ssh://tunnel@127.0.0.1:1' })).toMatchObject({
      code: 'CONNECT_FAILED',
      hint: expect.stringContaining('ssh_tunnel') as string,
    })
  })
})
