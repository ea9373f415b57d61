/** What a user's own code may do with streams and rows on their way. */
import type { CatalogStream } from './catalog.js'
import type { Field } from './column-type.js'

/**
 * A value as `rows` gives it: boolean; number for smallint, integer and floats; bigint; text for numeric, uuid, json and text; ISO
 * 8601 text for dates and times; Uint8Array for bytea; null; an array of these for a list.
 */
export type RowValue = SingleRowValue | readonly SingleRowValue[]
type SingleRowValue = boolean | number | bigint | string | Uint8Array | null

/** By the names of the source, and of added constants. */
export type HookRow = Record<string, RowValue>

export interface HookContext {
  readonly stream: string
  /** In the order of the columns; a row that is returned has exactly these. */
  readonly fields: readonly Field[]
  /** `options` of the configuration's `hooks`. */
  readonly options: Readonly<Record<string, unknown>>
}

/**
 * The row to land in place of the one given, which may be changed and returned; null leaves it out. Before masks and renames.
 *
 * Called once for each row that is read, again for the same row in a later run, a retry or `--verify`: the same row must always give
 * the same result. Key columns must stay as they are.
 */
export type TransformRow = (row: HookRow, context: HookContext) => HookRow | null

/** False leaves the stream out, as `disabled` does. Asked once in each run. */
export type ShouldReadStream = (stream: CatalogStream) => boolean

/** A module that exports `transformRow`, `shouldReadStream` or both; it may export `version`, see `hookVersion`. */
export interface HookModule {
  /** Path; in a configuration file relative to the file. */
  readonly module: string
  /** Handed to the hooks as they are. */
  readonly options?: Readonly<Record<string, unknown>>
}
