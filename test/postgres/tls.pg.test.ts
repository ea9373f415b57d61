import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TrunklineError } from '../../src/model/error.js'
import { startServer } from '../server/servers.js'
import type { SpecialServer } from '../server/servers.js'
import { SERVER_CERTIFICATES, certificateFile, clientKeys, serverFiles } from './certificates/certificates.js'
import type { ServerCertificate } from './certificates/certificates.js'
import { open } from './open.js'
import { hasPsql, psql } from './psql.js'

const MAJOR = Number((process.env['TRUNKLINE_TEST_PG'] ?? '18').split(',').at(-1))
const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
type Mode = (typeof MODES)[number]
const PASSWORD = 'correct horse'
const ROOT = certificateFile('right-ca.crt')

/** `tls`, `plain`, or the code of the error. */
async function outcomeOf(server: SpecialServer, parameters: Record<string, string>): Promise<string> {
  try {
    await using connection = await open(`postgresql://reader@localhost:${server.port}/postgres`, {
      password: PASSWORD,
      hostaddr: '127.0.0.1',
      ...parameters,
    })
    const [row] = await connection.query<{ ssl: boolean }>(
      'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    )
    expect(row?.ssl).toBe(connection.tls !== null)
    return connection.tls === null ? 'plain' : 'tls'
  } catch (error) {
    if (error instanceof TrunklineError) return error.code
    throw error
  }
}

function psqlOutcomeOf(server: SpecialServer, parameters: Record<string, string>): string {
  const all = {
    host: 'localhost',
    hostaddr: '127.0.0.1',
    port: String(server.port),
    user: 'reader',
    dbname: 'postgres',
    password: PASSWORD,
    ...parameters,
  }
  const conninfo = Object.entries(all)
    .map(([name, value]) => `${name}='${value}'`)
    .join(' ')
  const ssl = psql(conninfo, 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
  return ssl === null ? 'error' : ssl === 't' ? 'tls' : 'plain'
}

const asPsql = (outcome: string): string => (outcome === 'tls' || outcome === 'plain' ? outcome : 'error')

async function startTlsServer(hba: string[], ssl = true): Promise<SpecialServer> {
  const server = await startServer({
    major: MAJOR,
    conf: ssl
      ? { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key', ssl_ca_file: 'right-ca.crt' }
      : {},
    hba,
    files: serverFiles(),
  })
  const admin = await server.connect()
  await admin.query(`CREATE ROLE reader LOGIN PASSWORD '${PASSWORD}'`)
  await admin.query(`CREATE ROLE certuser LOGIN`)
  await admin.end()
  return server
}

describe('sslmode against what a server offers', () => {
  const kinds: {
    name: string
    hba: string[]
    ssl: boolean
    expected: Record<Mode, string>
    server?: SpecialServer
  }[] = [
    {
      name: 'a server with TLS',
      hba: ['host all all all scram-sha-256'],
      ssl: true,
      expected: {
        disable: 'plain',
        allow: 'plain',
        prefer: 'tls',
        require: 'tls',
        'verify-ca': 'tls',
        'verify-full': 'tls',
      },
    },
    {
      name: 'a server without TLS',
      hba: ['host all all all scram-sha-256'],
      ssl: false,
      expected: {
        disable: 'plain',
        allow: 'plain',
        prefer: 'plain',
        require: 'TLS_FAILED',
        'verify-ca': 'TLS_FAILED',
        'verify-full': 'TLS_FAILED',
      },
    },
    {
      name: 'a server that lets nobody in without TLS',
      hba: ['hostssl all all all scram-sha-256'],
      ssl: true,
      expected: {
        disable: 'AUTH_FAILED',
        allow: 'tls',
        prefer: 'tls',
        require: 'tls',
        'verify-ca': 'tls',
        'verify-full': 'tls',
      },
    },
    {
      name: 'a server that lets nobody in with TLS',
      hba: ['hostnossl all all all scram-sha-256'],
      ssl: true,
      expected: {
        disable: 'plain',
        allow: 'plain',
        prefer: 'plain',
        require: 'AUTH_FAILED',
        'verify-ca': 'AUTH_FAILED',
        'verify-full': 'AUTH_FAILED',
      },
    },
  ]

  for (const kind of kinds) {
    describe(kind.name, () => {
      let server: SpecialServer
      beforeAll(async () => {
        server = await startTlsServer(kind.hba, kind.ssl)
      })
      afterAll(() => server.close())

      it.each(MODES)('%s', async (sslmode) => {
        const parameters = { sslmode, ...(sslmode.startsWith('verify') ? { sslrootcert: ROOT } : {}) }
        expect(await outcomeOf(server, parameters)).toBe(kind.expected[sslmode])
        if (hasPsql) expect(asPsql(kind.expected[sslmode])).toBe(psqlOutcomeOf(server, parameters))
      })

      it('says one thing about a wrong password, whatever is tried', async () => {
        for (const sslmode of ['allow', 'prefer'] as const) {
          const wrong = open(`postgresql://reader@127.0.0.1:${server.port}/postgres`, {
            password: 'wrong',
            sslmode,
          })
          await expect(wrong).rejects.toMatchObject({ code: 'AUTH_FAILED', context: { sqlstate: '28P01' } })
        }
      })
    })
  }
})

describe('certificates', () => {
  let server: SpecialServer
  const keys = clientKeys()
  beforeAll(async () => {
    server = await startTlsServer(['hostssl all certuser all cert', 'host all all all scram-sha-256'])
  })
  afterAll(() => server.close())

  async function serve(certificate: ServerCertificate): Promise<void> {
    const admin = await server.connect()
    await admin.query(`ALTER SYSTEM SET ssl_cert_file = '${certificate}.crt'`)
    await admin.query(`ALTER SYSTEM SET ssl_key_file = '${certificate}.key'`)
    await admin.end()
    await server.reload()
    // New sessions show what the postmaster has read.
    await expect
      .poll(
        async () => {
          const client = await server.connect()
          const { rows } = await client.query<{ ssl_cert_file: string }>('SHOW ssl_cert_file')
          await client.end()
          return rows[0]?.ssl_cert_file
        },
        { timeout: 20_000 },
      )
      .toBe(`${certificate}.crt`)
  }

  /** What verify-ca, verify-full to localhost, and verify-full to 127.0.0.1 say. */
  const trusted: Record<ServerCertificate, readonly [string, string, string]> = {
    server: ['tls', 'tls', 'tls'],
    name: ['tls', 'TLS_FAILED', 'TLS_FAILED'],
    'common-name': ['tls', 'tls', 'TLS_FAILED'],
    'dns-address': ['tls', 'tls', 'tls'],
    expired: ['TLS_FAILED', 'TLS_FAILED', 'TLS_FAILED'],
    revoked: ['tls', 'tls', 'tls'],
    stranger: ['TLS_FAILED', 'TLS_FAILED', 'TLS_FAILED'],
  }

  for (const certificate of SERVER_CERTIFICATES) {
    it(`${certificate}: every mode, with and without root certificate`, { timeout: 120_000 }, async () => {
      await serve(certificate)
      const [verifyCa, verifyFull, verifyAddress] = trusted[certificate]
      for (const host of ['localhost', '127.0.0.1']) {
        const expectedWithRoot: Record<Mode, string> = {
          disable: 'plain',
          allow: 'plain',
          // With a root certificate at hand libpq verifies in every mode; prefer then goes on in plain text.
          prefer: verifyCa === 'tls' ? 'tls' : 'plain',
          require: verifyCa,
          'verify-ca': verifyCa,
          'verify-full': host === 'localhost' ? verifyFull : verifyAddress,
        }
        for (const sslmode of MODES) {
          const withRoot = { host, sslmode, sslrootcert: ROOT }
          const outcome = await outcomeOf(server, withRoot)
          expect(outcome, `${sslmode} to ${host} with root`).toBe(expectedWithRoot[sslmode])
          if (hasPsql)
            expect(asPsql(outcome), `psql, ${sslmode} to ${host}`).toBe(psqlOutcomeOf(server, withRoot))

          const without = { host, sslmode }
          const expected = sslmode.startsWith('verify')
            ? 'CONFIG_INVALID'
            : sslmode === 'disable' || sslmode === 'allow'
              ? 'plain'
              : 'tls'
          const blind = await outcomeOf(server, without)
          expect(blind, `${sslmode} to ${host} without root`).toBe(expected)
          if (hasPsql) expect(asPsql(blind), `psql, ${sslmode}`).toBe(psqlOutcomeOf(server, without))
        }
      }
    })
  }

  it('takes a wildcard for one label', async () => {
    await serve('server')
    const full = { sslmode: 'verify-full', sslrootcert: ROOT }
    expect(await outcomeOf(server, { ...full, host: 'db1.shop.test' })).toBe('tls')
    expect(await outcomeOf(server, { ...full, host: 'DB1.Shop.Test' })).toBe('tls')
    expect(await outcomeOf(server, { ...full, host: 'a.b.shop.test' })).toBe('TLS_FAILED')
    expect(await outcomeOf(server, { ...full, host: 'shop.test' })).toBe('TLS_FAILED')
    expect(await outcomeOf(server, { ...full, host: 'evilshop.test' })).toBe('TLS_FAILED')
  })

  it('says what is wrong with a certificate and what to do', async () => {
    const full = { sslmode: 'verify-full', sslrootcert: ROOT, password: PASSWORD }
    const url = `postgresql://reader@localhost:${server.port}/postgres`
    await serve('expired')
    await expect(open(url, full)).rejects.toMatchObject({
      message: expect.stringContaining('expired') as string,
      hint: expect.stringContaining('Renew') as string,
    })
    await serve('name')
    await expect(open(url, full)).rejects.toMatchObject({
      message: expect.stringContaining('elsewhere.test') as string,
      hint: expect.stringContaining('subjectAltName') as string,
    })
    await serve('stranger')
    await expect(open(url, full)).rejects.toMatchObject({
      hint: expect.stringContaining('sslrootcert') as string,
    })
  })

  it('refuses a revoked certificate when there is a revocation list', async () => {
    const withList = { sslmode: 'verify-ca', sslrootcert: ROOT, sslcrl: certificateFile('right-ca.crl') }
    await serve('revoked')
    expect(await outcomeOf(server, withList)).toBe('TLS_FAILED')
    if (hasPsql) expect(psqlOutcomeOf(server, withList)).toBe('error')
    await serve('server')
    expect(await outcomeOf(server, withList)).toBe('tls')
    expect(await outcomeOf(server, { ...withList, sslcrl: '/nowhere/list.crl' })).toBe('CONFIG_INVALID')
  })

  it('shows a client certificate, with a plain or an encrypted key', async () => {
    await serve('server')
    const base = { user: 'certuser', password: '', sslmode: 'verify-full', sslrootcert: ROOT }
    const sslcert = certificateFile('client.crt')
    expect(await outcomeOf(server, { ...base, sslcert, sslkey: keys.key })).toBe('tls')
    expect(
      await outcomeOf(server, { ...base, sslcert, sslkey: keys.encrypted, sslpassword: 'open sesame' }),
    ).toBe('tls')
    expect(await outcomeOf(server, { ...base, sslcert, sslkey: keys.encrypted, sslpassword: 'wrong' })).toBe(
      'CONFIG_INVALID',
    )
    expect(await outcomeOf(server, { ...base, sslcert, sslkey: keys.encrypted })).toBe('CONFIG_INVALID')
    expect(await outcomeOf(server, { ...base, sslcert, sslkey: keys.open })).toBe('SECRET_FILE_PERMISSIONS')
    expect(await outcomeOf(server, { ...base, sslcert, sslkey: '/nowhere/key' })).toBe('CONFIG_INVALID')
    expect(await outcomeOf(server, { ...base, sslcert: '/nowhere/crt', sslkey: keys.key })).toBe(
      'AUTH_FAILED',
    )
    expect(await outcomeOf(server, { ...base, sslcert, sslkey: keys.key, sslcertmode: 'disable' })).toBe(
      'AUTH_FAILED',
    )
    expect(await outcomeOf(server, base)).toBe('AUTH_FAILED')
  })

  it('keeps to the protocol versions that are allowed', async () => {
    const url = `postgresql://reader@localhost:${server.port}/postgres`
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      await using connection = await open(url, {
        password: PASSWORD,
        sslmode: 'require',
        ssl_min_protocol_version: version,
        ssl_max_protocol_version: version,
      })
      expect(connection.tls).toMatch(new RegExp(`^${version} \\w+`))
    }
  })

  it.runIf(MAJOR >= 17)('speaks TLS at once with sslnegotiation=direct', async () => {
    const direct = { sslnegotiation: 'direct', sslmode: 'verify-full', sslrootcert: ROOT }
    expect(await outcomeOf(server, direct)).toBe('tls')
    expect(await outcomeOf(server, { ...direct, sslmode: 'prefer' })).toBe('CONFIG_INVALID')
  })

  it('copies and cancels under TLS', async () => {
    await using connection = await open(`postgresql://reader@localhost:${server.port}/postgres`, {
      password: PASSWORD,
      sslmode: 'verify-full',
      sslrootcert: ROOT,
    })
    const copy = await connection.copyOut(
      `COPY (SELECT repeat(i::text, 1000) FROM generate_series(1, 20000) i) TO STDOUT`,
      { stallTimeoutMs: 60_000 },
    )
    let bytes = 0
    while (await copy.next((_, start, end) => (bytes += end - start))) {
      // counted by visit
    }
    expect(copy.rows).toBe(20_000)
    const [sum] = await connection.query<{ n: string }>(
      'SELECT sum(1000 * length(i::text) + 1)::int8 AS n FROM generate_series(1, 20000) i',
    )
    expect(String(bytes)).toBe(sum?.n)
    const pending = connection.query('SELECT pg_sleep(60)')
    const canceled = expect(pending).rejects.toMatchObject({ code: 'QUERY_CANCELED' })
    const admin = await server.connect()
    await expect
      .poll(
        async () =>
          (
            await admin.query(
              `SELECT 1 FROM pg_stat_activity WHERE pid = ${connection.backendPid} AND state = 'active'`,
            )
          ).rowCount,
        { timeout: 20_000 },
      )
      .toBe(1)
    await admin.end()
    await connection.cancel()
    await canceled
  })
})
