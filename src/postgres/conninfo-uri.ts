/**
 * `postgresql://[user[:password]@][host][:port][,…][/dbname][?param=value[&…]]`, cut exactly where libpq cuts it.
 *
 * Every part is percent-decoded after the cutting. The first `@` before any `/` ends the userinfo. No message ever
 * repeats the text: it may hold a password anywhere.
 */
import { TrunklineError } from '../model/error.js'
import { isKeyword, unknownKeyword } from './conninfo-keywords.js'
import type { Conninfo } from './conninfo-keywords.js'

const WHERE = 'The connection URL'

export function isConninfoUri(text: string): boolean {
  return text.startsWith('postgresql://') || text.startsWith('postgres://')
}

/** @throws CONFIG_INVALID, CONFIG_UNKNOWN_KEY */
export function parseConninfoUri(uri: string): Conninfo {
  const conninfo: Conninfo = {}
  const rest = readUserinfo(uri.slice(uri.indexOf('://') + 3), conninfo)
  const hosts: string[] = []
  const ports: string[] = []
  let at = 0
  for (;;) {
    const { host, end } = readHost(rest, at)
    hosts.push(host)
    at = end
    let port = ''
    if (rest[at] === ':') {
      const stop = indexOfAny(rest, '/?,', at + 1)
      port = rest.slice(at + 1, stop)
      at = stop
    }
    ports.push(port)
    if (rest[at] !== ',') break
    at += 1
  }
  const hostList = hosts.join(',')
  if (hostList !== '') conninfo.host = decode(hostList)
  const portList = ports.join(',')
  if (portList !== '') conninfo.port = decode(portList)

  if (rest[at] === '/') {
    const stop = indexOfAny(rest, '?', at + 1)
    const dbname = rest.slice(at + 1, stop)
    if (dbname !== '') conninfo.dbname = decode(dbname)
    at = stop
  }
  if (rest[at] === '?') readParameters(rest.slice(at + 1), conninfo)
  return conninfo
}

/** @returns what follows the userinfo. */
function readUserinfo(text: string, conninfo: Conninfo): string {
  const stop = indexOfAny(text, '@/', 0)
  if (text[stop] !== '@') return text
  const userinfo = text.slice(0, stop)
  const colon = userinfo.indexOf(':')
  const user = colon < 0 ? userinfo : userinfo.slice(0, colon)
  const password = colon < 0 ? '' : userinfo.slice(colon + 1)
  if (user !== '') conninfo.user = decode(user)
  if (password !== '') conninfo.password = decode(password)
  return text.slice(stop + 1)
}

function readHost(text: string, at: number): { host: string; end: number } {
  if (text[at] !== '[') {
    const end = indexOfAny(text, ':/?,', at)
    return { host: text.slice(at, end), end }
  }
  const close = text.indexOf(']', at)
  if (close < 0) throw malformed('has an IPv6 address without its closing bracket')
  if (close === at + 1) throw malformed('has an empty IPv6 address')
  const after = text[close + 1]
  if (after !== undefined && !':/?,'.includes(after)) throw malformed('has something behind an IPv6 address')
  return { host: text.slice(at + 1, close), end: close + 1 }
}

function readParameters(text: string, conninfo: Conninfo): void {
  if (text === '') return
  for (const pair of text.split('&')) {
    const parts = pair.split('=')
    if (parts.length !== 2) throw malformed('has a parameter that is not of the form name=value')
    const name = decode(parts[0] ?? '')
    const value = decode(parts[1] ?? '')
    // JDBC's way to say it, which libpq takes as well.
    if (name === 'ssl' && value === 'true') conninfo.sslmode = 'require'
    else if (isKeyword(name)) conninfo[name] = value
    else throw unknownKeyword(name, WHERE)
  }
}

function decode(text: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(text))
    throw malformed('has a % that is not followed by two hexadecimal digits')
  if (text.includes('%00')) throw malformed('has a %00, which no value can hold')
  try {
    return decodeURIComponent(text)
  } catch {
    throw malformed('has percent-encoded bytes that are not UTF-8')
  }
}

function indexOfAny(text: string, stops: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    if (stops.includes(text[at] ?? '')) return at
  }
  return text.length
}

function malformed(how: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `${WHERE} ${how}.`, {
    hint: 'It reads postgresql://user:password@host:5432/database?sslmode=verify-full. Percent-encode @ : / ? # % in a user name or password (@ is %40), or give the password by PGPASSWORD.',
  })
}
