/** A TCP relay that counts round trips: how often the client spoke after the server, on each connection. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface TurnCounter extends AsyncDisposable {
  readonly port: number
  /** By connection, in the order of arrival; the first turn of each is its first message. */
  readonly turns: readonly number[]
  /** Of all connections since the last call. */
  take(): number
}

/** Listens on a free port of loopback and forwards to `target`. */
export async function startTurnCounter(target: { host: string; port: number }): Promise<TurnCounter> {
  const turns: number[] = []
  const sockets = new Set<Socket>()
  let taken = 0
  const server = createServer((client) => {
    const upstream = connect(target)
    const index = turns.push(0) - 1
    let serverSpokeLast = true
    client.on('data', (bytes) => {
      if (serverSpokeLast) turns[index] = (turns[index] ?? 0) + 1
      serverSpokeLast = false
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      serverSpokeLast = true
      client.write(bytes)
    })
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the relay has no port')
  return {
    port: address.port,
    turns,
    take() {
      const all = turns.reduce((sum, count) => sum + count, 0)
      const since = all - taken
      taken = all
      return since
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
