/**
 * COPY … FROM STDIN: rows on their way into a server.
 *
 * The statement goes by Query, so that after an error, whenever it comes, one ReadyForQuery follows without a Sync whose place
 * both sides would have to agree on; what was sent behind an error is dropped by the server. What must come back is
 * CopyInResponse, then, after our CopyData… and CopyDone, CommandComplete `COPY n` and ReadyForQuery. NoticeResponse,
 * ParameterStatus and NotificationResponse may come between any two messages, and an ErrorResponse at any time.
 *
 *   CopyData   'd', int32 length that counts itself, that many bytes less four; cut anywhere
 *   CopyDone   'c', int32 4
 *   CopyFail   'f', int32 length, reason as text, zero byte
 *
 * https://www.postgresql.org/docs/current/protocol-flow.html, "COPY Operations"
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { COPY_DATA_HEADER_BYTES, COPY_DATA_TYPE } from '../model/copy-message.js'
import { DecodeError, TrunklineError } from '../model/error.js'
import { assertCopyFormat } from './copy-exchange.js'
import { MessageType, readCString, readMessageFields, readServerMessage } from './message-framer.js'
import { outOfOrder } from './row-stream.js'
import { isFatal, toTrunklineError } from './sqlstate.js'
import { watchForStall } from './stall-watch.js'
import type { StallOptions } from './stall-watch.js'
import type { Wire, WireConsumer } from './wire.js'

/** A COPY that takes rows. Every method but `fail` rejects with what went wrong, each time, once something has. */
export interface CopyIn {
  /**
   * Sends bytes of the format that the statement names, cut anywhere. Resolves when they have left for the server and are free for
   * reuse, which is how the server holds the sender back. May be called again before; the order is kept.
   *
   * @throws whatever the server says of a row: with `field` and `rowNumber` where it names them, never with a value; CONNECTION_LOST,
   * CONNECTION_STALLED, the signal's reason. After what the server said the connection is idle and of use, in a failed transaction
   * where there is one.
   */
  write(bytes: Uint8Array): Promise<void>
  /** Ends the rows. Resolves with how many the server took, by its command tag. @throws what `write` does */
  finish(): Promise<number>
  /** Makes the server refuse what was sent, for a reason that its log may show. Resolves when the connection is idle, or gone. */
  fail(reason: string): Promise<void>
}

export interface CopyInOptions extends StallOptions {
  /** An abort ends the connection; {@link CopyIn.fail} keeps it. */
  readonly signal?: AbortSignal
  /** Names of the columns of the COPY: only these are told of in errors. */
  readonly columns?: readonly string[]
}

/** A message is put together by the server before it is read. */
const MAX_MESSAGE_BYTES = 256 * 1024
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4])
const NAME = 'a COPY into a table'

type Phase = 'query' | 'copying' | 'ending' | 'ready' | 'failed' | 'over'

interface CopyInHooks {
  readonly onEnd: (failure: Error | null) => void
  readonly onAbandon: () => void
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class CopyInWriter implements CopyIn, WireConsumer {
  readonly rowType = MessageType.copyData
  readonly wantsBytes = true
  readonly #wire: Wire
  readonly #options: CopyInOptions
  readonly #hooks: CopyInHooks
  readonly #onAbort: () => void
  readonly #waiters = new Set<Waiter>()
  /** Of them those that wait for CopyInResponse or for the end. */
  #steps: Waiter[] = []
  #phase: Phase = 'query'
  #rows: number | null = null
  #serverError: TrunklineError | null = null
  #failure: Error | null = null
  #tail: Promise<void> = Promise.resolve()
  #messagesSent = 0
  #stopWatch: (() => void) | null = null

  /**
   * @param hooks - onEnd: the wire is `pg`'s again, after success or a failure; onAbandon: the COPY was left and the socket is gone.
   */
  constructor(wire: Wire, options: CopyInOptions, hooks: CopyInHooks) {
    this.#wire = wire
    this.#options = options
    this.#hooks = hooks
    this.#onAbort = (): void => {
      const reason: unknown = options.signal?.reason
      this.#abandonWith(
        reason instanceof Error ? reason : new TrunklineError('ABORTED', 'The COPY was aborted.'),
      )
    }
  }

  /** Sends the statement and waits until the server takes rows. */
  async start(sql: string): Promise<void> {
    const { signal } = this.#options
    signal?.throwIfAborted()
    const request = queryMessage(sql)
    this.#wire.attach(this)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#stopWatch = watchForStall({
      ...this.#options,
      isWaiting: () => this.#waiters.size > 0,
      progress: () => this.#wire.bytesReceived + this.#messagesSent,
      onStall: (error) => {
        this.#abandonWith(error)
      },
    })
    this.#wire.sendRaw(request)
    await this.#awaitStep()
  }

  write(bytes: Uint8Array): Promise<void> {
    const before = this.#tail
    const written = before.then(() => this.#send(bytes))
    this.#tail = written.catch(() => undefined)
    return written
  }

  async finish(): Promise<number> {
    await this.#tail
    await this.#assertCopying()
    this.#phase = 'ending'
    this.#wire.sendRaw(COPY_DONE)
    await this.#awaitStep()
    return this.#rows ?? 0
  }

  async fail(reason: string): Promise<void> {
    if (this.#failure !== null || this.#phase === 'over') return
    const ended = this.#awaitStep().catch(() => undefined)
    if (this.#phase === 'copying') {
      this.#phase = 'failed'
      this.#wire.sendRaw(copyFailMessage(reason))
    }
    await ended
  }

  message(type: number, frame: Buffer): boolean {
    switch (type) {
      case MessageType.noticeResponse:
      case MessageType.parameterStatus:
      case MessageType.notificationResponse:
        return true
      case MessageType.errorResponse:
        this.#errorResponse(frame)
        return true
      case MessageType.copyInResponse:
        if (this.#phase !== 'query') throw outOfOrder(NAME, type)
        assertCopyFormat(frame)
        this.#phase = 'copying'
        this.#settleSteps()
        return true
      case MessageType.commandComplete:
        this.#commandComplete(readCString(frame, COPY_DATA_HEADER_BYTES).text)
        return true
      case MessageType.readyForQuery:
        this.#readyForQuery()
        return true
      default:
        if (this.#phase === 'query') throw notACopy()
        throw outOfOrder(NAME, type)
    }
  }

  copyData(): void {
    throw outOfOrder(NAME, this.rowType)
  }

  copyMessages(_bytes: Uint8Array, start: number): number {
    return start
  }

  afterChunk(): void {
    return undefined
  }

  closed(error: Error | null): void {
    if (this.#phase === 'over' || this.#failure !== null) return
    const said = this.#serverError ?? (this.#wire.fatal === null ? null : toTrunklineError(this.#wire.fatal))
    // What the wire found wrong is the reason of the close.
    if (said !== null) this.#fail(said)
    else this.#fail(error instanceof TrunklineError ? error : cutShort(error))
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += MAX_MESSAGE_BYTES) {
      await this.#assertCopying()
      const piece = bytes.subarray(at, at + MAX_MESSAGE_BYTES)
      await this.#wait((waiter) => {
        this.#wire.sendPieces([copyDataHeader(piece.length), piece], () => {
          this.#messagesSent++
          waiter.resolve()
        })
      })
      // As long as the socket takes everything at once, nothing else of this thread would have its turn: not even an error.
      await nextTurn()
    }
    if (this.#failure !== null) throw this.#failure
  }

  async #assertCopying(): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    // Told of when the connection is idle.
    if (this.#serverError !== null) await this.#awaitStep()
    if (this.#phase !== 'copying') {
      throw new TrunklineError('INTERNAL', 'Rows were sent to a COPY that is over.')
    }
  }

  #awaitStep(): Promise<void> {
    return this.#wait((waiter) => {
      this.#steps.push(waiter)
    })
  }

  #settleSteps(): void {
    for (const step of this.#steps.splice(0)) step.resolve()
  }

  /** Rejects when the COPY fails meanwhile. */
  #wait(begin: (waiter: Waiter) => void): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        resolve: () => {
          this.#waiters.delete(waiter)
          resolve()
        },
        reject,
      }
      if (this.#failure !== null) {
        reject(this.#failure)
        return
      }
      this.#waiters.add(waiter)
      begin(waiter)
    })
  }

  /** What follows is dropped by the server up to its ReadyForQuery, which is when the connection can be used again. */
  #errorResponse(frame: Buffer): void {
    const message = readServerMessage(frame)
    this.#serverError ??= placed(
      toTrunklineError(message),
      readMessageFields(frame),
      this.#options.columns ?? [],
    )
    if (!isFatal(message)) this.#phase = 'failed'
  }

  #commandComplete(tag: string): void {
    if (this.#phase === 'query') throw notACopy()
    if (this.#phase !== 'ending') throw outOfOrder(NAME, MessageType.commandComplete)
    const match = /^COPY (\d{1,15})$/.exec(tag)
    if (match === null)
      throw new DecodeError('The server ended a COPY without saying how many rows it took.', {})
    this.#rows = Number(match[1])
    this.#phase = 'ready'
  }

  #readyForQuery(): void {
    if (this.#phase === 'failed' && this.#serverError !== null) {
      this.#fail(this.#serverError)
      return
    }
    if (this.#phase !== 'ready') throw outOfOrder(NAME, MessageType.readyForQuery)
    this.#phase = 'over'
    this.#end()
    this.#settleSteps()
  }

  #fail(error: Error): void {
    if (this.#failure !== null || this.#phase === 'over') return
    this.#failure = error
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    this.#steps = []
    this.#end()
    for (const waiter of waiters) waiter.reject(error)
  }

  #abandonWith(error: Error): void {
    if (this.#phase === 'over' || this.#failure !== null) return
    this.#fail(error)
    this.#hooks.onAbandon()
  }

  #end(): void {
    this.#stopWatch?.()
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#wire.detach()
    this.#hooks.onEnd(this.#failure)
  }
}

function queryMessage(sql: string): Buffer {
  if (sql.includes('\0')) throw new TrunklineError('QUERY_FAILED', 'A statement cannot hold a NUL character.')
  return textMessage(0x51, sql)
}

function copyFailMessage(reason: string): Buffer {
  return textMessage(0x66, reason.replaceAll('\0', ''))
}

/** Type, length, zero-terminated text. */
function textMessage(type: number, text: string): Buffer {
  const body = Buffer.from(`${text}\0`, 'utf8')
  const head = Buffer.alloc(COPY_DATA_HEADER_BYTES)
  head[0] = type
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

function copyDataHeader(length: number): Buffer {
  const header = Buffer.allocUnsafe(COPY_DATA_HEADER_BYTES)
  header[0] = COPY_DATA_TYPE
  header.writeInt32BE(4 + length, 1)
  return header
}

/** Of `COPY t, line 7, column note: "…"`, whose words are translated on some servers, the number and a name that is ours. */
const LINE = /(?:^|\n)COPY [^\n]*?, line (\d{1,15})(?:, column ([^\n]*)|$|\n|:)/

/** The same error with the place, as far as the server says it: CONTEXT, and the column of a constraint. */
function placed(
  error: TrunklineError,
  fields: ReadonlyMap<string, string>,
  columns: readonly string[],
): TrunklineError {
  const [, line, rest = ''] = LINE.exec(fields.get('W') ?? '') ?? []
  const named = fields.get('c') ?? rest
  // Behind a name come a colon and the value.
  const field = columns
    .filter((column) => named === column || named.startsWith(`${column}:`))
    .sort((a, b) => b.length - a.length)[0]
  const place = [
    ...(line === undefined ? [] : [`row ${line}`]),
    ...(field === undefined ? [] : [`column ${field}`]),
  ].join(', ')
  const constraint = fields.get('n')
  if (place === '' && constraint === undefined) return error
  return new TrunklineError(error.code, place === '' ? error.message : `${place}: ${error.message}`, {
    retry: error.retry,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    context: {
      ...error.context,
      ...(line === undefined ? {} : { rowNumber: Number(line) }),
      ...(field === undefined ? {} : { field }),
      ...(constraint === undefined ? {} : { constraint }),
    },
  })
}

function notACopy(): TrunklineError {
  return new TrunklineError('QUERY_FAILED', 'The server did not answer a COPY … FROM STDIN with a COPY.', {
    hint: 'The statement is another one, or something between rewrites statements.',
  })
}

function cutShort(cause: Error | null): TrunklineError {
  return new TrunklineError('CONNECTION_LOST', `The connection ended in the middle of ${NAME}.`, {
    hint: 'The server or the network went away; nothing that was sent counts. A retry sends it again.',
    ...(cause === null ? {} : { cause }),
  })
}
