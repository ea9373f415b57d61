/**
 * `pg` over a socket that we own.
 *
 * `pg` speaks the protocol: startup, authentication, queries. The socket, the cutting into messages and the view of what
 * passes stay here, so that COPY data never reaches `pg` and no answer of a server is taken without a look: the length of
 * every message, the way a password is asked for, a FATAL that comes right before the close.
 */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import pg from 'pg'
import { DecodeError, TrunklineError } from '../model/error.js'
import { MessageFramer, MessageType, readCString, readServerMessage } from './message-framer.js'
import type { FrameHandler } from './message-framer.js'
import { isFatal } from './sqlstate.js'
import type { ServerMessage } from './sqlstate.js'
import type { Transport } from './transport.js'

/** What `pg` has inside its Connection and does not declare. */
interface PgConnectionInternals extends EventEmitter {
  _connecting: boolean
  _ending: boolean
  readonly stream: Socket
  attachListeners(stream: EventEmitter): void
}
const PgConnection = pg.Connection as unknown as new (config: {
  stream: Socket
  ssl: false
}) => PgConnectionInternals

export type AuthRequest =
  | { readonly kind: 'ok' | 'password' | 'md5' | 'sasl_continue' | 'sasl_final' }
  | { readonly kind: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'unsupported'; readonly code: number }

/** Takes the bytes of the socket while rows are on their way. */
export interface WireConsumer extends FrameHandler {
  /** Type of the messages that are not put together. */
  readonly rowType: number
  /** Called for every chunk: false keeps the chunk until {@link Wire.resume}. */
  readonly wantsBytes: boolean
  /** A chunk is worked off. */
  afterChunk(): void
  /** The socket ended; `error` is why, where it is known. */
  closed(error: Error | null): void
}

interface Piece {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

export interface WireOptions {
  /** Looks at each request to authenticate; throwing refuses it. */
  readonly onAuthRequest: (request: AuthRequest) => void
}

export class Wire extends PgConnection {
  readonly parameters = new Map<string, string>()
  /** The last FATAL or PANIC: why the server ends the session. */
  fatal: ServerMessage | null = null
  authenticated = false
  /** Bytes received, all together. */
  bytesReceived = 0
  readonly #onAuthRequest: (request: AuthRequest) => void
  readonly #listen: Transport['listen']
  readonly #framer: MessageFramer
  /** Where `pg`'s parser listens: whole messages only, so that nothing stays in it between two. */
  readonly #parserInput = new EventEmitter()
  #consumer: WireConsumer | null = null
  #held: Piece | null = null
  #closeError: Error | null = null
  #closed = false
  #abandoned = false

  constructor(transport: Pick<Transport, 'socket' | 'listen'>, options: WireOptions) {
    super({ stream: transport.socket, ssl: false })
    this.#listen = transport.listen
    this.#onAuthRequest = options.onAuthRequest
    this.#framer = new MessageFramer({
      message: (type, frame) => this.#message(type, frame),
      copyData: (bytes, start, end) => {
        this.#consumer?.copyData(bytes, start, end)
      },
      copyMessages: (bytes, start, end) => this.#consumer?.copyMessages(bytes, start, end) ?? start,
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  /** True while bytes wait for {@link resume}. */
  get holding(): boolean {
    return this.#held !== null
  }

  /** Called by `pg`'s client; the socket is connected already. */
  connect(): void {
    this._connecting = true
    this.attachListeners(this.#parserInput)
    const socket = this.stream
    socket.on('error', (error: Error & { code?: string }) => {
      this.#closeError ??= error
      if (this._ending && (error.code === 'ECONNRESET' || error.code === 'EPIPE')) return
      this.emit('error', error)
    })
    socket.on('close', () => {
      this.#closed = true
      this.#consumer?.closed(this.#closeError)
      this.emit('end')
    })
    this.#listen((bytes, length) => {
      this.#receive(bytes, length)
    })
    // Requests for TLS pause the socket.
    socket.resume()
    queueMicrotask(() => this.emit('connect'))
  }

  /** Sends bytes that `pg` knows nothing of. */
  sendRaw(bytes: Buffer): void {
    this.stream.write(bytes)
  }

  /** The same for several pieces in one go; `sent` is called when they are free for reuse, also where the socket failed. */
  sendPieces(pieces: readonly Uint8Array[], sent: () => void): void {
    this.stream.cork()
    pieces.forEach((piece, index) => {
      if (index === pieces.length - 1) this.stream.write(piece, sent)
      else this.stream.write(piece)
    })
    this.stream.uncork()
  }

  /** Takes over what arrives, between two messages and only there. */
  attach(consumer: WireConsumer): void {
    if (this.#consumer !== null || !this.#framer.aligned || this.#held !== null) {
      throw new TrunklineError('INTERNAL', 'A read was started on a connection that is not idle.')
    }
    this.#consumer = consumer
    this.#framer.rowType = consumer.rowType
  }

  /** Gives what arrives back to `pg`. */
  detach(): void {
    this.#consumer = null
    this.#framer.rowType = MessageType.copyData
  }

  /** Works off what was held back and lets the socket flow. */
  resume(): void {
    const held = this.#held
    if (held !== null) {
      this.#held = null
      this.#push(held)
    }
    if (this.#held === null && this.stream.isPaused()) this.stream.resume()
  }

  destroy(): void {
    this._ending = true
    this.#abandoned = true
    this.stream.destroy()
  }

  #receive(bytes: Buffer, length: number): void {
    this.bytesReceived += length
    if (this.#held !== null) {
      // Paused sockets can deliver once more; keep the order.
      const { bytes: before, start, end } = this.#held
      const together = Buffer.concat([before.subarray(start, end), bytes.subarray(0, length)])
      this.#held = { bytes: together, start: 0, end: together.length }
      return
    }
    const piece = { bytes, start: 0, end: length }
    if (this.#consumer !== null && !this.#consumer.wantsBytes) {
      this.#hold(piece)
      return
    }
    this.#push(piece)
  }

  /** Paused, the socket leaves the bytes where they are. */
  #hold(piece: Piece): void {
    this.#held = piece
    this.stream.pause()
  }

  #push({ bytes, start, end }: Piece): void {
    let at = start
    try {
      while (at < end) {
        at = this.#framer.push(bytes, at, end)
        if (this.#abandoned) return
        if (at < end && this.#consumer !== null && !this.#consumer.wantsBytes) {
          this.#hold({ bytes, start: at, end })
          return
        }
      }
      this.#consumer?.afterChunk()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** The stream is out of step, or what the server asked for is refused: nothing more can be believed. */
  #fail(error: unknown): void {
    const reason = error instanceof Error ? error : new Error(String(error))
    this.#closeError = reason
    this.emit('error', reason)
    this.stream.destroy()
  }

  #message(type: number, frame: Buffer): boolean {
    if (this.#abandoned) return false
    switch (type) {
      case MessageType.parameterStatus: {
        const name = readCString(frame, 5)
        this.parameters.set(name.text, readCString(frame, name.next).text)
        break
      }
      case MessageType.errorResponse: {
        const message = readServerMessage(frame)
        if (isFatal(message)) this.fatal = message
        break
      }
      case MessageType.authentication: {
        const request = readAuthRequest(frame)
        this.#onAuthRequest(request)
        if (request.kind === 'ok') this.authenticated = true
        break
      }
      default:
        if (!this.authenticated && !BEFORE_AUTHENTICATION.has(type)) {
          throw new DecodeError('The server sent data before it authenticated anybody.', {
            byteOffset: this.#framer.position,
          })
        }
    }
    if (this.#consumer !== null) return this.#consumer.message(type, frame)
    if (type === MessageType.copyDone || type === MessageType.copyOutResponse) {
      throw new DecodeError('The server started a COPY that nobody asked for.', {
        byteOffset: this.#framer.position,
      })
    }
    // A copy: `pg` keeps parts of some messages for later, and the socket reads over them.
    this.#parserInput.emit('data', Buffer.from(frame))
    return true
  }
}

const BEFORE_AUTHENTICATION = new Set<number>([
  MessageType.noticeResponse,
  MessageType.negotiateProtocolVersion,
])

function readAuthRequest(frame: Buffer): AuthRequest {
  const code = frame.length >= 9 ? frame.readInt32BE(5) : -1
  switch (code) {
    case 0:
      return { kind: 'ok' }
    case 3:
      return { kind: 'password' }
    case 5:
      return { kind: 'md5' }
    case 10: {
      const mechanisms: string[] = []
      let at = 9
      while (at < frame.length && frame[at] !== 0) {
        const { text, next } = readCString(frame, at)
        mechanisms.push(text)
        at = next
      }
      return { kind: 'sasl', mechanisms }
    }
    case 11:
      return { kind: 'sasl_continue' }
    case 12:
      return { kind: 'sasl_final' }
    default:
      return { kind: 'unsupported', code }
  }
}
