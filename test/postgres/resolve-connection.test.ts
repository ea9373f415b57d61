import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { KEYWORDS } from '../../src/postgres/conninfo-keywords.js'
import type { ConnectionSettings } from '../../src/postgres/connection-settings.js'
import { describeConnection, resolveConnection } from '../../src/postgres/resolve-connection.js'
import type { ConnectionInput } from '../../src/postgres/resolve-connection.js'
import { makeTemporaryFolder } from '../temporary-folder.js'

function resolve(input: Partial<ConnectionInput>): Promise<ConnectionSettings> {
  return resolveConnection({ env: {}, homeDir: '', userName: 'me', ...input })
}

function home(files: Record<string, string>): string {
  const folder = makeTemporaryFolder('home')
  mkdirSync(join(folder, '.postgresql'))
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text)
    chmodSync(join(folder, name), 0o600)
  }
  return folder
}

describe('precedence', () => {
  const homeDir = home({ '.pg_service.conf': '[shop]\nuser=from-service\napplication_name=from-service\n' })
  const env = { PGUSER: 'from-env', PGAPPNAME: 'from-env', PGSERVICE: 'shop' }
  it.each<[string, Partial<ConnectionInput>, string]>([
    [
      'an option',
      { url: 'postgresql://from-url@h', options: { user: 'from-option' }, env, homeDir },
      'from-option',
    ],
    ['the URL', { url: 'postgresql://from-url@h', env, homeDir }, 'from-url'],
    ['the service', { url: 'postgresql://h', env, homeDir }, 'from-service'],
    [
      'a service named by the URL',
      { url: 'postgresql://h?service=shop', env: { PGUSER: 'from-env' }, homeDir },
      'from-service',
    ],
    ['the environment', { url: 'postgresql://h', env: { PGUSER: 'from-env' }, homeDir }, 'from-env'],
    ['the user of the machine', { url: 'postgresql://h', homeDir }, 'me'],
    ['the user of the machine over an empty value', { url: "host=h user=''", homeDir }, 'me'],
  ])('%s wins', async (_, input, user) => {
    expect((await resolve(input)).user).toBe(user)
  })

  it('takes the user for the database where none is stated', async () => {
    expect((await resolve({ url: 'postgresql://reader@h' })).database).toBe('reader')
    expect((await resolve({ url: 'postgresql://reader@h', env: { PGDATABASE: 'shop' } })).database).toBe(
      'shop',
    )
  })

  it('says where a service was looked for', async () => {
    await expect(resolve({ env: { PGSERVICE: 'absent' }, homeDir })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      hint: expect.stringContaining(homeDir) as string,
    })
    await expect(
      resolve({ env: { PGSERVICE: 'shop', PGSERVICEFILE: '/nowhere' }, homeDir }),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      context: { path: '/nowhere' },
    })
  })

  it('asks the file of the system after the user’s', async () => {
    const system = home({ 'pg_service.conf': '[warehouse]\nhost=from-system\n' })
    const settings = await resolve({ env: { PGSERVICE: 'warehouse', PGSYSCONFDIR: system }, homeDir })
    expect(settings.hosts[0]?.host).toBe('from-system')
  })
})

describe('what is resolved', () => {
  it('has libpq’s defaults, and ours where libpq waits for ever', async () => {
    expect({ ...(await resolve({ url: 'postgresql://h' })) }).toEqual({
      hosts: [{ host: 'h', hostaddr: null, port: 5432 }],
      database: 'me',
      user: 'me',
      password: null,
      passwordCommand: null,
      passfile: null,
      sslmode: 'prefer',
      sslmodeStated: false,
      sslrootcert: null,
      sslcert: null,
      sslkey: null,
      sslpassword: null,
      sslcrl: null,
      sslMinProtocolVersion: 'TLSv1.2',
      sslMaxProtocolVersion: null,
      sslsni: true,
      sslNegotiation: 'postgres',
      channelBinding: 'prefer',
      requireAuth: null,
      connectTimeoutMs: 30_000,
      applicationName: 'trunkline',
      keepalives: true,
      keepalivesIdleMs: 30_000,
      targetSessionAttrs: 'any',
      loadBalanceHosts: false,
    })
  })

  it('takes every supported variable of the environment', async () => {
    const env = {
      PGHOST: 'a,b',
      PGHOSTADDR: '10.0.0.1,10.0.0.2',
      PGPORT: '1,2',
      PGDATABASE: 'd',
      PGUSER: 'u',
      PGPASSWORD: 'p',
      PGPASSFILE: '/pass',
      PGREQUIREAUTH: 'scram-sha-256',
      PGCHANNELBINDING: 'require',
      PGCONNECT_TIMEOUT: '0',
      PGAPPNAME: 'app',
      PGSSLMODE: 'verify-ca',
      PGSSLNEGOTIATION: 'direct',
      PGSSLCERT: '/crt',
      PGSSLKEY: '/key',
      PGSSLROOTCERT: '/root',
      PGSSLCRL: '/crl',
      PGSSLSNI: '0',
      PGSSLMINPROTOCOLVERSION: 'tlsv1.3',
      PGSSLMAXPROTOCOLVERSION: 'TLSv1.3',
      PGTARGETSESSIONATTRS: 'prefer-standby',
      PGLOADBALANCEHOSTS: 'random',
      // Without effect here, or set for other programs.
      PGSSLCERTMODE: 'allow',
      PGGSSENCMODE: 'prefer',
      PGCLIENTENCODING: 'UTF8',
      PGDATESTYLE: 'German',
      PGTZ: 'Europe/Berlin',
    }
    expect(await resolve({ env })).toMatchObject({
      hosts: [
        { host: 'a', hostaddr: '10.0.0.1', port: 1 },
        { host: 'b', hostaddr: '10.0.0.2', port: 2 },
      ],
      database: 'd',
      user: 'u',
      password: 'p',
      passfile: '/pass',
      sslmode: 'verify-ca',
      sslmodeStated: true,
      sslrootcert: '/root',
      sslcert: '/crt',
      sslkey: '/key',
      sslcrl: '/crl',
      sslMinProtocolVersion: 'TLSv1.3',
      sslMaxProtocolVersion: 'TLSv1.3',
      sslsni: false,
      sslNegotiation: 'direct',
      channelBinding: 'require',
      requireAuth: ['scram-sha-256'],
      connectTimeoutMs: 0,
      applicationName: 'app',
      targetSessionAttrs: 'prefer-standby',
      loadBalanceHosts: true,
    })
  })

  it('finds the certificates of the home folder', async () => {
    const files = {
      '.postgresql/root.crt': '',
      '.postgresql/postgresql.crt': '',
      '.postgresql/postgresql.key': '',
    }
    const homeDir = home(files)
    expect(await resolve({ url: 'postgresql://h', homeDir })).toMatchObject({
      sslrootcert: join(homeDir, '.postgresql/root.crt'),
      sslcert: join(homeDir, '.postgresql/postgresql.crt'),
      sslkey: join(homeDir, '.postgresql/postgresql.key'),
      sslcrl: null,
      passfile: join(homeDir, '.pgpass'),
    })
    const without = { options: { sslcertmode: 'disable' }, url: 'postgresql://h', homeDir }
    expect((await resolve(without)).sslcert).toBeNull()
  })

  it('makes sslrootcert=system mean verify-full and nothing less', async () => {
    const system = await resolve({ url: 'postgresql://h?sslrootcert=system' })
    expect(system).toMatchObject({ sslmode: 'verify-full', sslrootcert: 'system' })
    const weak = resolve({ url: 'postgresql://h?sslrootcert=system&sslmode=require' })
    await expect(weak).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('obeys TRUNKLINE_REQUIRE_TLS over everything', async () => {
    const env = { TRUNKLINE_REQUIRE_TLS: 'verify-full', PGSSLMODE: 'disable' }
    expect(await resolve({ url: 'postgresql://h?sslmode=prefer', env })).toMatchObject({
      sslmode: 'verify-full',
    })
    await expect(resolve({ env: { TRUNKLINE_REQUIRE_TLS: 'yes' } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })

  it('honours PGREQUIRESSL where no sslmode is stated', async () => {
    expect((await resolve({ env: { PGREQUIRESSL: '1' } })).sslmode).toBe('require')
    expect((await resolve({ env: { PGREQUIRESSL: '1', PGSSLMODE: 'allow' } })).sslmode).toBe('allow')
  })

  it('describes a connection without its secrets', async () => {
    const settings = await resolve({ url: 'postgresql://u:secret@h1,[::1]:6000/shop' })
    expect(describeConnection(settings)).toBe('u@h1:5432,[::1]:6000/shop')
    const printed = inspect(settings) + JSON.stringify(settings) + inspect({ nested: [settings] })
    expect(printed).not.toContain('secret')
    expect(settings.password).toBe('secret')
    expect(structuredClone(settings).password).toBe('secret')
  })
})

describe('what is refused', () => {
  it('is every parameter that would have to be obeyed and cannot be', async () => {
    const unsupported = Object.entries(KEYWORDS).filter(([, { support }]) => support !== 'yes')
    expect(unsupported.length).toBeGreaterThan(15)
    for (const [keyword, { env }] of unsupported) {
      const options = { [keyword]: 'canary-value' }
      await expect(resolve({ options }), keyword).rejects.toMatchObject({ code: 'CONFIG_UNSUPPORTED' })
      const url = `postgresql://h?${keyword}=canary-value`
      await expect(resolve({ url }), keyword).rejects.toMatchObject({ code: 'CONFIG_UNSUPPORTED' })
      await resolve({ options: { [keyword]: '' } })
      if (env === null) continue
      const inEnvironment = resolve({ env: { [env]: 'canary-value' } })
      await expect(inEnvironment, env).rejects.toMatchObject({
        code: 'CONFIG_UNSUPPORTED',
        message: expect.stringContaining(env) as string,
      })
    }
  })

  it.each<[string, Partial<ConnectionInput>, string]>([
    ['another kind of URL', { url: 'mysql://u:secret@h/d' }, 'CONFIG_INVALID'],
    ['a JDBC URL', { url: 'jdbc:postgresql://h/d?password=secret' }, 'CONFIG_INVALID'],
    ['a bare word', { url: 'secret' }, 'CONFIG_INVALID'],
    ['an unknown option', { options: { sslmod: 'secret' } }, 'CONFIG_UNKNOWN_KEY'],
    ['a mode that does not exist', { url: 'postgresql://h?sslmode=secret' }, 'CONFIG_INVALID'],
    ['a port that is none', { url: 'postgresql://h:secret' }, 'CONFIG_INVALID'],
    ['a timeout that is none', { options: { connect_timeout: 'secret' } }, 'CONFIG_INVALID'],
    ['an unescaped @ in a password', { url: 'postgresql://u:sec@ret%zz@h/d' }, 'CONFIG_INVALID'],
    [
      'versions the wrong way round',
      { options: { ssl_min_protocol_version: 'TLSv1.3', ssl_max_protocol_version: 'TLSv1.2' } },
      'CONFIG_INVALID',
    ],
  ])('is %s, without repeating it', async (_, input, code) => {
    const error: unknown = await resolve(input).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code, hint: expect.any(String) as string })
    expect(inspect(error)).not.toMatch(/secret|sec@ret/)
  })
})
