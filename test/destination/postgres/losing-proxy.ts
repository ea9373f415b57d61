/** A TCP proxy that cuts a connection in place of the answer to a COMMIT, which takes place. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface LosingProxy extends AsyncDisposable {
  /** The URL, by way of the proxy. */
  through(url: string): string
  /** The next COMMIT of a transaction that has sent this text stays unanswered. Once. */
  loseCommitAfter(text: string): void
  /** Answers that were lost. */
  readonly lost: number
}

const COMMIT = 'COMMIT\0'

export async function startLosingProxy(target: { host: string; port: number }): Promise<LosingProxy> {
  const sockets = new Set<Socket>()
  let awaited: string | null = null
  let lost = 0
  const server = createServer((client) => {
    const upstream = connect(target)
    /** What the client has sent since its last COMMIT. */
    let sent = ''
    let losing = false
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (bytes) => {
      sent += bytes.toString('latin1')
      if (sent.includes(COMMIT)) {
        losing = awaited !== null && sent.includes(awaited)
        if (losing) awaited = null
        sent = ''
      }
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (!losing) {
        client.write(bytes)
        return
      }
      lost++
      client.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    through(url) {
      const moved = new URL(url)
      moved.port = String(port)
      return moved.href
    },
    loseCommitAfter(text) {
      awaited = text
    },
    get lost() {
      return lost
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
