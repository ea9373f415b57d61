/**
 * The files that one landing writes: one at a time, or one for each value of a column. A file that has come to its size is finished,
 * and the next one begun. Nobody sees any of them until a manifest names them.
 */
import type { Batch } from '../../batch/batch.js'
import { columnFormatter } from '../../batch/format-value.js'
import type { RowRange } from '../../batch/row-range.js'
import { filterRows } from '../../batch/select.js'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import type { Store } from '../stores/store.js'
import { DataFile } from './data-file.js'
import { partName, partitionFolder } from './data-path.js'
import type { FileFormat } from './file-format.js'
import type { SavedFile } from './manifest.js'

/** Files being written at once; together they hold what one may. The one that was not written to for longest makes way. */
const MAX_OPEN_FILES = 16
/** So many values are a column of many, taken for one of few. */
const MAX_PARTITIONS = 10_000
/** Of file systems, for a name. */
const MAX_FOLDER_CHARS = 255

export interface FileLimits {
  /** Of encoded bytes; what the encoder holds back comes on top. */
  readonly maxFileBytes: number
  readonly maxFileRows: number
  /** Of a table, those that it has already among them: all are named in each of its manifests, and in memory. */
  readonly maxFiles: number
}

export interface TableOutputOptions extends FileLimits {
  readonly store: Store
  readonly format: FileFormat
  readonly fields: readonly Field[]
  readonly metadata: Readonly<Record<string, string>>
  readonly folder: string
  /** A column whose values divide the rows, each into a folder of its own. */
  readonly partitionBy: string | null
  /** That the table has already. */
  readonly present: number
  /** A number that no file of the folder has. */
  readonly nextPart: () => number
  readonly stream: string
}

export class TableOutput {
  readonly #options: TableOutputOptions
  /** By partition folder, the one that was written to last at the end. */
  readonly #open = new Map<string, DataFile>()
  readonly #partitions = new Set<string>()
  readonly #finished: SavedFile[] = []
  /** The file that came to its size last, on its way to the disk while the next one is written; never rejects. */
  #finishing: Promise<void> = Promise.resolve()
  #finishFailure: { readonly error: unknown } | null = null
  #rows = 0
  #files = 0

  constructor(options: TableOutputOptions) {
    this.#options = options
  }

  get rows(): number {
    return this.#rows
  }

  /** The batch's memory is not used any more when it returns. */
  async add(batch: Batch): Promise<void> {
    this.#rows += batch.rowCount
    const { partitionBy, fields } = this.#options
    const column = partitionBy === null ? -1 : fields.findIndex(({ name }) => name === partitionBy)
    if (column === -1 || partitionBy === null) {
      await this.#addRows('', { batch, start: 0, count: batch.rowCount })
      return
    }
    const groups = groupByValue(batch, column)
    if (groups.size > MAX_PARTITIONS) throw tooManyPartitions(this.#options)
    for (const [value, rows] of takeGroups(batch, groups)) {
      const folder = partitionFolder(partitionBy, value)
      if (folder.length > MAX_FOLDER_CHARS) throw valueTooLong(this.#options)
      await this.#addRows(folder, { batch: rows, start: 0, count: rows.rowCount })
    }
  }

  /** All that was written: durable, and there. At least one file, so that a table without rows is a table. */
  async finish(options: { readonly atLeastOne: boolean }): Promise<readonly SavedFile[]> {
    for (const key of [...this.#open.keys()]) await this.#finishFile(key)
    await this.#finishedAll()
    if (options.atLeastOne && this.#finished.length === 0) {
      await this.#fileOf('')
      await this.#finishFile('')
      await this.#finishedAll()
    }
    return this.#finished
  }

  /** Never rejects. @param remove also what is finished, which must not be in any manifest */
  async abort({ remove }: { readonly remove: boolean }): Promise<void> {
    for (const file of this.#open.values()) await file.abort()
    this.#open.clear()
    await this.#finishing
    if (!remove || this.#finished.length === 0) return
    const paths = this.#finished.map(({ path }) => path)
    await this.#options.store.remove(paths).catch(() => undefined)
  }

  async #addRows(key: string, { batch, start, count }: RowRange): Promise<void> {
    const { maxFileBytes, maxFileRows } = this.#options
    for (let at = start; at < start + count;) {
      const file = await this.#fileOf(key)
      const taken = Math.min(start + count - at, maxFileRows - file.rows)
      await file.add({ batch, start: at, count: taken })
      at += taken
      if (file.rows >= maxFileRows || file.bytes >= maxFileBytes) await this.#finishFile(key)
    }
  }

  async #fileOf(key: string): Promise<DataFile> {
    const present = this.#open.get(key)
    if (present !== undefined) {
      this.#open.delete(key)
      this.#open.set(key, present)
      return present
    }
    this.#partitions.add(key)
    if (this.#partitions.size > MAX_PARTITIONS) throw tooManyPartitions(this.#options)
    const { maxFiles, present: before } = this.#options
    if (before + ++this.#files > maxFiles) throw tooManyFiles(this.#options)
    const [oldest] = this.#open.keys()
    if (oldest !== undefined && this.#open.size >= MAX_OPEN_FILES) await this.#finishFile(oldest)
    const { store, format, fields, metadata, folder, nextPart } = this.#options
    const name = partName(nextPart(), format.suffix)
    const path = key === '' ? `${folder}/${name}` : `${folder}/${key}/${name}`
    const sharedBy = (): number => Math.max(1, this.#open.size)
    const file = await DataFile.create(store, path, { format, fields, metadata, sharedBy })
    this.#open.set(key, file)
    return file
  }

  /**
   * Goes on beside what comes next, one file at a time: bringing a file to the disk or the bucket takes its time, in which rows can be
   * encoded. What fails is told by the call after.
   */
  async #finishFile(key: string): Promise<void> {
    const file = this.#open.get(key)
    if (file === undefined) return
    await this.#finishedAll()
    this.#open.delete(key)
    this.#finishing = this.#finishNow(file).catch((error: unknown) => {
      this.#finishFailure = { error }
    })
  }

  async #finishNow(file: DataFile): Promise<void> {
    try {
      this.#finished.push(await file.finish())
    } catch (error) {
      await file.abort()
      throw error
    }
  }

  async #finishedAll(): Promise<void> {
    await this.#finishing
    if (this.#finishFailure !== null) throw this.#finishFailure.error
  }
}

/** Which rows have which value, by the server's text of it. */
function groupByValue(batch: Batch, column: number): ReadonlyMap<string | null, readonly number[]> {
  const textOf = columnFormatter(batch, column)
  const groups = new Map<string | null, number[]>()
  for (let row = 0; row < batch.rowCount; row++) {
    const value = textOf(row)
    const rows = groups.get(value)
    if (rows === undefined) groups.set(value, [row])
    else rows.push(row)
  }
  return groups
}

function* takeGroups(
  batch: Batch,
  groups: ReadonlyMap<string | null, readonly number[]>,
): Generator<readonly [string | null, Batch]> {
  const keep = new Uint8Array(batch.rowCount)
  for (const [value, rows] of groups) {
    for (const row of rows) keep[row] = 1
    yield [value, filterRows(batch, keep)]
    for (const row of rows) keep[row] = 0
  }
}

function tooManyPartitions({ stream, partitionBy }: TableOutputOptions): TrunklineError {
  return new TrunklineError(
    'DESTINATION_FAILED',
    `${stream}: the column ${partitionBy ?? ''} has more than ${MAX_PARTITIONS} values to partition by.`,
    {
      hint: 'Partition by a column of fewer values, or not at all.',
      context: { stream, ...(partitionBy === null ? {} : { field: partitionBy }) },
    },
  )
}

/** The value itself is not told: it is a row's. */
function valueTooLong({ stream, partitionBy }: TableOutputOptions): TrunklineError {
  return new TrunklineError(
    'DESTINATION_FAILED',
    `${stream}: a value of the column ${partitionBy ?? ''} is too long to partition by: the name of its folder would have more than ${MAX_FOLDER_CHARS} bytes.`,
    {
      hint: 'Partition by a column of short values, or not at all. What is not a letter or digit of ASCII takes three bytes for each of its own.',
      context: { stream, ...(partitionBy === null ? {} : { field: partitionBy }) },
    },
  )
}

function tooManyFiles({ stream, partitionBy, maxFiles, present }: TableOutputOptions): TrunklineError {
  const fewer =
    partitionBy === null
      ? 'Let files be larger (file_size, file_rows)'
      : 'Partition by a column of fewer values, by which rows come together, or not at all'
  const anew = present === 0 ? '' : `, and load the table anew: trunkline state resync ${stream}`
  return new TrunklineError(
    'DESTINATION_FAILED',
    `${stream}: its table would be more than ${maxFiles} files.`,
    {
      hint: `${fewer}${anew}`,
      context: { stream },
    },
  )
}
