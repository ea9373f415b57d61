import { once } from 'node:events'
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FaultProxy, startFaultProxy } from './fault-proxy.js'

const payload = Buffer.alloc(300_000, 'trunkline ')
let server: Server
let accepted: Socket[]
let received: number
let proxy: FaultProxy

/** Sends the payload on the first byte it gets, then ends. */
beforeEach(async () => {
  accepted = []
  received = 0
  server = createServer((socket) => {
    accepted.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => (received += chunk.length))
    socket.once('data', () => socket.end(payload))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy = await startFaultProxy({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
})

afterEach(async () => {
  await proxy.close()
  for (const socket of accepted) socket.destroy()
  server.close()
})

interface Outcome {
  readonly bytes: Buffer
  readonly end: 'fin' | 'ECONNRESET'
}

function dial(): Socket {
  const socket = connect(proxy.port, proxy.host)
  // Who reads to the end sees the error there.
  socket.on('error', () => undefined)
  socket.write('?')
  return socket
}

async function readToEnd(socket: Socket): Promise<Outcome> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk)
    return { bytes: Buffer.concat(chunks), end: 'fin' }
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ECONNRESET')
    return { bytes: Buffer.concat(chunks), end: 'ECONNRESET' }
  }
}

test('without faults everything arrives, is counted, and ends in order', async () => {
  const outcome = await readToEnd(dial())
  expect(outcome.bytes.equals(payload)).toBe(true)
  expect(outcome.end).toBe('fin')
  expect(proxy.connections).toMatchObject([{ index: 0, bytesFromServer: payload.length, bytesFromClient: 1 }])
})

test.each([0, 1, 65_537, 299_999])(
  'a cut after %i bytes lets exactly those through',
  async (cutAfterBytes) => {
    proxy.faults = { cutAfterBytes }
    const outcome = await readToEnd(dial())
    expect(outcome.bytes.equals(payload.subarray(0, cutAfterBytes))).toBe(true)
    expect(outcome.end).toBe('fin')
  },
)

test('a cut by reset is seen as a reset', async () => {
  proxy.faults = { cutAfterBytes: 100_000, cutBy: 'rst' }
  const outcome = await readToEnd(dial())
  expect({ bytes: outcome.bytes.length, end: outcome.end }).toEqual({ bytes: 100_000, end: 'ECONNRESET' })
  expect(proxy.connections[0]).toMatchObject({ bytesFromServer: 100_000, open: false })
})

test('what the client sends can be cut, too', async () => {
  proxy.faults = { cutAfterClientBytes: 0 }
  const outcome = await readToEnd(dial())
  expect(outcome.bytes.length).toBe(0)
  expect(received).toBe(0)
})

test('a black hole neither sends nor ends', async () => {
  proxy.faults = { blackHoleAfterBytes: 1000 }
  const socket = dial()
  let bytes = 0
  let ended = false
  socket.on('data', (chunk) => (bytes += chunk.length))
  socket.on('close', () => (ended = true))
  while (bytes < 1000) await sleep(5)
  while (accepted[0]?.writableFinished !== true) await sleep(5)
  await sleep(50)
  expect({ bytes, ended, open: proxy.connections[0]?.open }).toEqual({
    bytes: 1000,
    ended: false,
    open: true,
  })
  socket.destroy()
})

test('slowness changes when bytes arrive, not which', async () => {
  proxy.faults = { bytesPerSecond: 5_000_000, delayMs: 1 }
  const outcome = await readToEnd(dial())
  expect(outcome.bytes.equals(payload)).toBe(true)
})

test('each connection can have faults of its own, and open ones can be cut', async () => {
  proxy.onConnection = ({ index }) => (index === 0 ? { cutAfterBytes: 10 } : undefined)
  expect((await readToEnd(dial())).bytes.length).toBe(10)
  expect((await readToEnd(dial())).bytes.length).toBe(payload.length)
  proxy.onConnection = () => ({ bytesPerSecond: 1_000_000, delayMs: 5 })
  const slow = dial()
  const outcome = readToEnd(slow)
  while ((proxy.connections[2]?.bytesFromServer ?? 0) === 0) await sleep(1)
  proxy.cutAll('rst')
  expect(await outcome).toMatchObject({ end: 'ECONNRESET' })
})

test('a client that ends its half still gets the answer', async () => {
  const socket = connect({ port: proxy.port, host: proxy.host, allowHalfOpen: true })
  socket.end('?')
  expect((await readToEnd(socket)).bytes.length).toBe(payload.length)
})

test('a proxy that refuses resets at once', async () => {
  proxy.refusing = true
  expect((await readToEnd(dial())).bytes.length).toBe(0)
  expect(proxy.connections).toEqual([])
})
