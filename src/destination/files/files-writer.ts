/**
 * Lands one stream as files: what `write` takes goes into new files, finished before the commit, and the commit names them in the
 * next manifest, beside those of the present generation or in place of them. Until then nobody sees any of them.
 */
import type { Batch } from '../../batch/batch.js'
import type { Checkpoint } from '../../model/checkpoint.js'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import type { VerifyResult } from '../../model/report.js'
import type { ReconcileResult, SchemaChange, StreamLanding, StreamWriter } from '../contract.js'
import { writerClosed } from '../refusals.js'
import { RUN_AT_FIELD, addInstant } from './dated-batch.js'
import {
  assertAllPresent,
  assertNoneMissing,
  comesTooLate,
  mergeFields,
  placesInTable,
} from './landed-fields.js'
import type { SavedFile, StreamEntry } from './manifest.js'
import type { TableOutput } from './table-output.js'

export interface FilesWriterContext {
  /** The present generation that is added to; null: a new one is made. */
  readonly present: Pick<StreamEntry, 'fields' | 'files'> | null
  readonly isByPlace: (fields: readonly Field[]) => boolean
  /** @param present files that the table has already */
  readonly openOutput: (fields: readonly Field[], present: number) => TableOutput
  readonly onRows: (rows: number) => void
  /** Makes the manifest. @throws FENCED, TABLE_OWNED, and whatever the store does, when nobody knows whether it was made */
  readonly commit: (landed: LandedFiles, checkpoint: Checkpoint) => Promise<void>
  readonly verify: (
    rows: AsyncIterable<Batch>,
    actual: { readonly fields: readonly Field[]; readonly files: readonly string[] },
  ) => Promise<VerifyResult>
  readonly onEnd: (writer: StreamWriter) => void
}

/** What the table is after the commit. */
export interface LandedFiles {
  readonly fields: readonly Field[]
  readonly files: readonly SavedFile[]
}

export class FilesWriter implements StreamWriter {
  readonly #context: FilesWriterContext
  readonly #landing: StreamLanding
  /** Of the rows that come. */
  #fields: readonly Field[]
  #added: readonly Field[] = []
  #output: TableOutput | null = null
  /** Files of outputs that are finished. */
  readonly #finished: { readonly output: TableOutput; readonly files: readonly SavedFile[] }[] = []
  #ended = false
  #attempted = false
  /** A write that fails may have landed a part of its batch. */
  #isBroken = false
  /** Of the columns of batches, in the order of the table; null where that is their own. */
  #places: readonly number[] | null = null

  constructor(context: FilesWriterContext, landing: StreamLanding) {
    this.#context = context
    this.#landing = landing
    this.#fields = landing.fields
  }

  async write(batch: Batch): Promise<void> {
    this.#assertOpen()
    if (batch.rowCount === 0) return
    const { runAt, onBatchDone } = this.#landing
    this.#isBroken = true
    this.#output ??= this.#openOutput()
    await this.#output.add(this.#inPlace(runAt === null ? batch : addInstant(batch, runAt)))
    this.#isBroken = false
    onBatchDone?.(batch)
    this.#context.onRows(batch.rowCount)
  }

  save(): Promise<void> {
    return Promise.reject(this.#unsupported('keep a load that is not over'))
  }

  replaceByKey(): Promise<void> {
    return Promise.reject(this.#unsupported('replace rows by key'))
  }

  reconcileKeys(): Promise<ReconcileResult> {
    return Promise.reject(this.#unsupported('delete rows by key'))
  }

  liveCount(): Promise<number> {
    this.#assertOpen()
    const written = this.#finished.flatMap(({ files }) => files).reduce((sum, { rows }) => sum + rows, 0)
    const present = this.#present().reduce((sum, { rows }) => sum + rows, 0)
    return Promise.resolve(present + written + (this.#output?.rows ?? 0))
  }

  alter({ add }: SchemaChange): Promise<void> {
    this.#assertOpen()
    const known = new Set(this.#fields.map(({ name }) => name))
    this.#fields = [...this.#fields, ...add.filter(({ name }) => !known.has(name))]
    this.#added = [...this.#added, ...add]
    return Promise.resolve()
  }

  async verify(
    rows: AsyncIterable<Batch>,
    { fields = this.#fields }: { readonly fields?: readonly Field[] } = {},
  ): Promise<VerifyResult> {
    this.#assertWhole()
    await this.#finishOutput()
    const files = [...this.#present(), ...this.#finished.flatMap((finished) => finished.files)]
    return this.#context.verify(rows, { fields, files: files.map(({ path }) => path) })
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    this.#assertWhole()
    const { present } = this.#context
    try {
      this.#assertColumns()
      await this.#finishOutput()
      // Columns that no file has would be unknown to readers.
      if (this.#finished.length === 0 && (present === null || this.#added.length > 0)) {
        this.#output = this.#openOutput()
        await this.#finishOutput()
      }
      const { runAt } = this.#landing
      const dated = runAt === null ? {} : { runAt: runAt.getTime() }
      const fileFields = this.#fileFields()
      const landed: LandedFiles = {
        fields: present === null ? fileFields : mergeFields(present.fields, fileFields),
        files: [
          ...(present?.files ?? []),
          ...this.#finished.flatMap(({ files }) => files).map((file) => ({ ...file, ...dated })),
        ],
      }
      this.#attempted = true
      await this.#context.commit(landed, checkpoint)
      this.#end()
    } catch (error) {
      await this.#drop()
      throw error
    }
  }

  async abort(): Promise<void> {
    if (this.#ended) return
    await this.#drop()
  }

  /**
   * Once a commit was begun the files stay, whatever came of it: a manifest may name them although nobody saw it made, also one that
   * another run has taken up since. Those that nothing names are removed later.
   */
  async #drop(): Promise<void> {
    this.#end()
    const options = { remove: !this.#attempted }
    await this.#output?.abort(options)
    for (const { output } of this.#finished) await output.abort(options)
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#context.onEnd(this)
  }

  #openOutput(): TableOutput {
    this.#assertColumns()
    const { present, isByPlace, openOutput } = this.#context
    const fields = this.#fileFields()
    if (present === null) return openOutput(fields, 0)
    if (isByPlace(mergeFields(present.fields, fields))) {
      // Files that were told by name until now may lack columns.
      const late = isByPlace(present.fields) ? undefined : fields.find((field) => isByPlace([field]))
      if (late !== undefined) throw comesTooLate(this.#landing, late)
      assertNoneMissing(this.#landing, fields, present.fields)
    }
    const places = placesInTable(present.fields, fields)
    this.#places = places.every((place, index) => place === index) ? null : places
    const written = this.#finished.reduce((sum, { files }) => sum + files.length, 0)
    return openOutput(
      places.flatMap((place) => fields[place] ?? []),
      present.files.length + written,
    )
  }

  #inPlace(batch: Batch): Batch {
    const places = this.#places
    if (places === null) return batch
    return {
      ...batch,
      fields: places.flatMap((place) => batch.fields[place] ?? []),
      columns: places.flatMap((place) => batch.columns[place] ?? []),
    }
  }

  async #finishOutput(): Promise<void> {
    const output = this.#output
    if (output === null) return
    const files = await output.finish({ atLeastOne: true })
    this.#output = null
    this.#finished.push({ output, files })
  }

  /** Of a dated copy, those of this one. */
  #present(): readonly SavedFile[] {
    const { runAt } = this.#landing
    const files = this.#context.present?.files ?? []
    return runAt === null ? files : files.filter((file) => file.runAt === runAt.getTime())
  }

  #fileFields(): readonly Field[] {
    return this.#landing.runAt === null ? this.#fields : [...this.#fields, RUN_AT_FIELD]
  }

  #assertColumns(): void {
    const { present } = this.#context
    if (present === null || this.#added.length > 0) return
    assertAllPresent(this.#landing, this.#fields, present.fields)
  }

  #unsupported(what: string): TrunklineError {
    const { stream } = this.#landing
    return new TrunklineError('CONFIG_UNSUPPORTED', `${stream}: a destination of files cannot ${what}.`, {
      hint: 'Use `mode: full_refresh`, or `mode: incremental` with `landing: append`.',
      context: { stream },
    })
  }

  #assertOpen(): void {
    if (this.#ended) throw writerClosed(this.#landing.stream)
  }

  #assertWhole(): void {
    this.#assertOpen()
    if (!this.#isBroken) return
    const { stream } = this.#landing
    throw new TrunklineError('INTERNAL', `${stream}: rows were not written, and are to be committed.`)
  }
}
