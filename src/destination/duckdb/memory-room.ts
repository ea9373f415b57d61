/** How much memory DuckDB is allowed, and what takes it: found by measuring. */
import { batchBytes, type Batch } from '../../batch/batch.js'
import type { Field } from '../../model/column-type.js'

const MIB = 1024 * 1024
/**
 * With one thread 128 MiB, which leaves room for the rest of the process under the promise of 512 MiB: DuckDB fills what it is
 * given with blocks that are written already. Measured, processor time is the same with 64, 128 and 256 MiB.
 */
const LIMIT_BYTES = 96 * MIB
const LIMIT_BYTES_PER_THREAD = 32 * MIB
/**
 * A row group being filled and compressed pins blocks of 256 KiB for each column, and where they do not fit the insert fails: with
 * 600 columns below 512 MiB, with 1,500 below 1 GiB, with 250 below 192 MiB.
 */
const BYTES_PER_COLUMN = 768 * 1024
const BYTES_BESIDE_COLUMNS = 64 * MIB
/** DuckDB holds a value in the page that it reads, in the vector, and in the block that it writes, rounded up. */
const COPIES_OF_LARGE_BATCH = 3
/** Only a large value makes a batch that large. */
const LARGE_BATCH_BYTES = 16 * MIB
/** DuckDB reads back what it compresses by so many rows, and pins each long value of them meanwhile. */
const VECTOR_ROWS = 2048
/** A value longer than half a block of 256 KiB has one to itself. */
const BLOCKS_PER_VECTOR_BYTES = 2
/** Fits into every limit. */
const SMALL_VECTOR_BYTES = 32 * MIB
/** What a column of text of a committed table takes until the next checkpoint, however few its rows; other types take 10 to 18 KiB. */
const BYTES_PER_COMMITTED_COLUMN = 34 * 1024
/** A quarter of the least limit. */
const COMMITTED_BYTES = 32 * MIB

/** Bytes allowed from the start. */
export function memoryLimit(threads: number): number {
  return LIMIT_BYTES + threads * LIMIT_BYTES_PER_THREAD
}

/** Columns as they count for memory: a list is stored as one of lengths and one of elements, and measured it takes twice as much. */
export function countColumns(fields: readonly Field[]): number {
  return fields.reduce((sum, { type }) => sum + (type.kind === 'list' ? 2 : 1), 0)
}

/** Bytes that loading so many columns at once takes in all. */
export function memoryForColumns(columns: number, threads: number): number {
  return BYTES_BESIDE_COLUMNS + columns * BYTES_PER_COLUMN * threads
}

/** What the rows of a table take on their way in, as they come. */
export class RowRoom {
  /** The latest batches that have as many rows as DuckDB reads at once. */
  readonly #latest: { readonly rows: number; readonly bytes: number }[] = []
  #rows = 0
  #bytes = 0

  /**
   * Bytes beside the limit that it takes when this batch has come: none unless rows are long, or one value is. Texts of 100 kB
   * failed below 300 MiB, of 140 kB below 600; of 20 kB they do with the least.
   */
  add(batch: Batch): number {
    const bytes = batchBytes(batch)
    this.#latest.push({ rows: batch.rowCount, bytes })
    this.#rows += batch.rowCount
    this.#bytes += bytes
    for (
      let [first] = this.#latest;
      first && this.#rows - first.rows >= VECTOR_ROWS;
      [first] = this.#latest
    ) {
      this.#latest.shift()
      this.#rows -= first.rows
      this.#bytes -= first.bytes
    }
    const forValue = bytes < LARGE_BATCH_BYTES ? 0 : COPIES_OF_LARGE_BATCH * bytes
    const forVector = this.#bytes < SMALL_VECTOR_BYTES ? 0 : BLOCKS_PER_VECTOR_BYTES * this.#bytes
    return Math.max(forValue, forVector)
  }
}

/** Bytes that columns of new tables take, committed since the last checkpoint. */
export function memoryOfCommitted(columns: number): number {
  return columns * BYTES_PER_COMMITTED_COLUMN
}

/** Whether they take more than their share. */
export function fillMemory(committedColumns: number): boolean {
  return memoryOfCommitted(committedColumns) > COMMITTED_BYTES
}
