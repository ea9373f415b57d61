/** Values of connection parameters, each as libpq reads it. Messages name the parameter, never repeat the value. */
import { TrunklineError } from '../model/error.js'
import type { AuthMethod, HostAddress } from './connection-settings.js'

function invalid(keyword: string, hint: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `The connection parameter ${keyword} has an invalid value.`, {
    hint,
  })
}

/** An absent or empty value is the first choice. */
export function parseChoice<Choice extends string>(
  keyword: string,
  value: string | undefined,
  choices: readonly [Choice, ...Choice[]] | readonly Choice[],
): Choice {
  const wanted = value === undefined || value === '' ? choices[0] : choices.find((choice) => choice === value)
  if (wanted === undefined) throw invalid(keyword, `It is one of ${choices.join(', ')}.`)
  return wanted
}

export function parseInteger(keyword: string, value: string): number {
  const trimmed = value.trim()
  if (!/^[+-]?\d{1,10}$/.test(trimmed)) throw invalid(keyword, 'It is a whole number.')
  return Number(trimmed)
}

export function parseBoolean(keyword: string, value: string): boolean {
  if (value === '1') return true
  if (value === '0') return false
  throw invalid(keyword, 'It is 1 or 0.')
}

const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']

/** Ordered as text, too. */
export function parseTlsVersion(keyword: string, value: string): string | null {
  if (value === '') return null
  const version = TLS_VERSIONS.find((name) => name.toLowerCase() === value.toLowerCase())
  if (version === undefined) throw invalid(keyword, `It is one of ${TLS_VERSIONS.join(', ')}.`)
  return version
}

const AUTH_METHODS: readonly AuthMethod[] = ['password', 'md5', 'scram-sha-256', 'none']
/** Methods of libpq that we never answer: excluding them excludes nothing. */
const OTHER_AUTH_METHODS = ['gss', 'sspi', 'oauth']

/** `scram-sha-256,md5` accepts these; `!password,!none` accepts all others. */
export function parseRequireAuth(value: string | undefined): readonly AuthMethod[] | null {
  if (value === undefined || value === '') return null
  const names = value.split(',').map((name) => name.trim())
  const negated = names.filter((name) => name.startsWith('!')).length
  if (negated !== 0 && negated !== names.length) {
    throw invalid('require_auth', 'Either all methods are negated with ! or none.')
  }
  const bare = names.map((name) => name.replace(/^!/, ''))
  for (const name of bare) {
    if (!AUTH_METHODS.some((method) => method === name) && !OTHER_AUTH_METHODS.includes(name)) {
      throw invalid('require_auth', `Its methods are ${AUTH_METHODS.join(', ')}.`)
    }
  }
  return AUTH_METHODS.filter((method) => bare.includes(method) === (negated === 0))
}

/** Lists of hosts, addresses and ports; one port serves all hosts. */
export function parseHosts(host: string, hostaddr: string, port: string): readonly HostAddress[] {
  const addresses = hostaddr === '' ? null : hostaddr.split(',')
  const hosts = host === '' && addresses !== null ? addresses.map(() => '') : host.split(',')
  if (addresses !== null && addresses.length !== hosts.length) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      `There are ${addresses.length} addresses in hostaddr for ${hosts.length} hosts.`,
      { hint: 'Give hostaddr one address for each host.' },
    )
  }
  const ports = port.split(',')
  if (ports.length !== 1 && ports.length !== hosts.length) {
    throw new TrunklineError('CONFIG_INVALID', `There are ${ports.length} ports for ${hosts.length} hosts.`, {
      hint: 'Give one port for all hosts, or one for each.',
    })
  }
  return hosts.map((name, index) => {
    const address = addresses?.[index] ?? ''
    return {
      host: name,
      hostaddr: address === '' ? null : address,
      port: parsePort(ports.length === 1 ? ports[0] : ports[index]),
    }
  })
}

function parsePort(text: string | undefined): number {
  if (text === undefined || text.trim() === '') return 5432
  const port = parseInteger('port', text)
  if (port < 1 || port > 65_535) throw invalid('port', 'It is a number from 1 to 65535.')
  return port
}
