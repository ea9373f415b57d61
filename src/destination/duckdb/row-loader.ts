/** How batches get into a table of DuckDB. */
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Batch } from '../../batch/batch.js'
import type { Field } from '../../model/column-type.js'
import { ChunkLoader } from './chunk-loader.js'

export type DuckDbApi = typeof import('@duckdb/node-api')

/** A column that is not in the batches: the same instant in every row. */
export interface ConstantColumn {
  readonly name: string
  /** Microseconds since 1970, or null. */
  readonly micros: bigint | null
}

export interface LoaderOptions {
  readonly api: DuckDbApi
  /** Used by nobody else until `finish` or `discard`. */
  readonly connection: DuckDBConnection
  /** A private folder for parts on their way in. */
  readonly scratchDir: string
  readonly table: { readonly catalog: string; readonly schema: string; readonly name: string }
  readonly fields: readonly Field[]
  readonly constants: readonly ConstantColumn[]
}

export interface RowLoader {
  /** Resolves when the next batch may come. */
  write(batch: Batch): Promise<void>
  /** Resolves when every row is in the table. */
  finish(): Promise<void>
  /** Lets go of what is not in the table yet. Never rejects. */
  discard(): Promise<void>
}

/** The table's columns are `fields`, then `constants`, in this order. */
export function openRowLoader(options: LoaderOptions): Promise<RowLoader> {
  return ChunkLoader.open(options)
}
