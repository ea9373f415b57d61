/** A compiled pipeline: steps as data, every variable replaced, every condition decided, every include read. */
import type { SyncSpec } from '../model/sync-spec.js'
import type { Span } from './source-text.js'
import type { RenderedSql } from './sql-text.js'

export interface Pipeline {
  readonly name: string
  readonly sources: readonly PipelineSource[]
  readonly steps: readonly Step[]
  readonly warnings: readonly { readonly span: Span; readonly message: string }[]
}

export interface PipelineSource {
  readonly name: string
  readonly span: Span
  /** A connection of the configuration that `options` are laid over; null where they say everything. */
  readonly connection: string | null
  /** libpq's keywords. May hold a password. */
  readonly options: Readonly<Record<string, string>>
  readonly schema: string
  readonly reads: SourceRelation | null
  readonly syncMode: 'full_refresh' | 'incremental'
  readonly cursorField: string | null
}

export type SourceRelation =
  { readonly kind: 'table'; readonly table: string } | { readonly kind: 'query'; readonly sql: string }

export type Step = LoadStep | CreateStep | ExportStep

/** The engine runs `spec`, which selects one stream and names its table. */
export interface LoadStep {
  readonly kind: 'load'
  readonly span: Span
  readonly table: string
  readonly source: PipelineSource
  readonly mode: 'replace' | 'append' | 'upsert'
  readonly spec: SyncSpec
}

export interface CreateStep {
  readonly kind: 'create'
  readonly span: Span
  readonly table: string
  readonly mode: 'replace' | 'append' | 'upsert'
  /** Of an upsert. */
  readonly keys: readonly string[]
  readonly sql: RenderedSql
}

export type ExportFormat = 'csv' | 'parquet' | 'json'

export interface ExportStep {
  readonly kind: 'export'
  readonly span: Span
  readonly sql: RenderedSql
  /** As written: relative to the working directory. */
  readonly path: string
  readonly format: ExportFormat
  /** Options of DuckDB's COPY, by name. */
  readonly options: Readonly<Record<string, string | number | boolean>>
}

/** In which schema of the DuckDB file everything of a pipeline is. */
export const PIPELINE_SCHEMA = 'main'
