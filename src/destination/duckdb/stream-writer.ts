/**
 * Lands one stream: everything from `begin` to `commit` is one transaction on a connection of its own.
 *
 * A new generation is loaded into a table of its own, which takes the place of the present one inside the same transaction.
 * Rows for the present generation are staged in a temporary table first and applied together: delete by key, then insert.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Batch } from '../../batch/batch.js'
import type { Checkpoint } from '../../model/checkpoint.js'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import type { VerifyResult } from '../../model/report.js'
import type { ReconcileResult, SchemaChange, StreamLanding, StreamWriter, TableName } from '../contract.js'
import { ChunkLoader } from './chunk-loader.js'
import type { ConstantColumn } from './chunk-loader.js'
import { formatDuckDbType } from './column-types.js'
import type { Database } from './database.js'
import { queryRows } from './database.js'
import { toDestinationError } from './errors.js'
import { CATALOG, formatTable, quoteName, quoteTable, quoteText } from './quote.js'
import { toTimestamp, writeState } from './state-store.js'

/** When a soft-deleted row was found missing at the source; null while it is there. */
export const DELETED_AT = '_trunkline_deleted_at'
/** Which run a row of a dated copy belongs to. */
export const RUN_AT = '_trunkline_run_at'

export interface WriterContext {
  readonly database: Database
  readonly path: string
  readonly sync: string
  readonly runId: string
  readonly epoch: number
  /** Names the generation. */
  readonly number: number
  /** The landing starts a new generation, whatever it lands by. */
  readonly fresh: boolean
  /** What has to make way: the present table, or a view that is adopted. */
  readonly present: 'table' | 'view' | null
  /** Runs the commit while no other writer commits, after checking that the lease is still held. */
  readonly commitAlone: (commit: () => Promise<void>) => Promise<void>
  readonly onEnd: () => void
}

/** Rows on their way into the present generation. */
interface Stage {
  readonly table: TableName
  rows: number
  applied: boolean
}

export class DuckDbStreamWriter implements StreamWriter {
  readonly #context: WriterContext
  readonly #landing: StreamLanding
  readonly #connection: DuckDBConnection
  readonly #target: TableName
  #fields: readonly Field[]
  readonly #ownColumns: readonly ConstantColumn[]
  readonly #stages: Stage[] = []
  #loader: ChunkLoader | null = null
  #ended = false

  private constructor(context: WriterContext, landing: StreamLanding, connection: DuckDBConnection) {
    this.#context = context
    this.#landing = landing
    this.#connection = connection
    this.#fields = landing.fields
    this.#ownColumns = ownColumnsOf(landing)
    this.#target = context.fresh
      ? {
          schema: landing.table.schema,
          name: `_trunkline_${context.number}_${landing.generation}`,
        }
      : landing.table
  }

  static async open(context: WriterContext, landing: StreamLanding): Promise<DuckDbStreamWriter> {
    const connection = await context.database.connect()
    const writer = new DuckDbStreamWriter(context, landing, connection)
    try {
      await connection.run('BEGIN')
      if (context.fresh) await writer.#createGeneration()
      return writer
    } catch (error) {
      await writer.abort()
      throw writer.#failure('creating the table', error)
    }
  }

  async write(batch: Batch): Promise<void> {
    this.#assertOpen()
    if (batch.rowCount === 0) return
    try {
      this.#loader ??= await this.#openLoader()
      this.#loader.write(batch)
      const stage = this.#stages.at(-1)
      if (stage) stage.rows += batch.rowCount
    } catch (error) {
      throw this.#failure('loading rows', error)
    }
  }

  async liveCount(): Promise<number> {
    this.#assertOpen()
    try {
      await this.#applyStages()
      const [row] = await queryRows(
        this.#connection,
        `SELECT count(*) AS live FROM ${quoteTable(this.#target)} WHERE ${this.#liveCondition()}`,
      )
      return Number(row?.['live'])
    } catch (error) {
      throw this.#failure('counting', error)
    }
  }

  async reconcileKeys(
    keys: AsyncIterable<Batch>,
    guard: { readonly maxDeleted: number },
  ): Promise<ReconcileResult> {
    this.#assertOpen()
    const key = this.#requireKey()
    try {
      await this.#applyStages()
      const keyFields = key.map((name) => this.#requireField(name))
      const staged = await this.#createTemporary('keys', keyFields, [])
      const loader = await this.#openLoaderOn(staged, keyFields, [], 'temp')
      for await (const batch of keys) loader.write(batch)
      loader.close()
      const missing = `${this.#liveCondition()} AND NOT EXISTS (
        SELECT 1 FROM ${temporary(staged)} AS k WHERE ${key.map((name) => `k.${quoteName(name)} = t.${quoteName(name)}`).join(' AND ')})`
      const target = quoteTable(this.#target)
      const [found] = await queryRows(
        this.#connection,
        `SELECT count(*) AS missing FROM ${target} AS t WHERE ${missing}`,
      )
      const count = Number(found?.['missing'])
      if (count > guard.maxDeleted) {
        throw new TrunklineError(
          'MASS_DELETE',
          `${this.#landing.stream}: ${count} rows at the destination are no longer at the source, more than the ${guard.maxDeleted} that may be deleted at once.`,
          {
            hint: 'Check that the source is the right one and complete; if it is, run again with --allow-mass-delete.',
            context: { stream: this.#landing.stream },
          },
        )
      }
      if (count > 0 && this.#landing.deletes === 'soft') {
        await this.#connection.run(
          `UPDATE ${target} AS t SET ${quoteName(DELETED_AT)} = $1 WHERE ${missing}`,
          [toTimestamp(this.#context.database.api, new Date())],
        )
      } else if (count > 0) {
        await this.#connection.run(`DELETE FROM ${target} AS t WHERE ${missing}`)
      }
      await this.#connection.run(`DROP TABLE ${temporary(staged)}`)
      return { deleted: count }
    } catch (error) {
      throw this.#failure('removing rows that are gone at the source', error)
    }
  }

  async alter(change: SchemaChange): Promise<void> {
    this.#assertOpen()
    try {
      for (const field of change.add) {
        await this.#connection.run(
          `ALTER TABLE ${quoteTable(this.#target)} ADD COLUMN ${quoteName(field.name)} ${formatDuckDbType(field.type)}`,
        )
      }
      const added = change.add.filter((field) => !this.#fields.some((present) => present.name === field.name))
      this.#fields = [...this.#fields, ...added]
    } catch (error) {
      throw this.#failure('adding columns', error)
    }
  }

  verify(rows: AsyncIterable<Batch>): Promise<VerifyResult> {
    void rows
    return Promise.reject(new Error('verify is not here yet'))
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    this.#assertOpen()
    const { context, landing } = { context: this.#context, landing: this.#landing }
    try {
      await this.#applyStages()
      if (context.fresh) await this.#swap()
      await this.#comment()
      await writeState(context.database.api, this.#connection, {
        sync: context.sync,
        stream: landing.stream,
        table: landing.table,
        generation: landing.generation,
        number: context.number,
        expectedRunSeq: landing.expectedRunSeq,
        epoch: context.epoch,
        runId: context.runId,
        committedAt: new Date(),
        checkpoint,
      })
      await context.commitAlone(async () => {
        await this.#connection.run('COMMIT')
      })
      this.#end()
    } catch (error) {
      const failure = this.#failure('committing', error)
      await this.abort()
      throw failure
    }
  }

  async abort(): Promise<void> {
    if (this.#ended) return
    try {
      this.#connection.interrupt()
      await this.#connection.run('ROLLBACK')
    } catch {
      // The transaction may never have begun or be over; closing the connection drops what is left of it.
    }
    this.#end()
  }

  #end(): void {
    this.#ended = true
    this.#loader = null
    this.#connection.closeSync()
    this.#context.onEnd()
  }

  async #createGeneration(): Promise<void> {
    await this.#connection.run(
      `CREATE TABLE ${quoteTable(this.#target)} (${columnList(this.#fields, this.#ownColumns)})`,
    )
  }

  async #createTemporary(
    label: string,
    fields: readonly Field[],
    own: readonly ConstantColumn[],
  ): Promise<TableName> {
    const table = { schema: 'main', name: `${label}_${this.#context.number}_${this.#stages.length}` }
    await this.#connection.run(`CREATE TEMP TABLE ${temporary(table)} (${columnList(fields, own)})`)
    return table
  }

  async #openLoader(): Promise<ChunkLoader> {
    if (this.#context.fresh) return this.#openLoaderOn(this.#target, this.#fields, this.#ownColumns, CATALOG)
    const table = await this.#createTemporary('stage', this.#fields, this.#ownColumns)
    this.#stages.push({ table, rows: 0, applied: false })
    return this.#openLoaderOn(table, this.#fields, this.#ownColumns, 'temp')
  }

  #openLoaderOn(
    table: TableName,
    fields: readonly Field[],
    own: readonly ConstantColumn[],
    catalog: string,
  ): Promise<ChunkLoader> {
    return ChunkLoader.open(this.#context.database.api, this.#connection, { ...table, catalog }, fields, own)
  }

  /** Brings everything written so far into the target. */
  async #applyStages(): Promise<void> {
    this.#loader?.close()
    this.#loader = null
    if (this.#context.fresh) {
      if (this.#landing.landing === 'upsert') await this.#assertDistinct(quoteTable(this.#target))
      return
    }
    const target = quoteTable(this.#target)
    for (const stage of this.#stages) {
      if (stage.applied) continue
      const from = temporary(stage.table)
      if (this.#landing.landing === 'upsert') {
        await this.#assertDistinct(from)
        const match = this.#requireKey().map((name) => `t.${quoteName(name)} = s.${quoteName(name)}`)
        await this.#connection.run(
          `DELETE FROM ${target} AS t USING ${from} AS s WHERE ${match.join(' AND ')}`,
        )
      }
      const columns = [...this.#fields, ...this.#ownColumns]
        .map((column) => quoteName(column.name))
        .join(', ')
      await this.#connection.run(`INSERT INTO ${target} (${columns}) SELECT ${columns} FROM ${from}`)
      stage.applied = true
    }
  }

  async #assertDistinct(from: string): Promise<void> {
    const key = this.#requireKey().map(quoteName).join(', ')
    const [found] = await queryRows(
      this.#connection,
      `SELECT 1 FROM ${from} GROUP BY ${key} HAVING count(*) > 1 LIMIT 1`,
    )
    if (!found) return
    throw new TrunklineError(
      'KEY_DUPLICATE',
      `${this.#landing.stream}: two rows have the same ${this.#requireKey().join(', ')}.`,
      {
        hint: 'The declared key is not unique at the source, or its index is damaged. Choose another key, or use full_refresh.',
        context: { stream: this.#landing.stream },
      },
    )
  }

  async #swap(): Promise<void> {
    const { table } = this.#landing
    if (this.#context.present === 'view') await this.#connection.run(`DROP VIEW ${quoteTable(table)}`)
    if (this.#context.present === 'table') await this.#connection.run(`DROP TABLE ${quoteTable(table)}`)
    await this.#connection.run(`ALTER TABLE ${quoteTable(this.#target)} RENAME TO ${quoteName(table.name)}`)
  }

  async #comment(): Promise<void> {
    const table = quoteTable(this.#landing.table)
    const { comments } = this.#landing
    if (comments.table !== null) {
      await this.#connection.run(`COMMENT ON TABLE ${table} IS ${quoteText(comments.table)}`)
    }
    for (const [column, comment] of Object.entries(comments.columns)) {
      await this.#connection.run(`COMMENT ON COLUMN ${table}.${quoteName(column)} IS ${quoteText(comment)}`)
    }
  }

  #liveCondition(): string {
    return this.#ownColumns.some((column) => column.name === DELETED_AT)
      ? `${quoteName(DELETED_AT)} IS NULL`
      : 'true'
  }

  #requireKey(): readonly string[] {
    if (this.#landing.key && this.#landing.key.length > 0) return this.#landing.key
    throw new TrunklineError('KEY_MISSING', `${this.#landing.stream} has no key to land by.`, {
      hint: 'Give it one with --primary-key, or use full_refresh.',
      context: { stream: this.#landing.stream },
    })
  }

  #requireField(name: string): Field {
    const field = this.#fields.find((candidate) => candidate.name === name)
    if (field) return field
    throw new TrunklineError(
      'KEY_MISSING',
      `${this.#landing.stream}: the key column ${name} is not landed.`,
      {
        hint: 'Do not exclude key columns.',
        context: { stream: this.#landing.stream, field: name },
      },
    )
  }

  #assertOpen(): void {
    if (!this.#ended) return
    throw new TrunklineError('FENCED', `The writer of ${this.#landing.stream} is closed.`, {
      hint: 'Begin the stream again.',
      context: { stream: this.#landing.stream },
    })
  }

  #failure(doing: string, error: unknown): TrunklineError {
    return toDestinationError(error, {
      doing: `${doing} of ${this.#landing.stream} into ${formatTable(this.#landing.table)}`,
      path: this.#context.path,
      stream: this.#landing.stream,
    })
  }
}

function ownColumnsOf(landing: StreamLanding): readonly ConstantColumn[] {
  return [
    ...(landing.runAt === null ? [] : [{ name: RUN_AT, micros: BigInt(landing.runAt.getTime()) * 1000n }]),
    ...(landing.deletes === 'soft' ? [{ name: DELETED_AT, micros: null }] : []),
  ]
}

function columnList(fields: readonly Field[], own: readonly ConstantColumn[]): string {
  return [
    ...fields.map((field) => `${quoteName(field.name)} ${formatDuckDbType(field.type)}`),
    ...own.map((column) => `${quoteName(column.name)} TIMESTAMPTZ`),
  ].join(', ')
}

function temporary(table: TableName): string {
  return `temp.${quoteName(table.schema)}.${quoteName(table.name)}`
}
