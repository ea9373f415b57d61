/** Where a destination is tried: how it is made there, and how what it leaves there is looked at by somebody else. */
import type { Destination, TableName } from '../destination/contract.js'
import type { ColumnType, Field } from '../model/column-type.js'
import type { Landing } from '../model/sync-spec.js'
import type { Plain } from './plain.js'

/** One place that destinations are opened on, one after the other: a folder, a database, a bucket. Nothing is there at first. */
export interface Place {
  /** A destination on the place; each call is a new one, as a later run would make it. */
  create(): Destination
  /**
   * The rows of a table as a reader sees them, in any order; null where a reader finds no such table. Read by anything but the
   * destination itself: what is wrong in both would not be noticed. `columns` are some that were landed, with their types; values are
   * in the form of {@link Plain}, or text as PostgreSQL prints it.
   */
  readRows(table: TableName, columns: readonly Field[]): Promise<readonly (readonly Plain[])[] | null>
  /**
   * Makes a table that Trunkline knows nothing of, with one row: 77 in a 32-bit integer column `id`. Absent where there cannot be one.
   */
  makeForeignTable?(table: TableName): Promise<void>
  /** What is said of a table and its columns; absent where there is no place for it. */
  readComments?(
    table: TableName,
  ): Promise<{ readonly table: string | null; readonly columns: Readonly<Record<string, string>> }>
  /** Readers are not kept out while a run goes on. */
  readonly readableDuringRuns: boolean
  /** Readers go by something that follows each commit: for a moment they find the rows before it, when its checkpoint is there. */
  readonly rowsFollow?: boolean
  /**
   * By its documentation, the destination refuses to land this value with VALUE_UNREPRESENTABLE; without a value, columns of this
   * type with TrunklineError. Absent: it takes everything.
   */
  refuses?(type: ColumnType, value?: Plain): boolean
  /** JSON documents come back as the same value, but not as the same text. */
  readonly jsonByValue?: boolean
  /** The JSON document `null` comes back as NULL. */
  readonly jsonNullIsNull?: boolean
  /** To it, 0 and −0 are one value: where both stand in a column, either may come back as the other. */
  readonly mixesZeros?: boolean
  /** Takes everything away again. */
  remove(): Promise<void>
}

/** What a case may need a destination to offer. */
export type Offer =
  | Landing
  /** `reconcileKeys` and soft deletes. */
  | 'deletes'
  | 'verify'
  | 'resume'
  /** `confirmUnchanged`. */
  | 'confirm'
  /** There can be tables that Trunkline did not make. */
  | 'foreign'
  | 'comments'
  /** Readers look at any moment. */
  | 'readers'

/** What the destination of a place says that it can do, and what the place can show. */
export function offersOf(place: Place): ReadonlySet<Offer> {
  const destination = place.create()
  const { landings, deletes, verify, resume } = destination.capabilities
  const offers = new Set<Offer>(landings)
  if (deletes) offers.add('deletes')
  if (verify) offers.add('verify')
  if (resume) offers.add('resume')
  if (destination.confirmUnchanged !== undefined) offers.add('confirm')
  if (place.makeForeignTable !== undefined) offers.add('foreign')
  if (place.readComments !== undefined) offers.add('comments')
  if (place.readableDuringRuns) offers.add('readers')
  return offers
}
