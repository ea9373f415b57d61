/**
 * Lands one stream: everything from `begin` to `commit` is one transaction on a connection of its own, unless it is saved between.
 *
 * A new generation is loaded into a table of `_trunkline`, which takes the place of the present one inside the last transaction
 * (`swap.ts`). A save commits the table as far as it is, with how far that is, and the next transaction goes on in it.
 * Rows for the present generation are staged in a temporary table first and applied together. What has to change about the present
 * table is changed only then, so that its readers are kept out as shortly as can be.
 */
import type { Batch } from '../../batch/batch.js'
import { passesUndecoded } from '../../codec/copy-encoder-form.js'
import type { Checkpoint, LoadProgress } from '../../model/checkpoint.js'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import type { VerifyResult } from '../../model/report.js'
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { ReconcileResult, SchemaChange, StreamLanding, StreamWriter, TableName } from '../contract.js'
import { isLost, toTargetError } from './errors.js'
import {
  DELETED_AT,
  RUN_AT,
  addColumn,
  formatComments,
  formatComparison,
  formatCreate,
  formatDeleteByKey,
  formatDuplicates,
  formatGone,
  formatInsert,
  formatLive,
  formatStage,
  formatUpsert,
  ownColumnsOf,
  stageName,
} from './landing-sql.js'
import type { OwnColumn } from './landing-sql.js'
import { keyDuplicate, massDelete, writerClosed } from '../refusals.js'
import { finishGeneration } from './new-generation.js'
import { asPresent, changesForLanding } from './present-table.js'
import { columnDiffers, keyMissing } from './refusals.js'
import { RowLoader } from './row-loader.js'
import { formatTable, generationTable, quoteOnly, quoteTable } from './state-layout.js'
import type { StateOrigin } from './state-store.js'
import { writePartial, writeState } from './state-store.js'
import { executeWithShortWaits } from './table-lock.js'
import type { PresentTable } from './target-table.js'
import { readTable } from './target-table.js'
import type { TargetColumn } from './target-types.js'
import { targetColumns } from './target-types.js'
import { beginWriting } from './write-session.js'
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
  #temporaries = 0
  #running = 0
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
  }

  static async open(context: WriterContext, landing: StreamLanding): Promise<PostgresStreamWriter> {
    const writer = new PostgresStreamWriter(context, landing)
    try {
      await beginWriting(writer.#connection)
      if (!context.fresh && context.present !== null) writer.#preparePresent(context.present)
      if (context.resumed) await writer.#preparePartial()
      return writer
    } catch (error) {
      const failure = writer.#failure('preparing the table', error)
      await writer.abort()
      throw failure
    }
  }

  takesUndecoded(sourceVersion: number): boolean {
    const passed = this.#columns.map(({ field, typeName }) => {
      const origin = this.#landing.origin?.columns.get(field.name)
      return origin === undefined ? null : { origin, target: typeName }
    })
    const servers = { source: sourceVersion, target: this.#connection.serverVersion }
    return passed.every((column) => column !== null) && passesUndecoded(passed, servers)
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
      await writePartial(this.#connection, { ...this.#origin(), progress })
      await this.#connection.execute('COMMIT')
      this.#made = false
      this.#context.onSaved(this.#origin())
      await beginWriting(this.#connection)
    })
  }

  replaceByKey(rows: AsyncIterable<Batch>): Promise<void> {
    return this.#do('replacing rows', async () => {
      this.#requireNewGeneration()
      await this.#applyWritten()
      const staged = await this.#loadTemporary(this.#columns, rows)
      await this.#replaceFrom(staged)
      await this.#connection.execute(`DROP TABLE ${staged}`)
    })
  }

  liveCount(): Promise<number> {
    return this.#do('counting rows', async () => {
      await this.#applyWritten()
      return this.#count(this.#isLive())
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
      const target = `${this.#rows()} AS t`
      if (gone > 0 && this.#landing.deletes === 'soft' && !this.#context.fresh) {
        await this.#connection.execute(
          `UPDATE ${target} SET ${quoteIdent(DELETED_AT)} = clock_timestamp() WHERE ${isGone}`,
        )
      } else if (gone > 0) {
        await this.#connection.execute(`DELETE FROM ${target} WHERE ${isGone}`)
      }
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
        if (fresh) await this.#swap()
        for (const sql of this.#commentStatements(fresh ? null : present)) await this.#connection.execute(sql)
        await writeState(this.#connection, { ...this.#origin(), checkpoint })
        await this.#commitSurely()
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
    this.#loader = null
    this.#context.onEnd(this, this.#connection, usable)
  }

  async #do<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#ended) throw writerClosed(this.#landing.stream)
    this.#running++
    try {
      return await work()
    } catch (error) {
      throw this.#failure(doing, error)
    } finally {
      this.#running--
    }
  }

  /** Whether the answer comes or not, it is known afterwards whether the transaction was committed. */
  async #commitSurely(): Promise<void> {
    try {
      await this.#connection.execute('COMMIT')
    } catch (error) {
      if (!isLost(error) || !(await this.#context.isCommitted(this.#origin()))) throw error
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
    const [table, column] = [quoteTable(this.#target), quoteIdent(RUN_AT)]
    await this.#connection.execute(
      `ALTER TABLE ${table} ALTER COLUMN ${column} SET DEFAULT ${runAt.value};
       UPDATE ${table} SET ${column} = ${runAt.value}`,
    )
  }

  async #createTarget(): Promise<void> {
    if (this.#targetExists) return
    await this.#connection.execute(
      formatCreate(this.#target, this.#columns, { landing: this.#landing, own: this.#own }),
    )
    this.#names = new Set([...this.#columns.map(({ field }) => field), ...this.#own].map(({ name }) => name))
    this.#targetExists = true
    this.#made = true
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
    const freeze = this.#made && table === quoteTable(this.#target)
    return new RowLoader({ connection: this.#connection, table, columns, freeze, onBatchDone })
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
    await loader?.finish()
    if (this.#context.fresh) await this.#createTarget()
    const changes = this.#changes.splice(0)
    if (changes.length > 0) await executeWithShortWaits(this.#connection, changes.join('; '))
    if (!this.#stagedRows) return
    const staged = stageName(STAGE)
    if (this.#landing.landing === 'append') await this.#insertFrom(staged)
    else await this.#replaceFrom(staged)
    await this.#connection.execute(`DROP TABLE ${staged}`)
    this.#stagedRows = false
  }

  #insertFrom(from: string): Promise<void> {
    const columns = this.#columns.map(({ field }) => field.name)
    return this.#connection.execute(
      formatInsert({ into: quoteTable(this.#target), from, columns, own: this.#own }),
    )
  }

  /** Staged rows take the place of those in the target that have their keys. */
  async #replaceFrom(from: string): Promise<void> {
    const key = this.#requireKey()
    const into = quoteTable(this.#target)
    const columns = this.#columns.map(({ field }) => field.name)
    const { fresh, present } = this.#context
    const findsConflicts =
      !fresh &&
      present?.uniqueKeys.some(
        (unique) => unique.length === key.length && key.every((name) => unique.includes(name)),
      ) === true
    if (findsConflicts) {
      try {
        await this.#connection.execute(formatUpsert({ into, from, columns, own: this.#own, key }))
      } catch (error) {
        // cardinality_violation: a row was to be replaced twice.
        if (error instanceof TrunklineError && error.context.sqlstate === '21000') {
          throw keyDuplicate(this.#landing.stream, key)
        }
        throw error
      }
      return
    }
    await this.#assertDistinct(from)
    await this.#connection.execute(`ANALYZE ${from}; ${formatDeleteByKey(this.#rows(), from, key)}`)
    await this.#insertFrom(from)
  }

  async #assertDistinct(from: string): Promise<void> {
    const key = this.#requireKey()
    const found = await this.#connection.query(formatDuplicates(from, key))
    if (found.length > 0) throw keyDuplicate(this.#landing.stream, key)
  }

  /** Puts the new generation in the place of the present one. */
  async #swap(): Promise<void> {
    const { present, ours } = this.#context
    await finishGeneration(
      this.#connection,
      { landing: this.#landing, table: this.#target, columns: this.#columns, own: this.#own },
      { present, ours },
    )
  }

  #commentStatements(present: PresentTable | null): readonly string[] {
    const { table, comments } = this.#landing
    const fields = this.#columns.map(({ field }) => field)
    return formatComments(table, comments, { fields, present })
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
    const { stream } = this.#landing
    const column = this.#columns.find(({ field }) => field.name === name)
    if (column) return column
    throw new TrunklineError('KEY_MISSING', `${stream}: the column ${name} is not landed.`, {
      hint: 'Do not exclude key columns.',
      context: { stream, field: name },
    })
  }

  #requirePresent(columns: readonly TargetColumn[]): void {
    const missing = columns.find(({ field }) => !this.#names.has(field.name))
    if (missing === undefined) return
    throw columnDiffers(this.#landing, missing.field.name, `is not in ${formatTable(this.#landing.table)}`)
  }

  #failure(doing: string, error: unknown): unknown {
    if (typeof error === 'object' && error !== null && this.#foreign.has(error)) return error
    const { stream, table } = this.#landing
    return toTargetError(error, {
      description: this.#context.description,
      doing: `${doing} of ${stream} in ${formatTable(table)}`,
      stream,
    })
  }
}
