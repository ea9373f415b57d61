import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { utils } from 'ssh2'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, sync, type ReadableSource } from '../../../src/index.js'
import { startServer, type SpecialServer } from '../../server/servers.js'
import { certificateFile, serverFiles } from '../certificates/certificates.js'
import { startSshServer, type TestSshServer } from './ssh-server.js'

const MAJOR = Number((process.env['TRUNKLINE_TEST_PG'] ?? '18').split(',').at(-1))
const PASSWORD = 'correct horse'
const key = utils.generateKeyPairSync('ed25519')
let server: SpecialServer
let ssh: TestSshServer
let folder: string

/**
 * The certificate is for `elsewhere.test` and nothing else: whoever compared it with the address of the tunnel, or with where the
 * SSH server leads to, would find another name. The database takes nobody without TLS.
 */
beforeAll(async () => {
  server = await startServer({
    major: MAJOR,
    conf: { ssl: 'on', ssl_cert_file: 'name.crt', ssl_key_file: 'name.key', ssl_ca_file: 'right-ca.crt' },
    hba: ['hostssl all all all scram-sha-256'],
    files: serverFiles(),
  })
  const admin = await server.connect()
  await admin.query(`CREATE ROLE reader LOGIN PASSWORD '${PASSWORD}'`)
  await admin.query(
    'CREATE TABLE orders AS SELECT g::int AS id, md5(g::text) AS note FROM generate_series(1, 2000) g',
  )
  await admin.query('ALTER TABLE orders ADD PRIMARY KEY (id)')
  await admin.query('GRANT SELECT ON orders TO reader')
  await admin.end()
  const there = { host: '127.0.0.1', port: server.port }
  ssh = await startSshServer({
    hosts: {
      'elsewhere.test:5432': there,
      'db.shop.test:5432': there,
      '127.0.0.1:5432': there,
      '10.9.8.7:5432': there,
    },
    authorizedKey: key.public,
  })
  folder = await mkdtemp(join(tmpdir(), 'trunkline-ssh-tls-'))
  await writeFile(join(folder, 'known_hosts'), ssh.knownHost)
})

afterAll(async () => {
  await ssh[Symbol.asyncDispose]()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

const open = (keywords: Readonly<Record<string, string>>): Promise<ReadableSource> =>
  connect({
    url: 'postgresql://reader@elsewhere.test/postgres?sslmode=verify-full',
    keywords: { password: PASSWORD, sslrootcert: certificateFile('right-ca.crt'), ...keywords },
    sshTunnel: {
      url: `ssh://tunnel@127.0.0.1:${ssh.port}`,
      key: key.private,
      knownHosts: join(folder, 'known_hosts'),
    },
    limits: { maxConnections: 4 },
  })

test('verify-full compares the certificate with the name of the database, on every connection of a run', async () => {
  await using source = await open({})
  expect((await source.check()).tls).toMatch(/^TLSv1/)
  const destination = `duckdb:${join(folder, 'shop.duckdb')}`
  const report = await sync({ source, destination, jobs: 2, verify: true })
  expect(report.streams[0]).toMatchObject({ destinationCount: 2000, verified: { equal: true } })
})

test('where an address says how to get there, the name is still what is compared', async () => {
  await using source = await open({ hostaddr: '10.9.8.7' })
  expect((await source.check()).tls).toMatch(/^TLSv1/)
})

test.each([['127.0.0.1'], ['db.shop.test']])(
  'a certificate that is not for %s is refused there by verify-full, and taken by verify-ca',
  async (host) => {
    await expect(open({ host })).rejects.toMatchObject({
      code: 'TLS_FAILED',
      retry: 'never',
      message: expect.stringContaining(host) as string,
    })
    await using source = await open({ host, sslmode: 'verify-ca' })
    expect((await source.check()).tls).toMatch(/^TLSv1/)
  },
)

test('a certificate of an authority that is not trusted is refused behind a tunnel as anywhere', async () => {
  const sslrootcert = certificateFile('wrong-ca.crt')
  await expect(open({ sslrootcert })).rejects.toMatchObject({ code: 'TLS_FAILED' })
})
