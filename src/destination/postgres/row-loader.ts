/** Batches into a table by COPY. While it goes on nothing else can run on the connection. */
import type { Batch } from '../../batch/batch.js'
import { createCopyTextEncoder } from '../../codec/copy-text.js'
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

export class RowLoader {
  readonly #options: RowLoaderOptions
  readonly #encoder: ReturnType<typeof createCopyTextEncoder>
  readonly #copy: CopyIn

  private constructor(options: RowLoaderOptions, copy: CopyIn) {
    this.#options = options
    this.#copy = copy
    this.#encoder = createCopyTextEncoder(options.columns.map(({ field }) => field))
  }

  static async open(options: RowLoaderOptions): Promise<RowLoader> {
    const { connection, table, columns, freeze } = options
    const names = columns.map(({ field }) => field.name)
    const sql = `COPY ${table} (${names.map(quoteIdent).join(', ')}) FROM STDIN WITH (FORMAT text${freeze ? ', FREEZE' : ''})`
    const copy = await connection.copyIn(sql, { stallTimeoutMs: STALL_TIMEOUT_MS, columns: names })
    return new RowLoader(options, copy)
  }

  async write(batch: Batch): Promise<void> {
    for (const pieces of this.#encoder.add({ batch, start: 0, count: batch.rowCount })) {
      for (const piece of pieces) await this.#copy.write(piece)
    }
    this.#options.onBatchDone?.(batch)
  }

  async finish(): Promise<void> {
    for (const pieces of this.#encoder.end()) for (const piece of pieces) await this.#copy.write(piece)
    await this.#copy.finish()
  }

  discard(): Promise<void> {
    return this.#copy.fail('given up')
  }
}
