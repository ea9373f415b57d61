/** An SSH server on a port of this machine that forwards connections, for tests. It has hosts that nobody else can reach. */
import { connect, type AddressInfo, type Socket } from 'node:net'
import ssh2, { type Connection, type ServerChannel } from 'ssh2'

export interface SshServerOptions {
  /** What hosts are called there: `name:port`, and where they really are. */
  readonly hosts: Readonly<Record<string, { readonly host: string; readonly port: number }>>
  /** Of who may log in, as `ssh-ed25519 AAAA…`. */
  readonly authorizedKey?: string
  readonly password?: string
}

export interface TestSshServer extends AsyncDisposable {
  readonly port: number
  /** A line for known_hosts. */
  readonly knownHost: string
  readonly hostKey: string
  /** Logins so far. */
  readonly sessions: number
  /** Connections that went through so far. */
  readonly forwards: number
  /** Ends all sessions, once, when so many bytes more went to clients. */
  cutAfter(bytes: number): void
}

export async function startSshServer(options: SshServerOptions): Promise<TestSshServer> {
  const host = ssh2.utils.generateKeyPairSync('ed25519')
  const authorized = options.authorizedKey === undefined ? null : ssh2.utils.parseKey(options.authorizedKey)
  if (authorized instanceof Error) throw authorized
  const clients = new Set<Connection>()
  const sockets = new Set<Socket>()
  let sessions = 0
  let forwards = 0
  let bytesLeft = Infinity

  const cut = (): void => {
    bytesLeft = Infinity
    for (const client of clients) client.end()
    for (const socket of sockets) socket.destroy()
  }
  const forward = (channel: ServerChannel, target: Socket): void => {
    forwards += 1
    target.on('data', (chunk) => {
      bytesLeft -= chunk.length
      if (bytesLeft < 0) cut()
    })
    target.on('error', () => channel.destroy())
    channel.on('error', () => target.destroy())
    channel.once('close', () => target.destroy())
    target.once('close', () => channel.destroy())
    channel.pipe(target)
    target.pipe(channel)
  }

  const server = new ssh2.Server({ hostKeys: [host.private] }, (client) => {
    clients.add(client)
    client.on('error', () => undefined)
    client.on('close', () => clients.delete(client))
    client.on('authentication', (context) => {
      if (context.method === 'password' && context.password === options.password) return context.accept()
      if (context.method === 'publickey' && authorized !== null && !Array.isArray(authorized)) {
        const { key, signature, blob, hashAlgo } = context
        const same = key.algo === authorized.type && key.data.equals(authorized.getPublicSSH())
        if (
          same &&
          (signature === undefined || authorized.verify(blob ?? '', signature, hashAlgo) === true)
        ) {
          return context.accept()
        }
      }
      context.reject(['publickey', 'password'])
    })
    client.on('ready', () => {
      sessions += 1
      client.on('tcpip', (accept, reject, { destIP, destPort }) => {
        const place = options.hosts[`${destIP}:${destPort}`]
        if (place === undefined) return reject()
        const target = connect(place)
        sockets.add(target)
        target.once('close', () => sockets.delete(target))
        target.once('error', () => reject())
        target.once('connect', () => forward(accept(), target))
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    port,
    hostKey: host.public,
    knownHost: `[127.0.0.1]:${port} ${host.public}\n`,
    get sessions() {
      return sessions
    },
    get forwards() {
      return forwards
    },
    cutAfter(bytes) {
      bytesLeft = bytes
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      cut()
      await closed
    },
  }
}
