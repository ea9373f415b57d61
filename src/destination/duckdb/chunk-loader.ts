/**
 * Loads batches through DuckDB's appender, a vector at a time, copying whole columns where the layouts agree.
 *
 * DuckDB's vectors hold 2048 values. Their memory is not shared with JavaScript: node-api hands out a copy, and `flush` copies
 * it back. The typed arrays of that copy are not part of its declared interface, which is why the package's version is exact and
 * why every kind is covered by a test.
 */
import type { DuckDBAppender, DuckDBDataChunk, DuckDBType } from '@duckdb/node-api'
import type { Batch, Column } from '../../batch/batch.js'
import type { ColumnType } from '../../model/column-type.js'
import { unreachable } from '../../model/column-type.js'
import type { ConstantColumn, DuckDbApi, LoaderOptions, RowLoader } from './row-loader.js'

/** Rows per vector, `duckdb_vector_size()`; a multiple of 64, so that validity bitmaps can be cut at byte boundaries. */
const VECTOR_ROWS = 2048

interface WritableVector {
  readonly items?: { set(values: ArrayLike<unknown>): void; fill(value: unknown): void }
  readonly dataView?: DataView
  readonly validity: { data: BigUint64Array | null }
  setItem(index: number, value: unknown): void
  flush(): void
}

export class ChunkLoader implements RowLoader {
  readonly #api: DuckDbApi
  readonly #appender: DuckDBAppender
  readonly #types: readonly DuckDBType[]
  readonly #constants: readonly ConstantColumn[]

  private constructor(
    api: DuckDbApi,
    appender: DuckDBAppender,
    types: readonly DuckDBType[],
    constants: readonly ConstantColumn[],
  ) {
    this.#api = api
    this.#appender = appender
    this.#types = types
    this.#constants = constants
  }

  /** The table's columns must be `fields`, then `constants`, in this order. */
  static async open({ api, connection, table, fields, constants }: LoaderOptions): Promise<ChunkLoader> {
    const appender = await connection.createAppender(table.name, table.schema, table.catalog)
    const types = [
      ...fields.map((field) => toDuckDbType(api, field.type)),
      ...constants.map(() => api.TIMESTAMPTZ),
    ]
    return new ChunkLoader(api, appender, types, constants)
  }

  write(batch: Batch): Promise<void> {
    this.#append(batch)
    return Promise.resolve()
  }

  #append(batch: Batch): void {
    for (let start = 0; start < batch.rowCount; start += VECTOR_ROWS) {
      const count = Math.min(VECTOR_ROWS, batch.rowCount - start)
      const chunk = this.#api.DuckDBDataChunk.create(this.#types, count)
      for (const [index, field] of batch.fields.entries()) {
        const column = batch.columns[index]
        if (!column) throw new Error(`batch has no column ${index}`)
        const vector = vectorOf(chunk, index)
        fillVector(this.#api, vector, field.type, batch.buffer, column, start, count)
        if (column.validity) fillValidity(vector, batch.buffer, column.validity.offset, start, count)
        vector.flush()
      }
      for (const [index, constant] of this.#constants.entries()) {
        const vector = vectorOf(chunk, batch.fields.length + index)
        if (constant.micros === null) for (let row = 0; row < count; row++) vector.setItem(row, null)
        else vector.items?.fill(constant.micros)
        vector.flush()
      }
      this.#appender.appendDataChunk(chunk)
    }
  }

  finish(): Promise<void> {
    this.#appender.closeSync()
    return Promise.resolve()
  }

  discard(): Promise<void> {
    this.#appender.clear()
    return Promise.resolve()
  }
}

function vectorOf(chunk: DuckDBDataChunk, index: number): WritableVector {
  return chunk.getColumnVector(index) as unknown as WritableVector
}

function toDuckDbType(api: DuckDbApi, type: ColumnType): DuckDBType {
  switch (type.kind) {
    case 'bool':
      return api.BOOLEAN
    case 'int':
      return type.bits === 16 ? api.SMALLINT : type.bits === 32 ? api.INTEGER : api.BIGINT
    case 'float':
      return type.bits === 32 ? api.FLOAT : api.DOUBLE
    case 'decimal':
      return api.DECIMAL(type.precision, type.scale)
    case 'date':
      return api.DATE
    case 'time':
      return api.TIME
    case 'timestamp':
      return type.utc ? api.TIMESTAMPTZ : api.TIMESTAMP
    case 'interval':
      return api.INTERVAL
    case 'text':
    case 'json':
      return api.VARCHAR
    case 'uuid':
      return api.UUID
    case 'binary':
      return api.BLOB
    default:
      return unreachable(type)
  }
}

function fillValidity(
  vector: WritableVector,
  buffer: ArrayBuffer,
  offset: number,
  start: number,
  count: number,
): void {
  const bytes = (count + 7) >> 3
  const words = new BigUint64Array(Math.ceil(count / 64))
  new Uint8Array(words.buffer).set(new Uint8Array(buffer, offset + (start >> 3), bytes))
  vector.validity.data = words
}

function fillVector(
  api: DuckDbApi,
  vector: WritableVector,
  type: ColumnType,
  buffer: ArrayBuffer,
  column: Column,
  start: number,
  count: number,
): void {
  const at = column.values.offset
  const { items, dataView } = vector
  switch (type.kind) {
    case 'int':
      if (type.bits === 16) items?.set(new Int16Array(buffer, at + start * 2, count))
      else if (type.bits === 32) items?.set(new Int32Array(buffer, at + start * 4, count))
      else items?.set(new BigInt64Array(buffer, at + start * 8, count))
      return
    case 'float':
      // Copied as integers: a float loop may change the payload of a NaN.
      if (items) copyBytes(items as unknown as Float64Array, buffer, at + (start * type.bits) / 8)
      return
    case 'date':
      items?.set(new Int32Array(buffer, at + start * 4, count))
      return
    case 'time':
    case 'timestamp':
      items?.set(new BigInt64Array(buffer, at + start * 8, count))
      return
    case 'interval':
      if (dataView) copyBytes(dataView, buffer, at + start * 16)
      return
    case 'bool': {
      const bits = new Uint8Array(buffer, at)
      for (let row = 0; row < count; row++) {
        const bit = start + row
        vector.setItem(row, ((bits[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0)
      }
      return
    }
    case 'decimal':
      if (dataView) fillDecimal(dataView, type.precision, buffer, at, start, count)
      return
    case 'uuid':
      if (dataView) fillUuid(dataView, buffer, at + start * 16, count)
      return
    case 'text':
    case 'json':
    case 'binary': {
      if (!column.offsets) throw new Error('a column of variable width has offsets')
      const offsets = new Int32Array(buffer, column.offsets.offset + start * 4, count + 1)
      const bytes = Buffer.from(buffer, at, column.values.length)
      for (let row = 0; row < count; row++) {
        const from = offsets[row] ?? 0
        const to = offsets[row + 1] ?? 0
        const value =
          type.kind === 'binary'
            ? new api.DuckDBBlobValue(bytes.subarray(from, to))
            : bytes.toString('utf8', from, to)
        vector.setItem(row, value)
      }
      return
    }
    default:
      unreachable(type)
  }
}

function copyBytes(target: ArrayBufferView, buffer: ArrayBuffer, at: number): void {
  new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(
    new Uint8Array(buffer, at, target.byteLength),
  )
}

/** DuckDB keeps a decimal in 2, 4, 8 or 16 bytes by its precision; a batch in 8 or 16. */
function fillDecimal(
  target: DataView,
  precision: number,
  buffer: ArrayBuffer,
  at: number,
  start: number,
  count: number,
): void {
  if (precision > 18) return copyBytes(target, buffer, at + start * 16)
  if (precision > 9) return copyBytes(target, buffer, at + start * 8)
  const low = new Int32Array(buffer, at + start * 8, count * 2)
  const narrow =
    precision > 4
      ? new Int32Array(target.buffer, target.byteOffset, count)
      : new Int16Array(target.buffer, target.byteOffset, count)
  for (let row = 0; row < count; row++) narrow[row] = low[row * 2] ?? 0
}

/** DuckDB keeps a UUID as a 128-bit integer with the top bit flipped, so that it sorts as unsigned. */
function fillUuid(target: DataView, buffer: ArrayBuffer, at: number, count: number): void {
  const source = new DataView(buffer, at, count * 16)
  for (let byte = 0; byte < count * 16; byte += 16) {
    target.setUint32(byte + 12, (source.getUint32(byte) ^ 0x8000_0000) >>> 0, true)
    target.setUint32(byte + 8, source.getUint32(byte + 4), true)
    target.setUint32(byte + 4, source.getUint32(byte + 8), true)
    target.setUint32(byte, source.getUint32(byte + 12), true)
  }
}
