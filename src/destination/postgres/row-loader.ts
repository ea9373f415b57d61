/** Batches into a table by COPY. While it goes on nothing else can run on the connection. */
import type { Batch } from '../../batch/batch.js'
import { chooseCopyForm } from '../../codec/copy-encoder-form.js'
import { createCopyEncoder, createTupleEncoder, type CopyEncoder } from '../../codec/copy-encoder.js'
import type { Connection, CopyIn } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { TargetColumn } from './target-types.js'

/** Longest time in which a server takes nothing and says nothing: it may have to wait for its disk. */
const STALL_TIMEOUT_MS = 10 * 60_000

export interface RowLoaderOptions {
  readonly connection: Connection
  /** As SQL names it. */
  readonly table: string
  readonly columns: readonly TargetColumn[]
  /** The table was made in this transaction: its rows need no second look by anybody. */
  readonly freeze: boolean
  readonly onBatchDone: ((batch: Batch) => void) | undefined
}

interface OpenCopy {
  readonly copy: CopyIn
  readonly encoder: CopyEncoder
  /** Of rows that were not decoded. */
  readonly undecoded: boolean
}

export class RowLoader {
  readonly #options: RowLoaderOptions
  #open: OpenCopy | null = null

  constructor(options: RowLoaderOptions) {
    this.#options = options
  }

  async write(batch: Batch): Promise<void> {
    const undecoded = batch.tuples !== undefined
    if (this.#open !== null && this.#open.undecoded !== undecoded) await this.finish()
    this.#open ??= await this.#begin(undecoded)
    const { copy, encoder } = this.#open
    for (const piece of encoder.encode(batch)) await copy.write(piece)
    this.#options.onBatchDone?.(batch)
  }

  async finish(): Promise<void> {
    if (this.#open === null) return
    const { copy, encoder } = this.#open
    await copy.write(encoder.trailer)
    await copy.finish()
    this.#open = null
  }

  async discard(): Promise<void> {
    await this.#open?.copy.fail('given up')
    this.#open = null
  }

  async #begin(undecoded: boolean): Promise<OpenCopy> {
    const { connection, table, columns, freeze } = this.#options
    const encoded = columns.map(({ field, typeName }) => ({ field, target: typeName }))
    const form = undecoded ? 'binary' : chooseCopyForm(encoded)
    const encoder = undecoded ? createTupleEncoder() : createCopyEncoder(encoded, form)
    const names = columns.map(({ field }) => field.name)
    const sql = `COPY ${table} (${names.map(quoteIdent).join(', ')}) FROM STDIN WITH (FORMAT ${form}${freeze ? ', FREEZE' : ''})`
    const copy = await connection.copyIn(sql, { stallTimeoutMs: STALL_TIMEOUT_MS, columns: names })
    await copy.write(encoder.header)
    return { copy, encoder, undecoded }
  }
}
