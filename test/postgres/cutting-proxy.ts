/** A TCP proxy that forwards what the server sends only up to a given byte, then ends, resets or falls silent. */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

export interface Cut {
  /** Bytes from the server that still pass, counted from {@link CuttingProxy.arm}. */
  readonly after: number
  readonly by: 'fin' | 'rst' | 'silence'
}

export interface CuttingProxy {
  readonly port: number
  /** Cuts the connections that are open now and that are opened from now on. */
  arm(cut: Cut): void
  disarm(): void
  /** Bytes from the server since `arm` or `disarm`. */
  readonly passed: number
  close(): Promise<void>
}

export async function startCuttingProxy(target: { host: string; port: number }): Promise<CuttingProxy> {
  const sockets = new Set<Socket>()
  let cut: Cut | null = null
  let passed = 0
  const server = createServer((client) => {
    const upstream = connect(target)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => sockets.delete(socket))
    }
    client.setNoDelay(true)
    client.on('data', (bytes) => upstream.write(bytes))
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.end())
    upstream.on('data', (bytes) => {
      const room = cut === null ? bytes.length : Math.max(0, Math.min(bytes.length, cut.after - passed))
      passed += room
      if (room > 0) client.write(bytes.subarray(0, room))
      if (cut === null || passed < cut.after) return
      if (cut.by === 'fin') client.end(() => upstream.destroy())
      // The bytes must leave before the reset, or it would take them along.
      else if (cut.by === 'rst') setImmediate(() => setImmediate(() => client.resetAndDestroy()))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    arm(next) {
      cut = next
      passed = 0
    },
    disarm() {
      cut = null
      passed = 0
    },
    get passed() {
      return passed
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
