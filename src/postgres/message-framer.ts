/**
 * Cuts what a server sends into messages.
 *
 * A backend message is one byte of type, an int32 length that counts itself but not the type, and a body
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html). Lengths are validated as libpq does before
 * anything is kept: only a handful of types may be long at all. Rows are never put together: the payload of CopyData, or of
 * DataRow while a query's rows are read, goes out in the pieces in which it arrives, so that a row of a gigabyte needs no memory
 * here. Everything else is handed on whole. Whole messages of rows are offered uncut first: PostgreSQL sends one per row, and
 * where rows are short a call for each costs more than decoding it.
 */
import { COPY_DATA_HEADER_BYTES, COPY_DATA_TYPE, DATA_ROW_TYPE } from '../model/copy-message.js'
import { DecodeError } from '../model/error.js'

export interface FrameHandler {
  /** One whole message, header included. Returning false stops {@link MessageFramer.push} behind it. */
  message(type: number, frame: Buffer): boolean
  /** A piece of a row's payload. */
  copyData(bytes: Uint8Array, start: number, end: number): void
  /**
   * Offered bytes that begin with a whole message of a row, header included, before they are cut: takes as many of those as it
   * likes and returns where the first one begins that it did not take; `start` to have them cut as usual.
   */
  copyMessages(bytes: Uint8Array, start: number, end: number): number
}

export const MessageType = {
  authentication: 0x52, // R
  backendKeyData: 0x4b, // K
  bindComplete: 0x32, // 2
  closeComplete: 0x33, // 3
  commandComplete: 0x43, // C
  copyBothResponse: 0x57, // W
  copyData: COPY_DATA_TYPE, // d
  copyDone: 0x63, // c
  copyInResponse: 0x47, // G
  copyOutResponse: 0x48, // H
  dataRow: DATA_ROW_TYPE, // D
  emptyQueryResponse: 0x49, // I
  errorResponse: 0x45, // E
  functionCallResponse: 0x56, // V
  negotiateProtocolVersion: 0x76, // v
  noData: 0x6e, // n
  noticeResponse: 0x4e, // N
  notificationResponse: 0x41, // A
  parameterDescription: 0x74, // t
  parameterStatus: 0x53, // S
  parseComplete: 0x31, // 1
  portalSuspended: 0x73, // s
  readyForQuery: 0x5a, // Z
  rowDescription: 0x54, // T
} as const

const KNOWN_TYPES = new Set<number>(Object.values(MessageType))
/** libpq's VALID_LONG_MESSAGE_TYPE; ErrorResponse, NoticeResponse and NotificationResponse get a tighter bound below. */
const LONG_TYPES = new Set<number>([
  MessageType.rowDescription,
  MessageType.dataRow,
  MessageType.functionCallResponse,
  MessageType.copyData,
])
const TEXT_TYPES = new Set<number>([
  MessageType.errorResponse,
  MessageType.noticeResponse,
  MessageType.notificationResponse,
])
/** libpq: any other message longer than this means that the stream is out of step. */
const MAX_SHORT_LENGTH = 30_000
/** An error that quotes a statement can be long; more than this is nobody's message. */
const MAX_TEXT_LENGTH = 16 * 1024 * 1024
/** PostgreSQL's own limit of an allocation, and with it of a message. */
const MAX_LENGTH = 0x3fff_ffff
/** Of every message; CopyData's is known elsewhere, too. */
const HEADER_BYTES = COPY_DATA_HEADER_BYTES

export class MessageFramer {
  /** Type of the messages whose payload goes out in pieces; set between two messages. */
  rowType: number = MessageType.copyData
  readonly #handler: FrameHandler
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerBytes = 0
  /** Payload bytes of a CopyData message that are still to come. */
  #copyRemaining = 0
  /** A message that did not arrive in one piece. */
  #partial: Buffer = Buffer.alloc(0)
  #partialBytes = 0
  #partialLength = 0
  #position = 0

  constructor(handler: FrameHandler) {
    this.#handler = handler
  }

  /** Bytes consumed since the start of the connection. */
  get position(): number {
    return this.#position
  }

  /** True between two messages. */
  get aligned(): boolean {
    return this.#headerBytes === 0 && this.#copyRemaining === 0 && this.#partialLength === 0
  }

  /**
   * Consumes bytes[start, end) and calls the handler for what they complete.
   *
   * @returns where it stopped: `end`, or behind the message for which the handler returned false.
   * @throws DecodeError for a length or a type that no server sends.
   */
  push(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end) {
      const before = at
      if (this.#copyRemaining > 0) {
        const stop = Math.min(end, at + this.#copyRemaining)
        this.#copyRemaining -= stop - at
        this.#position += stop - at
        this.#handler.copyData(bytes, at, stop)
        at = stop
        continue
      }
      if (this.#partialLength > 0) {
        at = this.#fillPartial(bytes, at, end)
        this.#position += at - before
        if (this.#partialBytes < this.#partialLength) continue
        const frame = this.#partial.subarray(0, this.#partialLength)
        this.#partialLength = 0
        this.#partial = Buffer.alloc(0)
        if (!this.#handler.message(frame[0] ?? 0, frame)) return at
        continue
      }
      // The header may itself be cut.
      if (this.#headerBytes > 0 || end - at < HEADER_BYTES) {
        const take = Math.min(HEADER_BYTES - this.#headerBytes, end - at)
        bytes.copy(this.#header, this.#headerBytes, at, at + take)
        this.#headerBytes += take
        at += take
        this.#position += take
        if (this.#headerBytes < HEADER_BYTES) continue
        this.#headerBytes = 0
        if (!this.#beginMessage(this.#header, 0)) continue
        if (!this.#finishEmpty()) return at
        continue
      }
      const type = bytes[at] ?? 0
      const length = this.#validLength(type, bytes.readUInt32BE(at + 1))
      if (type === this.rowType) {
        const stop = at + 1 + length <= end ? this.#handler.copyMessages(bytes, at, end) : at
        if (stop > at) {
          at = stop
          this.#position += stop - before
          continue
        }
      } else if (at + 1 + length <= end) {
        const frame = bytes.subarray(at, at + 1 + length)
        at += 1 + length
        this.#position += 1 + length
        if (!this.#handler.message(type, frame)) return at
        continue
      }
      this.#beginMessage(bytes, at)
      at += HEADER_BYTES
      this.#position += HEADER_BYTES
      if (!this.#finishEmpty()) return at
    }
    return at
  }

  /** @returns whether a message may already be complete: one of no body. */
  #beginMessage(bytes: Buffer, at: number): boolean {
    const type = bytes[at] ?? 0
    const length = this.#validLength(type, bytes.readUInt32BE(at + 1))
    if (type === this.rowType) {
      this.#copyRemaining = length - 4
      return false
    }
    this.#partialLength = 1 + length
    // Memory follows what arrived: a length alone reserves little.
    this.#partial = Buffer.allocUnsafe(Math.min(this.#partialLength, 8192))
    bytes.copy(this.#partial, 0, at, at + HEADER_BYTES)
    this.#partialBytes = HEADER_BYTES
    return true
  }

  #finishEmpty(): boolean {
    if (this.#partialLength !== HEADER_BYTES) return true
    const frame = this.#partial.subarray(0, HEADER_BYTES)
    this.#partialLength = 0
    return this.#handler.message(frame[0] ?? 0, frame)
  }

  #fillPartial(bytes: Buffer, at: number, end: number): number {
    const take = Math.min(end - at, this.#partialLength - this.#partialBytes)
    const needed = this.#partialBytes + take
    if (needed > this.#partial.length) {
      const larger = Buffer.allocUnsafe(
        Math.min(this.#partialLength, Math.max(needed, this.#partial.length * 2)),
      )
      this.#partial.copy(larger, 0, 0, this.#partialBytes)
      this.#partial = larger
    }
    bytes.copy(this.#partial, this.#partialBytes, at, at + take)
    this.#partialBytes = needed
    return at + take
  }

  #validLength(type: number, length: number): number {
    if (!KNOWN_TYPES.has(type)) {
      throw this.#malformed(`a message of the unknown type 0x${type.toString(16).padStart(2, '0')}`)
    }
    const max = LONG_TYPES.has(type) ? MAX_LENGTH : TEXT_TYPES.has(type) ? MAX_TEXT_LENGTH : MAX_SHORT_LENGTH
    if (length < 4 || length > max) {
      throw this.#malformed(
        `a message of type ${String.fromCharCode(type)} with the impossible length ${length}`,
      )
    }
    return length
  }

  #malformed(what: string): DecodeError {
    return new DecodeError(`The server sent ${what}.`, { byteOffset: this.#position })
  }
}

/** The fields of an ErrorResponse or NoticeResponse: type byte and zero-terminated text, until a zero byte. */
export function readServerMessage(frame: Buffer): {
  severity: string
  sqlstate: string
  message: string
  hint: string | null
} {
  const fields = readMessageFields(frame)
  return {
    // V is never translated; S is what servers before 9.6 and some poolers send.
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    sqlstate: fields.get('C') ?? 'XX000',
    message: fields.get('M') ?? '',
    hint: fields.get('H') ?? null,
  }
}

/** All of them by their letters; D and W can quote rows. */
export function readMessageFields(frame: Buffer): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  let at = HEADER_BYTES
  while (at < frame.length && frame[at] !== 0) {
    const field = String.fromCharCode(frame[at] ?? 0)
    const stop = frame.indexOf(0, at + 1)
    const end = stop < 0 ? frame.length : stop
    fields.set(field, frame.toString('utf8', at + 1, end))
    at = end + 1
  }
  return fields
}

/** Reads a zero-terminated string of a frame's body. */
export function readCString(frame: Buffer, at: number): { text: string; next: number } {
  const stop = frame.indexOf(0, at)
  const end = stop < 0 ? frame.length : stop
  return { text: frame.toString('utf8', at, end), next: end + 1 }
}
