/** One session at a server: control queries by `pg`, COPY by ourselves, and a signal for when it ends on its own. */
import pg from 'pg'
import { TrunklineError } from '../model/error.js'
import type { ConnectionObserver, StatementWatch } from './connection-observer.js'
import { watchStatement } from './connection-observer.js'
import type { ConnectionSettings } from './connection-settings.js'
import { CopyExchange } from './copy-exchange.js'
import { CopyInWriter } from './copy-in.js'
import type { CopyIn, CopyInOptions } from './copy-in.js'
import { QueryExchange } from './query-exchange.js'
import type { QueryRequest } from './query-exchange.js'
import { RowStreamReader } from './row-stream.js'
import type { Exchange, RowStream, RowStreamOptions } from './row-stream.js'
import { toTrunklineError } from './sqlstate.js'
import type { Wire } from './wire.js'

export type { CopyIn, CopyInOptions } from './copy-in.js'
export type { RowStream, RowStreamOptions } from './row-stream.js'

export interface ResultColumn {
  readonly name: string
  readonly typeOid: number
  /** atttypmod; −1 without. */
  readonly modifier: number
}

export type RowsOfEach<Rows extends readonly object[]> = { readonly [I in keyof Rows]: readonly Rows[I][] }

export interface Connection extends AsyncDisposable {
  /** Those of the host that was chosen: one host, its address fixed, so that further connections reach the same server. */
  readonly settings: ConnectionSettings
  readonly backendPid: number
  /** `server_version_num`, as 150018. */
  readonly serverVersion: number
  /** What the server reports of its own accord (ParameterStatus), kept up to date. */
  readonly parameters: ReadonlyMap<string, string>
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`; null in plain text. */
  readonly tls: string | null
  /** How long it took to open: from the first attempt, over all hosts and fallbacks, to its use. */
  readonly connectMs: number
  /**
   * One statement by Parse, Bind and Execute. bool → boolean, int2, int4 and oid → number, json and jsonb → parsed,
   * text[] and name[] → string[]; everything else (int8, numeric, …) stays the server's text.
   */
  query<Row>(sql: string, values?: readonly unknown[]): Promise<readonly Row[]>
  /** Runs one statement and gives the names and types of its columns instead of its rows; `LIMIT 0` keeps it short. */
  describe(sql: string): Promise<readonly ResultColumn[]>
  /** Several statements by the simple protocol: only for constant text of our own. */
  execute(sql: string): Promise<void>
  /**
   * Several statements in one round trip, by the simple protocol: only for text of our own, numbers and quoted names in it.
   * The rows of those that have columns, in order, converted as by `query`. The first failure ends the message.
   */
  queryAll<Rows extends readonly object[]>(sql: readonly string[]): Promise<RowsOfEach<Rows>>
  /**
   * Starts a COPY … TO STDOUT; until it has ended nothing else can run here. Settles when the server begins to answer, which
   * some do only with the first row.
   */
  copyOut(sql: string, options: RowStreamOptions): Promise<RowStream>
  /** The same for the rows of a SELECT in binary format; through a cursor only in a transaction. */
  queryRows(request: QueryRequest, options: RowStreamOptions): Promise<RowStream>
  /**
   * Starts a COPY … FROM STDIN; until it has ended nothing else can run here. By the simple protocol: only for text of our own, and
   * quoted names in it. Settles when the server takes rows, which is after it has its locks.
   */
  copyIn(sql: string, options: CopyInOptions): Promise<CopyIn>
  /** Asks the server, on a connection of its own, to cancel what runs here. Never fails: it is a request, not a promise. */
  cancel(): Promise<void>
  close(): Promise<void>
  destroy(): void
  /** Aborts with CONNECTION_LOST, or what the server said last, when the connection ends on its own. */
  readonly lost: AbortSignal
}

export interface OpenSession {
  readonly client: pg.Client
  readonly wire: Wire
  readonly settings: ConnectionSettings
  readonly tls: string | null
  readonly serverVersion: number
  readonly connectMs: number
  /** Sends a CancelRequest over a new transport of the same kind. */
  readonly sendCancel: (request: Buffer) => Promise<void>
  /** Told that it opened by whoever opens it. */
  readonly observer?: ConnectionObserver
}

/** A server that does not confirm the end of a session within this long is left. */
const CLOSE_TIMEOUT_MS = 2000

export class PostgresConnection implements Connection {
  readonly settings: ConnectionSettings
  readonly serverVersion: number
  readonly tls: string | null
  readonly connectMs: number
  readonly #session: OpenSession
  readonly #lost = new AbortController()
  #state: 'open' | 'closing' | 'gone' = 'open'
  #copying = false
  #cancelAsked = false
  /** Statements run one after the other. */
  #tail: Promise<unknown> = Promise.resolve()

  constructor(session: OpenSession) {
    this.#session = session
    this.settings = session.settings
    this.serverVersion = session.serverVersion
    this.tls = session.tls
    this.connectMs = session.connectMs
    let failure: unknown = null
    session.client.on('error', (error: unknown) => {
      failure ??= error
    })
    session.client.on('end', () => {
      this.#ended(failure)
    })
    // However it ends, and whoever ends it.
    const onClosed = (): void => session.observer?.({ kind: 'closed' })
    if (session.wire.closed) onClosed()
    else session.wire.once('end', onClosed)
  }

  get backendPid(): number {
    return (this.#session.client as unknown as { processID: number | null }).processID ?? 0
  }

  get parameters(): ReadonlyMap<string, string> {
    return this.#session.wire.parameters
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  async query<Row>(sql: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    return this.#inTurn(async () => {
      const config = { text: sql, values: [...values], types: TYPES, queryMode: 'extended' }
      const result = await this.#explained(() => this.#session.client.query(config as pg.QueryConfig))
      return result.rows as Row[]
    })
  }

  async describe(sql: string): Promise<readonly ResultColumn[]> {
    return this.#inTurn(async () => {
      const config = { text: sql, values: [], queryMode: 'extended' }
      const { fields } = await this.#session.client.query(config as pg.QueryConfig)
      return fields.map(({ name, dataTypeID, dataTypeModifier }) => ({
        name,
        typeOid: dataTypeID,
        modifier: dataTypeModifier,
      }))
    })
  }

  async execute(sql: string): Promise<void> {
    await this.#inTurn(() => this.#explained(() => this.#session.client.query(sql)))
  }

  async queryAll<Rows extends readonly object[]>(sql: readonly string[]): Promise<RowsOfEach<Rows>> {
    return this.#inTurn(async () => {
      // A line of its own, because a statement may end in a comment.
      const config = { text: sql.join('\n;\n'), types: TYPES }
      const answer = await this.#explained(() => this.#session.client.query(config as pg.QueryConfig))
      // `pg` gives a list only where there is more than one, and declares none.
      const results = Array.isArray(answer) ? (answer as pg.QueryResult[]) : [answer]
      return results
        .filter(({ fields }) => fields.length > 0)
        .map(({ rows }) => rows as readonly object[]) as RowsOfEach<Rows>
    })
  }

  async copyOut(sql: string, options: RowStreamOptions): Promise<RowStream> {
    return this.#streamRows(() => new CopyExchange(sql), options)
  }

  async queryRows(request: QueryRequest, options: RowStreamOptions): Promise<RowStream> {
    return this.#streamRows(() => new QueryExchange(request), options)
  }

  async copyIn(sql: string, options: CopyInOptions): Promise<CopyIn> {
    return this.#takeWire((hooks) => {
      const writer = new CopyInWriter(this.#session.wire, options, hooks)
      return { begun: writer, start: () => writer.start(sql) }
    })
  }

  #streamRows(exchange: () => Exchange, options: RowStreamOptions): Promise<RowStream> {
    return this.#takeWire((hooks) => {
      const reader = new RowStreamReader(this.#session.wire, exchange(), options, hooks)
      return { begun: reader, start: () => reader.start() }
    })
  }

  /** The socket is theirs from `start` on, until they say that it ended or was left. */
  #takeWire<Begun>(
    make: (hooks: { onEnd: (failure: Error | null) => void; onAbandon: () => void }) => {
      readonly begun: Begun
      readonly start: () => Promise<void>
    },
  ): Promise<Begun> {
    return this.#inTurn(async () => {
      const watch = this.#watchStatement('copy')
      const { begun, start } = make({
        onEnd: (failure) => {
          this.#copying = false
          watch.ended(failure)
        },
        onAbandon: () => {
          this.#abandon()
        },
      })
      this.#copying = true
      try {
        await start()
      } catch (error) {
        this.#copying = false
        watch.ended(error)
        throw error
      }
      return begun
    })
  }

  async cancel(): Promise<void> {
    if (this.#state === 'gone') return
    this.#cancelAsked = true
    const { processID, secretKey } = this.#session.client as unknown as {
      processID: number | null
      secretKey: number | null
    }
    if (processID === null || secretKey === null) return
    const request = Buffer.alloc(16)
    request.writeInt32BE(16, 0)
    request.writeInt32BE(CANCEL_CODE, 4)
    request.writeInt32BE(processID, 8)
    request.writeInt32BE(secretKey, 12)
    await this.#session.sendCancel(request).catch(() => undefined)
  }

  async close(): Promise<void> {
    if (this.#state !== 'open') return
    if (this.#copying) {
      this.#abandon()
      return
    }
    this.#state = 'closing'
    const timer = setTimeout(() => {
      this.#session.wire.destroy()
    }, CLOSE_TIMEOUT_MS)
    try {
      await this.#session.client.end()
    } catch {
      this.#session.wire.destroy()
    } finally {
      clearTimeout(timer)
      this.#state = 'gone'
    }
  }

  destroy(): void {
    if (this.#state === 'gone') return
    this.#state = 'gone'
    this.#session.wire.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The server learns from the closed socket when it next sends; a cancel reaches it in the middle of a sort, too. */
  #abandon(): void {
    void this.cancel()
    this.destroy()
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = this.#tail
    let release = (): void => undefined
    this.#tail = new Promise<void>((resolve) => {
      release = resolve
    })
    await before
    try {
      this.#assertUsable()
      return await work()
    } finally {
      release()
    }
  }

  #assertUsable(): void {
    if (this.#lost.signal.aborted) throw this.#lost.signal.reason
    if (this.#state !== 'open') {
      throw new TrunklineError('CONNECTION_LOST', 'The connection is closed.', {
        hint: 'This is a defect in Trunkline if you did not close it.',
      })
    }
    if (this.#copying) {
      throw new TrunklineError('INTERNAL', 'A statement was sent while a COPY runs on the connection.')
    }
  }

  async #explained<Result>(ask: () => Promise<Result>): Promise<Result> {
    const watch = this.#watchStatement('query')
    try {
      const answer = await ask()
      watch.ended(null)
      return answer
    } catch (error) {
      const { wire } = this.#session
      // `pg` knows only that the socket closed; the server had said why.
      const said = (error as { severity?: unknown }).severity === undefined ? wire.fatal : null
      const failure = toTrunklineError(said ?? error)
      watch.ended(failure)
      throw failure
    }
  }

  #watchStatement(protocol: 'query' | 'copy'): StatementWatch {
    this.#cancelAsked = false
    return watchStatement(this.#session.observer, protocol, () => this.#cancelAsked)
  }

  #ended(failure: unknown): void {
    const expected = this.#state !== 'open'
    this.#state = 'gone'
    if (expected) return
    const { wire } = this.#session
    this.#lost.abort(toTrunklineError(wire.fatal ?? failure ?? new Error('Connection terminated')))
  }
}

const CANCEL_CODE = (1234 << 16) | 5678

const TYPE_PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === 't',
  21: Number,
  23: Number,
  26: Number,
  114: (text) => JSON.parse(text) as unknown,
  3802: (text) => JSON.parse(text) as unknown,
  // text[] by pg's own parser, which serves name[] as well.
  1009: (text) => parseTextArray(text),
  1003: (text) => parseTextArray(text),
}
const parseTextArray = pg.types.getTypeParser(1009 as number, 'text') as (text: string) => unknown

const TYPES = {
  getTypeParser: (oid: number) => TYPE_PARSERS[oid] ?? ((text: string) => text),
}
