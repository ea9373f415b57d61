/** The same against OpenSSH's own server, where one is installed: in PATH, /usr/sbin, or where TRUNKLINE_TEST_SSHD says. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { utils } from 'ssh2'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, sync } from '../../../src/index.js'
import { onNewestServer, type TestDatabase } from '../../server/servers.js'

/** It must be called by its whole path. */
function findSshd(): string | null {
  const stated = process.env['TRUNKLINE_TEST_SSHD']
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  const places = [...(stated === undefined ? [] : [stated]), ...folders.map((folder) => join(folder, 'sshd'))]
  // An option that no version knows: whatever it answers, it is there.
  return places.find((path) => spawnSync(path, ['-?'], { stdio: 'ignore' }).error === undefined) ?? null
}

/**
 * As root it would want an account of its own to give up rights to; as anybody else it serves that account. `nobody` has no
 * password, which only PAM takes for an account that may still log in by key.
 */
const account = process.getuid?.() === 0 ? { name: 'nobody', uid: 65_534, gid: 65_534 } : null
const user = account?.name ?? userInfo().username
const algorithms = ['ed25519', 'ecdsa', 'rsa'] as const

const sshd = findSshd()

onNewestServer('through the sshd of OpenSSH (skipped where none is installed)', (server) => {
  const login = utils.generateKeyPairSync('ed25519')
  const children = new Set<ChildProcess>()
  const hostKeys: string[] = []
  let folder = ''
  let gate: Server
  let port = 0
  let database: TestDatabase

  beforeAll(async () => {
    if (sshd === null) return
    database = await server.createDatabase()
    await database.sql(
      `CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 20000) g`,
    )
    await database.sql(`ALTER TABLE orders ADD PRIMARY KEY (id)`)
    folder = await mkdtemp(join(tmpdir(), 'trunkline-sshd-'))
    const config = [
      'AuthorizedKeysFile ' + join(folder, 'authorized'),
      'StrictModes no',
      `UsePAM ${account === null ? 'no' : 'yes'}`,
      'PidFile none',
    ]
    const write = async (name: string, text: string): Promise<void> => {
      await writeFile(join(folder, name), text, { mode: 0o600 })
      if (account !== null) await chown(join(folder, name), account.uid, account.gid)
    }
    if (account !== null) await chown(folder, account.uid, account.gid)
    for (const algorithm of algorithms) {
      const pair =
        algorithm === 'ed25519'
          ? utils.generateKeyPairSync('ed25519')
          : utils.generateKeyPairSync(algorithm, { bits: algorithm === 'rsa' ? 2048 : 256 })
      await write(`host_${algorithm}`, pair.private)
      config.push(`HostKey ${join(folder, `host_${algorithm}`)}`)
      hostKeys.push(pair.public)
    }
    await write('authorized', `${login.public}\n`)
    await write('login', login.private)
    await write('config', `${config.join('\n')}\n`)
    // In place of inetd: a process for each connection, on a port that is free.
    gate = createServer({ pauseOnConnect: true }, (socket) => {
      const child = spawn(sshd, ['-i', '-f', join(folder, 'config')], {
        stdio: [socket, socket, 'ignore'],
        ...(account === null ? {} : { uid: account.uid, gid: account.gid }),
      })
      children.add(child)
      child.on('exit', () => children.delete(child))
      socket.destroy()
    })
    await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve))
    port = (gate.address() as AddressInfo).port
  })

  afterAll(async () => {
    if (sshd === null) return
    for (const child of children) child.kill()
    await new Promise((resolve) => gate.close(resolve))
    await rm(folder, { recursive: true, force: true })
  })

  const withSshd = test.skipIf(sshd === null)

  withSshd.each(algorithms)('a run copies every row, the server known by its %s key', async (algorithm) => {
    const knownHosts = join(folder, `known_${algorithm}`)
    await writeFile(knownHosts, `[127.0.0.1]:${port} ${hostKeys[algorithms.indexOf(algorithm)] ?? ''}\n`)
    await using source = await connect({
      url: `postgresql://${database.user}@${database.host}:${database.port}/${database.name}`,
      sshTunnel: { url: `ssh://${user}@127.0.0.1:${port}`, key: join(folder, 'login'), knownHosts },
    })
    const destination = `duckdb:${join(folder, `${algorithm}.duckdb`)}`
    const report = await sync({ source, destination, jobs: 2, verify: true })
    expect(report.streams[0]).toMatchObject({ destinationCount: 20_000, verified: { equal: true } })
  })

  withSshd('an unknown server, and a login that it does not take, are refused', async () => {
    const url = `postgresql://${database.user}@${database.host}:${database.port}/${database.name}`
    const knownHosts = join(folder, 'known')
    const key = utils.generateKeyPairSync('ed25519').private
    const sshTunnel = { url: `ssh://${user}@127.0.0.1:${port}`, key, knownHosts }
    await expect(connect({ url, sshTunnel })).rejects.toMatchObject({ code: 'SSH_HOST_KEY' })
    await writeFile(knownHosts, `[127.0.0.1]:${port} ${hostKeys[0] ?? ''}\n`)
    await expect(connect({ url, sshTunnel })).rejects.toMatchObject({ code: 'AUTH_FAILED' })
  })
})
