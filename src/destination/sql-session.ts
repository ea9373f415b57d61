/**
 * SQL of a person's own, run at a destination between the runs of syncs: it makes tables and files out of what was landed. Nothing else
 * can be done with it, and no file is touched outside of the folders that are allowed.
 */
import type { Field } from '../model/column-type.js'

/** The query is one SELECT (or what the destination takes for one), without a semicolon. */
export type SqlStatement =
  | {
      readonly kind: 'create'
      readonly table: string
      /** `append` and `upsert` match columns by name, and make the table where there is none. */
      readonly mode: 'replace' | 'append' | 'upsert'
      /** Columns that identify a row, for `upsert`. */
      readonly keys: readonly string[]
      readonly query: string
    }
  | {
      readonly kind: 'export'
      readonly query: string
      /** Absolute, or relative to the working directory. What is there is replaced in one step. */
      readonly path: string
      readonly format: 'csv' | 'parquet' | 'json'
      /** Options of the destination's own export, by name. */
      readonly options: Readonly<Record<string, string | number | boolean>>
    }

export interface SqlSession extends AsyncDisposable {
  /**
   * All of a statement, or nothing.
   * @throws TABLE_OWNED for a table that a sync or somebody else made; DESTINATION_FAILED, DESTINATION_INVALID, DESTINATION_FULL
   */
  run(
    statement: SqlStatement,
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ readonly rows: number }>
  close(): Promise<void>
}

/**
 * Tries statements on tables that are as those at the destination, and as those that will have been made by then, but empty. Nothing at the
 * destination changes.
 */
export interface SqlRehearsal extends AsyncDisposable {
  /** From here on there is such a table. */
  declare(table: string, fields: readonly Field[]): Promise<void>
  /** Null when nothing is found wrong; then the table of a `create` is there from here on. */
  attempt(statement: SqlStatement): Promise<SqlProblem | null>
  close(): Promise<void>
}

export interface SqlProblem {
  readonly message: string
  /** In the statement's query, in UTF-16 units; null where the problem has no place. */
  readonly offset: number | null
}
