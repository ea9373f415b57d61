/**
 * Lands one stream: everything from `begin` to `commit` is one transaction on a connection of its own, unless it is saved between.
 *
 * A new generation is loaded into a table of `_trunkline`, which takes the place of the present one inside the last transaction
 * (`swap.ts`). A save commits the table as far as it is, with how far that is, and the next transaction goes on in it.
 * Rows for the present generation are staged in a temporary table first and applied together. What has to change about the present
 * table is changed only then, so that its readers are kept out as shortly as can be.
 */
import type { Batch } from '../../batch/batch.js'
import type { Checkpoint, LoadProgress } from '../../model/checkpoint.js'
import type { Field } from '../../model/column-type.js'
import type { VerifyResult } from '../../model/report.js'
import type { Connection } from '../../postgres/connection.js'
import type { ReconcileResult, SchemaChange, StreamLanding, StreamWriter, TableName } from '../contract.js'
import { insertRows, removeRows, replaceRows, type StagedRows } from './apply-rows.js'
import { settleCommit } from './commit-outcome.js'
import { toTargetError } from './errors.js'
import {
  RUN_AT,
  addColumn,
  formatComments,
  formatComparison,
  formatCreate,
  formatGone,
  formatLive,
  formatRunAt,
  formatStage,
  ownColumnsOf,
  stageName,
  type OwnColumn,
} from './landing-sql.js'
import { massDelete, writerClosed } from '../refusals.js'
import { finishGeneration } from './new-generation.js'
import { asPresent, changesForLanding } from './present-table.js'
import { columnDiffers, columnTaken, keyMissing, labelMissing, notLanded, notTheTable } from './refusals.js'
import { RowLoader, mayPassUndecoded } from './row-loader.js'
import { formatTable, generationTable, quoteOnly, quoteTable } from './state-layout.js'
import { writePartial, writeState, type StateOrigin } from './state-store.js'
import { executeWithShortWaits } from './table-lock.js'
import { isTheirs, isUniqueOver, readTable, type MadeParts, type PresentTable } from './target-table.js'
import { targetColumns, type TargetColumn } from './target-types.js'
import { beginWriting, commitWriting } from './write-session.js'
import type { WriterContext } from './writer-context.js'

const STAGE = 'stage'

export class PostgresStreamWriter implements StreamWriter {
  readonly #context: WriterContext
  readonly #landing: StreamLanding
  readonly #connection: Connection
  /** What the rows end up in, until a new generation is moved. */
  readonly #target: TableName
  readonly #own: readonly OwnColumn[]
  #columns: readonly TargetColumn[]
  /** Names of the target's columns. */
  #names: Set<string>
  /** Of the present table, to be changed before rows are applied. */
  readonly #changes: string[] = []
  #loader: RowLoader | null = null
  #stagedRows = false
  #targetExists: boolean
  /** The target was made in this transaction. */
  #made = false
  /** Its rows, where they are what was copied into it in this transaction; null: they have to be counted. */
  #copied: number | null = null
  #temporaries = 0
  #running = 0
  /** Whether it takes place is for the server to say. */
  #committing = false
  #ended = false
  /** What the reading of rows threw, not we. */
  readonly #foreign = new WeakSet<object>()

  private constructor(context: WriterContext, landing: StreamLanding) {
    this.#context = context
    this.#landing = landing
    this.#connection = context.connection
    this.#own = ownColumnsOf(landing)
    this.#targetExists = !context.fresh || context.resumed
    this.#target = context.fresh ? generationTable(context.number, landing.generation) : landing.table
    this.#columns = this.#columnsOf(landing.fields)
    this.#names = new Set([...landing.fields, ...this.#own].map(({ name }) => name))
    context.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  static async open(context: WriterContext, landing: StreamLanding): Promise<PostgresStreamWriter> {
    const writer = new PostgresStreamWriter(context, landing)
    try {
      await writer.#do('preparing the table', async () => {
        await beginWriting(writer.#connection)
        if (!context.fresh && context.present !== null) writer.#preparePresent(context.present)
        if (context.resumed) await writer.#preparePartial()
      })
      return writer
    } catch (error) {
      await writer.abort()
      throw error
    }
  }

  takesUndecoded(sourceVersion: number): boolean {
    const servers = { source: sourceVersion, target: this.#connection.serverVersion }
    return mayPassUndecoded(this.#columns, this.#landing.origin, servers)
  }

  write(batch: Batch): Promise<void> {
    return this.#do('loading rows', async () => {
      if (batch.rowCount === 0) return
      this.#loader ??= await this.#openLoader()
      await this.#loader.write(batch)
    })
  }

  save(progress: LoadProgress): Promise<void> {
    return this.#do('saving what is loaded', async () => {
      this.#requireNewGeneration()
      await this.#applyWritten()
      const saved = { ...this.#origin(), progress }
      await writePartial(this.#connection, saved)
      await this.#commitSurely(() => this.#context.isSaved(saved))
      this.#made = false
      this.#copied = null
      this.#context.onSaved(saved)
      try {
        await beginWriting(this.#connection)
      } catch {
        // What is saved is saved: whatever comes next fails, and the next attempt goes on from here.
        this.#connection.destroy()
      }
    })
  }

  replaceByKey(rows: AsyncIterable<Batch>): Promise<void> {
    return this.#do('replacing rows', async () => {
      this.#requireNewGeneration()
      await this.#applyWritten()
      const staged = await this.#loadTemporary(this.#columns, rows)
      this.#copied = null
      await this.#replaceFrom(staged)
      await this.#connection.execute(`DROP TABLE ${staged}`)
    })
  }

  liveCount(): Promise<number> {
    return this.#do('counting rows', async () => {
      await this.#applyWritten()
      return this.#copied ?? this.#count(this.#isLive())
    })
  }

  reconcileKeys(
    keys: AsyncIterable<Batch>,
    guard: { readonly maxDeleted: number },
  ): Promise<ReconcileResult> {
    return this.#do('removing rows that the source no longer has', async () => {
      await this.#applyWritten()
      const key = this.#requireKey()
      const staged = await this.#loadTemporary(
        key.map((name) => this.#requireColumn(name)),
        keys,
      )
      await this.#connection.execute(`ANALYZE ${staged}`)
      const isGone = formatGone(this.#isLive(), staged, key)
      const gone = await this.#count(isGone)
      if (gone > guard.maxDeleted) throw massDelete(this.#landing.stream, gone, guard.maxDeleted)
      this.#copied = null
      const soft = this.#landing.deletes === 'soft' && !this.#context.fresh
      if (gone > 0) await removeRows(this.#connection, { rows: this.#rows(), isGone, soft })
      await this.#connection.execute(`DROP TABLE ${staged}`)
      return { deleted: gone }
    })
  }

  alter(change: SchemaChange): Promise<void> {
    return this.#do('adding columns', async () => {
      if (this.#loader) throw new Error('columns are added before the first write')
      await Promise.resolve()
      const known = new Set(this.#columns.map(({ field }) => field.name))
      const added = change.add.filter(({ name }) => !known.has(name))
      const taken = added.find(({ name }) => isTheirs(name, this.#context.present, this.#context.made))
      if (taken !== undefined) throw columnTaken(this.#landing, taken.name)
      this.#columns = [...this.#columns, ...this.#columnsOf(added)]
      for (const { field, sqlType } of this.#columns) {
        const isNew = change.add.some(({ name }) => name === field.name)
        if (!isNew || !this.#targetExists || this.#names.has(field.name)) continue
        this.#changes.push(addColumn(quoteTable(this.#target), field.name, sqlType))
      }
      for (const { name } of change.add) this.#names.add(name)
    })
  }

  verify(
    rows: AsyncIterable<Batch>,
    { fields }: { readonly fields?: readonly Field[] } = {},
  ): Promise<VerifyResult> {
    return this.#do('comparing rows', async () => {
      await this.#applyWritten()
      const columns = fields?.map(({ name }) => this.#requireColumn(name)) ?? this.#columns
      const staged = await this.#loadTemporary(columns, rows)
      const [found] = await this.#connection.query<{ missing: string; unexpected: string }>(
        formatComparison({
          fields: columns.map(({ field }) => field),
          expected: staged,
          actual: this.#rows(),
          actualWhere: this.#isLive(),
        }),
      )
      await this.#connection.execute(`DROP TABLE ${staged}`)
      const [missing, unexpected] = [Number(found?.missing), Number(found?.unexpected)]
      return { equal: missing === 0 && unexpected === 0, missing, unexpected }
    })
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    const { fresh, present, onCommitted } = this.#context
    try {
      await this.#do('committing', async () => {
        await this.#applyWritten()
        const made = fresh ? await this.#swap() : this.#madeByNow()
        const fields = this.#columns.map(({ field }) => field)
        const comments = { fields, present: fresh ? null : present }
        for (const sql of formatComments(this.#landing.table, this.#landing.comments, comments)) {
          await this.#connection.execute(sql)
        }
        await this.#writeState(checkpoint, made)
        await this.#commitSurely(() => this.#context.isCommitted(this.#origin()))
      })
    } catch (error) {
      await this.abort()
      throw error
    }
    onCommitted()
    this.#end(true)
  }

  async abort(): Promise<void> {
    if (this.#ended) return
    const connection = this.#connection
    // What still runs is told to stop, and what comes late would hit the next statement: the connection is given up.
    const isIdle = this.#running === 0 && !connection.lost.aborted
    try {
      if (!isIdle) void connection.cancel()
      else {
        await this.#loader?.discard()
        await connection.execute('ROLLBACK')
      }
    } catch {
      this.#end(false)
      return
    }
    this.#end(isIdle)
  }

  #end(usable: boolean): void {
    if (this.#ended) return
    this.#ended = true
    this.#context.signal?.removeEventListener('abort', this.#onAbort)
    this.#loader = null
    this.#context.onEnd(this, this.#connection, usable)
  }

  /** What runs is told to stop, and nothing else comes after it. A commit that was sent takes its course. */
  readonly #onAbort = (): void => {
    if (this.#running === 0 || this.#committing) return
    void this.#connection.cancel()
    this.#connection.destroy()
  }

  async #do<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#ended) throw writerClosed(this.#landing.stream)
    const { signal } = this.#context
    signal?.throwIfAborted()
    this.#running++
    try {
      return await work()
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason
      throw this.#failure(doing, error)
    } finally {
      this.#running--
    }
  }

  async #commitSurely(askWhether: () => Promise<boolean>): Promise<void> {
    this.#committing = true
    try {
      await commitWriting(this.#connection)
    } catch (error) {
      await settleCommit(this.#landing.stream, error, askWhether)
    } finally {
      this.#committing = false
    }
  }

  #preparePresent(present: PresentTable): void {
    this.#columns = this.#columns.map((column) => asPresent(this.#landing, column, present))
    this.#names = new Set([...present.columns.keys(), ...this.#own.map(({ name }) => name)])
    this.#changes.push(...changesForLanding(this.#landing, this.#columns, this.#own, present))
  }

  /** Nobody else writes the table of a partial load, so that it is as it was saved, or not ours. */
  async #preparePartial(): Promise<void> {
    const partial = await readTable(this.#connection, this.#target)
    if (partial === null) throw new Error('the table of the partial load is gone')
    this.#names = new Set(partial.columns.keys())
    this.#columns = this.#columns.map((column) => asPresent(this.#landing, column, partial))
    this.#requirePresent(this.#columns)
    const runAt = this.#own.find(({ name }) => name === RUN_AT)
    if (runAt === undefined) return
    // The rows of a dated copy are of one instant, however many runs it took.
    await this.#connection.execute(formatRunAt(quoteTable(this.#target), runAt))
  }

  async #createTarget(): Promise<void> {
    if (this.#targetExists) return
    await this.#connection.execute(
      formatCreate(this.#target, this.#columns, { landing: this.#landing, own: this.#own }),
    )
    this.#names = new Set([...this.#columns.map(({ field }) => field), ...this.#own].map(({ name }) => name))
    this.#targetExists = true
    this.#made = true
    this.#copied = 0
  }

  async #openLoader(): Promise<RowLoader> {
    if (this.#context.fresh) {
      await this.#createTarget()
      return this.#loadInto(quoteTable(this.#target), this.#columns)
    }
    this.#requirePresent(this.#columns)
    // Straight into the present table only where that needs nothing else: whoever reads it sees the rows after the commit.
    const direct = this.#landing.landing === 'append' && this.#changes.length === 0 && this.#own.length === 0
    if (direct) return this.#loadInto(quoteTable(this.#target), this.#columns)
    if (!this.#stagedRows) await this.#connection.execute(formatStage(STAGE, this.#columns))
    this.#stagedRows = true
    return this.#loadInto(stageName(STAGE), this.#columns)
  }

  #loadInto(table: string, columns: readonly TargetColumn[]): RowLoader {
    const { onBatchDone } = this.#landing
    const { connection, signal, fresh } = this.#context
    const isTarget = table === quoteTable(this.#target)
    const [freeze, hasTriggers] = [this.#made && isTarget, !fresh && isTarget]
    return new RowLoader({ connection, table, columns, freeze, onBatchDone, hasTriggers, signal })
  }

  /** Stages batches beside what `write` takes; returns the table's SQL name. */
  async #loadTemporary(columns: readonly TargetColumn[], batches: AsyncIterable<Batch>): Promise<string> {
    const name = `rows_${this.#temporaries++}`
    await this.#connection.execute(formatStage(name, columns))
    const loader = this.#loadInto(stageName(name), columns)
    try {
      for await (const batch of this.#marked(batches)) await loader.write(batch)
      await loader.finish()
    } catch (error) {
      await loader.discard()
      throw error
    }
    return stageName(name)
  }

  /** What reading throws is passed on as it is. */
  async *#marked(batches: AsyncIterable<Batch>): AsyncGenerator<Batch> {
    try {
      yield* batches
    } catch (error) {
      if (typeof error === 'object' && error !== null) this.#foreign.add(error)
      throw error
    }
  }

  /** Brings everything written so far into the target. */
  async #applyWritten(): Promise<void> {
    const loader = this.#loader
    this.#loader = null
    const taken = (await loader?.finish()) ?? 0
    if (this.#context.fresh) await this.#createTarget()
    if (this.#copied !== null) this.#copied += taken
    const changes = this.#changes.splice(0)
    if (changes.length > 0) {
      await executeWithShortWaits(this.#connection, changes.join('; '), this.#context.signal)
    }
    if (!this.#stagedRows) return
    const staged = stageName(STAGE)
    if (this.#landing.landing === 'append') await insertRows(this.#connection, this.#stagedIn(staged))
    else await this.#replaceFrom(staged)
    await this.#connection.execute(`DROP TABLE ${staged}`)
    this.#stagedRows = false
  }

  #stagedIn(from: string): StagedRows {
    return {
      stream: this.#landing.stream,
      from,
      into: quoteTable(this.#target),
      rows: this.#rows(),
      columns: this.#columns.map(({ field }) => field.name),
      own: this.#own,
    }
  }

  /** Staged rows take the place of those in the target that have their keys. */
  #replaceFrom(from: string): Promise<void> {
    const key = this.#requireKey()
    const { fresh, present } = this.#context
    const findsConflicts = !fresh && present !== null && isUniqueOver(present, key)
    return replaceRows(this.#connection, this.#stagedIn(from), { key, findsConflicts })
  }

  /** Puts the new generation in the place of the present one. */
  #swap(): Promise<MadeParts> {
    const { present, ours, made, signal } = this.#context
    return finishGeneration(
      this.#connection,
      { landing: this.#landing, table: this.#target, columns: this.#columns, own: this.#own, signal },
      { present, ours, made },
    )
  }

  /** What was landed earlier and is left as it is stays ours. */
  #madeByNow(): MadeParts | null {
    const { made } = this.#context
    const names = [...this.#columns.map(({ field }) => field), ...this.#own].map(({ name }) => name)
    return made && { ...made, columns: [...new Set([...made.columns, ...names])] }
  }

  /** @throws TABLE_OWNED where the rows went to a table that somebody gave the name meanwhile */
  async #writeState(checkpoint: Checkpoint, made: MadeParts | null): Promise<void> {
    const oid = await writeState(this.#connection, { ...this.#origin(), checkpoint, made })
    if (!this.#context.fresh && oid !== this.#context.present?.oid) throw notTheTable(this.#landing)
  }

  async #count(where: string): Promise<number> {
    const [row] = await this.#connection.query<{ found: string }>(
      `SELECT count(*) AS found FROM ${this.#rows()} AS t WHERE ${where}`,
    )
    return Number(row?.found)
  }

  /** The rows that are there, as SQL; a generation that is not moved yet is a plain table. */
  #rows(): string {
    const { fresh, present } = this.#context
    return quoteOnly(this.#target, fresh ? undefined : present?.kind)
  }

  #isLive(): string {
    return formatLive(this.#names, this.#landing.runAt)
  }

  #origin(): StateOrigin {
    const { sync, epoch, runId, number } = this.#context
    const { stream, table, generation, expectedRunSeq } = this.#landing
    return { sync, stream, table, generation, number, expectedRunSeq, epoch, runId }
  }

  #columnsOf(fields: readonly Field[]): readonly TargetColumn[] {
    const { types, connection } = this.#context
    return targetColumns(fields, this.#landing.origin, { serverVersion: connection.serverVersion, types })
  }

  #requireNewGeneration(): void {
    if (this.#context.fresh) return
    throw new Error('the rows are those of a generation that is already there')
  }

  #requireKey(): readonly string[] {
    const { key, stream } = this.#landing
    if (key && key.length > 0) return key
    throw keyMissing(stream)
  }

  #requireColumn(name: string): TargetColumn {
    const column = this.#columns.find(({ field }) => field.name === name)
    if (column) return column
    throw notLanded(this.#landing.stream, name)
  }

  #requirePresent(columns: readonly TargetColumn[]): void {
    const missing = columns.find(({ field }) => !this.#names.has(field.name))
    if (missing === undefined) return
    throw columnDiffers(this.#landing, missing.field.name, `is not in ${formatTable(this.#landing.table)}`)
  }

  #failure(doing: string, error: unknown): unknown {
    if (typeof error === 'object' && error !== null && this.#foreign.has(error)) return error
    const { stream, table } = this.#landing
    const short = this.#columns.find(({ sqlType, instead }) => instead?.sqlType === sqlType)
    return toTargetError(error, {
      description: this.#context.description,
      doing: `${doing} of ${stream} in ${formatTable(table)}`,
      stream,
      ...(short === undefined ? {} : { hints: { '22P02': labelMissing(short.sqlType) } }),
    })
  }
}
