/**
 * Connections that a request brings along, where the service allows them: only to hosts that were named beforehand, under the
 * address that was checked, with nothing of this machine's own (no environment, files, password commands).
 */
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { isConnectionString } from '../config/connection-input.js'
import { resolveSettings } from '../connectors.js'
import { ServiceError } from './service-error.js'

type Settings = Awaited<ReturnType<typeof resolveSettings>>

/** Of libpq's keywords, those that say nothing but where and as whom. */
const KEYWORDS: ReadonlySet<string> = new Set([
  'host',
  'port',
  'dbname',
  'user',
  'password',
  'sslmode',
  'connect_timeout',
  'application_name',
])

/** @throws ServiceError naming what is not allowed; it never quotes the connection, which may hold a password. */
export async function resolveInlineSettings(url: string, allowHosts: readonly string[]): Promise<Settings> {
  if (!isConnectionString(url) || !/^postgres(ql)?:\/\//.test(url)) {
    throw refused('it is not a postgresql:// URL')
  }
  assertKeywords(url)
  // An empty HOME: this machine's password file and client certificates are not for whoever asks.
  const settings = await resolveSettings({ url, options: {}, place: null }, { HOME: '' })
  const allowed = allowedHosts(allowHosts)
  const hosts = await Promise.all(
    settings.hosts.map(async (host) => {
      if (host.hostaddr !== null || host.host.startsWith('/') || host.host.startsWith('@')) {
        throw refused('it names no host by name or address')
      }
      return { ...host, hostaddr: await checkedAddress(host.host, allowed) }
    }),
  )
  return { ...settings, hosts }
}

function assertKeywords(url: string): void {
  const query = url.split('?', 2)[1] ?? ''
  const unknown = [...new URLSearchParams(query).keys()].find((key) => !KEYWORDS.has(key))
  if (unknown !== undefined) throw refused(`it sets ${JSON.stringify(unknown)}`)
}

interface AllowedHosts {
  readonly names: ReadonlySet<string>
  readonly networks: BlockList
}

function allowedHosts(stated: readonly string[]): AllowedHosts {
  const names = new Set<string>()
  const networks = new BlockList()
  for (const entry of stated) {
    const [address = '', bits] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (isIP(address) === 0) names.add(entry.toLowerCase())
    else if (bits === undefined) networks.addAddress(address, family)
    else networks.addSubnet(address, Number(bits), family)
  }
  return { names, networks }
}

/** Connecting goes to this very address: a name cannot mean another one a moment later. */
async function checkedAddress(host: string, allowed: AllowedHosts): Promise<string> {
  const literal = isIP(host) !== 0
  if (!literal && !allowed.names.has(host.toLowerCase())) throw refused('its host is not among allow_hosts')
  const address = literal
    ? host
    : await lookup(host).then(
        (found) => found.address,
        () => null,
      )
  if (address === null) throw refused('its host has no address')
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  if (allowed.networks.check(address, family)) return address
  if (literal) throw refused('its address is not among allow_hosts')
  // A name that was allowed must not lead to this machine or to what only this machine can reach.
  if (OWN.check(address, family)) {
    throw refused(
      'its host leads to an address of this machine; name the address in allow_hosts if that is meant',
    )
  }
  return address
}

/** Loopback, link-local (where clouds keep credentials) and the unspecified address. */
const OWN = new BlockList()
OWN.addSubnet('127.0.0.0', 8, 'ipv4')
OWN.addSubnet('169.254.0.0', 16, 'ipv4')
OWN.addSubnet('0.0.0.0', 8, 'ipv4')
OWN.addAddress('::1', 'ipv6')
OWN.addAddress('::', 'ipv6')
OWN.addSubnet('fe80::', 10, 'ipv6')
OWN.addSubnet('fd00:ec2::', 32, 'ipv6')

function refused(why: string): ServiceError {
  return new ServiceError(
    'REQUEST_INVALID',
    `The connection is refused: ${why}.`,
    'Use a source of the configuration, or have the host entered under service.allow_hosts.',
  )
}
