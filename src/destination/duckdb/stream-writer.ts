/**
 * Lands one stream: everything from `begin` to `commit` is one transaction on a connection of its own, unless it is saved between.
 *
 * A new generation is loaded into a table of its own, which takes the place of the present one inside the last transaction. A save
 * commits the table as far as it is, under its own name, with how far that is, and the next transaction goes on in it.
 * Rows for the present generation are staged in a temporary table first and applied together: delete by key, then insert.
 */
import type { DuckDBConnection, DuckDBTimestampTZValue, DuckDBValue } from '@duckdb/node-api'
import type { Batch } from '../../batch/batch.js'
import type { Checkpoint, LoadProgress } from '../../model/checkpoint.js'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import type { VerifyResult } from '../../model/report.js'
import type { ReconcileResult, SchemaChange, StreamLanding, StreamWriter, TableName } from '../contract.js'
import { formatDuckDbType } from './column-types.js'
import { formatComparison } from './compare-tables.js'
import type { Database, Row } from './database.js'
import { queryRows } from './database.js'
import { toDestinationError } from './errors.js'
import { keyDuplicate, massDelete, writerClosed } from '../refusals.js'
import { formatCarry, formatComments, formatLive, matchKeys, temporary } from './landing-sql.js'
import { foldName, formatTable, quoteName, quoteTable } from './quote.js'
import { RowRoom } from './memory-room.js'
import { ParquetLoader } from './parquet-loader.js'
import type { PartialKey } from './partial-store.js'
import { generationTable } from './partial-store.js'
import { toTimestamp } from './state-layout.js'
import type { StateOrigin } from './state-store.js'
import { writePartial, writeState } from './state-store.js'
import type { ConstantColumn, PresentColumns } from './table-columns.js'
import {
  DELETED_AT,
  assertAllPresent,
  assertSameTypes,
  formatColumns,
  ownColumnsOf,
  readPresentColumns,
} from './table-columns.js'

export interface WriterContext {
  readonly database: Database
  readonly path: string
  readonly scratchDir: string
  readonly threads: number
  readonly sync: string
  readonly runId: string
  readonly epoch: number
  /** Names the generation. */
  readonly number: number
  /** The landing starts a new generation, whatever it lands by. */
  readonly fresh: boolean
  /** What an earlier run saved of the generation is there, and is gone on with. */
  readonly resumed: boolean
  /** What has to make way for a new generation: the present table, or a view that is adopted. */
  readonly present: 'table' | 'view' | null
  /** The present table is an earlier generation of this very stream. */
  readonly ours: boolean
  /** Runs the commit while no other writer commits, after checking that the lease is still held. */
  readonly commitAlone: (commit: () => Promise<void>) => Promise<void>
  /** Something is saved of a load of the stream. */
  readonly hasPartial: () => boolean
  readonly onSaved: (partial: PartialKey) => void
  /** After the commit of the stream, not of a save. */
  readonly onCommitted: () => void
  /** Before rows are loaded that take so many bytes beside the limit. */
  readonly makeRoomFor: (bytes: number) => Promise<void>
  readonly onRows: (rows: number) => void
  readonly onEnd: (writer: StreamWriter) => void
}

export class DuckDbStreamWriter implements StreamWriter {
  readonly #context: WriterContext
  readonly #landing: StreamLanding
  readonly #connection: DuckDBConnection
  /** What the rows end up in, until a new generation is renamed. */
  readonly #target: TableName
  readonly #ownColumns: readonly ConstantColumn[]
  readonly #stage: TableName
  #fields: readonly Field[]
  #columns: PresentColumns = new Map()
  #loader: ParquetLoader | null = null
  readonly #room = new RowRoom()
  /** There are staged rows that the target does not have yet. */
  #staged = false
  #loaderCount = 0
  #targetExists: boolean
  #ended = false

  private constructor(context: WriterContext, landing: StreamLanding, connection: DuckDBConnection) {
    this.#context = context
    this.#landing = landing
    this.#connection = connection
    this.#fields = landing.fields
    this.#ownColumns = ownColumnsOf(landing)
    this.#stage = { schema: 'main', name: `stage_${context.number}` }
    this.#targetExists = !context.fresh || context.resumed
    this.#target = context.fresh
      ? generationTable(landing.table, context.number, landing.generation)
      : landing.table
  }

  static async open(context: WriterContext, landing: StreamLanding): Promise<DuckDbStreamWriter> {
    const writer = new DuckDbStreamWriter(context, landing, await context.database.connect())
    try {
      await writer.#connection.run('BEGIN')
      if (!context.fresh) await writer.#preparePresent()
      if (context.resumed) await writer.#preparePartial()
      return writer
    } catch (error) {
      await writer.abort()
      throw await writer.#failure('preparing the table', error)
    }
  }

  async write(batch: Batch): Promise<void> {
    this.#assertOpen()
    if (batch.rowCount === 0) return
    try {
      this.#loader ??= await this.#openLoader()
      await this.#context.makeRoomFor(this.#room.add(batch))
      await this.#loader.write(batch)
      this.#context.onRows(batch.rowCount)
    } catch (error) {
      throw await this.#failure('loading rows', error)
    }
  }

  async save(progress: LoadProgress): Promise<void> {
    this.#assertOpen()
    const { database, commitAlone, onSaved } = this.#context
    try {
      this.#requireNewGeneration()
      await this.#applyWritten()
      await writePartial(database.api, this.#connection, {
        ...this.#origin(),
        savedAt: new Date(),
        progress,
      })
      await commitAlone(async () => {
        await this.#connection.run('COMMIT')
      })
      onSaved(this.#origin())
      await this.#connection.run('BEGIN')
    } catch (error) {
      throw await this.#failure('saving what is loaded', error)
    }
  }

  async replaceByKey(rows: AsyncIterable<Batch>): Promise<void> {
    this.#assertOpen()
    try {
      this.#requireNewGeneration()
      await this.#applyWritten()
      const staged = await this.#loadTemporary('replace', this.#fields, rows, this.#ownColumns)
      await this.#mergeByKey(staged)
    } catch (error) {
      throw await this.#failure('replacing rows', error)
    }
  }

  async liveCount(): Promise<number> {
    this.#assertOpen()
    try {
      await this.#applyWritten()
      const [row] = await this.#query(
        `SELECT count(*) AS live FROM ${quoteTable(this.#target)} WHERE ${this.#isLive()}`,
      )
      return Number(row?.['live'])
    } catch (error) {
      throw await this.#failure('counting rows', error)
    }
  }

  async reconcileKeys(
    keys: AsyncIterable<Batch>,
    guard: { readonly maxDeleted: number },
  ): Promise<ReconcileResult> {
    this.#assertOpen()
    try {
      await this.#applyWritten()
      const key = this.#requireKey()
      const staged = await this.#loadTemporary(
        'keys',
        key.map((name) => this.#requireField(name)),
        keys,
      )
      const target = `${quoteTable(this.#target)} AS t`
      const isGone = `${this.#isLive()} AND NOT EXISTS (SELECT 1 FROM ${staged} AS s WHERE ${matchKeys(key)})`
      const [found] = await this.#query(`SELECT count(*) AS gone FROM ${target} WHERE ${isGone}`)
      const gone = Number(found?.['gone'])
      if (gone > guard.maxDeleted) throw massDelete(this.#landing.stream, gone, guard.maxDeleted)
      if (gone > 0 && this.#landing.deletes === 'soft' && !this.#context.fresh) {
        await this.#query(`UPDATE ${target} SET ${quoteName(DELETED_AT)} = $1 WHERE ${isGone}`, [this.#now()])
      } else if (gone > 0) {
        await this.#query(`DELETE FROM ${target} WHERE ${isGone}`)
      }
      await this.#query(`DROP TABLE ${staged}`)
      return { deleted: gone }
    } catch (error) {
      throw await this.#failure('removing rows that the source no longer has', error)
    }
  }

  async alter(change: SchemaChange): Promise<void> {
    this.#assertOpen()
    try {
      if (this.#loader) throw new Error('columns are added before the first write')
      for (const field of change.add) {
        if (!this.#fields.some((known) => known.name === field.name)) this.#fields = [...this.#fields, field]
        if (!this.#targetExists) continue
        await this.#query(
          `ALTER TABLE ${quoteTable(this.#target)} ADD COLUMN ${quoteName(field.name)} ${formatDuckDbType(field.type)}`,
        )
      }
      if (this.#targetExists) this.#columns = await readPresentColumns(this.#connection, this.#target)
    } catch (error) {
      throw await this.#failure('adding columns', error)
    }
  }

  async verify(
    rows: AsyncIterable<Batch>,
    { fields = this.#fields }: { readonly fields?: readonly Field[] } = {},
  ): Promise<VerifyResult> {
    this.#assertOpen()
    try {
      await this.#applyWritten()
      const staged = await this.#loadTemporary('verify', fields, rows)
      const present = { actual: quoteTable(this.#target), actualWhere: this.#isLive() }
      const [found] = await this.#query(formatComparison({ fields, expected: staged, ...present }))
      await this.#query(`DROP TABLE ${staged}`)
      const missing = Number(found?.['missing'])
      const unexpected = Number(found?.['unexpected'])
      return { equal: missing === 0 && unexpected === 0, missing, unexpected }
    } catch (error) {
      throw await this.#failure('comparing rows', error)
    }
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    this.#assertOpen()
    const context = this.#context
    const landing = this.#landing
    try {
      await this.#applyWritten()
      if (context.fresh) {
        // Only now: while a load goes on that was interrupted, a row can be there as it was and as it is.
        if (landing.landing === 'upsert' && !landing.keyEnforced) {
          await this.#assertDistinct(quoteTable(this.#target))
        }
        await this.#swap()
      }
      await this.#comment()
      await writeState(context.database.api, this.#connection, {
        ...this.#origin(),
        partial: context.hasPartial(),
        committedAt: new Date(),
        checkpoint,
      })
      await context.commitAlone(async () => {
        await this.#connection.run('COMMIT')
      })
      context.onCommitted()
      this.#end()
    } catch (error) {
      const failure = await this.#failure('committing', error)
      await this.abort()
      throw failure
    }
  }

  async abort(): Promise<void> {
    if (this.#ended) return
    try {
      this.#connection.interrupt()
      await this.#loader?.discard()
      await this.#connection.run('ROLLBACK')
    } catch {
      // The transaction may never have begun or be over; closing the connection drops what is left of it.
    }
    this.#end()
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#loader = null
    this.#connection.closeSync()
    this.#context.onEnd(this)
  }

  /** Brings the present table to what this landing needs beside the stream's own columns. */
  async #preparePresent(): Promise<void> {
    const table = quoteTable(this.#target)
    let columns = await readPresentColumns(this.#connection, this.#target)
    assertSameTypes(this.#landing, columns)
    for (const { name } of this.#ownColumns) {
      if (columns.has(foldName(name))) continue
      await this.#query(`ALTER TABLE ${table} ADD COLUMN ${quoteName(name)} TIMESTAMPTZ`)
      columns = await readPresentColumns(this.#connection, this.#target)
    }
    this.#columns = columns
    if (this.#landing.deletes === 'hard' && columns.has(DELETED_AT)) {
      // Marked while deletes were soft; now they are hard.
      await this.#query(`DELETE FROM ${table} WHERE ${quoteName(DELETED_AT)} IS NOT NULL`)
    }
  }

  /** Nobody else writes the table of a partial load, so that it is as it was saved, or not ours. */
  async #preparePartial(): Promise<void> {
    this.#columns = await readPresentColumns(this.#connection, this.#target)
    assertSameTypes(this.#landing, this.#columns)
    assertAllPresent(this.#landing, this.#fields, this.#columns)
  }

  async #createTarget(): Promise<void> {
    if (this.#targetExists) return
    await this.#query(
      `CREATE TABLE ${quoteTable(this.#target)} (${formatColumns(this.#fields, this.#ownColumns)})`,
    )
    this.#columns = await readPresentColumns(this.#connection, this.#target)
    this.#targetExists = true
  }

  async #openLoader(): Promise<ParquetLoader> {
    if (this.#context.fresh) {
      await this.#createTarget()
      return this.#loadInto(quoteTable(this.#target), this.#fields, this.#ownColumns)
    }
    assertAllPresent(this.#landing, this.#fields, this.#columns)
    if (this.#landing.landing !== 'upsert') {
      return this.#loadInto(quoteTable(this.#target), this.#fields, this.#ownColumns)
    }
    const stage = temporary(this.#stage)
    await this.#query(`CREATE TEMP TABLE ${stage} (${formatColumns(this.#fields, this.#ownColumns)})`)
    this.#staged = true
    return this.#loadInto(stage, this.#fields, this.#ownColumns)
  }

  #loadInto(table: string, fields: readonly Field[], constants: readonly ConstantColumn[]): ParquetLoader {
    const { scratchDir, number, threads } = this.#context
    const label = `${number}-${this.#loaderCount++}`
    return new ParquetLoader({
      connection: this.#connection,
      scratchDir,
      label,
      threads,
      table,
      fields,
      constants,
      onBatchDone: this.#landing.onBatchDone,
    })
  }

  /** Stages batches beside what `write` takes; returns the table's SQL name. */
  async #loadTemporary(
    label: string,
    fields: readonly Field[],
    batches: AsyncIterable<Batch>,
    constants: readonly ConstantColumn[] = [],
  ): Promise<string> {
    const table = { schema: 'main', name: `${label}_${this.#context.number}` }
    await this.#query(`CREATE TEMP TABLE ${temporary(table)} (${formatColumns(fields, constants)})`)
    const loader = this.#loadInto(temporary(table), fields, constants)
    const room = new RowRoom()
    try {
      for await (const batch of batches) {
        await this.#context.makeRoomFor(room.add(batch))
        await loader.write(batch)
      }
      await loader.finish()
    } catch (error) {
      await loader.discard()
      throw error
    }
    return temporary(table)
  }

  /** Brings everything written so far into the target. */
  async #applyWritten(): Promise<void> {
    const loader = this.#loader
    this.#loader = null
    await loader?.finish()
    if (this.#context.fresh) {
      await this.#createTarget()
      return
    }
    if (!this.#staged) return
    await this.#mergeByKey(temporary(this.#stage))
    this.#staged = false
  }

  /** Rows of a staged table take the place of those in the target that have their keys. */
  async #mergeByKey(stage: string): Promise<void> {
    const target = quoteTable(this.#target)
    await this.#assertDistinct(stage)
    await this.#query(`DELETE FROM ${target} AS t USING ${stage} AS s WHERE ${matchKeys(this.#requireKey())}`)
    const columns = [...this.#fields, ...this.#ownColumns].map((column) => quoteName(column.name)).join(', ')
    await this.#query(`INSERT INTO ${target} (${columns}) SELECT ${columns} FROM ${stage}`)
    await this.#query(`DROP TABLE ${stage}`)
  }

  async #assertDistinct(from: string): Promise<void> {
    const key = this.#requireKey().map(quoteName).join(', ')
    const [found] = await this.#query(`SELECT 1 FROM ${from} GROUP BY ${key} HAVING count(*) > 1 LIMIT 1`)
    if (found) throw keyDuplicate(this.#landing.stream, this.#requireKey())
  }

  /** Puts the new generation in the place of the present one. Views that name the table go on to the new one. */
  async #swap(): Promise<void> {
    const { table } = this.#landing
    if (this.#context.present === 'view') await this.#query(`DROP VIEW ${quoteTable(table)}`)
    if (this.#context.present === 'table') {
      if (this.#context.ours) await this.#carryDeleted()
      await this.#query(`DROP TABLE ${quoteTable(table)}`)
    }
    await this.#query(`ALTER TABLE ${quoteTable(this.#target)} RENAME TO ${quoteName(table.name)}`)
  }

  /** With soft deletes, rows of the earlier generation that the new one lacks stay, marked. */
  async #carryDeleted(): Promise<void> {
    const { key, deletes, table } = this.#landing
    if (deletes !== 'soft' || !key) return
    const earlier = await readPresentColumns(this.#connection, table)
    const sql = formatCarry({ from: table, columns: earlier, into: this.#target, fields: this.#fields, key })
    if (sql !== null) await this.#query(sql, [this.#now()])
  }

  async #comment(): Promise<void> {
    const { table, comments } = this.#landing
    for (const sql of formatComments(table, comments, this.#fields)) await this.#query(sql)
  }

  #isLive(): string {
    return formatLive(this.#columns, this.#landing.runAt)
  }

  #origin(): StateOrigin {
    const { sync, epoch, runId, number } = this.#context
    const { stream, table, generation, expectedRunSeq } = this.#landing
    return { sync, stream, table, generation, number, expectedRunSeq, epoch, runId }
  }

  #requireNewGeneration(): void {
    if (this.#context.fresh) return
    throw new Error('the rows are those of a generation that is already there')
  }

  #requireKey(): readonly string[] {
    const { key, stream } = this.#landing
    if (key && key.length > 0) return key
    throw new TrunklineError('KEY_MISSING', `${stream} has no key to land by.`, {
      hint: 'Give it one with --primary-key, or use --mode full_refresh.',
      context: { stream },
    })
  }

  #requireField(name: string): Field {
    const { stream } = this.#landing
    const field = this.#fields.find((candidate) => candidate.name === name)
    if (field) return field
    throw new TrunklineError('KEY_MISSING', `${stream}: the key column ${name} is not landed.`, {
      hint: 'Do not exclude key columns.',
      context: { stream, field: name },
    })
  }

  #now(): DuckDBTimestampTZValue {
    return toTimestamp(this.#context.database.api, new Date())
  }

  #query(sql: string, values?: DuckDBValue[]): Promise<readonly Row[]> {
    return queryRows(this.#connection, sql, values)
  }

  #assertOpen(): void {
    if (this.#ended) throw writerClosed(this.#landing.stream)
  }

  #failure(doing: string, error: unknown): Promise<TrunklineError> {
    const { stream, table } = this.#landing
    return toDestinationError(error, {
      doing: `${doing} of ${stream} in ${formatTable(table)}`,
      path: this.#context.path,
      stream,
    })
  }
}
