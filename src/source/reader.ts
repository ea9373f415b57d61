/** The engine's side of one reader thread. */
import { Worker } from 'node:worker_threads'
import type { Batch } from '../batch/batch.js'
import { TrunklineError, fromErrorData } from '../model/error.js'
import type { ConnectionEvent, ConnectionObserver } from '../postgres/connection-observer.js'
import type { ConnectionSettings } from '../postgres/connection-settings.js'
import type { Split } from './contract.js'
import { lend } from './lent-buffers.js'
import type { ReadPace } from './read-pace.js'
import type { ReadTotals } from './read-split.js'
import type { Given } from './replay.js'
import type { FromReader, SnapshotTicket, ToReader } from './reader-protocol.js'

export interface ReaderOptions {
  readonly file: URL
  readonly connection: ConnectionSettings
  readonly ticket: SnapshotTicket
  readonly observer?: ConnectionObserver
}

/** Batches on their way or waiting to be taken, beside the one in use: one to take while the next is decoded. */
const CREDIT = 2
/** A reader that has not stopped a cancelled read after this long is ended. */
const STOP_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_MS = 3000

export class Reader {
  readonly #worker: Worker
  #backendPid = 0
  #listener: ((message: FromReader | null) => void) | null = null
  #failure: TrunklineError | null = null
  #closing = false
  /** Of the read that was begun last. */
  #readId = 0
  /** Batches that came and are not used yet, of that read and of the one before. */
  #unused = 0
  readonly #takeBack = (buffer: ArrayBuffer): void => {
    this.#worker.postMessage({ kind: 'recycle', buffer } satisfies ToReader, [buffer])
  }

  readonly #observer: ConnectionObserver | undefined
  /** Its connection was said to be open, and not yet that it closed. */
  #connected = false

  private constructor({ file, observer }: ReaderOptions) {
    this.#observer = observer
    const worker = new Worker(file, { name: 'trunkline-reader' })
    this.#worker = worker
    worker.on('message', (message: FromReader) => {
      if (message.kind === 'observed') {
        this.#observe(message.event)
        return
      }
      if (message.kind === 'error' && message.fatal) this.#failure ??= fromErrorData(message.error)
      this.#listener?.(message.kind === 'error' && message.readId === null ? null : message)
    })
    worker.on('error', (error) => {
      this.#fail(died(error))
    })
    worker.on('exit', () => {
      if (this.#connected) this.#observe({ kind: 'closed' })
      this.#fail(died(undefined))
    })
  }

  /** Resolves when the thread has its connection and sees the snapshot of the ticket; an abort ends the thread. */
  static async open(
    options: ReaderOptions,
    { pace, signal }: { readonly pace: ReadPace; readonly signal: AbortSignal },
  ): Promise<Reader> {
    signal.throwIfAborted()
    const reader = new Reader(options)
    const onAbort = (): void => {
      void reader.terminate()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await reader.#start(options, pace)
      signal.throwIfAborted()
      return reader
    } catch (error) {
      await reader.terminate()
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  get backendPid(): number {
    return this.#backendPid
  }

  /** Why it can no longer be used; null while it can. */
  get failure(): TrunklineError | null {
    return this.#failure
  }

  /**
   * One read at a time, of what comes after `given`, which is kept up to date. Leaving it early cancels it; the reader is free
   * again when this has returned, or when `onRead` is called: then everything has come, and only batches wait to be taken.
   */
  async *read(
    split: Split,
    given: Given,
    { signal, onRead }: { readonly signal: AbortSignal; readonly onRead?: (() => void) | undefined },
  ): AsyncGenerator<Batch, ReadTotals> {
    signal.throwIfAborted()
    const readId = ++this.#readId
    const inbox: FromReader[] = []
    /** Of this read: came, and not used yet. */
    let unused = 0
    let wake: (() => void) | null = null
    const rouse = (): void => wake?.()
    const listener = (message: FromReader | null): void => {
      if (message !== null && 'readId' in message && message.readId === readId) {
        inbox.push(message)
        if (message.kind === 'batch') {
          unused++
          this.#unused++
        }
        if (message.kind === 'done') onRead?.()
      }
      rouse()
    }
    this.#listener = listener
    signal.addEventListener('abort', rouse)
    let ended = false
    try {
      this.#send({ kind: 'read', readId, split, after: { ...given } })
      this.#send({ kind: 'credit', readId, batches: CREDIT - this.#unused })
      for (;;) {
        signal.throwIfAborted()
        const message = inbox.shift()
        if (message === undefined) {
          if (this.#failure !== null) throw this.#failure
          await new Promise<void>((resolve) => {
            wake = resolve
          })
          wake = null
          continue
        }
        if (message.kind === 'batch') {
          given.batches++
          given.digest = message.digest
          yield lend(message.batch, this.#takeBack)
          unused--
          this.#giveCredit(1)
        } else if (message.kind === 'done') {
          ended = true
          return { rows: message.rows, bytes: message.bytes }
        } else if (message.kind === 'error') {
          ended = true
          throw fromErrorData(message.error)
        }
      }
    } finally {
      signal.removeEventListener('abort', rouse)
      // What ends the read may be here already, behind batches that nobody took.
      ended ||= inbox.some(({ kind }) => kind === 'done' || kind === 'error')
      if (!ended && this.#failure === null) await this.#stopRead(readId)
      // Another read may have begun.
      if (this.#readId === readId) this.#listener = null
      this.#giveCredit(unused)
    }
  }

  /** To whichever read is under way: what the one before leaves in the engine's hands counts against the next. */
  #giveCredit(batches: number): void {
    this.#unused -= batches
    if (batches > 0) this.#send({ kind: 'credit', readId: this.#readId, batches })
  }

  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    if (this.#failure !== null) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => void this.#worker.terminate(), CLOSE_TIMEOUT_MS)
      this.#worker.once('exit', () => {
        clearTimeout(timer)
        resolve()
      })
      this.#send({ kind: 'close' })
    })
  }

  /** Ends the thread with its connection, whatever it is doing. */
  async terminate(): Promise<void> {
    this.#closing = true
    await this.#worker.terminate()
  }

  #start(options: ReaderOptions, pace: ReadPace): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#listener = (message) => {
        this.#listener = null
        if (message?.kind === 'opened') {
          this.#backendPid = message.backendPid
          resolve()
        } else {
          reject(this.#failure ?? died(undefined))
        }
      }
      const { connection, ticket: snapshot } = options
      this.#send({ kind: 'open', connection, snapshot, pace, observed: this.#observer !== undefined })
    })
  }

  async #stopRead(readId: number): Promise<void> {
    const stopped = new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => {
        resolve(false)
      }, STOP_TIMEOUT_MS)
      this.#listener = (message) => {
        const ends = message === null || message.kind === 'done' || message.kind === 'error'
        if (!ends) return
        clearTimeout(timer)
        resolve(true)
      }
    })
    this.#send({ kind: 'cancel', readId })
    if (!(await stopped)) await this.terminate()
  }

  #send(message: ToReader): void {
    this.#worker.postMessage(message)
  }

  #observe(event: ConnectionEvent): void {
    if (event.kind === 'opened') this.#connected = true
    if (event.kind === 'closed') this.#connected = false
    this.#observer?.(event)
  }

  #fail(error: TrunklineError): void {
    this.#failure ??= error
    this.#listener?.(null)
  }
}

function died(cause: unknown): TrunklineError {
  return new TrunklineError('CONNECTION_LOST', 'A reader thread ended before its work was done.', {
    hint: 'A retry starts a new one. If it stays, look for a lack of memory.',
    ...(cause === undefined ? {} : { cause }),
  })
}
