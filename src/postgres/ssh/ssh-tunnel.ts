/**
 * A way to a database through an SSH server, for all connections of a source: those of reader threads included. For each host of
 * the database a socket listens in a folder that only this user may enter; what connects to it goes through one SSH session. The
 * session is made when it is first needed, and again after it was lost; its end is the end of the connections that went through it.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from 'ssh2'
import { TrunklineError } from '../../model/error.js'
import type { Logger } from '../../model/log.js'
import type { ConnectionSettings, HostAddress } from '../connection-settings.js'
import { connectSsh, describeSsh } from './ssh-client.js'
import type { SshTunnelSettings } from './tunnel-settings.js'

/** Of a unix socket, the end included; some systems take 108. */
const MAX_SOCKET_PATH = 103
/** Where connect_timeout is 0, which waits for ever. */
const DEFAULT_TIMEOUT_MS = 30_000

interface Door {
  readonly path: string
  readonly server: Server
  /** Why the last connection through it did not come about. */
  failure: TrunklineError | null
}

export class SshTunnel {
  readonly #settings: SshTunnelSettings
  readonly #timeoutMs: number
  readonly #logger: Logger
  readonly #doors = new Map<string, Promise<Door>>()
  readonly #sockets = new Set<Socket>()
  #folder: Promise<string> | null = null
  #session: Promise<Client> | null = null
  #closed = false

  constructor(
    settings: SshTunnelSettings,
    options: { readonly connectTimeoutMs: number; readonly logger: Logger },
  ) {
    this.#settings = settings
    this.#timeoutMs = options.connectTimeoutMs > 0 ? options.connectTimeoutMs : DEFAULT_TIMEOUT_MS
    this.#logger = options.logger
  }

  /**
   * Connects through the tunnel: `work` gets settings that lead there, without those of the tunnel.
   * @throws what {@link connectSsh} throws, what `work` throws, or why the SSH server did not reach the database
   */
  async through<Result>(
    settings: ConnectionSettings,
    signal: AbortSignal | undefined,
    work: (settings: ConnectionSettings) => Promise<Result>,
  ): Promise<Result> {
    await unlessAborted(this.#open(), signal)
    const doors = await Promise.all(settings.hosts.map((host) => this.#doorTo(host)))
    for (const door of doors) door.failure = null
    const hosts = settings.hosts.map((host, index) => ({ ...host, through: doors[index]?.path ?? '' }))
    const { sshTunnel: _, ...rest } = settings
    try {
      return await work({ ...rest, hosts })
    } catch (error) {
      signal?.throwIfAborted()
      throw doors.find((door) => door.failure !== null)?.failure ?? error
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const session = await this.#session?.catch(() => null)
    for (const socket of this.#sockets) socket.destroy()
    session?.end()
    for (const opening of this.#doors.values()) {
      const door = await opening.catch(() => null)
      if (door !== null) await new Promise((resolve) => door.server.close(resolve))
    }
    const folder = await this.#folder?.catch(() => null)
    if (folder !== null && folder !== undefined) await rm(folder, { recursive: true, force: true })
  }

  #open(): Promise<Client> {
    if (this.#closed) throw new TrunklineError('INTERNAL', 'The SSH tunnel is closed.')
    if (this.#session !== null) return this.#session
    const opening = connectSsh(this.#settings, { timeoutMs: this.#timeoutMs }).then((client) => {
      this.#logger.debug({ host: this.#settings.host, port: this.#settings.port }, 'SSH tunnel opened')
      client.once('close', () => this.#forget(opening))
      return client
    })
    this.#session = opening
    opening.catch(() => this.#forget(opening))
    return opening
  }

  /** The next connection makes a new session. */
  #forget(session: Promise<Client>): void {
    if (this.#session !== session) return
    this.#session = null
    for (const socket of this.#sockets) socket.destroy()
  }

  async #doorTo(host: HostAddress): Promise<Door> {
    const target = host.hostaddr ?? host.host
    const name = `${target} ${host.port}`
    const present = this.#doors.get(name)
    if (present !== undefined) return present
    const opening = this.#openDoor(target, host.port)
    this.#doors.set(name, opening)
    opening.catch(() => this.#doors.delete(name))
    return opening
  }

  async #openDoor(host: string, port: number): Promise<Door> {
    const path = await this.#freePath()
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => this.#sockets.delete(socket))
      this.#forward(socket, { host, port }).catch((error: unknown) => {
        door.failure = error instanceof TrunklineError ? error : null
        socket.destroy()
      })
    })
    const door: Door = { path, server, failure: null }
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, () => {
        server.removeListener('error', reject)
        resolve()
      })
    })
    server.unref()
    return door
  }

  async #freePath(): Promise<string> {
    if (process.platform === 'win32') return `\\\\.\\pipe\\trunkline-${randomUUID()}`
    this.#folder ??= makeFolder()
    return join(await this.#folder, randomUUID().slice(0, 8))
  }

  async #forward(
    socket: Socket,
    { host, port }: { readonly host: string; readonly port: number },
  ): Promise<void> {
    const client = await this.#open()
    const stream = await new Promise<import('ssh2').ClientChannel>((resolve, reject) => {
      client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
        if (error === undefined) return resolve(channel)
        reject(
          new TrunklineError(
            'CONNECT_FAILED',
            `${describeSsh(this.#settings)}: from there ${host}:${port} cannot be reached.`,
            {
              hint: 'Check host and port as that machine sees them, and that its sshd allows it (AllowTcpForwarding, PermitOpen).',
              context: { host },
              cause: error,
            },
          ),
        )
      })
    })
    stream.on('error', () => socket.destroy())
    stream.once('close', () => socket.destroy())
    socket.once('close', () => stream.destroy())
    socket.pipe(stream)
    stream.pipe(socket)
  }
}

/** Several wait for one session: whoever is interrupted leaves it to the others. */
async function unlessAborted<Result>(
  work: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (signal === undefined) return work
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** Only this user may enter it. */
async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-ssh-'))
  if (Buffer.byteLength(folder) + 9 <= MAX_SOCKET_PATH) return folder
  await rm(folder, { recursive: true })
  return mkdtemp('/tmp/trunkline-ssh-')
}
