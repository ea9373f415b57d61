/** Everything needed to connect, resolved from URI, DSN, environment, files and options; structured-cloneable. */
import type { SshTunnelSettings } from './ssh/tunnel-settings.js'

export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'
export type TargetSessionAttrs = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby'

export type AuthMethod = 'password' | 'md5' | 'scram-sha-256' | 'none'

export interface HostAddress {
  /** A name, an address, or a directory that holds a unix socket. */
  readonly host: string
  /** Where to connect if not to what `host` resolves to; the certificate is still checked against `host`. */
  readonly hostaddr: string | null
  readonly port: number
  /** The local socket of a tunnel that leads there: nothing is resolved, and nothing else is connected to. */
  readonly through?: string
}

/** Holds secrets: pass it, never print it. `describeConnection` gives the printable form. */
export interface ConnectionSettings {
  readonly hosts: readonly HostAddress[]
  readonly database: string
  readonly user: string
  /** Null where none is known or `passwordCommand` or the passfile is asked per connection. */
  readonly password: string | null
  /** Run by the shell for each new connection; its first output line is the password. */
  readonly passwordCommand: string | null
  readonly passfile: string | null
  readonly sslmode: SslMode
  /** True where sslmode was stated rather than defaulted; decides whether the unverified-host warning is due. */
  readonly sslmodeStated: boolean
  /** Paths; `system` for the machine's own root certificates. */
  readonly sslrootcert: string | null
  readonly sslcert: string | null
  readonly sslkey: string | null
  readonly sslpassword: string | null
  readonly sslcrl: string | null
  readonly sslMinProtocolVersion: string | null
  readonly sslMaxProtocolVersion: string | null
  readonly sslsni: boolean
  readonly sslNegotiation: 'postgres' | 'direct'
  /** Whether the SCRAM exchange is bound to the TLS channel; `require` refuses every other way to log in. */
  readonly channelBinding: 'disable' | 'prefer' | 'require'
  /** Ways to log in that are acceptable; null accepts all that are safe. */
  readonly requireAuth: readonly AuthMethod[] | null
  /** For each address tried; 0 waits for ever. */
  readonly connectTimeoutMs: number
  readonly applicationName: string
  readonly keepalives: boolean
  readonly keepalivesIdleMs: number
  readonly targetSessionAttrs: TargetSessionAttrs
  readonly loadBalanceHosts: boolean
  /** The way to the hosts; without it, straight. */
  readonly sshTunnel?: SshTunnelSettings
}
