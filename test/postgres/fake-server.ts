/** A server that says what a test makes it say: for answers that no PostgreSQL gives. */
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** Type, length and body of a backend message. */
export function message(type: string, body: Buffer | string = ''): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
  const frame = Buffer.alloc(5 + bytes.length)
  frame.write(type, 0, 'latin1')
  frame.writeInt32BE(4 + bytes.length, 1)
  bytes.copy(frame, 5)
  return frame
}

export const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

export const authenticationOk = message('R', int32(0))
export const readyForQuery = message('Z', 'I')
export const parseComplete = message('1')
export const bindComplete = message('2')
export const copyDone = message('c')
/** Binary, two columns. */
export const copyOutResponse = message('H', '\x01\x00\x02\x00\x01\x00\x01')
export const copyData = (payload: string): Buffer => message('d', payload)
export const commandComplete = (tag: string): Buffer => message('C', `${tag}\0`)
export const parameterStatus = (name: string, value: string): Buffer => message('S', `${name}\0${value}\0`)
export const errorResponse = (severity: string, code: string, text: string): Buffer =>
  message('E', `S${severity}\0V${severity}\0C${code}\0M${text}\0\0`)
export const notice = (text: string): Buffer => message('N', `SNOTICE\0VNOTICE\0C00000\0M${text}\0\0`)

/** What a login is answered with, up to the first ReadyForQuery. */
export const welcome = Buffer.concat([
  authenticationOk,
  parameterStatus('server_version', '16.4'),
  message('K', Buffer.concat([int32(4711), int32(1)])),
  readyForQuery,
])

export interface FakeServer {
  readonly port: number
  /** A plain-text URL. */
  readonly url: string
  /** What clients sent behind their startup message, one entry per connection. */
  readonly received: Buffer[]
  close(): Promise<void>
}

export interface FakeAnswers {
  /** To the startup message; {@link welcome} unless stated. */
  readonly login?: Buffer
  /** To the first bytes after the login. */
  readonly request?: Buffer
  /** Ends the connection behind that answer; `rst` resets it. */
  readonly thenClose?: 'fin' | 'rst'
  /** To an SSLRequest; `N` unless stated. */
  readonly sslRequest?: Buffer
  /** Ends the connection behind the answer to the startup message. */
  readonly closeAfterLogin?: boolean
}

const SSL_REQUEST_CODE = 80_877_103

export async function startFakeServer(answers: FakeAnswers | (() => FakeAnswers)): Promise<FakeServer> {
  const sockets = new Set<Socket>()
  const received: Buffer[] = []
  const server = createServer((socket) => {
    const said = typeof answers === 'function' ? answers() : answers
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    const connection = received.push(Buffer.alloc(0)) - 1
    let phase: 'startup' | 'login' | 'answered' = 'startup'
    socket.on('data', (bytes) => {
      if (phase === 'startup') {
        if (bytes.readInt32BE(4) === SSL_REQUEST_CODE) {
          socket.write(said.sslRequest ?? 'N')
          return
        }
        phase = 'login'
        socket.write(said.login ?? welcome)
        if (said.closeAfterLogin === true) socket.end()
        return
      }
      received[connection] = Buffer.concat([received[connection] ?? Buffer.alloc(0), bytes])
      if (phase === 'answered' || said.request === undefined) return
      phase = 'answered'
      socket.write(said.request, () => {
        if (said.thenClose === 'fin') socket.end()
        if (said.thenClose === 'rst') socket.resetAndDestroy()
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `postgresql://reader@127.0.0.1:${port}/shop?sslmode=disable`,
    received,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
