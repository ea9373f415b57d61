/** How a connection is stated, before it is resolved: a URL or keyword string, keywords, and where they stand. */
import { TrunklineError } from '../model/error.js'

export interface ConnectionInput {
  readonly url?: string
  /** libpq's keywords. */
  readonly options: Readonly<Record<string, string>>
  readonly passwordCommand?: string
  /** A way through an SSH server. */
  readonly ssh?: SshStatement
  /** Schemas in which unqualified names of `sql` streams are looked for, after pg_catalog. */
  readonly searchPath?: readonly string[]
  /** For errors: `trunkline.yaml:3:3 (connections.shop)`; null for a command line or a program. */
  readonly place: string | null
}

export interface SshStatement {
  readonly tunnel?: string | undefined
  readonly key?: string | undefined
  readonly passphrase?: string | undefined
  readonly password?: string | undefined
  readonly passwordCommand?: string | undefined
  readonly knownHosts?: string | undefined
}

/** The part of a resolved connection that decides whether `sslmode` had to be stated. */
interface ResolvedHosts {
  readonly hosts: readonly { readonly host: string; readonly hostaddr: string | null }[]
  readonly sslmodeStated: boolean
}

/** A URL, or `keyword=value` pairs as libpq takes them; anything else names a connection of a file. */
export function isConnectionString(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text) || /^\s*[a-z_]+\s*=/.test(text)
}

/** True where a password stands in the text itself, and so in `ps` and the shell's history. */
export function holdsPassword(text: string): boolean {
  return (
    /^postgres(ql)?:\/\/[^/?#]*:[^/?#]+@/.test(text) || /(^|[\s?&])(ssl)?password\s*=\s*[^\s&]/.test(text)
  )
}

/**
 * A file says how a host beyond this machine is to be trusted; libpq's default would verify nothing.
 * @throws CONFIG_INVALID
 */
export function requireSslMode(settings: ResolvedHosts, place: string): void {
  if (settings.sslmodeStated) return
  const remote = settings.hosts.find(({ host, hostaddr }) => !isLocal(hostaddr ?? host))
  if (remote === undefined) return
  throw new TrunklineError(
    'CONFIG_INVALID',
    `${place}: sslmode must be stated for the host ${remote.host}.`,
    {
      hint: 'Write `sslmode: verify-full`, or `?sslmode=verify-full` behind a URL (with `sslrootcert` where the certificate is not publicly trusted), or choose a weaker mode knowingly.',
      context: { host: remote.host },
    },
  )
}

/** This machine, without a network in between: unix sockets and loopback. */
export function isLocal(host: string): boolean {
  return (
    host === '' ||
    host.startsWith('/') ||
    host.startsWith('@') ||
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '::1' ||
    host === '[::1]' ||
    /^127(\.\d{1,3}){3}$/.test(host)
  )
}
