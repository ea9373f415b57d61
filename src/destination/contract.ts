/**
 * A destination: takes batches of streams and makes them durable together with the checkpoint they amount to.
 *
 * Order of use: `open` (takes the lease of the sync and returns what is saved), then for each stream `begin` → `write`… →
 * `commit` or `abort`; `close` gives the lease back. Streams may be written side by side, each through one writer at a time; after a
 * commit a stream may be begun again, on what that made its present generation.
 *
 * Promises every destination keeps and the conformance suite checks:
 * - Rows and checkpoint become durable in one commit, or neither does; a returned `commit` is durable.
 * - A reader of the destination sees a stream before or after a commit, never between.
 * - What is saved of a load that goes on is not seen by readers, and a run that dies leaves it as it was saved last.
 * - A writer that lost the lease cannot commit or save: FENCED.
 * - A table that another sync owns, or that Trunkline did not make, is never touched: TABLE_OWNED.
 */
import type { Batch } from '../batch/batch.js'
import type { CatalogColumn } from '../model/catalog.js'
import type { Checkpoint, LoadProgress } from '../model/checkpoint.js'
import type { Field } from '../model/column-type.js'
import type { Deletes, Landing } from '../model/sync-spec.js'
import type { VerifyResult } from '../model/report.js'

export interface DestinationCapabilities {
  readonly landings: ReadonlySet<Landing>
  readonly deletes: boolean
  readonly verify: boolean
  /** Can save a load that is not over, and go on in it. */
  readonly resume: boolean
  /** Two names that the destination cannot tell apart fold to the same text. */
  readonly foldName: (name: string) => string
  readonly maxNameBytes: number
  /**
   * Makes columns of the source's own types: arrays, composites and all other types without a kind of their own come as the text
   * that the server prints of them, none as JSON.
   */
  readonly serverText?: boolean
  /** Where streams land that have no schema: configured SELECTs. Absent: `main`. */
  readonly defaultSchema?: string
  /** What cannot be kept of such columns, or is read otherwise by some, as sentences. Absent: everything is. */
  readonly losses?: (fields: readonly Field[]) => readonly string[]
}

export interface Destination extends AsyncDisposable {
  /** `duckdb:shop.duckdb`, without secrets. */
  readonly description: string
  readonly capabilities: DestinationCapabilities
  /** The folder of this machine that it writes to, for whoever watches the disk; absent where that is elsewhere. */
  readonly folder?: string
  /**
   * Begins, beside other work, what {@link open} would otherwise have to wait for. Touches nothing that lasts: a run that fails
   * before it opens leaves no trace. `close` ends it, too.
   */
  prepare?(): void
  /**
   * Creates what is missing, takes the lease and raises the epoch.
   * @throws DESTINATION_LOCKED, DESTINATION_INVALID, DESTINATION_READ_ONLY, STATE_TOO_NEW
   */
  open(options: OpenOptions): Promise<SyncState>
  /**
   * @throws TABLE_OWNED, SCHEMA_FROZEN; DESTINATION_FAILED for whatever else is wrong with this stream alone (a column of another type,
   * a table or a load that is gone): DESTINATION_INVALID ends the run for all streams.
   */
  begin(landing: StreamLanding): Promise<StreamWriter>
  /**
   * For streams that the source has not changed: in one commit, each of which the destination has as many live rows of as stated,
   * and all that `begin` would have to do, gets its checkpoint. Those are returned; the others stay as they were, to be gone
   * through with `begin` one by one. A partial load of a stream keeps it among those. Some hundred at once are a good number.
   * @throws FENCED when another run took the lease; nothing is committed then.
   */
  confirmUnchanged?(streams: readonly UnchangedStream[]): Promise<ReadonlySet<string>>
  /** A query that can be pasted where the destination is read, for a table; before it may be a line that is a command (`.read …`). */
  exampleQuery(table: TableName): string
  /** Saved state, without lease or change; an empty state where the destination does not exist yet. */
  readState(sync: string | null): Promise<readonly SyncState[]>
  editState(sync: string, stream: string, edit: StateEdit): Promise<void>
  close(): Promise<void>
}

export interface OpenOptions {
  readonly sync: string
  readonly runId: string
  readonly startedAt: Date
  readonly adopt: boolean
  readonly signal?: AbortSignal
}

export type StateEdit =
  /** Leave the stream out of runs, or take it in again. */
  | { readonly kind: 'pause'; readonly paused: boolean }
  /** Forget the checkpoint, and what there is of a load: the next run loads a new generation from the start. */
  | { readonly kind: 'resync' }
  /** Take the stream's present rows as they are, and never read it again until resumed. */
  | { readonly kind: 'skip' }

export interface SyncState {
  readonly sync: string
  readonly epoch: number
  readonly streams: ReadonlyMap<string, StreamState>
}

export interface StreamState {
  readonly stream: string
  readonly table: TableName
  readonly generation: number
  /** Commits of this stream, counted up. */
  readonly runSeq: number
  readonly runId: string
  /** Before the first commit: when the load was saved. */
  readonly committedAt: Date
  readonly paused: boolean
  readonly skipped: boolean
  /** Null after `resync`, and before the first commit. */
  readonly checkpoint: Checkpoint | null
  /** What an interrupted load left, to be gone on with by `begin` with `resume`. */
  readonly partial: PartialLoad | null
}

export interface PartialLoad {
  /** The generation that is being loaded; the present one is another. */
  readonly generation: number
  readonly table: TableName
  readonly savedAt: Date
  readonly progress: LoadProgress
}

export interface TableName {
  readonly schema: string
  readonly name: string
}

export interface StreamLanding {
  readonly stream: string
  readonly table: TableName
  readonly fields: readonly Field[]
  /** Landed comments, by column, and of the table. */
  readonly comments: { readonly table: string | null; readonly columns: Readonly<Record<string, string>> }
  /** Absent where the source does not tell. */
  readonly origin?: StreamOrigin
  readonly key: readonly string[] | null
  /**
   * The source guarantees that the key is unique, by a primary key or a unique index. Otherwise every new generation that lands by
   * it is searched for duplicates. Rows for a present generation always are.
   */
  readonly keyEnforced?: boolean
  /**
   * `replace` loads a new generation and swaps it in at the commit; `upsert` and `append` change the present one, which
   * must exist unless `generation` is new.
   */
  readonly landing: Landing
  readonly generation: number
  /** What `runSeq` must still be at the commit: the fence against a run that took over. 0 for a new stream. */
  readonly expectedRunSeq: number
  /** Go on in the partial load of this generation. Without it, what is saved of any load of the stream is dropped at once. */
  readonly resume?: boolean
  readonly deletes: Deletes
  /** Adds `_trunkline_run_at` with this instant: dated copies. */
  readonly runAt: Date | null
  /** May be called with a batch that was handed over, once, when nothing reads its memory any more. Never required. */
  readonly onBatchDone?: (batch: Batch) => void
}

/** What a stream is at the source, for a destination that can make the same of it. By landed names. */
export interface StreamOrigin {
  /** Of columns whose values land just as the source has them. Others are absent: masked, mapped, changed by a hook, added. */
  readonly columns: ReadonlyMap<string, OriginColumn>
  /** Null where it has none, or not all of its columns land as they are. */
  readonly primaryKey: readonly string[] | null
  /** Those that are to be made, beside the primary key: over nothing but landed columns, neither partial nor over expressions. */
  readonly indexes: readonly OriginIndex[]
  /** Which relation it is. */
  readonly relation: {
    readonly systemIdentifier: string | null
    readonly database: string
    readonly oid: number
  }
}

export interface OriginColumn {
  /** As SQL writes it, modifiers included, domains resolved: `numeric(12,2)`, `integer[]`, `public.mood`. */
  readonly sqlType: string
  /** As in pg_type: `numeric`, `_int4`, `mood`. */
  readonly typeName: string
  /** `pg_catalog` for what is built in. */
  readonly typeSchema: string
  readonly typeKind: CatalogColumn['typeKind']
  /** Of an enum. */
  readonly labels: readonly string[] | null
  readonly identity: 'always' | 'default' | null
}

export interface OriginIndex {
  readonly name: string
  readonly columns: readonly string[]
  readonly unique: boolean
  /** `btree`, `gin`. */
  readonly method: string
}

export interface UnchangedStream extends Pick<
  StreamLanding,
  'stream' | 'table' | 'fields' | 'comments' | 'origin' | 'generation' | 'expectedRunSeq' | 'deletes'
> {
  /** Rows that the source has now. */
  readonly live: number
  readonly checkpoint: Checkpoint
}

export interface SchemaChange {
  readonly add: readonly Field[]
}

export interface ReconcileResult {
  /** Live rows at the destination whose key the source does not have, now deleted or marked. */
  readonly deleted: number
}

export interface StreamWriter {
  /**
   * Whether `write` takes batches with `tuples` too: rows as a PostgreSQL of that `server_version_num` sends them, of all fields of
   * the landing in their order, each in the binary form of its {@link StreamOrigin} type. Absent: it does not.
   */
  takesUndecoded?(sourceVersion: number): boolean
  /** Takes ownership of the batch. Resolves when the next one may come, not when this one is durable. */
  write(batch: Batch): Promise<void>
  /**
   * For a generation that is being loaded: makes everything written so far durable, out of readers' sight, together with how far
   * the load is. Neither `abort` nor a crash takes it back.
   * @throws FENCED when another run committed this stream or took the lease.
   */
  save(progress: LoadProgress): Promise<void>
  /** For a generation that is being loaded: rows that take the place of all rows so far that have their keys. */
  replaceByKey(rows: AsyncIterable<Batch>): Promise<void>
  /** Rows that count as present (not soft-deleted), everything written so far applied. */
  liveCount(): Promise<number>
  /**
   * `keys` are all keys of the source's snapshot: batches of the key's fields, in its order. Deletes what is not among them, or
   * marks it where deletes are soft; from a generation that is being loaded it is always deleted, as nobody has seen it.
   * @throws MASS_DELETE when it would delete more rows than allowed; nothing is deleted then.
   */
  reconcileKeys(keys: AsyncIterable<Batch>, guard: { readonly maxDeleted: number }): Promise<ReconcileResult>
  /** Adds columns to the present generation, before the first write. */
  alter(change: SchemaChange): Promise<void>
  /**
   * Compares the rows now present with a full read of the source, value by value. Before the commit. `fields`: those of the landing
   * that the rows have, and that are compared; absent: all.
   */
  verify(rows: AsyncIterable<Batch>, options?: { readonly fields?: readonly Field[] }): Promise<VerifyResult>
  /** @throws FENCED when another run committed this stream or took the lease. */
  commit(checkpoint: Checkpoint): Promise<void>
  /** Drops everything since `begin` or the last `save`. Never rejects; safe after a failed call and after `commit`. */
  abort(): Promise<void>
}
