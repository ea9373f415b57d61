/** A client that speaks HTTP by hand: it shows the last chunk and the trailers, can read slowly, and can leave. */
import { connect } from 'node:net'
import { TOKEN } from './open-service.js'

export interface RawResponse {
  readonly status: number
  readonly head: string
  readonly body: string
  readonly trailers: Readonly<Record<string, string>>
  /** The last chunk has come. */
  readonly complete: boolean
}

export interface RawClient {
  /** Resolves with the first bytes of the answer. */
  readonly answered: Promise<void>
  pause(): void
  leave(): void
  /** Takes everything until the connection ends. */
  rest(): Promise<RawResponse>
}

export function openRaw(url: string, body: object, version: '1.0' | '1.1' = '1.1'): RawClient {
  const { hostname, port } = new URL(url)
  const text = JSON.stringify(body)
  const socket = connect({ host: hostname, port: Number(port) })
  const pieces: Buffer[] = []
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      resolve()
    })
  })
  const answered = new Promise<void>((resolve) => {
    socket.on('data', (piece: Buffer) => {
      pieces.push(piece)
      resolve()
    })
  })
  socket.on('error', () => undefined)
  socket.write(
    `POST /extract HTTP/${version}\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  )
  return {
    answered,
    pause: () => socket.pause(),
    leave: () => socket.destroy(),
    rest: async () => {
      socket.resume()
      await closed
      return parseResponse(Buffer.concat(pieces))
    },
  }
}

function parseResponse(bytes: Buffer): RawResponse {
  const headEnd = bytes.indexOf('\r\n\r\n')
  const head = bytes.toString('latin1', 0, Math.max(0, headEnd))
  const status = Number(/^HTTP\/1\.\d (\d+)/.exec(head)?.[1] ?? 0)
  const chunked = /transfer-encoding: chunked/i.test(head)
  if (!chunked)
    return { status, head, body: bytes.toString('utf8', headEnd + 4), trailers: {}, complete: true }
  const chunks: Buffer[] = []
  const bodyOf = (): string => Buffer.concat(chunks).toString('utf8')
  let at = headEnd + 4
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const size = lineEnd < 0 ? NaN : parseInt(bytes.toString('latin1', at, lineEnd), 16)
    if (size === 0) {
      const lines = bytes.toString('latin1', lineEnd + 2).split('\r\n')
      const complete = lines.includes('')
      const pairs = lines.filter((line) => line.includes(': ')).map((line) => line.split(': ', 2))
      return {
        status,
        head,
        body: bodyOf(),
        trailers: Object.fromEntries(pairs) as Record<string, string>,
        complete,
      }
    }
    if (Number.isNaN(size) || lineEnd + 2 + size > bytes.length) {
      return { status, head, body: bodyOf(), trailers: {}, complete: false }
    }
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
}
