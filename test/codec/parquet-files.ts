/** Parquet files that tests write, each in a folder of the test file's, and readers of them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { afterAll, beforeAll } from 'vitest'
import type { Batch } from '../../src/batch/batch.js'
import { loadCompressor } from '../../src/codec/compression/compressor.js'
import { createParquetWriter, type ParquetWriterOptions } from '../../src/codec/parquet-writer.js'
import type { Field } from '../../src/model/column-type.js'
import { canonicalRows, expectRows, type Canonical } from './canonical-rows.js'
import { readByArrowRs, readByDuckDb, readByHyparquet } from './parquet-readers.js'

export type ParquetTestOptions = Partial<ParquetWriterOptions>

/** Readers that are there wherever the tests run, each written by others from the format's specification. */
export const PARQUET_READERS = ['hyparquet', 'DuckDB', 'arrow-rs'] as const
type ParquetReader = (typeof PARQUET_READERS)[number]

export interface ParquetFiles {
  save(bytes: Uint8Array): Promise<string>
  query(sql: string): Promise<unknown[][]>
  /** Writes the batches, expects of each reader all their values, and gives the file. The batches' memory is gone afterwards. */
  roundTrip(
    fields: readonly Field[],
    batches: readonly Batch[],
    options?: ParquetTestOptions,
    readers?: readonly ParquetReader[],
  ): Promise<string>
}

/** For the tests of a file: call it at its top. */
export function parquetFiles(): ParquetFiles {
  let folder: string
  let duckdb: DuckDBConnection
  let fileCount = 0

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'trunkline-parquet-'))
    duckdb = await (await DuckDBInstance.create(':memory:')).connect()
    await duckdb.run(`SET TimeZone = 'UTC'`)
  })

  afterAll(async () => {
    duckdb.closeSync()
    await rm(folder, { recursive: true })
  })

  const save = async (bytes: Uint8Array): Promise<string> => {
    // A name of its own: DuckDB caches what it read.
    const file = join(folder, `${fileCount++}.parquet`)
    await writeFile(file, bytes)
    return file
  }

  return {
    save,
    query: async (sql) => (await duckdb.runAndReadAll(sql)).getRowsJson(),
    async roundTrip(fields, batches, options = {}, readers = PARQUET_READERS) {
      const expected = canonicalRows(batches)
      const bytes = await encodeParquet(fields, batches, options)
      const file = await save(bytes)
      for (const reader of readers) {
        const found = await read(reader, { bytes, file, fields, duckdb })
        expectRows(reader, found, expected)
      }
      return file
    },
  }
}

interface Written {
  readonly bytes: Buffer
  readonly file: string
  readonly fields: readonly Field[]
  readonly duckdb: DuckDBConnection
}

async function read(reader: ParquetReader, written: Written): Promise<Canonical[][]> {
  const { bytes, file, fields, duckdb } = written
  switch (reader) {
    case 'hyparquet':
      return readByHyparquet(bytes, fields)
    case 'DuckDB':
      return readByDuckDb(duckdb, file, fields)
    case 'arrow-rs':
      return readByArrowRs(bytes, fields)
  }
}

export async function encodeParquet(
  fields: readonly Field[],
  batches: readonly Batch[],
  options: ParquetTestOptions = {},
): Promise<Buffer> {
  const compression = options.compression ?? 'zstd'
  const writer = createParquetWriter(fields, {
    compression,
    compress: await loadCompressor(compression),
    rowGroupRows: 122_880,
    rowGroupBytes: 64 << 20,
    pageBytes: 1 << 20,
    dictionary: true,
    encodings: 'v2',
    metadata: {},
    createdBy: 'test',
    ...options,
  })
  const pieces: Buffer[] = []
  // Copied at once: what comes next may use the same memory.
  const take = (given: Iterable<readonly Uint8Array[]>): void => {
    for (const chunk of given) for (const piece of chunk) pieces.push(Buffer.from(piece))
  }
  for (const batch of batches) {
    // A part, nothing, and the rest.
    const first = Math.min(5, batch.rowCount)
    take(writer.add({ batch, start: 0, count: first }))
    take(writer.add({ batch, start: first, count: 0 }))
    take(writer.add({ batch, start: first, count: batch.rowCount - first }))
    // A batch's memory is somebody else's as soon as it is taken.
    new Uint8Array(batch.buffer).fill(0xaa)
  }
  take(writer.end())
  return Buffer.concat(pieces)
}
