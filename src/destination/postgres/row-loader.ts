/** Batches into a table by COPY. While it goes on nothing else can run on the connection. */
import type { Batch } from '../../batch/batch.js'
import { chooseCopyForm, passesUndecoded } from '../../codec/copy-encoder-form.js'
import { createCopyEncoder, createTupleEncoder, type CopyEncoder } from '../../codec/copy-encoder.js'
import type { Connection, CopyIn } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { StreamOrigin } from '../contract.js'
import { rowsLeftOut } from './refusals.js'
import type { TargetColumn } from './target-types.js'
import { AFTER_TRIGGERS, BEFORE_TRIGGERS } from './write-session.js'

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
  /** The table is one that others may have made triggers on. */
  readonly hasTriggers: boolean
  /** Ends the connection. */
  readonly signal: AbortSignal | undefined
}

interface OpenCopy {
  readonly copy: CopyIn
  readonly encoder: CopyEncoder
  /** Of rows that were not decoded. */
  readonly undecoded: boolean
  /** Rows that were sent. */
  rows: number
}

/** Whether rows may go on as a source of that version sends them. */
export function mayPassUndecoded(
  columns: readonly TargetColumn[],
  origin: StreamOrigin | undefined,
  servers: { readonly source: number; readonly target: number },
): boolean {
  const passed = columns.map(({ field, typeName }) => {
    const column = origin?.columns.get(field.name)
    return column === undefined ? null : { origin: column, target: typeName }
  })
  return passed.every((column) => column !== null) && passesUndecoded(passed, servers)
}

export class RowLoader {
  readonly #options: RowLoaderOptions
  #open: OpenCopy | null = null
  #taken = 0

  constructor(options: RowLoaderOptions) {
    this.#options = options
  }

  async write(batch: Batch): Promise<void> {
    const undecoded = batch.tuples !== undefined
    if (this.#open !== null && this.#open.undecoded !== undecoded) await this.finish()
    this.#open ??= await this.#begin(undecoded)
    const { copy, encoder } = this.#open
    this.#open.rows += batch.rowCount
    for (const piece of encoder.encode(batch)) await copy.write(piece)
    this.#options.onBatchDone?.(batch)
  }

  /** @returns rows that the server has taken in all. @throws DESTINATION_FAILED where they are not as many as it was sent */
  async finish(): Promise<number> {
    if (this.#open === null) return this.#taken
    const { copy, encoder, rows } = this.#open
    await copy.write(encoder.trailer)
    const taken = await copy.finish()
    this.#open = null
    const { connection, table, hasTriggers } = this.#options
    if (taken !== rows) throw rowsLeftOut(table, taken, rows)
    if (hasTriggers) await connection.execute(AFTER_TRIGGERS)
    this.#taken += taken
    return this.#taken
  }

  async discard(): Promise<void> {
    await this.#open?.copy.fail('given up')
    this.#open = null
  }

  async #begin(undecoded: boolean): Promise<OpenCopy> {
    const { connection, table, columns, freeze, hasTriggers, signal } = this.#options
    if (hasTriggers) await connection.execute(BEFORE_TRIGGERS)
    const encoded = columns.map(({ field, typeName }) => ({ field, target: typeName }))
    const form = undecoded ? 'binary' : chooseCopyForm(encoded)
    const encoder = undecoded ? createTupleEncoder() : createCopyEncoder(encoded, form)
    const names = columns.map(({ field }) => field.name)
    const sql = `COPY ${table} (${names.map(quoteIdent).join(', ')}) FROM STDIN WITH (FORMAT ${form}${freeze ? ', FREEZE' : ''})`
    const copy = await connection.copyIn(sql, {
      stallTimeoutMs: STALL_TIMEOUT_MS,
      columns: names,
      ...(signal === undefined ? {} : { signal }),
    })
    await copy.write(encoder.header)
    return { copy, encoder, undecoded, rows: 0 }
  }
}
