/** A kind of file that rows land in: what its encoder needs to be, wherever the files are kept. */
import type { Batch } from '../../batch/batch.js'
import type { RowRange } from '../../batch/row-range.js'
import type { ElementType, Field } from '../../model/column-type.js'

export interface FileFormat {
  readonly name: 'parquet' | 'arrow' | 'csv' | 'jsonl'
  /**
   * What a reader has to know before it reads such files, as it is stated: `csv`, `csv?delimiter=;`. Files of one place are all of one
   * form. Absent: the name says it all.
   */
  readonly form?: string
  /** With its dot: `.parquet`. */
  readonly suffix: string
  /** What its values cannot keep of these fields, or readers take for something else, as sentences; empty where nothing is lost. */
  losses(fields: readonly Field[]): readonly string[]
  /**
   * @param metadata what the file says of itself, where its format has a place for it
   * @param sharedBy how many files are in the making at the moment, this one among them: what the format may hold back is of all of them
   */
  encoder(
    fields: readonly Field[],
    metadata: Readonly<Record<string, string>>,
    sharedBy: () => number,
  ): FileEncoder
  /** The FROM item by which SQL of DuckDB reads such files as these fields; null where it cannot, and `read` does. */
  scanSql(fields: readonly Field[], files: readonly string[]): string | null
  /**
   * Readers tell values of these fields apart by their place in a row alone, so that each file of a table needs all columns that
   * earlier ones have, in their order. Absent: never.
   */
  readonly isByPlace?: (fields: readonly Field[]) => boolean
  /**
   * The rows of a file of this machine, as these fields: a batch at a time, null where the file lacks a column.
   * @throws DESTINATION_FAILED naming the file, where it is not what was written
   */
  read?(fields: readonly Field[], file: FileCopy): AsyncIterable<Batch>
}

/** A file of the destination that is on this machine. */
export interface FileCopy {
  readonly path: string
  /** What errors call it: where the destination has it. */
  readonly name: string
}

/**
 * One file in the making. What it gives is to be written in order, each piece before the next is asked for: they may lie over the
 * batches' memory or over memory that the encoder uses again.
 */
export interface FileEncoder {
  /** Takes rows; gives what can be written by now. The rows' memory is not used any more once that is exhausted. */
  add(rows: RowRange): Iterable<readonly Uint8Array[]>
  end(): Iterable<readonly Uint8Array[]>
}

/** As many are named; of wide tables the others are counted. */
const MAX_NAMED = 6

/** `at, day: what is lost`, for the fields of such a type, or lists of it; nothing where there are none. */
export function lossOf(
  fields: readonly Field[],
  isLossy: (type: ElementType) => boolean,
  what: string,
): readonly string[] {
  const lossy = fields.filter(({ type }) => isLossy(type.kind === 'list' ? type.element : type))
  if (lossy.length === 0) return []
  const names = lossy.slice(0, MAX_NAMED).map(({ name }) => name)
  const others = lossy.length - names.length
  return [`${names.join(', ')}${others === 0 ? '' : ` and ${others} others`}: ${what}`]
}
