/** Reads files back and compares their rows with those of the source, value by value. */
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Batch } from '../../batch/batch.js'
import type { Field } from '../../model/column-type.js'
import { TrunklineError } from '../../model/error.js'
import type { VerifyResult } from '../../model/report.js'
import { RowComparison } from '../duckdb/row-comparison.js'
import { hideValues } from '../stores/hide-values.js'
import type { Store } from '../stores/store.js'
import type { FileFormat } from './file-format.js'
import { scanFiles } from './table-listing.js'

export interface VerifyFilesOptions {
  readonly format: FileFormat
  readonly store: Store
  /** All rows that the files should have. */
  readonly rows: AsyncIterable<Batch>
  /** Those that are compared. */
  readonly fields: readonly Field[]
  readonly files: readonly string[]
}

export async function verifyFiles({
  format,
  store,
  rows,
  fields,
  files,
}: VerifyFilesOptions): Promise<VerifyResult> {
  const { folder } = store
  const scratchIn = folder === undefined ? tmpdir() : path.join(folder, '_trunkline', 'tmp')
  const comparison = await RowComparison.open({ fields, scratchIn, readable: [folder ?? tmpdir()] })
  try {
    await comparison.add('expected', rows)
    if (folder !== undefined && files.length > 0) {
      const scan = scanFiles({ format, store }, fields, files)
      if (scan !== null) {
        return await comparison.compare(scan).catch(async (error: unknown) => {
          // Which of them it is shows when they are read one by one.
          for (const file of files) await addFile(comparison, { format, store, fields, file })
          throw error
        })
      }
    }
    for (const file of files) await addFile(comparison, { format, store, fields, file })
    return await comparison.compare()
  } finally {
    await comparison.close()
  }
}

/** One at a time, so that a bucket is never here as a whole. */
async function addFile(
  comparison: RowComparison,
  { format, store, fields, file }: PlacedFile,
): Promise<void> {
  const copy = await store.fetch(file)
  try {
    const scan = format.scanSql(fields, [copy.path])
    const name = hideValues(store.locate(file))
    if (scan !== null) {
      await comparison.addScan('actual', scan).catch((error: unknown) => {
        throw unreadable(name, error)
      })
    } else if (format.read !== undefined) {
      await comparison.add('actual', format.read(fields, { path: copy.path, name }))
    } else throw new Error(`${format.name} files cannot be read back`)
  } finally {
    await copy.release()
  }
}

interface PlacedFile extends Pick<VerifyFilesOptions, 'format' | 'store' | 'fields'> {
  readonly file: string
}

/** Of what DuckDB says only the kind is told: the rest may quote a value, here and in the causes. */
function unreadable(name: string, error: unknown): unknown {
  if (error instanceof TrunklineError || !(error instanceof Error)) return error
  const kind = /^[A-Z][A-Za-z ]* Error(?=:)/.exec(error.message)?.[0] ?? error.name
  return new TrunklineError('DESTINATION_FAILED', `The file ${name} cannot be read back: ${kind}.`, {
    hint: 'It is not as it was written, or there is no room for what is read. Load its table anew with trunkline state resync.',
  })
}
