/**
 * OpenSSH's known_hosts: which keys belong to which servers. Lines of `[@marker] patterns type key`, as sshd(8) describes them
 * under SSH_KNOWN_HOSTS FILE FORMAT. Pure.
 */
import { createHash, createHmac } from 'node:crypto'

export interface KnownKey {
  /** `ssh-ed25519` */
  readonly type: string
  readonly key: Buffer
  readonly revoked: boolean
  /** `file:line` */
  readonly place: string
}

export interface HostName {
  readonly host: string
  readonly port: number
}

/**
 * - `known`: one of the keys is this one.
 * - `revoked`: the key must not be used by anybody.
 * - `changed`: the host is known with another key of this type, or by keys of other types only.
 */
export type HostKeyVerdict =
  | { readonly kind: 'known' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'revoked' | 'changed'; readonly place: string }

/** The keys of a host, in the order of the text. Lines that are not understood, and certificate authorities, are passed over. */
export function findKnownKeys(text: string, name: HostName, file: string): readonly KnownKey[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    const parts = line.trim().split(/\s+/)
    const marker = parts[0]?.startsWith('@') === true ? parts.shift() : undefined
    const [patterns = '', type = '', encoded = ''] = parts
    if (patterns === '' || patterns.startsWith('#') || encoded === '') return []
    if (marker !== undefined && marker !== '@revoked') return []
    if (!matchesHost(patterns, name)) return []
    const key = Buffer.from(encoded, 'base64')
    return typeOfKey(key) === type
      ? [{ type, key, revoked: marker === '@revoked', place: `${file}:${index + 1}` }]
      : []
  })
}

export function judgeHostKey(known: readonly KnownKey[], key: Buffer): HostKeyVerdict {
  const same = known.filter((entry) => entry.key.equals(key))
  const revoked = same.find((entry) => entry.revoked)
  if (revoked !== undefined) return { kind: 'revoked', place: revoked.place }
  if (same.length > 0) return { kind: 'known' }
  const others = known.filter((entry) => !entry.revoked)
  const type = typeOfKey(key)
  const other = others.find((entry) => entry.type === type) ?? others[0]
  return other === undefined ? { kind: 'unknown' } : { kind: 'changed', place: other.place }
}

/** The name of a key's type stands at its beginning, after its length. */
export function typeOfKey(key: Buffer): string {
  if (key.length < 4) return ''
  return key.toString('latin1', 4, 4 + Math.min(key.readUInt32BE(0), 64))
}

/** As `ssh-keygen -l` prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** `host`, or `[host]:port` where the port is not 22. */
export function nameInKnownHosts({ host, port }: HostName): string {
  return port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`
}

function matchesHost(patterns: string, name: HostName): boolean {
  const wanted = nameInKnownHosts(name)
  if (patterns.startsWith('|1|')) return matchesHashed(patterns, wanted)
  let matched = false
  for (const pattern of patterns.toLowerCase().split(',')) {
    const negated = pattern.startsWith('!')
    if (!matchesWildcards(negated ? pattern.slice(1) : pattern, wanted)) continue
    if (negated) return false
    matched = true
  }
  return matched
}

/** `|1|salt|HMAC-SHA1 of the name`: a file that tells nobody which servers it is about. */
function matchesHashed(field: string, wanted: string): boolean {
  const [, , salt = '', hash = ''] = field.split('|')
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(wanted).digest('base64') === hash
}

function matchesWildcards(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 's').test(text)
}
