/** Decodes COPY BINARY into batches, as fast as the server can send it and believing nothing it says. */
import type { Batch } from '../batch/batch.js'
import { COPY_DATA_HEADER_BYTES, COPY_DATA_TYPE, DATA_ROW_TYPE } from '../model/copy-message.js'
import { TrunklineError } from '../model/error.js'
import { closeBatch, createBatchArena, isFull, type BatchArena } from './batch-arena.js'
import type { DecoderColumn } from './decoder-column.js'
import { generateRowDecoder, type DecodeRows, type RowLimits } from './generate-row-decoder.js'
import { createRowInterpreter } from './interpret-rows.js'
import { createRowReader } from './row-reader.js'
import { assertDecodable } from './wire-format.js'

/**
 * Generated code runs several times faster than the interpreter, but only once the engine has compiled it, which costs some
 * 100 ms of processor time: a table of a few thousand rows is read before that.
 */
const GENERATE_AFTER_ROWS = 10_000

/** `copy`: with the header and the trailer of COPY BINARY; `rows`: rows alone, as the DataRows of a query have them. */
export type Framing = 'copy' | 'rows'

export interface CopyDecoderOptions {
  /** Names the stream in errors. */
  readonly stream: string
  readonly maxFieldBytes: number
  /** A batch has at most this many bytes, unless its only row has more. */
  readonly batchBytes: number
  readonly batchRows: number
  /** Default: `copy`. */
  readonly framing?: Framing
  /**
   * Whether to generate code for the columns. `auto` (the default) does after {@link GENERATE_AFTER_ROWS}, where the runtime
   * allows it; `always` from the first row on; `never` not at all. The result is the same.
   */
  readonly codeGeneration?: 'auto' | 'always' | 'never'
}

export interface CopyDecoder {
  /**
   * Decodes a piece of COPY BINARY payload, the bytes from `start` to `end`; pieces may be split anywhere, also inside the
   * header, and the bytes are free for reuse afterwards. After an error the decoder stays failed.
   *
   * @throws DECODE_FAILED, FIELD_TOO_LARGE, VALUE_UNREPRESENTABLE
   */
  write(bytes: Uint8Array, start: number, end: number): void
  /**
   * Decodes rows from bytes that begin with the header of a CopyData or DataRow message, as long as each lies alone and whole in a message,
   * and returns where the first message begins that is otherwise: its payload, and what follows, is for {@link write}.
   *
   * @throws what {@link write} does
   */
  writeMessages(bytes: Uint8Array, start: number, end: number): number
  /** A full batch, if one is ready. Call until null after each write. */
  take(): Batch | null
  /**
   * After the last write: the rest of the rows.
   *
   * @throws COPY_INCOMPLETE when the stream ended before its trailer.
   */
  finish(): Batch | null
  /** Rows that arrived completely. */
  readonly rows: number
  /** Bytes written. */
  readonly bytes: number
}

/** @throws INTERNAL when a column's wire format cannot become its type. */
export function createCopyDecoder(
  columns: readonly DecoderColumn[],
  options: CopyDecoderOptions,
): CopyDecoder {
  columns.forEach(assertDecodable)
  const { framing = 'copy' } = options
  const core = takeCore(columns, options)
  const { arena } = core
  const ready: Batch[] = []
  let failure: Error | null = null
  let finishedRows: number | null = null

  /** Bytes of the pieces before the present one, less where it starts in its array. */
  let offsetBase = 0
  let bytesWritten = 0
  const reader = createRowReader(columns, arena, {
    maxFieldBytes: options.maxFieldBytes,
    framing,
    offsetOf: (pos) => offsetBase + pos,
  })

  let viewed: Uint8Array | null = null
  let view: DataView = new DataView(new ArrayBuffer(0))

  function look(bytes: Uint8Array): void {
    if (viewed === bytes) return
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    viewed = bytes
  }

  function settle(): void {
    if (!core.settled && arena.rowsBefore + arena.rowCount >= GENERATE_AFTER_ROWS)
      generate(core, columns, options)
  }

  function decode(bytes: Uint8Array, start: number, end: number): void {
    look(bytes)
    let pos = start
    while (pos < end) {
      if (reader.atRow) {
        pos = core.decodeRows(bytes, view, pos, end, false)
        if (pos < end && !isFull(arena)) pos = reader.read(bytes, view, pos, end)
      } else {
        pos = reader.read(bytes, view, pos, end)
      }
      while (reader.atRow && isFull(arena)) ready.push(closeBatch(arena)!)
      settle()
    }
  }

  /** Each row that the fast loop takes is a message. */
  function decodeMessages(bytes: Uint8Array, start: number, end: number): number {
    look(bytes)
    let pos = start
    for (;;) {
      const rowsBefore = arena.rowCount
      const stop = core.decodeRows(bytes, view, pos, end, true)
      bytesWritten += stop - pos - COPY_DATA_HEADER_BYTES * (arena.rowCount - rowsBefore)
      pos = stop
      settle()
      if (!isFull(arena)) return pos
      while (isFull(arena)) ready.push(closeBatch(arena)!)
    }
  }

  return {
    writeMessages(bytes, start, end) {
      if (failure !== null) throw failure
      if (!reader.atRow) return start
      try {
        return decodeMessages(bytes, start, end)
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error))
        throw failure
      }
    },
    write(bytes, start, end) {
      if (failure !== null) throw failure
      offsetBase = bytesWritten - start
      try {
        decode(bytes, start, end)
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error))
        throw failure
      }
      bytesWritten += end - start
    },
    take() {
      return ready.shift() ?? null
    },
    finish() {
      if (failure !== null) throw failure
      // Rows alone have no end mark: that all came is for their messages to say.
      if (framing === 'copy' ? !reader.atEnd : !reader.atRow) {
        throw new TrunklineError(
          'COPY_INCOMPLETE',
          `${options.stream}: the data ended after ${arena.rowsBefore + arena.rowCount} rows without its end mark.`,
          {
            hint: 'The connection or the server went away. Nothing was landed from this read; it is tried again.',
            context: { stream: options.stream, byteOffset: bytesWritten },
          },
        )
      }
      if (ready.length > 0 || finishedRows !== null) {
        throw new TrunklineError('INTERNAL', 'A copy was finished twice, or with batches not yet taken.')
      }
      viewed = null
      const last = closeBatch(arena)
      finishedRows = arena.rowsBefore
      returnCore(core)
      return last
    },
    get rows() {
      return finishedRows ?? arena.rowsBefore + arena.rowCount
    },
    get bytes() {
      return bytesWritten
    },
  }
}

/** What is worth keeping of a decoder that is done: its memory, and the code that the engine has compiled by then. */
interface DecoderCore {
  readonly key: string
  readonly arena: BatchArena
  decodeRows: DecodeRows
  /** Whether `decodeRows` is what it will be. */
  settled: boolean
}

/** The core of the last copy that ended well on this thread: the splits of a table are read one after the other. */
let idleCore: DecoderCore | null = null

function takeCore(columns: readonly DecoderColumn[], options: CopyDecoderOptions): DecoderCore {
  const key = JSON.stringify([columns, options])
  const idle = idleCore
  idleCore = null
  if (idle?.key === key) return idle
  const fields = columns.map(({ name, type, nullable }) => ({ name, type, nullable }))
  const arena = createBatchArena(fields, options)
  const core: DecoderCore = {
    key,
    arena,
    decodeRows: createRowInterpreter(columns, arena, limitsOf(options)),
    settled: options.codeGeneration === 'never',
  }
  if (options.codeGeneration === 'always') generate(core, columns, options)
  return core
}

function returnCore(core: DecoderCore): void {
  core.arena.rowsBefore = 0
  idleCore = core
}

function generate(core: DecoderCore, columns: readonly DecoderColumn[], options: CopyDecoderOptions): void {
  core.decodeRows = generateRowDecoder(columns, core.arena, limitsOf(options)) ?? core.decodeRows
  core.settled = true
}

function limitsOf({ maxFieldBytes, framing }: CopyDecoderOptions): RowLimits {
  return { maxFieldBytes, messageType: framing === 'rows' ? DATA_ROW_TYPE : COPY_DATA_TYPE }
}
