/**
 * Rows that are passed on as they arrive: what answers a request, message by message, until the exchange is over.
 *
 * Which messages may come, and in what order, is for an {@link Exchange} to say; here is what all of them share. While nobody
 * awaits `next`, the socket is paused: at most one chunk waits here, the rest waits at the server. NoticeResponse,
 * ParameterStatus and NotificationResponse may come between any two messages.
 */
import { DecodeError, TrunklineError } from '../model/error.js'
import { MessageType, readServerMessage } from './message-framer.js'
import { isFatal, toTrunklineError } from './sqlstate.js'
import type { ServerMessage } from './sqlstate.js'
import { watchForStall } from './stall-watch.js'
import type { StallOptions } from './stall-watch.js'
import type { Wire, WireConsumer } from './wire.js'

type Visit = (bytes: Uint8Array, start: number, end: number) => void
type VisitMessages = (bytes: Uint8Array, start: number, end: number) => number

/** Rows on their way, as COPY data or as the DataRows of a query. */
export interface RowStream {
  /**
   * Gives every piece of payload that arrives next to `visit`; pieces are split anywhere and valid only during the call.
   * `visitMessages` is offered whole runs before, as in {@link FrameHandler.copyMessages}; it must not throw.
   *
   * @returns false: all that ends the exchange was seen, up to ReadyForQuery, and nothing was visited.
   * @throws CONNECTION_LOST, COPY_INCOMPLETE, CONNECTION_STALLED, DECODE_FAILED, whatever the server says, the signal's reason,
   * and what `visit` throws. Only after an error that the server reported and recovered from is the connection still of use.
   */
  next(visit: Visit, visitMessages?: VisitMessages): Promise<boolean>
  /** From the command tags; null until `next` gave false. */
  readonly rows: number | null
  /** Asks for nothing more; what was asked for already still comes. */
  stop(): void
  /** Leaves the rows early; the connection is destroyed. */
  abandon(): void
}

export interface RowStreamOptions extends StallOptions {
  readonly signal?: AbortSignal
}

/** What was asked of the server, and which messages answer it: a table of states. */
export interface Exchange {
  /** In sentences: `a COPY`. */
  readonly name: string
  /** Type of the messages whose payload is passed on. */
  readonly rowType: number
  readonly request: Buffer
  /** Whether one of them may come now. */
  readonly takesRows: boolean
  /** Whether the server has begun to answer with rows, or to say that there are none. */
  readonly begun: boolean
  readonly rows: number | null
  /**
   * Any message but rows, errors and notices. `begun`: rows come next; `over`: nothing comes any more.
   * @throws DecodeError, QUERY_FAILED for what cannot come here
   */
  message(type: number, frame: Buffer, send: (request: Buffer) => void): 'more' | 'begun' | 'over'
  /** The server said that it failed; all up to its next ReadyForQuery is skipped. */
  failed(): void
  stop(): void
}

/** @throws DecodeError always */
export function outOfOrder(name: string, type: number): DecodeError {
  return new DecodeError(
    `The server sent a message of type ${String.fromCharCode(type)} where ${name} does not have one.`,
    {},
  )
}

interface Waiter {
  readonly visit: Visit | null
  readonly visitMessages: VisitMessages | null
  readonly resolve: (more: boolean) => void
  readonly reject: (error: Error) => void
}

export class RowStreamReader implements RowStream, WireConsumer {
  rows: number | null = null
  readonly rowType: number
  readonly #wire: Wire
  readonly #exchange: Exchange
  readonly #options: RowStreamOptions
  readonly #onEnd: (failure: Error | null) => void
  readonly #onAbandon: () => void
  readonly #onAbort: () => void
  #complete = false
  #waiter: Waiter | null = null
  #failure: Error | null = null
  #serverError: ServerMessage | null = null
  #closeError: Error | null = null
  #visited = false
  #visitFailed = false
  #stopWatch: (() => void) | null = null

  /**
   * @param hooks - onEnd: the wire is `pg`'s again, after success or a failure; onAbandon: the rows were left and the socket is gone.
   */
  constructor(
    wire: Wire,
    exchange: Exchange,
    options: RowStreamOptions,
    hooks: { onEnd: (failure: Error | null) => void; onAbandon: () => void },
  ) {
    this.#wire = wire
    this.#exchange = exchange
    this.rowType = exchange.rowType
    this.#options = options
    this.#onEnd = hooks.onEnd
    this.#onAbandon = hooks.onAbandon
    this.#onAbort = (): void => {
      const reason: unknown = options.signal?.reason
      this.#abandonWith(
        reason instanceof Error ? reason : new TrunklineError('ABORTED', 'The read was aborted.'),
      )
    }
  }

  /** Sends the request and waits until the server starts to answer it with rows. */
  async start(): Promise<void> {
    this.#options.signal?.throwIfAborted()
    this.#wire.attach(this)
    this.#options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#wire.sendRaw(this.#exchange.request)
    await this.#wait(null, null)
  }

  next(visit: Visit, visitMessages: VisitMessages | null = null): Promise<boolean> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (this.#complete) return Promise.resolve(false)
    if (this.#waiter !== null) {
      return Promise.reject(
        new TrunklineError('INTERNAL', 'RowStream.next was called while a call was pending.'),
      )
    }
    return this.#wait(visit, visitMessages)
  }

  stop(): void {
    this.#exchange.stop()
  }

  abandon(): void {
    if (this.#complete || this.#failure !== null) return
    this.#abandonWith(
      new TrunklineError('ABORTED', `The answer to ${this.#exchange.name} was left before its end.`),
    )
  }

  get wantsBytes(): boolean {
    return this.#waiter !== null
  }

  copyData(bytes: Uint8Array, start: number, end: number): void {
    const visit = this.#exchange.takesRows ? this.#waiter?.visit : null
    if (visit === null || visit === undefined) throw outOfOrder(this.#exchange.name, this.rowType)
    this.#visited = true
    try {
      visit(bytes, start, end)
    } catch (error) {
      this.#visitFailed = true
      throw error
    }
  }

  copyMessages(bytes: Uint8Array, start: number, end: number): number {
    const visitMessages = this.#waiter?.visitMessages ?? null
    if (visitMessages === null || !this.#exchange.takesRows) return start
    const stop = visitMessages(bytes, start, end)
    if (stop > start) this.#visited = true
    return stop
  }

  message(type: number, frame: Buffer): boolean {
    switch (type) {
      case MessageType.noticeResponse:
      case MessageType.parameterStatus:
      case MessageType.notificationResponse:
        return true
      case MessageType.errorResponse:
        return this.#errorResponse(readServerMessage(frame))
      default:
        break
    }
    const step = this.#exchange.message(type, frame, (request) => {
      this.#wire.sendRaw(request)
    })
    if (step === 'begun') {
      this.#settle(true)
      return false
    }
    if (step === 'over') this.#over()
    return true
  }

  closed(error: Error | null): void {
    if (this.#complete || this.#failure !== null) return
    if (this.#waiter === null && this.#wire.holding) {
      // What arrived before the end may say why, or be all there is: it is read first.
      this.#closeError = error
      return
    }
    const said = this.#serverError ?? this.#wire.fatal
    if (said !== null) this.#fail(toTrunklineError(said))
    // What the wire or `visit` found wrong is the reason of the close.
    else if (error !== null && (this.#visitFailed || error instanceof TrunklineError)) this.#fail(error)
    else this.#fail(this.#cutShort(error))
  }

  #wait(visit: Visit | null, visitMessages: VisitMessages | null): Promise<boolean> {
    return new Promise<boolean>((resolve, reject) => {
      this.#visited = false
      this.#waiter = { visit, visitMessages, resolve, reject }
      if (this.#wire.closed) {
        this.#finishClosed()
        return
      }
      this.#watch()
      this.#wire.resume()
    })
  }

  /** The socket is gone: what was held back is all that can still come. */
  #finishClosed(): void {
    this.#wire.resume()
    if (this.#waiter !== null) this.closed(this.#closeError)
  }

  /** Whoever waits goes on with what was visited. */
  afterChunk(): void {
    if (this.#visited && this.#waiter !== null && !this.#complete) this.#settle(true)
  }

  #settle(more: boolean): void {
    const waiter = this.#waiter
    this.#waiter = null
    waiter?.resolve(more)
  }

  #errorResponse(message: ServerMessage): boolean {
    this.#serverError ??= message
    // After a FATAL nothing but the close comes.
    if (!isFatal(message)) this.#exchange.failed()
    return true
  }

  #over(): void {
    if (this.#serverError !== null) {
      this.#fail(toTrunklineError(this.#serverError))
      return
    }
    this.rows = this.#exchange.rows
    this.#complete = true
    this.#end()
    // Pieces visited in this call are told of first; the next call says that this was all.
    this.#settle(this.#visited)
  }

  #cutShort(cause: Error | null): TrunklineError {
    const { begun, name } = this.#exchange
    const because = cause === null ? {} : { cause }
    return begun
      ? new TrunklineError('COPY_INCOMPLETE', `The connection ended in the middle of ${name}.`, {
          hint: 'The server or the network went away; nothing of this read counts. A retry reads again.',
          ...because,
        })
      : new TrunklineError('CONNECTION_LOST', `The connection ended before the server answered ${name}.`, {
          hint: 'The server or the network went away; a retry makes a new connection.',
          ...because,
        })
  }

  #fail(error: Error): void {
    this.#failure = error
    const waiter = this.#waiter
    this.#waiter = null
    this.#end()
    waiter?.reject(error)
  }

  #abandonWith(error: Error): void {
    if (this.#complete || this.#failure !== null) return
    this.#fail(error)
    this.#onAbandon()
  }

  #end(): void {
    this.#stopWatching()
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#wire.detach()
    this.#onEnd(this.#failure)
  }

  #stopWatching(): void {
    this.#stopWatch?.()
    this.#stopWatch = null
  }

  #watch(): void {
    this.#stopWatch ??= watchForStall({
      ...this.#options,
      isWaiting: () => this.#waiter !== null,
      progress: () => this.#wire.bytesReceived,
      onStall: (error) => {
        this.#abandonWith(error)
      },
    })
  }
}
