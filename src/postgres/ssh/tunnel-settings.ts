/** How the SSH server before a database is reached: what is stated, then the environment, then what `ssh` itself would take. */
import { join } from 'node:path'
import { TrunklineError } from '../../model/error.js'

/** As stated: the values of the keys `ssh_…`. */
export interface SshInput {
  /** `ssh://user@host:port` */
  readonly tunnel?: string | undefined
  /** The path of a private key, or the key itself. */
  readonly key?: string | undefined
  readonly passphrase?: string | undefined
  readonly password?: string | undefined
  /** Run by the shell; its first line is the password. */
  readonly passwordCommand?: string | undefined
  /** A path. */
  readonly knownHosts?: string | undefined
}

/** Holds secrets: pass it, never print it. */
export interface SshTunnelSettings {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly key:
    { readonly kind: 'file'; readonly path: string } | { readonly kind: 'text'; readonly text: string } | null
  readonly passphrase: string | null
  readonly password: string | null
  readonly passwordCommand: string | null
  /** The socket of the agent. */
  readonly agent: string | null
  /** Tried where no key is stated. */
  readonly usualKeys: readonly string[]
  readonly knownHosts: readonly string[]
}

export interface SshSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly homeDir: string
  readonly userName: string
}

/** In the environment, by what they stand for. */
const VARIABLES = {
  tunnel: 'TRUNKLINE_SSH_TUNNEL',
  key: 'TRUNKLINE_SSH_KEY',
  passphrase: 'TRUNKLINE_SSH_PASSPHRASE',
  password: 'TRUNKLINE_SSH_PASSWORD',
  passwordCommand: 'TRUNKLINE_SSH_PASSWORD_COMMAND',
  knownHosts: 'TRUNKLINE_SSH_KNOWN_HOSTS',
} as const satisfies Record<keyof SshInput, string>

const USUAL_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa'] as const
const HINT = 'Write ssh://user@host or ssh://user@host:port.'

/**
 * Null where no tunnel is asked for.
 * @throws CONFIG_INVALID; never quotes a URL, which may hold a password.
 */
export function resolveSshTunnel(
  input: SshInput,
  { env, homeDir, userName }: SshSurroundings,
): SshTunnelSettings | null {
  const stated = (name: keyof SshInput): string | null => {
    const value = input[name] ?? env[VARIABLES[name]]
    return value === undefined || value === '' ? null : value
  }
  const tunnel = stated('tunnel')
  if (tunnel === null) {
    const lonely = (Object.keys(input) as (keyof SshInput)[]).find((name) => input[name] !== undefined)
    if (lonely === undefined) return null
    throw new TrunklineError('CONFIG_INVALID', 'Settings of an SSH tunnel are given, but no ssh_tunnel.', {
      hint: HINT,
    })
  }
  const { host, port, user } = parseTunnel(tunnel)
  const key = stated('key')
  const inHome = (path: string): string =>
    path.startsWith('~/') && homeDir !== '' ? join(homeDir, path.slice(2)) : path
  const knownHosts = stated('knownHosts')
  const usual = (name: string): string[] => (homeDir === '' ? [] : [join(homeDir, '.ssh', name)])
  return {
    host,
    port,
    user: user ?? requireUser(userName),
    key:
      key === null
        ? null
        : key.trimStart().startsWith('-----BEGIN ')
          ? { kind: 'text', text: key }
          : { kind: 'file', path: inHome(key) },
    passphrase: stated('passphrase'),
    password: stated('password'),
    passwordCommand: stated('passwordCommand'),
    agent: env['SSH_AUTH_SOCK'] || null,
    usualKeys: USUAL_KEYS.flatMap(usual),
    knownHosts:
      knownHosts === null ? [...usual('known_hosts'), '/etc/ssh/ssh_known_hosts'] : [inHome(knownHosts)],
  }
}

function parseTunnel(text: string): {
  readonly host: string
  readonly port: number
  readonly user: string | null
} {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || url.protocol !== 'ssh:' || url.hostname === '' || !/^\/?$/.test(url.pathname)) {
    throw new TrunklineError('CONFIG_INVALID', 'ssh_tunnel is not the address of an SSH server.', {
      hint: HINT,
    })
  }
  if (url.password !== '') {
    throw new TrunklineError('CONFIG_INVALID', 'ssh_tunnel holds a password.', {
      hint: 'Use a key, an agent, ssh_password_command, or ssh_password with a ${VARIABLE}.',
    })
  }
  if (url.search !== '' || url.hash !== '') {
    throw new TrunklineError('CONFIG_INVALID', 'ssh_tunnel has something behind the host.', { hint: HINT })
  }
  return {
    host: decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 22 : Number(url.port),
    user: url.username === '' ? null : decodeURIComponent(url.username),
  }
}

function requireUser(userName: string): string {
  if (userName !== '') return userName
  throw new TrunklineError('CONFIG_INVALID', 'ssh_tunnel says no user.', { hint: HINT })
}
