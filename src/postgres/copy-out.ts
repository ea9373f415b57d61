/**
 * COPY … TO STDOUT with the payload passed on as it arrives.
 *
 * The statement goes by Parse, Bind, Execute and Sync, so it can only ever be one statement. What must come back is
 * ParseComplete, BindComplete, CopyOutResponse, CopyData…, CopyDone, CommandComplete `COPY n`, ReadyForQuery, in this order;
 * the read is complete only with the last of them. NoticeResponse, ParameterStatus and NotificationResponse may come between.
 * While nobody awaits `next`, the socket is paused: at most one chunk waits here, the rest waits at the server.
 */
import { DecodeError, TrunklineError } from '../model/error.js'
import { MessageType, readCString, readServerMessage } from './message-framer.js'
import { isFatal, toTrunklineError } from './sqlstate.js'
import type { ServerMessage } from './sqlstate.js'
import type { Wire, WireConsumer } from './wire.js'

type Visit = (bytes: Uint8Array, start: number, end: number) => void
type VisitMessages = (bytes: Uint8Array, start: number, end: number) => number

export interface CopyOut {
  /**
   * Gives every piece of CopyData payload that arrives next to `visit`; pieces are split anywhere and valid only during the call.
   * `visitMessages` is offered whole runs before, as in {@link FrameHandler.copyMessages}; it must not throw.
   *
   * @returns false: CopyDone, `COPY n` and ReadyForQuery were seen, and nothing was visited.
   * @throws CONNECTION_LOST, COPY_INCOMPLETE, CONNECTION_STALLED, DECODE_FAILED, whatever the server says, the signal's reason,
   * and what `visit` throws. Only after an error that the server reported and recovered from is the connection still of use.
   */
  next(visit: Visit, visitMessages?: VisitMessages): Promise<boolean>
  /** From the `COPY n` tag; null until `next` gave false. */
  readonly rows: number | null
  /** Leaves the copy early; the connection is destroyed. */
  abandon(): void
}

export interface CopyOutOptions {
  readonly signal?: AbortSignal
  /** Longest silence of the server while somebody waits for it. */
  readonly stallTimeoutMs: number
  /** Asked when it is reached: true gives the server as much time again. It may be sorting before its first row. */
  readonly isAlive?: () => Promise<boolean>
}

type Phase =
  | 'parse'
  | 'bind'
  | 'response'
  | 'data'
  | 'command_complete'
  | 'ready'
  | 'complete'
  | 'error_ready'
  | 'failed'

interface Waiter {
  readonly visit: Visit | null
  readonly visitMessages: VisitMessages | null
  readonly resolve: (more: boolean) => void
  readonly reject: (error: Error) => void
}

/** Stalls are looked for this many times per timeout. */
const STALL_CHECKS = 4

export class CopyOutReader implements CopyOut, WireConsumer {
  rows: number | null = null
  readonly #wire: Wire
  readonly #options: CopyOutOptions
  readonly #onEnd: (failure: Error | null) => void
  readonly #onAbandon: () => void
  readonly #onAbort: () => void
  #phase: Phase = 'parse'
  #waiter: Waiter | null = null
  #failure: Error | null = null
  #serverError: ServerMessage | null = null
  #pendingRows: number | null = null
  #closeError: Error | null = null
  #visited = false
  #visitFailed = false
  #watchdog: NodeJS.Timeout | null = null

  /**
   * @param hooks - onEnd: the wire is `pg`'s again, after success or a failure; onAbandon: the copy was left and the socket is gone.
   */
  constructor(
    wire: Wire,
    options: CopyOutOptions,
    hooks: { onEnd: (failure: Error | null) => void; onAbandon: () => void },
  ) {
    this.#wire = wire
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

  /** Sends the statement and waits until the server starts to copy. */
  async start(sql: string): Promise<void> {
    this.#options.signal?.throwIfAborted()
    this.#wire.attach(this)
    this.#options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#wire.sendRaw(copyRequest(sql))
    await this.#wait(null, null)
  }

  next(visit: Visit, visitMessages: VisitMessages | null = null): Promise<boolean> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (this.#phase === 'complete') return Promise.resolve(false)
    if (this.#waiter !== null) {
      return Promise.reject(
        new TrunklineError('INTERNAL', 'CopyOut.next was called while a call was pending.'),
      )
    }
    return this.#wait(visit, visitMessages)
  }

  abandon(): void {
    if (this.#phase === 'complete' || this.#failure !== null) return
    this.#abandonWith(new TrunklineError('ABORTED', 'The COPY was left before its end.'))
  }

  get wantsBytes(): boolean {
    return this.#waiter !== null
  }

  copyData(bytes: Uint8Array, start: number, end: number): void {
    if (this.#phase !== 'data') throw this.#outOfOrder(MessageType.copyData)
    const visit = this.#waiter?.visit
    if (visit === null || visit === undefined) throw this.#outOfOrder(MessageType.copyData)
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
    if (visitMessages === null || this.#phase !== 'data') return start
    const stop = visitMessages(bytes, start, end)
    if (stop > start) this.#visited = true
    return stop
  }

  /** A table of states: what may come next, and nothing else. */
  message(type: number, frame: Buffer): boolean {
    switch (type) {
      case MessageType.noticeResponse:
      case MessageType.parameterStatus:
      case MessageType.notificationResponse:
        return true
      case MessageType.errorResponse:
        return this.#errorResponse(readServerMessage(frame))
      case MessageType.parseComplete:
        return this.#advance('parse', 'bind', type)
      case MessageType.bindComplete:
        return this.#advance('bind', 'response', type)
      case MessageType.copyOutResponse:
        this.#advance('response', 'data', type)
        assertCopyFormat(frame)
        this.#settle(true)
        return false
      case MessageType.copyDone:
        return this.#advance('data', 'command_complete', type)
      case MessageType.commandComplete:
        return this.#commandComplete(readCString(frame, 5).text)
      case MessageType.emptyQueryResponse:
      case MessageType.dataRow:
      case MessageType.copyInResponse:
        if (this.#phase === 'response') throw notACopy()
        throw this.#outOfOrder(type)
      case MessageType.readyForQuery:
        return this.#readyForQuery(frame)
      default:
        throw this.#outOfOrder(type)
    }
  }

  closed(error: Error | null): void {
    if (this.#phase === 'complete' || this.#failure !== null) return
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
    if (this.#visited && this.#waiter !== null && this.#phase !== 'complete') this.#settle(true)
  }

  #settle(more: boolean): void {
    const waiter = this.#waiter
    this.#waiter = null
    waiter?.resolve(more)
  }

  #advance(from: Phase, to: Phase, type: number): boolean {
    if (this.#phase !== from) throw this.#outOfOrder(type)
    this.#phase = to
    return true
  }

  #commandComplete(tag: string): boolean {
    if (this.#phase === 'response') throw notACopy()
    if (this.#phase !== 'command_complete') throw this.#outOfOrder(MessageType.commandComplete)
    const match = /^COPY (\d{1,15})$/.exec(tag)
    if (!match) throw new DecodeError('The server ended a COPY without saying how many rows it sent.', {})
    this.#pendingRows = Number(match[1])
    this.#phase = 'ready'
    return true
  }

  #errorResponse(message: ServerMessage): boolean {
    this.#serverError ??= message
    // After a FATAL nothing but the close comes.
    if (!isFatal(message)) this.#phase = 'error_ready'
    return true
  }

  #readyForQuery(frame: Buffer): boolean {
    if (this.#phase === 'error_ready' && this.#serverError !== null) {
      this.#fail(toTrunklineError(this.#serverError))
      return true
    }
    // Idle or in a transaction; a failed one cannot follow a complete COPY.
    const status = frame.toString('latin1', 5)
    if (this.#phase !== 'ready' || (status !== 'I' && status !== 'T'))
      throw this.#outOfOrder(MessageType.readyForQuery)
    this.rows = this.#pendingRows
    this.#phase = 'complete'
    this.#end()
    // Pieces visited in this call are told of first; the next call says that this was all.
    this.#settle(this.#visited)
    return true
  }

  #cutShort(cause: Error | null): TrunklineError {
    const begun = this.#phase !== 'parse' && this.#phase !== 'bind' && this.#phase !== 'response'
    return begun
      ? new TrunklineError('COPY_INCOMPLETE', 'The connection ended in the middle of a COPY.', {
          hint: 'The server or the network went away; nothing of this read counts. A retry reads again.',
          ...(cause === null ? {} : { cause }),
        })
      : new TrunklineError('CONNECTION_LOST', 'The connection ended before the server started the COPY.', {
          hint: 'The server or the network went away; a retry makes a new connection.',
          ...(cause === null ? {} : { cause }),
        })
  }

  #outOfOrder(type: number): DecodeError {
    return new DecodeError(
      `The server sent a message of type ${String.fromCharCode(type)} where a COPY does not have one.`,
      {},
    )
  }

  #fail(error: Error): void {
    this.#failure = error
    this.#phase = 'failed'
    const waiter = this.#waiter
    this.#waiter = null
    this.#end()
    waiter?.reject(error)
  }

  #abandonWith(error: Error): void {
    if (this.#phase === 'complete' || this.#failure !== null) return
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
    if (this.#watchdog !== null) clearInterval(this.#watchdog)
    this.#watchdog = null
  }

  /** Looks now and then whether bytes came; asks `isAlive` only after a whole timeout of silence in which we were waiting. */
  #watch(): void {
    if (this.#watchdog !== null) return
    let seen = this.#wire.bytesReceived
    let silent = 0
    let asking = false
    const check = (): void => {
      if (this.#waiter === null || this.#wire.bytesReceived !== seen) {
        seen = this.#wire.bytesReceived
        silent = 0
        return
      }
      silent += 1
      if (silent < STALL_CHECKS) return
      if (asking || this.#options.isAlive === undefined) {
        // The question itself went unanswered for as long.
        this.#abandonWith(this.#stalled())
        return
      }
      asking = true
      silent = 0
      this.#options.isAlive().then(
        (alive) => {
          asking = false
          if (!alive && this.#wire.bytesReceived === seen) this.#abandonWith(this.#stalled())
        },
        () => {
          this.#abandonWith(this.#stalled())
        },
      )
    }
    this.#watchdog = setInterval(check, Math.max(1, this.#options.stallTimeoutMs / STALL_CHECKS))
    this.#watchdog.unref()
  }

  #stalled(): TrunklineError {
    return new TrunklineError(
      'CONNECTION_STALLED',
      `The server sent nothing for ${Math.round(this.#options.stallTimeoutMs / 1000)} seconds.`,
      {
        hint: 'The network may have dropped the connection, or the server is stuck; limits.stall_timeout sets how long to wait.',
      },
    )
  }
}

/** int8 overall format, int16 number of columns, int16 format of each; all are text (0) or all binary (1). */
function assertCopyFormat(frame: Buffer): void {
  const overall = frame[5]
  const columns = frame.length >= 8 ? frame.readUInt16BE(6) : -1
  let valid = (overall === 0 || overall === 1) && frame.length === 8 + 2 * columns
  for (let column = 0; valid && column < columns; column += 1)
    valid = frame.readUInt16BE(8 + 2 * column) === overall
  if (!valid) throw new DecodeError('The server announced a COPY in a format that does not exist.', {})
}

function notACopy(): TrunklineError {
  return new TrunklineError('QUERY_FAILED', 'The server did not answer a COPY … TO STDOUT with a COPY.', {
    hint: 'The statement is another one, or something between rewrites statements.',
  })
}

/** Parse, Bind, Execute, Sync of the unnamed statement without parameters. */
function copyRequest(sql: string): Buffer {
  if (sql.includes('\0')) throw new TrunklineError('QUERY_FAILED', 'A statement cannot hold a NUL character.')
  const text = Buffer.from(sql, 'utf8')
  const parse = Buffer.alloc(1 + 4 + 1 + text.length + 1 + 2)
  parse[0] = 0x50
  parse.writeInt32BE(parse.length - 1, 1)
  text.copy(parse, 6)
  return Buffer.concat([parse, BIND, EXECUTE, SYNC])
}

/** Unnamed portal of the unnamed statement; no parameters, default formats. */
const BIND = Buffer.from([0x42, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0])
/** Unnamed portal, all rows. */
const EXECUTE = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0])
const SYNC = Buffer.from([0x53, 0, 0, 0, 4])
