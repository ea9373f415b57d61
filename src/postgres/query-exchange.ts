/**
 * The rows of a SELECT in binary format, by one query or through a cursor, as an exchange.
 *
 * Each statement goes by Parse, Bind, Describe where it gives rows, Execute and Sync. What comes back is ParseComplete,
 * BindComplete, RowDescription, DataRow…, CommandComplete, ReadyForQuery, in this order. The description must say that every
 * column is binary: a pooler that answers in text would be decoded as something else.
 *
 * A cursor is read by `FETCH` of so many rows until one comes back with fewer, and closed. The next FETCH is sent when the
 * server begins to answer the present one, so that it waits there and a round trip costs nothing; the one that is on its way
 * when the last rows come is answered with none.
 */
import { DecodeError } from '../model/error.js'
import { BIND_BINARY, DESCRIBE, EXECUTE, parseMessage, SYNC } from './frontend-messages.js'
import { MessageType, readCString } from './message-framer.js'
import { outOfOrder } from './row-stream.js'
import type { Exchange } from './row-stream.js'

export interface QueryRequest {
  /** One SELECT. */
  readonly sql: string
  /** That it has. */
  readonly columns: number
  /** Read through a cursor, so many rows at a time; null: by one query. */
  readonly fetchRows: number | null
}

type Statement = 'declare' | 'fetch' | 'close' | 'select'
type Phase = 'parse' | 'bind' | 'describe' | 'rows' | 'tag' | 'ready' | 'error_ready'

/** One at a time is open on a connection. */
const CURSOR = 'trunkline_read'
const TAGS: Readonly<Record<Statement, RegExp>> = {
  declare: /^DECLARE CURSOR$/,
  fetch: /^FETCH (\d{1,15})$/,
  close: /^CLOSE CURSOR$/,
  select: /^SELECT (\d{1,15})$/,
}

export class QueryExchange implements Exchange {
  readonly name: string
  readonly rowType = MessageType.dataRow
  readonly request: Buffer
  begun = false
  rows: number | null = null
  readonly #request: QueryRequest
  /** Sent and not answered yet; the first one is being answered. */
  readonly #sent: Statement[]
  #phase: Phase = 'parse'
  #announcedRows = 0
  /** No further FETCH is sent. */
  #ended = false
  /** Because the last rows came. */
  #closing = false

  constructor(request: QueryRequest) {
    const { sql, fetchRows } = request
    this.#request = request
    if (fetchRows === null) {
      this.name = 'a query'
      this.#sent = ['select']
      this.request = withRows(sql)
    } else {
      this.name = 'a cursor'
      this.#sent = ['declare', 'fetch']
      const declare = `DECLARE ${CURSOR} NO SCROLL BINARY CURSOR WITHOUT HOLD FOR ${sql}`
      this.request = Buffer.concat([withoutRows(declare), fetch(fetchRows)])
    }
  }

  get takesRows(): boolean {
    return this.#phase === 'rows'
  }

  message(type: number, frame: Buffer, send: (request: Buffer) => void): 'more' | 'begun' | 'over' {
    const [statement] = this.#sent
    if (statement === undefined) throw outOfOrder(this.name, type)
    switch (type) {
      case MessageType.parseComplete:
        return this.#advance('parse', 'bind', type)
      case MessageType.bindComplete:
        return this.#advance('bind', givesRows(statement) ? 'describe' : 'tag', type)
      case MessageType.rowDescription:
        this.#advance('describe', 'rows', type)
        assertBinary(frame, this.#request.columns)
        return this.#rowsBegin(statement, send)
      case MessageType.commandComplete:
        return this.#commandComplete(statement, readCString(frame, 5).text, send)
      case MessageType.readyForQuery:
        return this.#readyForQuery(frame)
      default:
        throw outOfOrder(this.name, type)
    }
  }

  failed(): void {
    this.#ended = true
    this.#phase = 'error_ready'
  }

  stop(): void {
    this.#ended = true
  }

  #advance(from: Phase, to: Phase, type: number): 'more' {
    if (this.#phase !== from) throw outOfOrder(this.name, type)
    this.#phase = to
    return 'more'
  }

  #rowsBegin(statement: Statement, send: (request: Buffer) => void): 'more' | 'begun' {
    const { fetchRows } = this.#request
    if (statement === 'fetch' && fetchRows !== null && !this.#ended) {
      this.#sent.push('fetch')
      send(fetch(fetchRows))
    }
    if (this.begun) return 'more'
    this.begun = true
    return 'begun'
  }

  #commandComplete(statement: Statement, tag: string, send: (request: Buffer) => void): 'more' {
    if (this.#phase !== (givesRows(statement) ? 'rows' : 'tag'))
      throw outOfOrder(this.name, MessageType.commandComplete)
    const match = TAGS[statement].exec(tag)
    if (match === null) throw new DecodeError(`The server ended ${this.name} with another command's tag.`, {})
    this.#phase = 'ready'
    if (!givesRows(statement)) return 'more'
    const rows = Number(match[1])
    this.#announcedRows += rows
    const { fetchRows } = this.#request
    if (statement !== 'fetch' || fetchRows === null) return 'more'
    if (rows > (this.#closing ? 0 : fetchRows))
      throw new DecodeError('The server gave more rows of a cursor than it was asked for.', {})
    if (rows < fetchRows && !this.#ended) {
      this.#ended = true
      this.#closing = true
      this.#sent.push('close')
      send(withoutRows(`CLOSE ${CURSOR}`))
    }
    return 'more'
  }

  #readyForQuery(frame: Buffer): 'more' | 'over' {
    const failed = this.#phase === 'error_ready'
    // Idle or in a transaction; a failed one cannot follow a statement that succeeded.
    const status = frame.toString('latin1', 5)
    if (!failed && (this.#phase !== 'ready' || (status !== 'I' && status !== 'T')))
      throw outOfOrder(this.name, MessageType.readyForQuery)
    const statement = this.#sent.shift()
    this.#phase = 'parse'
    if (this.#sent.length > 0) return 'more'
    if (statement === 'select' || statement === 'close') this.rows = this.#announcedRows
    return 'over'
  }
}

function givesRows(statement: Statement): boolean {
  return statement === 'fetch' || statement === 'select'
}

function fetch(rows: number): Buffer {
  return withRows(`FETCH FORWARD ${rows} FROM ${CURSOR}`)
}

function withRows(sql: string): Buffer {
  return Buffer.concat([parseMessage(sql), BIND_BINARY, DESCRIBE, EXECUTE, SYNC])
}

function withoutRows(sql: string): Buffer {
  return Buffer.concat([parseMessage(sql), BIND_BINARY, EXECUTE, SYNC])
}

/** Bytes of a field's description behind its name: table, column, type, length, modifier, format. */
const FIELD_BYTES = 18

/** int16 number of fields, then for each its name, zero-terminated, and what is fixed, at whose end the format stands. */
function assertBinary(frame: Buffer, columns: number): void {
  let fields = frame.length >= 7 ? frame.readUInt16BE(5) : -1
  if (fields !== columns) {
    throw new DecodeError(`The server announced ${fields} columns instead of ${columns}.`, {})
  }
  let at = 7
  for (; fields > 0; fields--) {
    at = readCString(frame, at).next + FIELD_BYTES
    if (at > frame.length || frame.readUInt16BE(at - 2) !== 1) {
      throw new DecodeError(
        'The server, or what stands before it, sends rows as text where binary was asked for.',
        {},
      )
    }
  }
}
