import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseConninfoDsn } from '../../src/postgres/conninfo-dsn.js'
import { KEYWORDS } from '../../src/postgres/conninfo-keywords.js'
import { parseConninfoUri } from '../../src/postgres/conninfo-uri.js'
import { parseHosts, parseRequireAuth } from '../../src/postgres/conninfo-values.js'
import { findPassword } from '../../src/postgres/passfile.js'
import { parseServiceFile } from '../../src/postgres/service-file.js'

describe('a connection URI', () => {
  // After libpq's own list of what a URI means.
  it.each<[string, Record<string, string>]>([
    [
      'postgresql://uri-user:secret@host:12345/db',
      { user: 'uri-user', password: 'secret', host: 'host', port: '12345', dbname: 'db' },
    ],
    ['postgresql://uri-user@host/db', { user: 'uri-user', host: 'host', dbname: 'db' }],
    ['postgresql://host:12345/db', { host: 'host', port: '12345', dbname: 'db' }],
    ['postgresql://uri-user@host:12345/', { user: 'uri-user', host: 'host', port: '12345' }],
    ['postgresql://uri-user@', { user: 'uri-user' }],
    ['postgresql://host', { host: 'host' }],
    ['postgresql://', {}],
    ['postgresql:///db', { dbname: 'db' }],
    ['postgresql://?hostaddr=127.0.0.1', { hostaddr: '127.0.0.1' }],
    ['postgresql://example.com?hostaddr=63.1.2.4', { host: 'example.com', hostaddr: '63.1.2.4' }],
    ['postgresql://%68ost/', { host: 'host' }],
    [
      'postgresql://host/db?u%73er=someone&port=12345',
      { host: 'host', dbname: 'db', user: 'someone', port: '12345' },
    ],
    ['postgresql://host?user=uri-user', { host: 'host', user: 'uri-user' }],
    ['postgresql://host/db?', { host: 'host', dbname: 'db' }],
    ['postgresql://[::1]:12345/db', { host: '::1', port: '12345', dbname: 'db' }],
    ['postgresql://[2001:db8::1234]/', { host: '2001:db8::1234' }],
    ['postgresql://[::1]', { host: '::1' }],
    ['postgres://', {}],
    ['postgres://@host', { host: 'host' }],
    ['postgres://host:/', { host: 'host' }],
    ['postgres://:12345/', { port: '12345' }],
    ['postgres://someone@?host=/no/such/directory', { user: 'someone', host: '/no/such/directory' }],
    ['postgres://someone@/db?host=/no/such', { user: 'someone', dbname: 'db', host: '/no/such' }],
    ['postgres://someone:12345?host=/no/such', { host: '/no/such', port: '12345' }],
    ['postgres://%2Fvar%2Flib%2Fpostgresql/dbname', { host: '/var/lib/postgresql', dbname: 'dbname' }],
    ['postgresql://h1:1,h2:2,h3/db', { host: 'h1,h2,h3', port: '1,2,', dbname: 'db' }],
    ['postgresql://[::1]:1,h2/db', { host: '::1,h2', port: '1,', dbname: 'db' }],
    [
      'postgresql://u:p%40ss%2F%3A%3F%23@h/d%20b',
      { user: 'u', password: 'p@ss/:?#', host: 'h', dbname: 'd b' },
    ],
    ['postgresql://u:p:q?r#s@h/', { user: 'u', password: 'p:q?r#s', host: 'h' }],
    ['postgresql://:secret@h', { password: 'secret', host: 'h' }],
    ['postgresql://h/a/b', { host: 'h', dbname: 'a/b' }],
    ['postgresql://h?ssl=true', { host: 'h', sslmode: 'require' }],
    ['postgresql://h?sslmode=disable&sslmode=require', { host: 'h', sslmode: 'require' }],
    ['postgresql://h?application_name=a+b%20c', { host: 'h', application_name: 'a+b c' }],
    ['postgresql://höst/ü', { host: 'höst', dbname: 'ü' }],
  ])('%s', (uri, expected) => {
    expect(parseConninfoUri(uri)).toEqual(expected)
  })

  it.each<[string, string]>([
    ['postgresql://host?uzer=', 'CONFIG_UNKNOWN_KEY'],
    ['postgresql://host?zzz', 'CONFIG_INVALID'],
    ['postgresql://host?a=b=c', 'CONFIG_INVALID'],
    ['postgresql://host?user=a&&port=1', 'CONFIG_INVALID'],
    ['postgresql://host?ssl=false', 'CONFIG_UNKNOWN_KEY'],
    ['postgresql://[::1', 'CONFIG_INVALID'],
    ['postgresql://[]', 'CONFIG_INVALID'],
    ['postgresql://[::1]z', 'CONFIG_INVALID'],
    ['postgresql://%', 'CONFIG_INVALID'],
    ['postgresql://%zz', 'CONFIG_INVALID'],
    ['postgresql://h/%00', 'CONFIG_INVALID'],
    ['postgresql://h/%ff', 'CONFIG_INVALID'],
  ])('%s is refused', (uri, code) => {
    expect(() => parseConninfoUri(uri)).toThrow(expect.objectContaining({ code }) as Error)
  })

  it('suggests the keyword that was meant', () => {
    for (const [wrong, right] of [
      ['sslmod', 'sslmode'],
      ['uzer', 'user'],
      ['ssl-mode', 'sslmode'],
      ['database', 'dbname'],
      ['connectTimeout', null],
    ] as const) {
      expect(() => parseConninfoUri(`postgresql://h?${wrong}=x`)).toThrow(
        expect.objectContaining({
          hint: right === null ? (expect.any(String) as string) : `Did you mean ${right}?`,
        }) as Error,
      )
    }
  })
})

describe('a keyword DSN', () => {
  it.each<[string, Record<string, string>]>([
    ['host=h port=5 dbname=d', { host: 'h', port: '5', dbname: 'd' }],
    ["  host = 'h'\tport =5 ", { host: 'h', port: '5' }],
    ["password='it\\'s \\\\ x' user=''", { password: "it's \\ x", user: '' }],
    ['password=a\\ b\\=c', { password: 'a b=c' }],
    ['host= port=5', { host: 'port=5' }],
    ['', {}],
    ['host=a host=b', { host: 'b' }],
  ])('%s', (dsn, expected) => {
    expect(parseConninfoDsn(dsn)).toEqual(expected)
  })

  it.each<[string, string]>([
    ['host', 'CONFIG_INVALID'],
    ['shop', 'CONFIG_INVALID'],
    ["host='h", 'CONFIG_INVALID'],
    ["host='h\\", 'CONFIG_INVALID'],
    ['hosst=h', 'CONFIG_UNKNOWN_KEY'],
  ])('%s is refused', (dsn, code) => {
    expect(() => parseConninfoDsn(dsn)).toThrow(expect.objectContaining({ code }) as Error)
  })
})

describe('hosts and ports', () => {
  it('share one port or have one each', () => {
    expect(parseHosts('a,b', '', '6000').map(({ port }) => port)).toEqual([6000, 6000])
    expect(parseHosts('a,b', '', '6000,').map(({ port }) => port)).toEqual([6000, 5432])
    expect(parseHosts('', '10.0.0.1,10.0.0.2', '5432')).toEqual([
      { host: '', hostaddr: '10.0.0.1', port: 5432 },
      { host: '', hostaddr: '10.0.0.2', port: 5432 },
    ])
    expect(parseHosts('a,b', '10.0.0.1,', '5432').map(({ hostaddr }) => hostaddr)).toEqual(['10.0.0.1', null])
  })

  it.each([
    ['a,b,c', '', '1,2'],
    ['a,b', '10.0.0.1', '1'],
    ['a', '', '0'],
    ['a', '', '65536'],
    ['a', '', 'x'],
  ])('%s with %s and %s are refused', (host, hostaddr, port) => {
    expect(() => parseHosts(host, hostaddr, port)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }) as Error,
    )
  })
})

describe('require_auth', () => {
  it('lists what is accepted, or what is not', () => {
    expect(parseRequireAuth('scram-sha-256')).toEqual(['scram-sha-256'])
    expect(parseRequireAuth('!password,!md5')).toEqual(['scram-sha-256', 'none'])
    expect(parseRequireAuth('gss')).toEqual([])
    expect(parseRequireAuth('')).toBeNull()
    expect(() => parseRequireAuth('!password,md5')).toThrow()
    expect(() => parseRequireAuth('scram')).toThrow()
  })
})

describe('the password file', () => {
  const text = [
    '# comment',
    'db.test:5432:shop:reader:first',
    'db.test:5432:shop:reader:second',
    '*:*:*:any\\:one:colon\\:in\\\\it',
    '10.0.0.1:*:*:*:by address:with colon',
    '\\*:1:*:*:literal star',
    'localhost:5432:*:*:local',
    'short:line',
  ].join('\n')
  it.each<[string, number, string, string, string | null]>([
    ['db.test', 5432, 'shop', 'reader', 'first'],
    ['db.test', 5433, 'shop', 'reader', null],
    ['elsewhere', 1, 'x', 'any:one', 'colon:in\\it'],
    ['10.0.0.1', 9, 'x', 'y', 'by address:with colon'],
    ['z', 1, 'x', 'y', null],
    ['', 5432, 'x', 'y', 'local'],
    ['/var/run/postgresql', 5432, 'x', 'y', 'local'],
    ['/elsewhere', 5432, 'x', 'y', null],
    ['short', 1, 'line', 'y', null],
  ])('%s:%i/%s as %s', (host, port, database, user, password) => {
    expect(findPassword(text, { host, port, database, user })).toBe(password)
    expect(findPassword(text.replaceAll('\n', '\r\n'), { host, port, database, user })).toBe(password)
  })
})

describe('the service file', () => {
  const text =
    '# c\n[other]\nhost=wrong\n\n[shop]\nhost=right\nhost=late\nport=6000\ndbname=my = db\n[more]\nuser=no\n'
  it('gives the section, each keyword once', () => {
    expect(parseServiceFile(text, 'shop', 'f')).toEqual({ host: 'right', port: '6000', dbname: 'my = db' })
    expect(parseServiceFile(text, 'absent', 'f')).toBeNull()
  })
  it.each<[string, string]>([
    ['[s]\nhost', 'CONFIG_INVALID'],
    ['[s]\nservice=x', 'CONFIG_INVALID'],
    ['[s]\nhots=x', 'CONFIG_UNKNOWN_KEY'],
    ['[s]\nldap://x', 'CONFIG_UNSUPPORTED'],
  ])('%j is refused with the line', (bad, code) => {
    expect(() => parseServiceFile(bad, 's', '/etc/f')).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringContaining('/etc/f, line 2') as string,
      }) as Error,
    )
  })
})

it('knows every connection parameter of libpq 18', () => {
  // The table of "Parameter Key Words" and "Environment Variables"; those that set the session are answered for in the docs.
  const documented =
    'host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout client_encoding options application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout replication gssencmode sslmode sslnegotiation sslcompression sslcert sslkey sslkeylogfile sslpassword sslcertmode sslrootcert sslcrl sslcrldir sslsni requirepeer ssl_min_protocol_version ssl_max_protocol_version min_protocol_version max_protocol_version krbsrvname gsslib gssdelegation scram_client_key scram_server_key service servicefile target_session_attrs load_balance_hosts oauth_issuer oauth_client_id oauth_client_secret oauth_scope'
  expect(Object.keys(KEYWORDS).sort()).toEqual(documented.split(' ').sort())
})

it('has every parameter and variable on the reference page', () => {
  const page = readFileSync(new URL('../../docs/reference/connection.md', import.meta.url), 'utf8')
  for (const [keyword, { env }] of Object.entries(KEYWORDS)) {
    expect(page, keyword).toContain(`\`${keyword}\``)
    if (env !== null) expect(page, env).toContain(`\`${env}\``)
  }
})
