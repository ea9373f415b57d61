/** Reads one split on one connection: asks by COPY, cursor or query, decodes, checks that everything arrived. */
import type { Batch } from '../batch/batch.js'
import { createCopyDecoder } from '../codec/copy-decoder.js'
import { createTupleReader } from '../codec/copy-tuples.js'
import { unreachable } from '../model/column-type.js'
import { TrunklineError } from '../model/error.js'
import { connect } from '../postgres/connect.js'
import { greenplumOf } from '../postgres/dialect.js'
import type { Connection, RowStream, RowStreamOptions } from '../postgres/connection.js'
import type { Split } from './contract.js'
import { createThrottle, type ReadPace } from './read-pace.js'
import { withReadSettings } from './read-settings.js'
import { copySql } from './read-sql.js'

export interface SplitReadOptions {
  /** Awaited, which is how the reader is held back. */
  readonly emit: (batch: Batch) => Promise<void>
  readonly signal: AbortSignal
  readonly pace: ReadPace
}

export interface ReadTotals {
  readonly rows: number
  readonly bytes: number
}

/** A server that does not react to a cancel within this long is left. */
const CANCEL_TIMEOUT_MS = 5000

/**
 * Gives each batch to `emit`. Under a savepoint: after an error, also
 * of decoding, and after an abort the connection is in its transaction as before, unless it is lost.
 */
export async function readSplit(
  connection: Connection,
  split: Split,
  options: SplitReadOptions,
): Promise<ReadTotals> {
  options.signal.throwIfAborted()
  try {
    return await withReadSettings(connection, { ...split, cursor: split.method === 'named' }, () =>
      decodeSplit(connection, split, options),
    )
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason
    throw withStream(error, split.stream)
  }
}

async function decodeSplit(
  connection: Connection,
  split: Split,
  options: SplitReadOptions,
): Promise<ReadTotals> {
  const { emit, signal } = options
  const createDecoder = split.undecoded === true ? createTupleReader : createCopyDecoder
  const decoder = createDecoder(split.columns, {
    stream: split.stream,
    maxFieldBytes: split.maxFieldBytes,
    batchBytes: split.batchBytes,
    batchRows: split.batchRows,
    framing: split.method === 'copy' ? 'copy' : 'rows',
  })
  // Once, and waited for: a request that reaches the server late would hit the next statement.
  const cancels: Promise<void>[] = []
  const cancel = async (): Promise<void> => {
    if (cancels.length === 0) cancels.push(connection.cancel())
    await cancels[0]
  }
  const onAbort = (): void => {
    void cancel()
  }
  signal.addEventListener('abort', onAbort, { once: true })
  let stream: RowStream | null = null
  let complete = false
  try {
    stream = await startRows(connection, split, {
      stallTimeoutMs: split.stallTimeoutMs,
      isAlive: () => isBackendWorking(connection),
    })
    signal.throwIfAborted()
    const throttle = createThrottle(options.pace, split.maxReadBytesPerSecond)
    let paid = 0
    let failure: Error | null = null
    const visit = (bytes: Uint8Array, start: number, end: number): void => {
      if (failure !== null) return
      try {
        decoder.write(bytes, start, end)
      } catch (error) {
        // Thrown through the framing it would cost the connection, and with it the snapshot of the other streams.
        failure = error instanceof Error ? error : new Error(String(error))
      }
    }
    const visitMessages = (bytes: Uint8Array, start: number, end: number): number => {
      if (failure !== null) return start
      try {
        return decoder.writeMessages(bytes, start, end)
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error))
        return start
      }
    }
    while (await stream.next(visit, visitMessages)) {
      signal.throwIfAborted()
      throwIfAny(failure)
      for (let batch = decoder.take(); batch !== null; batch = decoder.take()) await emit(batch)
      signal.throwIfAborted()
      await throttle(decoder.bytes - paid, signal)
      paid = decoder.bytes
    }
    complete = true
    throwIfAny(failure)
    const last = decoder.finish()
    if (stream.rows !== decoder.rows) throw incomplete(split, stream.rows, decoder.rows)
    if (last !== null) await emit(last)
    return { rows: decoder.rows, bytes: decoder.bytes }
  } finally {
    signal.removeEventListener('abort', onAbort)
    if (stream !== null && !complete) await stopRows(stream, cancel)
    await Promise.all(cancels)
  }
}

function startRows(connection: Connection, split: Split, options: RowStreamOptions): Promise<RowStream> {
  const { method, selectSql: sql } = split
  const columns = split.columns.length
  switch (method) {
    case 'copy':
      return connection.copyOut(copySql(sql), options)
    case 'named':
      return connection.queryRows({ sql, columns, fetchRows: split.batchRows }, options)
    case 'client':
      return connection.queryRows({ sql, columns, fetchRows: null }, options)
    default:
      return unreachable(method)
  }
}

/** TypeScript does not see what a callback assigns. */
function throwIfAny(failure: Error | null): void {
  if (failure !== null) throw failure
}

/** Cancels at the server and takes what is still on its way, so that the connection can go on. */
async function stopRows(stream: RowStream, cancel: () => Promise<void>): Promise<void> {
  const timer = setTimeout(() => {
    stream.abandon()
  }, CANCEL_TIMEOUT_MS)
  try {
    stream.stop()
    await cancel()
    while (await stream.next(() => undefined));
  } catch {
    // The error that the cancel was meant to bring about, or the end of the connection.
  } finally {
    clearTimeout(timer)
  }
}

const ASK_TIMEOUT_MS = 10_000
const FIRST_WITH_WAIT_EVENTS = 90_600

/** A server may be silent because it sorts or scans; it is not alive when it waits for us to take what it sent. */
async function isBackendWorking(connection: Connection): Promise<boolean> {
  try {
    await using side = await connect(connection.settings)
    // Where every query needs a slot of a queue, the question may wait for one itself.
    if (greenplumOf(side) !== null) await side.execute(`SET statement_timeout = ${ASK_TIMEOUT_MS}`)
    const waits =
      side.serverVersion < FIRST_WITH_WAIT_EVENTS
        ? 'NOT waiting'
        : `wait_event IS DISTINCT FROM 'ClientWrite' AND wait_event_type IS DISTINCT FROM 'ResourceQueue'`
    const [row] = await side.query<{ working: boolean }>(
      `SELECT state = 'active' AND ${waits} AS working FROM pg_catalog.pg_stat_activity WHERE pid = $1::int`,
      [connection.backendPid],
    )
    return row?.working === true
  } catch {
    return false
  }
}

function incomplete(split: Split, announced: number | null, decoded: number): TrunklineError {
  return new TrunklineError(
    'COPY_INCOMPLETE',
    `The server says that it sent ${announced ?? 'no'} rows of ${split.stream}, and ${decoded} arrived.`,
    {
      hint: 'Nothing of it is landed; a retry reads the stream again.',
      context: { stream: split.stream },
    },
  )
}

function withStream(error: unknown, stream: string): unknown {
  if (!(error instanceof TrunklineError) || error.context.stream !== undefined) return error
  const { code, message, hint, retry, context, cause } = error
  const named = new TrunklineError(code, `Reading ${stream}: ${message}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
    retry,
    context: { ...context, stream },
  })
  if (error.stack !== undefined) named.stack = error.stack
  return named
}
