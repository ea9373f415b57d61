/**
 * A Parquet file that is written once and read once: uncompressed, row groups of pages that mostly lie over the batches' memory.
 *
 *   "PAR1", row groups (column chunks one after the other, each of pages), FileMetaData (Thrift), int32 its length, "PAR1"
 *
 * Dictionaries would not pay: DuckDB loads lineitem's four texts of few values in 64 ms of processor time instead of 67 for
 * 122 880 rows, and all sixteen columns in 122 instead of 130, less than hashing the values costs (DuckDB 1.5.6, Node 20).
 */
import type { RowRange } from '../batch/row-range.js'
import type { Field } from '../model/column-type.js'
import { encodeDataPage } from './parquet/page.js'
import { ENCODING, parquetSchema, PHYSICAL } from './parquet/schema.js'
import { freshMemory, type TakeMemory } from './parquet/scratch.js'
import { binary, encodeThrift, i32, i64, list, struct, type ThriftValue } from './parquet/thrift.js'

const MAGIC = new TextEncoder().encode('PAR1')
const FORMAT_VERSION = 1
const UNCOMPRESSED = 0

export interface ParquetOptions {
  /** Key-value metadata of the file. */
  readonly metadata?: Readonly<Record<string, string>>
  readonly createdBy?: string
  /** Where rewritten values go; default: memory of their own. */
  readonly takeMemory?: TakeMemory
}

/** A file in the making, in pieces to be written one after the other. */
export interface ParquetFile {
  /**
   * These rows as a row group, page by page: one for each part and column, made only when it is asked for, in pieces. They lie
   * over the batches' memory or that of `takeMemory`: write them before either is transferred or used again.
   */
  rowGroup(parts: readonly RowRange[]): Generator<readonly Uint8Array[], void, undefined>
  /** What ends the file, once. Without row groups it has the schema alone. */
  end(): Uint8Array[]
}

/**
 * Every column can be null, whatever its field says: that costs some bytes a page. An interval is a group
 * `{months, days, micros}`, a list the three levels that readers expect; every other kind is one column of its logical type.
 */
export function createParquetFile(fields: readonly Field[], options: ParquetOptions = {}): ParquetFile {
  const { elements, leaves } = parquetSchema(fields)
  const takeMemory = options.takeMemory ?? freshMemory
  const groups: ThriftValue[] = []
  let offset = 0
  let rowsInAll = 0
  const begin = (): Uint8Array[] => {
    if (offset > 0) return []
    offset = MAGIC.length
    return [MAGIC]
  }
  return {
    *rowGroup(parts) {
      const rowCount = parts.reduce((sum, { count }) => sum + count, 0)
      if (rowCount === 0) return
      if (offset === 0) yield begin()
      const groupStart = offset
      const chunks: ThriftValue[] = []
      for (const leaf of leaves) {
        const start = offset
        let valueCount = 0
        for (const part of parts) {
          if (part.count === 0) continue
          const page = encodeDataPage(part, leaf, takeMemory)
          yield page.chunks
          offset += page.bytes
          valueCount += page.valueCount
        }
        const bytes = i64(offset - start)
        chunks.push(
          struct({
            2: i64(start),
            3: struct({
              1: i32(PHYSICAL[leaf.physical]),
              2: list('i32', [i32(ENCODING[leaf.encoding]), i32(ENCODING.rle)]),
              3: list('binary', leaf.path.map(binary)),
              4: i32(UNCOMPRESSED),
              5: i64(valueCount),
              6: bytes,
              7: bytes,
              9: i64(start),
            }),
          }),
        )
      }
      groups.push(
        struct({
          1: list('struct', chunks),
          2: i64(offset - groupStart),
          3: i64(rowCount),
        }),
      )
      rowsInAll += rowCount
    },
    end() {
      const metadata = Object.entries(options.metadata ?? {})
      const footer = encodeThrift({
        1: i32(FORMAT_VERSION),
        2: list('struct', elements.map(struct)),
        3: i64(rowsInAll),
        4: list('struct', groups),
        5:
          metadata.length === 0
            ? undefined
            : list(
                'struct',
                metadata.map(([key, value]) => struct({ 1: binary(key), 2: binary(value) })),
              ),
        6: binary(options.createdBy ?? 'trunkline'),
      })
      const tail = new Uint8Array(4 + MAGIC.length)
      new DataView(tail.buffer).setInt32(0, footer.length, true)
      tail.set(MAGIC, 4)
      return [...begin(), footer, tail]
    },
  }
}
