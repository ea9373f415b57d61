/**
 * A TCP proxy in front of a server that delays, slows, cuts and swallows, for tests of what a network can do.
 *
 * Faults are set for the connections to come, by `faults` or per connection by `onConnection`, or applied to those that are
 * open, by `cut` and `blackHole`. Bytes are counted as they leave the proxy.
 */
import { once } from 'node:events'
import { type Socket, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** How a connection ends: in order, as a server that stops would, or reset, as a firewall would. */
export type CutMode = 'fin' | 'rst'

export interface Faults {
  /** Before each piece from the server goes on. */
  readonly delayMs?: number
  /** From the server to the client. */
  readonly bytesPerSecond?: number
  /** Cuts once exactly this many bytes from the server have gone to the client. */
  readonly cutAfterBytes?: number
  /** The same count for what the client sends. */
  readonly cutAfterClientBytes?: number
  /** Default: fin. */
  readonly cutBy?: CutMode
  /** From this many bytes from the server on, nothing goes either way, and nothing ends. */
  readonly blackHoleAfterBytes?: number
}

export interface ProxyConnection {
  /** Counted from 0, in the order of arrival. */
  readonly index: number
  readonly bytesFromServer: number
  readonly bytesFromClient: number
  readonly open: boolean
  cut(mode?: CutMode): void
  /** From now on nothing goes either way, and nothing ends. */
  blackHole(): void
}

export interface FaultProxy extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly connections: readonly ProxyConnection[]
  /** For connections to come. */
  faults: Faults
  /** Asked for each new connection; what it returns is used instead of `faults`. */
  onConnection: ((connection: ProxyConnection) => Faults | undefined) | null
  /** New connections are reset before anything is exchanged. */
  refusing: boolean
  cutAll(mode?: CutMode): void
  close(): Promise<void>
}

/** Listens on a free port of loopback and forwards to `target`. */
export async function startFaultProxy(target: {
  readonly host: string
  readonly port: number
}): Promise<FaultProxy> {
  const connections: Relay[] = []
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    if (proxy.refusing) {
      reset(client)
      return
    }
    const relay = new Relay(connections.length, client, connect({ ...target, allowHalfOpen: true }))
    connections.push(relay)
    relay.start(proxy.onConnection?.(relay) ?? proxy.faults)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')

  const proxy: FaultProxy = {
    host: '127.0.0.1',
    port: address.port,
    connections,
    faults: {},
    onConnection: null,
    refusing: false,
    cutAll(mode) {
      for (const connection of connections) connection.cut(mode)
    },
    async close() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      proxy.cutAll('rst')
      await closed
    },
    [Symbol.asyncDispose]: () => proxy.close(),
  }
  return proxy
}

/** A reset overtakes what its peer has not read yet: libuv then drops it, or reports an orderly end. */
const deliveryMs = 30

class Relay implements ProxyConnection {
  readonly index: number
  bytesFromServer = 0
  bytesFromClient = 0
  readonly #client: Socket
  readonly #server: Socket
  #swallowing = false
  #open = true

  constructor(index: number, client: Socket, server: Socket) {
    this.index = index
    this.#client = client
    this.#server = server
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      // Whichever side breaks, the other must see it, too: as a reset.
      socket.on('error', () => this.cut('rst'))
      socket.on('close', () => {
        if (!this.#swallowing && client.destroyed && server.destroyed) this.#open = false
      })
    }
  }

  get open(): boolean {
    return this.#open
  }

  start(faults: Faults): void {
    void this.#forward(this.#server, this.#client, faults, 'server')
    void this.#forward(this.#client, this.#server, faults, 'client')
  }

  cut(mode: CutMode = 'fin'): void {
    this.#open = false
    for (const socket of [this.#client, this.#server]) {
      if (mode === 'rst') reset(socket)
      else socket.end(() => socket.destroy())
    }
  }

  blackHole(): void {
    this.#swallowing = true
  }

  async #forward(from: Socket, to: Socket, faults: Faults, side: 'server' | 'client'): Promise<void> {
    const cutAfter = (side === 'server' ? faults.cutAfterBytes : faults.cutAfterClientBytes) ?? Infinity
    const holeAfter = (side === 'server' ? faults.blackHoleAfterBytes : undefined) ?? Infinity
    const limit = Math.min(cutAfter, holeAfter)
    try {
      if (limit === 0) this.#reach(cutAfter, faults)
      // An end of one direction must not close the other.
      for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        if (side === 'server') await pace(chunk.length, faults)
        if (this.#swallowing) continue
        const sent = side === 'server' ? this.bytesFromServer : this.bytesFromClient
        const piece = chunk.subarray(0, Math.max(0, limit - sent))
        if (piece.length > 0) await write(to, piece)
        if (side === 'server') this.bytesFromServer += piece.length
        else this.bytesFromClient += piece.length
        if (sent + piece.length >= limit) this.#reach(cutAfter, faults)
      }
      if (!this.#swallowing) to.end()
    } catch {
      // Reported by the socket's error event, which cuts the other side.
    }
  }

  #reach(cutAfter: number, faults: Faults): void {
    if (cutAfter > (faults.blackHoleAfterBytes ?? Infinity)) {
      this.blackHole()
    } else if (faults.cutBy === 'rst') {
      this.#swallowing = true
      setTimeout(() => this.cut('rst'), deliveryMs)
    } else {
      this.cut('fin')
    }
  }
}

async function pace(bytes: number, faults: Faults): Promise<void> {
  const transferMs = faults.bytesPerSecond === undefined ? 0 : (bytes / faults.bytesPerSecond) * 1000
  const waitMs = (faults.delayMs ?? 0) + transferMs
  if (waitMs > 0) await sleep(waitMs)
}

/** Resolves when the bytes are with the kernel, or the socket has ended: then there is nothing left to wait for. */
function write(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => socket.write(bytes, () => resolve()))
}

/**
 * RST and nothing before it: `resetAndDestroy` first ends a writable socket, whose FIN the peer takes for an orderly end. The
 * flag is what it sets, too.
 */
function reset(socket: Socket): void {
  Object.assign(socket, { resetAndClosing: true })
  socket.destroy()
}
