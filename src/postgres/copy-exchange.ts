/**
 * COPY … TO STDOUT as an exchange.
 *
 * The statement goes by Parse, Bind, Execute and Sync, so it can only ever be one statement. What must come back is
 * ParseComplete, BindComplete, CopyOutResponse, CopyData…, CopyDone, CommandComplete `COPY n`, ReadyForQuery, in this order;
 * the read is complete only with the last of them.
 */
import { DecodeError, TrunklineError } from '../model/error.js'
import { EXECUTE, parseMessage, SYNC } from './frontend-messages.js'
import { MessageType, readCString } from './message-framer.js'
import { outOfOrder } from './row-stream.js'
import type { Exchange } from './row-stream.js'

type Phase = 'parse' | 'bind' | 'response' | 'data' | 'command_complete' | 'ready' | 'over' | 'error_ready'

const NAME = 'a COPY'

/** Of what a COPY announces; the length of each of its rows is in its own message. */
export class CopyExchange implements Exchange {
  readonly name = NAME
  readonly rowType = MessageType.copyData
  readonly request: Buffer
  rows: number | null = null
  #phase: Phase = 'parse'
  #announcedRows: number | null = null

  constructor(sql: string) {
    this.request = Buffer.concat([parseMessage(sql), BIND, EXECUTE, SYNC])
  }

  get takesRows(): boolean {
    return this.#phase === 'data'
  }

  get begun(): boolean {
    return this.#phase !== 'parse' && this.#phase !== 'bind' && this.#phase !== 'response'
  }

  message(type: number, frame: Buffer): 'more' | 'begun' | 'over' {
    switch (type) {
      case MessageType.parseComplete:
        return this.#advance('parse', 'bind', type)
      case MessageType.bindComplete:
        return this.#advance('bind', 'response', type)
      case MessageType.copyOutResponse:
        this.#advance('response', 'data', type)
        assertCopyFormat(frame)
        return 'begun'
      case MessageType.copyDone:
        return this.#advance('data', 'command_complete', type)
      case MessageType.commandComplete:
        return this.#commandComplete(readCString(frame, 5).text)
      case MessageType.emptyQueryResponse:
      case MessageType.dataRow:
      case MessageType.copyInResponse:
        if (this.#phase === 'response') throw notACopy()
        throw outOfOrder(NAME, type)
      case MessageType.readyForQuery:
        return this.#readyForQuery(frame)
      default:
        throw outOfOrder(NAME, type)
    }
  }

  failed(): void {
    this.#phase = 'error_ready'
  }

  /** There is only the one request; it is cancelled. */
  stop(): void {
    return undefined
  }

  #advance(from: Phase, to: Phase, type: number): 'more' {
    if (this.#phase !== from) throw outOfOrder(NAME, type)
    this.#phase = to
    return 'more'
  }

  #commandComplete(tag: string): 'more' {
    if (this.#phase === 'response') throw notACopy()
    if (this.#phase !== 'command_complete') throw outOfOrder(NAME, MessageType.commandComplete)
    const match = /^COPY (\d{1,15})$/.exec(tag)
    if (!match) throw new DecodeError('The server ended a COPY without saying how many rows it sent.', {})
    this.#announcedRows = Number(match[1])
    this.#phase = 'ready'
    return 'more'
  }

  #readyForQuery(frame: Buffer): 'over' {
    if (this.#phase === 'error_ready') return 'over'
    // Idle or in a transaction; a failed one cannot follow a complete COPY.
    const status = frame.toString('latin1', 5)
    if (this.#phase !== 'ready' || (status !== 'I' && status !== 'T'))
      throw outOfOrder(NAME, MessageType.readyForQuery)
    this.rows = this.#announcedRows
    this.#phase = 'over'
    return 'over'
  }
}

/**
 * Of a message that begins a COPY, either way: int8 overall format, int16 number of columns, int16 format of each; all are text (0)
 * or all binary (1). @throws DECODE_FAILED
 */
export function assertCopyFormat(frame: Buffer): void {
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

/** Unnamed portal of the unnamed statement; no parameters, default formats. */
const BIND = Buffer.from([0x42, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0])
