import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type Socket, connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const script = fileURLToPath(new URL('../../bench/children/delay-proxy.mjs', import.meta.url))

/** All that comes; what goes the other way is not ended by it, as iterating over the socket would. */
async function receive(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'end')
  return Buffer.concat(chunks)
}

/** Sends a request and its end to `answer` through the proxy and returns what came back. */
async function throughProxy(request: Buffer, answer: (request: Buffer) => Buffer): Promise<Buffer> {
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    void receive(socket).then((received) => socket.end(answer(received)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const target = typeof address === 'object' && address !== null ? address.port : 0
  const proxy = spawn(process.execPath, [script, '127.0.0.1', String(target), '3'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const [port] = (await once(proxy.stdout, 'data')) as [Buffer]
    const client = connect({ host: '127.0.0.1', port: Number(port.toString()), allowHalfOpen: true })
    client.end(request)
    return await receive(client)
  } finally {
    proxy.stdin.end()
    await once(proxy, 'exit')
    server.close()
  }
}

it('the proxy that delays passes every byte in order both ways, and the end after them', async () => {
  // Several reads in each direction, held at the same time.
  const request = randomBytes(1_000_000)
  const answer = randomBytes(10_000_000)
  let received: Buffer | null = null
  const found = await throughProxy(request, (bytes) => {
    received = bytes
    return answer
  })
  expect(request.equals(received ?? Buffer.alloc(0))).toBe(true)
  expect(found.equals(answer)).toBe(true)
})
