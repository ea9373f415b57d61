/** A session with an SSH server: who it is is checked before who we are is told. */
import { readFile, stat } from 'node:fs/promises'
import type { AnyAuthMethod, Client, ServerHostKeyAlgorithm } from 'ssh2'
import { TrunklineError } from '../../model/error.js'
import { toNetworkError } from '../network-error.js'
import { runPasswordCommand } from '../password.js'
import {
  fingerprintOf,
  findKnownKeys,
  judgeHostKey,
  nameInKnownHosts,
  typeOfKey,
  type KnownKey,
} from './known-hosts.js'
import type { SshTunnelSettings } from './tunnel-settings.js'

type Ssh2 = typeof import('ssh2')

/** After three of these without an answer the session is over. */
const KEEPALIVE_MS = 15_000
const KEEPALIVE_MISSES = 3

/** @throws CONNECT_FAILED, CONNECT_TIMEOUT, AUTH_FAILED, SSH_HOST_KEY, SECRET_FILE_PERMISSIONS, CONFIG_INVALID, MODULE_MISSING */
export async function connectSsh(
  settings: SshTunnelSettings,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<Client> {
  const ssh2 = await loadSsh2()
  const known = await readKnownHosts(settings)
  const methods = await authMethods(ssh2, settings)
  const client = new ssh2.Client()
  const { host, port, user } = settings
  let refusal: TrunklineError | null = null
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('ready', resolve)
      client.on('error', (error: SshError) => {
        // An agent that has no key, or is gone: the next method is tried.
        if (error.level === 'agent') return
        reject(refusal ?? toSshError(error, settings, methods))
      })
      client.once('close', () => reject(refusal ?? closedEarly(settings)))
      client.connect({
        host,
        port,
        username: user,
        authHandler: [...methods],
        readyTimeout: timeoutMs,
        keepaliveInterval: KEEPALIVE_MS,
        keepaliveCountMax: KEEPALIVE_MISSES,
        algorithms: { serverHostKey: algorithmsFor(known) },
        hostVerifier: (key: Buffer) => {
          refusal = refuseHostKey(known, key, settings)
          return refusal === null
        },
      })
    })
  } catch (error) {
    client.on('error', () => undefined)
    client.destroy()
    throw error
  }
  // Whoever uses the session hears of its end by 'close'.
  client.on('error', () => undefined)
  return client
}

interface SshError extends Error {
  readonly level?: string
  readonly code?: string
}

export function describeSsh({ user, host, port }: SshTunnelSettings): string {
  return `ssh ${user}@${host.includes(':') ? `[${host}]` : host}:${port}`
}

async function loadSsh2(): Promise<Ssh2> {
  try {
    return (await import('ssh2')).default
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new TrunklineError('MODULE_MISSING', 'ssh_tunnel needs a package that is not installed.', {
      hint: 'npm install ssh2',
      cause,
    })
  }
}

async function readKnownHosts(settings: SshTunnelSettings): Promise<readonly KnownKey[]> {
  const keys: KnownKey[] = []
  for (const file of settings.knownHosts) {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
      throw new TrunklineError('CONFIG_INVALID', `${file} cannot be read.`, {
        hint: 'It says which keys SSH servers have: check its owner and permissions.',
        context: { path: file },
        cause: error,
      })
    })
    keys.push(...findKnownKeys(text, settings, file))
  }
  return keys
}

const HOST_KEY_ALGORITHMS: readonly ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
]

/** A server has several keys: it is asked for one of those that are known. */
function algorithmsFor(known: readonly KnownKey[]): ServerHostKeyAlgorithm[] {
  const types = new Set(known.filter((entry) => !entry.revoked).map((entry) => entry.type))
  const wanted = HOST_KEY_ALGORITHMS.filter((name) => types.has(name.startsWith('rsa-') ? 'ssh-rsa' : name))
  return wanted.length > 0 ? wanted : [...HOST_KEY_ALGORITHMS]
}

function refuseHostKey(
  known: readonly KnownKey[],
  key: Buffer,
  settings: SshTunnelSettings,
): TrunklineError | null {
  const { host, port } = settings
  const verdict = judgeHostKey(known, key)
  const type = typeOfKey(key)
  const its = `${type} key ${fingerprintOf(key)}`
  const context = { host }
  switch (verdict.kind) {
    case 'known':
      return null
    case 'unknown': {
      const file = settings.knownHosts[0] ?? '~/.ssh/known_hosts'
      const scan = `ssh-keyscan -p ${port} -t ${type.replace(/^ssh-|^ecdsa-.*$/, '') || 'ecdsa'} ${host} >> ${file}`
      return new TrunklineError(
        'SSH_HOST_KEY',
        `${describeSsh(settings)}: the server is unknown. It shows the ${its}.`,
        {
          hint: `If whoever runs it says that this is its fingerprint, run: ${scan}`,
          context,
        },
      )
    }
    case 'revoked':
      return new TrunklineError(
        'SSH_HOST_KEY',
        `${describeSsh(settings)}: the server shows the ${its}, which ${verdict.place} revokes.`,
        {
          hint: 'Do not use it. Whoever runs the server must give it another key.',
          context,
        },
      )
    case 'changed':
      return new TrunklineError(
        'SSH_HOST_KEY',
        `${describeSsh(settings)}: the server shows the ${its}, but ${verdict.place} says another one.`,
        {
          hint: `Somebody may stand between. Only if whoever runs it confirms the new fingerprint, run: ssh-keygen -R '${nameInKnownHosts(settings)}', and enter the new key.`,
          context,
        },
      )
  }
}

/** What to log in with, in the order of trying. */
async function authMethods({ utils }: Ssh2, settings: SshTunnelSettings): Promise<readonly AnyAuthMethod[]> {
  const { user: username, key, agent, passphrase } = settings
  const methods: AnyAuthMethod[] = []
  if (key !== null) {
    const text = key.kind === 'text' ? key.text : await readKey(key.path)
    const parsed = utils.parseKey(text, passphrase ?? undefined)
    if (parsed instanceof Error) throw unusableKey(key.kind === 'text' ? 'ssh_key' : key.path, passphrase)
    methods.push({ type: 'publickey', username, key: parsed })
  }
  const password =
    settings.passwordCommand === null ? settings.password : await runPasswordCommand(settings.passwordCommand)
  if (key === null && password === null) {
    if (agent !== null) methods.push({ type: 'agent', username, agent })
    for (const path of settings.usualKeys) {
      const text = await readFile(path).catch(() => null)
      if (text === null) continue
      const parsed = utils.parseKey(text, passphrase ?? undefined)
      if (!(parsed instanceof Error)) methods.push({ type: 'publickey', username, key: parsed })
    }
  }
  if (password !== null) methods.push({ type: 'password', username, password })
  if (methods.length > 0) return methods
  throw new TrunklineError('AUTH_FAILED', `${describeSsh(settings)}: there is nothing to log in with.`, {
    hint: 'Give ssh_key, start an agent (SSH_AUTH_SOCK), or give ssh_password_command.',
    context: { host: settings.host },
  })
}

async function readKey(path: string): Promise<Buffer> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new TrunklineError('CONFIG_INVALID', `The private key ${path} cannot be read.`, {
      hint: 'Check the path of ssh_key, and who may read the file.',
      context: { path },
      cause,
    })
  })
  if (process.platform !== 'win32' && (found.mode & 0o077) !== 0) {
    throw new TrunklineError('SECRET_FILE_PERMISSIONS', `The private key ${path} can be read by others.`, {
      hint: `Run: chmod 0600 ${path}`,
      context: { path },
    })
  }
  return readFile(path)
}

function unusableKey(name: string, passphrase: string | null): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `The private key ${name} cannot be used.`, {
    hint:
      passphrase === null
        ? 'It must be a private key in the format of OpenSSH or PEM; one with a passphrase needs ssh_passphrase.'
        : 'Its passphrase may be another one, or it is not a private key.',
  })
}

function toSshError(
  error: SshError,
  settings: SshTunnelSettings,
  methods: readonly AnyAuthMethod[],
): TrunklineError {
  const where = describeSsh(settings)
  const context = { host: settings.host }
  if (error.level === 'client-authentication') {
    const tried = [...new Set(methods.map(({ type }) => (type === 'publickey' ? 'key' : type)))].join(', ')
    return new TrunklineError(
      'AUTH_FAILED',
      `${where}: the SSH server refused the login (tried: ${tried}).`,
      {
        hint: 'Check the user, and that the public key is in authorized_keys there.',
        context,
      },
    )
  }
  if (error.level === 'client-timeout') {
    return new TrunklineError('CONNECT_TIMEOUT', `${where}: the SSH server did not answer in time.`, {
      hint: 'A firewall may drop the packets; connect_timeout sets how long to wait.',
      context,
    })
  }
  if (error.code !== undefined && error.level === 'client-socket') {
    const { code, message, retry } = toNetworkError(error, where, settings.host)
    return new TrunklineError(code, message, {
      retry,
      hint: 'Check host and port of ssh_tunnel, that an SSH server listens there, and the firewalls on the way.',
      context,
      cause: error,
    })
  }
  return new TrunklineError('CONNECT_FAILED', `${where}: no SSH session could be made.`, {
    retry: error.level === 'client-socket' ? 'backoff' : 'never',
    hint: 'Check that an SSH server listens there, and that it knows a key exchange of today; the cause is shown with -v.',
    context,
    cause: error,
  })
}

function closedEarly(settings: SshTunnelSettings): TrunklineError {
  return new TrunklineError(
    'CONNECT_FAILED',
    `${describeSsh(settings)}: the SSH server closed the connection.`,
    {
      hint: 'It may have too many sessions (MaxStartups), or not allow this address or user.',
      context: { host: settings.host },
    },
  )
}
