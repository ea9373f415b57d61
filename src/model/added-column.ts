/** Columns that rows get beside those of the source, as a configuration states them. */

/** A constant as it is written, or an object that says more. */
export type AddedColumn = string | number | boolean | bigint | AddedConstant | AddedFact

export type ConstantType = 'text' | 'bigint' | 'double' | 'boolean' | 'timestamp'

/** `error` by default: two columns of one name are one too many. `keep` leaves the source's, `replace` lands this one instead. */
export type IfPresent = 'error' | 'keep' | 'replace'

export interface AddedConstant {
  /** A timestamp is ISO 8601 text. Null needs a `type`: a row hook may fill it in. */
  readonly value: string | number | boolean | bigint | null
  /** Left out, it is the value's own: text, boolean, bigint for whole numbers, double for others. */
  readonly type?: ConstantType
  /** Where the source has a column of that name. */
  readonly ifPresent?: IfPresent
}

export interface AddedFact {
  readonly from: RowFact
  readonly ifPresent?: IfPresent
}

/**
 * `run_at`: the instant at which the run began, as a timestamp with time zone; `epoch_seconds`: the same as seconds since 1970, a
 * double. Both tell of the run that landed the row last.
 * `row_id`: a digest of the landed key, or of all of the source's landed columns where there is no key; text of 32 hex digits.
 */
export type RowFact = 'run_at' | 'epoch_seconds' | 'row_id'

export const ROW_FACTS = ['run_at', 'epoch_seconds', 'row_id'] as const satisfies readonly RowFact[]
export const CONSTANT_TYPES = [
  'text',
  'bigint',
  'double',
  'boolean',
  'timestamp',
] as const satisfies readonly ConstantType[]
