/**
 * A source: discovers streams, opens snapshots and reads splits of them as batches.
 *
 * Order of use: `discover`, then for each group of streams `openSnapshot` → `position`, `fingerprint`, `count`, `read` → `close`.
 * Every method rejects with a TrunklineError; whatever waits takes an AbortSignal and rejects with its reason.
 */
import type { Batch } from '../batch/batch.js'
import type { DecoderColumn, ElementWire, WireFormat } from '../codec/decoder-column.js'
import type { Catalog, CatalogStream } from '../model/catalog.js'
import type { SourcePosition } from '../model/checkpoint.js'
import type { SourcePressure } from '../model/source-pressure.js'
import type { ErrorCode } from '../model/error.js'
import type { SplitRange } from '../model/split-range.js'
import type { Field } from '../model/column-type.js'
import type { CursorColumn } from '../model/cursor.js'
import type {
  Limits,
  Lookback,
  ReadMethod,
  Selection,
  SpecialValue,
  TypeProfile,
} from '../model/sync-spec.js'
import type { Xid8 } from '../model/xid.js'

export interface Source extends AsyncDisposable {
  /** `user@host:port/database`, without secrets. */
  readonly description: string
  /** The database name: the default name of a sync. */
  readonly database: string
  check(options?: CheckOptions): Promise<SourceCheck>
  /**
   * Whether the source can be used now, for monitoring: a server that is away makes it unhealthy, not an error. Rejects with
   * nothing but the signal's reason.
   */
  health(options?: HealthOptions): Promise<SourceHealth>
  /**
   * @throws SELECTION_EMPTY, STREAM_MISSING for a name without wildcard that does not exist; for queries CUSTOM_SQL_INVALID,
   * PRIVILEGED_ROLE.
   */
  discover(selection: Selection, options?: DiscoverOptions): Promise<Catalog>
  /** Which type each column lands as and how it is read; pure. @throws CONFIG_INVALID for an override that cannot be. */
  mapColumns(stream: CatalogStream, options: TypeOptions): readonly ReadColumn[]
  /**
   * Locks the streams (ACCESS SHARE), then takes one snapshot of all of them. Streams that cannot be locked or read are
   * returned in `failed` with their errors, and the others go on.
   */
  openSnapshot(streams: readonly CatalogStream[], options: SnapshotOptions): Promise<Snapshot>
  /** The streams in their order, in groups that each fit the server's lock table: one snapshot per group. */
  formSnapshotGroups(streams: readonly CatalogStream[]): Promise<readonly (readonly CatalogStream[])[]>
  /**
   * Checks a condition as the server would read it. `stable`: as `mirror` and `incremental` need it, over nothing but the
   * stream's own columns and functions whose result never changes. @throws CONFIG_INVALID
   */
  checkWhere(stream: CatalogStream, where: string, options: { readonly stable: boolean }): Promise<void>
  /** What the server knows of the stream's columns, by name; empty where it knows nothing. */
  columnStatistics?(stream: CatalogStream): Promise<ReadonlyMap<string, ColumnStatistics>>
  /**
   * The column that a configured cursor field names: itself, or for one that is qualified as in the stream's own SELECT
   * (`o.updated_at`) the column that comes of it. Null where there is none.
   */
  resolveCursor(
    stream: CatalogStream,
    cursor: { readonly field: string; readonly start: string | null },
  ): Promise<ResolvedCursor | null>
  /** What it has of connections now; absent: it does not tell. */
  connectionStatus?(): ConnectionStatus
  close(): Promise<void>
}

/** Put around each contact with the server: it may make it wait, refuse it, and look at how it ends. */
export type Contact = <Result>(work: () => Promise<Result>, signal?: AbortSignal) => Promise<Result>

/** What a source has of connections now. */
export interface ConnectionStatus {
  /** Those of reader threads included. */
  readonly open: number
  readonly idle: number
  /** Contacts that wait for one. */
  readonly waiting: number
  readonly max: number
}

export interface DiscoverOptions {
  readonly signal?: AbortSignal
  /** Further streams, beside what is selected. With queries, a selection that matches nothing is no error. */
  readonly queries?: readonly NamedQuery[]
  /** Take queries although the role could do more than read. */
  readonly allowPrivilegedRole?: boolean
}

/** A stream that is a configured SELECT. */
export interface NamedQuery {
  readonly name: string
  readonly sql: string
  readonly primaryKey: readonly string[] | null
}

export interface CheckOptions {
  readonly signal?: AbortSignal
  /** Adds statistics by schema. */
  readonly statistics?: boolean
}

export interface HealthOptions {
  /** Whose tables are counted; default `public`. */
  readonly schema?: string
  /** After which a server that does not answer is unhealthy; default 10 s. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** In the names and units that monitoring of PostgreSQL connectors uses. */
export interface SourceHealth {
  readonly status: 'healthy' | 'unhealthy'
  readonly connected: boolean
  /** From the question to the answer, connecting included where there was no connection. */
  readonly response_time_ms: number
  /** ISO 8601, in UTC, ending in Z. */
  readonly last_check: string
  readonly database_size_bytes: number | null
  /** Tables, partitioned and foreign ones included, partitions not. */
  readonly table_count: number | null
  /** As `version()` gives it. */
  readonly postgresql_version: string | null
  readonly schema: string
  readonly capabilities: {
    readonly incremental: boolean
    readonly schema_discovery: boolean
    readonly batch_reading: boolean
    readonly custom_queries: boolean
  }
  /** Only of an unhealthy one. */
  readonly error?: { readonly code: ErrorCode; readonly message: string; readonly hint?: string }
}

export interface SchemaStatistics {
  readonly schema: string
  /** Partitions count with their sizes and rows, and not as tables. */
  readonly tables: number
  /** As of the last VACUUM or ANALYZE. */
  readonly bytes: number
  readonly estimatedRows: number
  /** Rows that wait for VACUUM. */
  readonly deadRows: number
  /** Of any of its tables; ISO 8601 in UTC. */
  readonly lastAnalyzedAt: string | null
  /** Tables without any ANALYZE. */
  readonly neverAnalyzed: number
}

export interface SourceCheck {
  readonly description: string
  /** `server_version_num`, as 150018. */
  readonly serverVersion: number
  readonly serverVersionText: string
  readonly standby: boolean
  readonly tls: string | null
  readonly role: string
  /** Superuser, or member of a role that can run programs or read and write files. */
  readonly privilegedRole: boolean
  readonly pooled: boolean
  /** How long the connection took that this was asked over, from the first attempt to its use. */
  readonly connectMs: number
  /** How long a query of a row takes. */
  readonly queryMs: number
  /** Where asked for. */
  readonly statistics?: readonly SchemaStatistics[]
  readonly warnings: readonly string[]
}

export interface SnapshotOptions {
  readonly limits: Limits
  /** Readers beside the leader, at most; 0 reads on the leader's own connection and thread. */
  readonly readers: number
  readonly signal?: AbortSignal
  /** Read side by side also where the server is a Greenplum of a version whose shared snapshots were not measured. */
  readonly allowUnverifiedSnapshot?: boolean
  /** Look at what is under way before the snapshot is taken. */
  readonly observeActivity?: boolean
  /** Streams whose row security is accepted. */
  readonly rowSecurityOn?: ReadonlySet<string>
}

export interface Snapshot extends AsyncDisposable {
  readonly id: string
  readonly position: SourcePosition
  /** Oldest transaction still running: what the next run must read from. */
  readonly horizon: Xid8
  /** Age of that transaction, where the role may see it. */
  readonly horizonAgeSeconds: number | null
  /**
   * Splits that can be read at the same time; 1 where the leader's own connection reads. A read beyond that waits for a
   * reader. Readers are opened when first needed.
   */
  readonly maxReaders: number
  /** The streams as they are under the lock, which is what must be planned with. */
  readonly streams: readonly CatalogStream[]
  readonly failed: readonly { readonly stream: string; readonly error: unknown }[]
  /** Aborts with YIELDED_TO_DDL, SNAPSHOT_TOO_OLD or SNAPSHOT_LOST when the snapshot has to be given up. */
  readonly signal: AbortSignal
  /** One pass over the stream: all rows, and those that the window selects. Plain FROM, never the reading query's own. */
  count(stream: CatalogStream, options: CountOptions): Promise<StreamCount>
  /** What was under way before it was taken; null where nobody asked. */
  readonly inFlight?: InFlight | null
  /** Values that divide the rows of the question's range into about as many parts, ascending; fewer where values repeat. */
  divideByCursor(
    stream: CatalogStream,
    options: { readonly where: string | null; readonly question: CursorQuestion; readonly parts: number },
  ): Promise<readonly CursorBound[]>
  /** `server_version_num` of the PostgreSQL whose rows it can give undecoded; absent: it cannot. */
  readonly serverVersion?: number
  /** Splits may be read in any order and by several readers; one split per stream unless parallel reading applies. */
  plan(read: StreamRead): Promise<readonly Split[]>
  /**
   * Reads one split. Completes only after the whole stream arrived: trailer, CopyDone, `COPY n` with n = rows decoded; of the
   * other methods, every message of the exchange and as many rows as its command tags say.
   * A returned (not exhausted) iterator cancels the read.
   *
   * `onRead` may be called, once, when everything has come and only batches wait to be taken: whatever read it is free for another
   * split.
   */
  read(
    split: Split,
    options?: { readonly signal?: AbortSignal; readonly onRead?: () => void },
  ): AsyncIterable<Batch>
  /**
   * Takes back the memory of a batch that `read` gave, or of one made of it over the same memory: nobody may read it from then
   * on. Only spares making memory anew; never required, and a batch of other memory is left alone.
   */
  giveBack?(batch: Batch): void
  /** @throws STREAM_CHANGED when the partitions of the stream are no longer those of the snapshot's start. */
  assertUnchanged(stream: CatalogStream): Promise<void>
  /** How hard the server is pressed; null where that cannot be asked without disturbing a read. */
  pressure?(): Promise<SourcePressure | null>
  /** Keeps no more readers than these from now on: those beyond are closed as they fall idle, and their connections given back. */
  limitReaders?(most: number): void
  /** Waits until everything the snapshot saw is on the server's disk. False: not within the time, keep the old horizon. */
  awaitDurable(options?: {
    readonly signal?: AbortSignal
  }): Promise<{ readonly durable: boolean; readonly waitedMs: number }>
  close(): Promise<void>
}

export interface CountOptions {
  readonly where: string | null
  readonly window: RowWindow | null
  /** Also finds the position of the cursor, and counts only the rows of its range. */
  readonly cursor?: CursorQuestion
  readonly signal?: AbortSignal
}

export interface StreamCount {
  readonly total: number
  /** Rows that the window selects; null without a window. */
  readonly inWindow: number | null
  /** The answer to {@link CountOptions.cursor}. */
  readonly cursor?: CursorFacts
}

export interface ColumnStatistics {
  /** 0 to 1. */
  readonly nullFraction: number
  /** Number of distinct values; below 0 their share of the rows, negated. */
  readonly distinct: number
  /** Between the order of the values and that of the storage, −1 to 1; null where values have no order. */
  readonly correlation: number | null
}

export interface ResolvedCursor {
  readonly name: string
  /** The condition that leaves the rows after the start; null without a start, and for a type that cannot be a cursor. */
  readonly afterStart: string | null
}

/** Rows by their cursor. Bounds are the server's text; without any, all rows. */
export interface CursorRange {
  readonly column: CursorColumn
  /** At or above it. */
  readonly from: string | null
  /** Below it. */
  readonly below: string | null
  /** With bounds: rows without a value, and rows at minus infinity, which no lower bound reaches. */
  readonly others: { readonly nulls: boolean; readonly lowest: boolean }
}

export interface CursorQuestion {
  readonly range: CursorRange
  /** The position before: the answer is never below it. */
  readonly since: string | null
  /** Values below it may still appear, of transactions that were under way: {@link Snapshot.inFlight}. */
  readonly inFlight: string | null
  readonly lookback: Lookback | null
  /** The next run never reads below it. */
  readonly notBelow: string | null
}

export interface CursorFacts {
  /** The greatest value that is neither NULL nor infinite; null where there is none. */
  readonly value: string | null
  /** What the next run has to read from; null: from the beginning. */
  readonly low: string | null
  readonly nulls: number
  /** Infinities and NaN. */
  readonly infinite: number
}

/** A value that divides rows by their cursor. */
export interface CursorBound {
  readonly at: string
  /** What a run would have to read from that has landed everything below `at`. */
  readonly low: string
}

/** Of which rows a read says which version they are: those at or below `upTo`, those at or above `from`; null: of all. */
export interface VersionRule {
  readonly upTo: string | null
  readonly from: string | null
}

/** What was under way just before the snapshot was taken. */
export type InFlight =
  /** Every transaction that the snapshot does not see began at or after this time: server's text of a timestamptz, UTC. */
  | { readonly kind: 'since'; readonly time: string }
  /** It cannot be known, and why, as part of a sentence. */
  | { readonly kind: 'unknown'; readonly why: string }

/** Which rows of a stream: row versions written by transactions in [horizon, xmax), and all rows of some leaves. */
export interface RowWindow {
  readonly horizon: Xid8
  /** Next transaction id of the reading snapshot. */
  readonly xmax: Xid8
  /** Leaves that joined since, whose rows can be older than the horizon. */
  readonly wholeLeaves: readonly number[]
}

/** One read of one stream: which rows and which columns, as which types. */
export interface StreamRead {
  readonly stream: CatalogStream
  readonly columns: readonly ReadColumn[]
  readonly rows:
    | {
        readonly kind: 'full'
        /** Only these parts, each as a split of its own, as an interrupted load left them; absent: the planner divides. */
        readonly ranges?: readonly SplitRange[]
      }
    | { readonly kind: 'since'; readonly window: RowWindow }
    /** In the order of the cursor. With versions, {@link VERSION_FIELD} is the last column. */
    | { readonly kind: 'cursor'; readonly range: CursorRange; readonly versions: VersionRule | null }
  readonly where: string | null
  /** Adds {@link XMIN_FIELD} as the last column. */
  readonly withXmin: boolean
  /**
   * Batches with `tuples`: rows as the server sends them, each column in its own type's binary form, whatever it would land as. Without
   * xmin and versions.
   */
  readonly undecoded?: true
  /** Absent: `copy`. All give the same batches. */
  readonly method?: ReadMethod
  readonly limits: Limits
}

/** Hidden last column of a read that asks for it: the row's 32-bit xmin, as int64. */
export const XMIN_FIELD = '_trunkline_xmin'

/** Hidden last column of a read by cursor that asks for it: a digest of the row, as int64; NULL where the rule has none. */
export const VERSION_FIELD = '_trunkline_version'

/** How a column is read; made by {@link Source.mapColumns}. */
export interface ReadColumn {
  readonly field: Field
  /** The column at the source. */
  readonly source: string
  /** SELECT expression: the quoted column, or what renders it as text or JSON. */
  readonly expression: string
  readonly wire: WireFormat
  /** Of an array that lands as a list. */
  readonly elementWire?: ElementWire
  readonly unrepresentable: 'error' | 'null'
  /** What the mapping cannot keep, as a sentence; null when it keeps everything. */
  readonly loss: string | null
  /** Values of the column's own type, in the form of their kind or as the server prints them; absent: mapped to another one. */
  readonly ownType?: true
}

export interface TypeOptions {
  /** Default: exact. */
  readonly typeProfile?: TypeProfile
  /** Landing types by column, as configured. */
  readonly types: Readonly<Record<string, string>>
  readonly specialNumeric: SpecialValue
  readonly specialTemporal: SpecialValue
  readonly invalidUtf8: 'error' | 'binary'
  /** Arrays, composites and hstore as the server prints them; default: as JSON. */
  readonly serverText?: boolean
}

/** A unit of reading, as plain data without secrets. */
export interface Split {
  readonly stream: string
  readonly index: number
  /** The part of the stream that it is. */
  readonly range: SplitRange
  /** How the server is asked for the rows. */
  readonly method: ReadMethod
  /** The SELECT of the rows. */
  readonly selectSql: string
  readonly columns: readonly DecoderColumn[]
  readonly maxFieldBytes: number
  readonly batchBytes: number
  readonly batchRows: number
  readonly stallTimeoutMs: number
  readonly maxReadBytesPerSecond: number | null
  /** Row security filters what is read; false makes the server refuse instead. */
  readonly rowSecurity: boolean
  /** Where the unqualified names of a query are looked for, after pg_catalog; absent for every other stream. */
  readonly searchPath?: readonly string[]
  /** As {@link StreamRead.undecoded}. */
  readonly undecoded?: true
  /** Read again in the same snapshot, it gives its rows in the same order; absent where that is not known. */
  readonly repeatable?: true
}
