/** `POST /extract`: rows of one stream as they come from the server, no faster than the client takes them. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Batch } from '../batch/batch.js'
import type { ServiceSettings } from '../config/service-settings.js'
import type { ConnectionObserver } from '../connectors.js'
import { openSource } from '../connectors.js'
import { TrunklineError, toErrorData } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { Limits } from '../model/sync-spec.js'
import { SERVICE_BATCH_BYTES } from '../model/thresholds.js'
import type { Extraction, ExtractionSource } from './extraction.js'
import { openExtraction } from './extraction.js'
import type { ExtractionSlots, Slot } from './extraction-slots.js'
import { resolveInlineSettings } from './inline-source.js'
import type { ExtractionOutcome, Metrics } from './metrics.js'
import type { ExtractionBody } from './request-schemas.js'
import { errorBody, extractionBody } from './request-schemas.js'
import { CONTENT_TYPES, chooseFormat, openRowWriter, type RowFormat, type RowWriter } from './row-formats.js'
import { cut, endInOrder, sendBytes, type SendOptions } from './send-rows.js'
import { type DescribeError, ServiceError, toErrorBody } from './service-error.js'
import type { Sources } from './sources.js'
import { assertOnlyReads } from './sources.js'
import { NOTHING_WITHHELD } from './withheld.js'

export interface ExtractRouteOptions {
  readonly settings: ServiceSettings
  readonly sources: Sources
  readonly limits: Limits
  readonly slots: ExtractionSlots
  readonly metrics: Metrics
  readonly logger: Logger
  readonly observe: (source: string) => ConnectionObserver
  readonly describeError: DescribeError
}

type ExtractRequest = FastifyRequest<{ Body: ExtractionBody }>

/** Label and name of what a request brought along itself. */
export const INLINE = 'inline'
/** One that reads, and one that watches whether anybody waits for a lock of ours. */
export const CONNECTIONS_EACH = 2
const TRAILERS = 'Trunkline-Status, Trunkline-Rows, Trunkline-Cursor'

export function addExtractRoute(app: FastifyInstance, options: ExtractRouteOptions): void {
  const errors = Object.fromEntries(
    [400, 401, 403, 404, 406, 422, 429, 502, 503].map((status) => [status, errorBody]),
  )
  app.post<{ Body: ExtractionBody }>(
    '/extract',
    {
      schema: {
        summary: 'Rows of a table, a view or a query',
        description:
          'Answers 200 with rows as application/x-ndjson or application/vnd.apache.arrow.stream. The rows are complete only where the response ends in order: with its last chunk, and `Trunkline-Status: complete` among its trailers. A response that is cut off is not.',
        body: extractionBody,
        response: errors,
      },
    },
    async (request, reply) => {
      await answer(request, reply, options)
      return reply
    },
  )
}

/** Rejects only while nothing was sent; from then on the connection tells. */
async function answer(
  request: ExtractRequest,
  reply: FastifyReply,
  options: ExtractRouteOptions,
): Promise<void> {
  const { body } = request
  const { metrics } = options
  const format = chooseFormat(body.format, request.headers.accept)
  assertAllowed(body, options.settings)
  assertEndShows(request, format)
  const sourceName = body.connection === undefined ? options.sources.get(body.source).name : INLINE
  const slot = takeSlot(options, sourceName, format)
  const client = watchClient(reply)
  const metric = metrics.extractionStarted(sourceName, format)
  let outcome: ExtractionOutcome = 'failed'
  try {
    const signal = AbortSignal.any([slot.signal, client.gone])
    const countRows = (rows: number, bytes: number): void => {
      metrics.rowsRead(sourceName, rows)
      metric.bytes(bytes)
    }
    if (await extract({ body, format, reply, options, signal, countRows })) outcome = 'complete'
  } finally {
    if (client.gone.aborted && outcome === 'failed') outcome = 'left'
    client.stop()
    metric.end(outcome)
    slot.release()
  }
}

function takeSlot({ slots, metrics }: ExtractRouteOptions, sourceName: string, format: RowFormat): Slot {
  try {
    return slots.take()
  } catch (error) {
    metrics.extractionRefused(sourceName, format)
    throw error
  }
}

function watchClient({ raw }: FastifyReply): { readonly gone: AbortSignal; stop(): void } {
  const gone = new AbortController()
  const onClose = (): void => {
    gone.abort(new TrunklineError('ABORTED', 'The client has left.'))
  }
  raw.once('close', onClose)
  return {
    gone: gone.signal,
    stop: () => {
      raw.off('close', onClose)
    },
  }
}

interface Work {
  readonly body: ExtractionBody
  readonly format: RowFormat
  readonly reply: FastifyReply
  readonly options: ExtractRouteOptions
  readonly signal: AbortSignal
  readonly countRows: (rows: number, bytes: number) => void
}

/** True: everything was sent. False: something was, and the connection is cut. */
async function extract(work: Work): Promise<boolean> {
  const { body, format, reply, options, signal } = work
  const { raw } = reply
  const send = { clientTimeoutMs: options.settings.clientTimeoutMs, signal }
  const progress: Progress = { begun: false, rows: 0, cursor: null }
  try {
    {
      await using from = await openFrom(body, options, signal)
      await using extraction = await openExtraction(from, body, { limits: from.limits, signal })
      const writer = openRowWriter(format, extraction.fields)
      await sendAll(work, { extraction, writer, send, progress })
    }
    // The snapshot is let go: what is left to send takes nothing from the server.
    if (body.trailer === true) await sendBytes(raw, lastLine('complete', progress, null), send)
    await endInOrder(raw, trailersOf(progress), send)
    return true
  } catch (error) {
    if (!progress.begun) throw error
    const { code, message } = toErrorData(error)
    options.logger.warn({ code, rows: progress.rows }, `An extraction was cut off: ${message}`)
    const word =
      body.trailer === true ? lastLine('failed', progress, toErrorBody(error, options.describeError)) : null
    await cut(raw, word)
    return false
  }
}

interface Progress {
  /** The answer is ours to send, and a status can no longer say what went wrong. */
  begun: boolean
  rows: number
  cursor: string | null
}

interface Sending {
  readonly extraction: Extraction
  readonly writer: RowWriter
  readonly send: SendOptions
  readonly progress: Progress
}

async function sendAll(
  { reply, format, countRows }: Work,
  { extraction, writer, send, progress }: Sending,
): Promise<void> {
  const { raw } = reply
  const begin = (): void => {
    // What is wrong with the request shows before the first rows are there, and can then be said by a status.
    progress.begun = true
    reply.hijack()
    raw.writeHead(200, {
      'content-type': CONTENT_TYPES[format],
      'cache-control': 'no-store',
      'trunkline-stream': encodeURI(extraction.stream),
      'trunkline-snapshot': extraction.snapshotId,
      ...(reply.request.raw.httpVersion === '1.0' ? {} : { trailer: TRAILERS }),
    })
  }
  const write = async (batch: Batch): Promise<void> => {
    const bytes = writer.write(batch)
    countRows(batch.rowCount, bytes.length)
    await sendBytes(raw, bytes, send)
    progress.rows += batch.rowCount
    progress.cursor = extraction.cursor()
  }
  for await (const batch of extraction.batches) {
    if (!progress.begun) begin()
    await write(batch)
  }
  if (!progress.begun) begin()
  await sendBytes(raw, writer.end(), send)
}

function trailersOf({ rows, cursor }: Progress): Record<string, string> {
  return {
    'Trunkline-Status': 'complete',
    'Trunkline-Rows': String(rows),
    // A trailer is a header: what cannot stand in one stands in the last line only.
    ...(cursor !== null && /^[\x20-\x7e]*$/.test(cursor) ? { 'Trunkline-Cursor': cursor } : {}),
  }
}

function lastLine(
  status: 'complete' | 'failed',
  { rows, cursor }: Progress,
  failure: ReturnType<typeof toErrorBody> | null,
): Buffer {
  return Buffer.from(`${JSON.stringify({ _trunkline: { status, rows, cursor, ...failure } })}\n`, 'utf8')
}

type From = ExtractionSource & AsyncDisposable & { readonly limits: Limits }

/** The source to read, checked for what its role may do. */
async function openFrom(
  body: ExtractionBody,
  { settings, sources, limits, logger, observe }: ExtractRouteOptions,
  signal: AbortSignal,
): Promise<From> {
  const each = {
    ...limits,
    maxConnections: Math.min(CONNECTIONS_EACH, limits.maxConnections),
    batchBytes: Math.min(SERVICE_BATCH_BYTES, limits.batchBytes),
  }
  if (body.connection === undefined) {
    const { schemas, queries, withhold, open, assertOnlyReads: check } = sources.get(body.source)
    await check(signal)
    return { schemas, queries, withhold, open, limits: each, [Symbol.asyncDispose]: () => Promise.resolve() }
  }
  const connection = await resolveInlineSettings(body.connection, settings.allowHosts)
  const source = await openSource(connection, { logger, limits: each, observer: observe(INLINE) })
  try {
    if (!settings.allowPrivilegedRole) assertOnlyReads(await source.check({ signal }))
  } catch (error) {
    await source.close()
    throw error
  }
  return {
    schemas: ['public'],
    queries: new Map(),
    withhold: () => NOTHING_WITHHELD,
    limits: each,
    open: () => Promise.resolve(source),
    [Symbol.asyncDispose]: () => source.close(),
  }
}

/** @throws ServiceError for what only a service that allows it takes from a request */
function assertAllowed(
  { source, connection, mode, where, format, trailer }: ExtractionBody,
  { allowInline }: ServiceSettings,
): void {
  const inline =
    connection !== undefined ? 'a connection' : 'query' in mode || where !== undefined ? 'SQL' : null
  if (inline !== null && !allowInline) {
    throw new ServiceError(
      'REQUEST_INVALID',
      `The request brings ${inline} along, which this service does not take.`,
      'Name a source and a stream of the configuration, or start the service with --allow-inline.',
      403,
    )
  }
  if (source !== undefined && connection !== undefined) {
    throw new ServiceError(
      'REQUEST_INVALID',
      'The request names a source and a connection.',
      'Give one of them.',
    )
  }
  if (trailer === true && format === 'arrow') {
    throw new ServiceError(
      'REQUEST_INVALID',
      'An Arrow stream has no last line.',
      'Leave `trailer` out: the stream has an end marker of its own.',
    )
  }
}

/** In HTTP/1.0 a response that is cut looks like one that ended. @throws ServiceError */
function assertEndShows({ raw, body }: ExtractRequest, format: RowFormat): void {
  if (raw.httpVersion !== '1.0' || body.trailer === true || format === 'arrow') return
  throw new ServiceError(
    'REQUEST_INVALID',
    'With HTTP/1.0 nobody could tell a part of the rows from all of them.',
    'Use HTTP/1.1 (in nginx: proxy_http_version 1.1), or ask for `"trailer": true`.',
    505,
  )
}
