/**
 * Parquet files for readers of every kind: compressed, with dictionaries and statistics.
 * https://github.com/apache/parquet-format
 *
 *   "PAR1", row groups (column chunks one after the other, each a dictionary page if it has one, then data pages),
 *   FileMetaData (Thrift), int32 its length, "PAR1"
 *
 * Rows are encoded as they come, and what is encoded is kept until the row group ends, since its columns lie one after the other. What
 * is kept is bounded by the bytes of a row group.
 */
import type { RowRange } from '../batch/row-range.js'
import type { Field } from '../model/column-type.js'
import type { Compress, Compression } from './compression/compressor.js'
import { createColumnChunk } from './parquet/column-chunk.js'
import { parquetSchema } from './parquet/schema.js'
import { createScratch } from './parquet/scratch.js'
import { binary, encoded, encodeThrift, i32, i64, list, struct, type ThriftValue } from './parquet/thrift.js'

const MAGIC = new TextEncoder().encode('PAR1')
/** Of the format: 2 says that encodings beyond PLAIN and dictionaries may be there. */
const FORMAT_VERSION = { v1: 1, v2: 2 } as const
const CODEC: Readonly<Record<Compression, number>> = { none: 0, snappy: 1, gzip: 2, zstd: 6 }

export interface ParquetWriterOptions {
  readonly compression: Compression
  /** Of that compression. */
  readonly compress: Compress
  /** A row group has so many rows, or fewer where they come to {@link rowGroupBytes} before. */
  readonly rowGroupRows: number
  /** Memory that a row group in the making may hold. */
  readonly rowGroupBytes: number
  /** How many writers hold rows at the moment, this one among them, and share those bytes. Absent: this one alone. */
  readonly sharedBy?: () => number
  /** A page has about so many bytes before it is compressed, and at least one row. */
  readonly pageBytes: number
  readonly dictionary: boolean
  /** `v1`: only PLAIN and dictionaries, for old readers; `v2`: also DELTA_BINARY_PACKED and DELTA_LENGTH_BYTE_ARRAY. */
  readonly encodings: 'v1' | 'v2'
  /** Key-value metadata of the file. */
  readonly metadata: Readonly<Record<string, string>>
  readonly createdBy: string
}

export interface ParquetWriter {
  /** Takes rows; gives the row groups that are complete with them. */
  add(rows: RowRange): Generator<readonly Uint8Array[], void, undefined>
  /** The row group that is left, and what ends the file. */
  end(): Generator<readonly Uint8Array[], void, undefined>
}

/** Fields that cannot be null become required columns; an interval becomes a group `{months, days, micros}`. */
export function createParquetWriter(fields: readonly Field[], options: ParquetWriterOptions): ParquetWriter {
  const { elements, leaves } = parquetSchema(fields, { compact: true })
  const { rowGroupRows, rowGroupBytes, sharedBy = () => 1 } = options
  const scratch = createScratch()
  const chunkOptions = {
    ...options,
    codec: CODEC[options.compression],
    delta: options.encodings === 'v2',
    scratch,
  }
  const chunks = leaves.map((leaf) => createColumnChunk(leaf, chunkOptions))
  /** Metadata of row groups, already encoded: there may be many columns and many groups. */
  const groups: ThriftValue[] = []
  let offset = 0
  let groupRows = 0
  let rowsInAll = 0

  function* begin(): Generator<readonly Uint8Array[], void, undefined> {
    if (offset > 0) return
    offset = MAGIC.length
    yield [MAGIC]
  }

  function* finishGroup(): Generator<readonly Uint8Array[], void, undefined> {
    yield* begin()
    const start = offset
    let uncompressedBytes = 0
    const metadata: ThriftValue[] = []
    for (const chunk of chunks) {
      const finished = chunk.finish(offset)
      offset += finished.bytes
      uncompressedBytes += finished.uncompressedBytes
      metadata.push(finished.metadata)
      yield finished.pieces
    }
    groups.push(
      encoded(
        encodeThrift({
          1: list('struct', metadata),
          2: i64(uncompressedBytes),
          3: i64(groupRows),
          5: i64(start),
          6: i64(offset - start),
        }),
      ),
    )
    rowsInAll += groupRows
    groupRows = 0
  }

  return {
    *add({ batch, start, count }) {
      const end = start + count
      for (let row = start; row < end;) {
        const taken = Math.min(end - row, rowGroupRows - groupRows)
        for (const chunk of chunks) chunk.append({ batch, start: row, count: taken })
        groupRows += taken
        row += taken
        const full = groupRows === rowGroupRows
        if (full || chunks.reduce((sum, chunk) => sum + chunk.heldBytes, 0) >= rowGroupBytes / sharedBy()) {
          yield* finishGroup()
        }
      }
    },
    *end() {
      if (groupRows > 0) yield* finishGroup()
      yield* begin()
      const footer = encodeThrift({
        1: i32(FORMAT_VERSION[options.encodings]),
        2: list('struct', elements.map(struct)),
        3: i64(rowsInAll),
        4: list('struct', groups),
        5: keyValues(options.metadata),
        6: binary(options.createdBy),
        // Each column is ordered as its type defines.
        7: list(
          'struct',
          leaves.map(() => struct({ 1: struct({}) })),
        ),
      })
      const tail = new Uint8Array(4 + MAGIC.length)
      new DataView(tail.buffer).setInt32(0, footer.length, true)
      tail.set(MAGIC, 4)
      yield [footer, tail]
    },
  }
}

function keyValues(metadata: Readonly<Record<string, string>>): ThriftValue | undefined {
  const entries = Object.entries(metadata)
  if (entries.length === 0) return undefined
  return list(
    'struct',
    entries.map(([key, value]) => struct({ 1: binary(key), 2: binary(value) })),
  )
}
