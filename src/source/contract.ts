/**
 * A source: discovers streams, opens snapshots and reads splits of them as batches.
 *
 * Order of use: `discover`, then for each group of streams `openSnapshot` → `position`, `fingerprint`, `count`, `read` → `close`.
 * Every method rejects with a TrunklineError; whatever waits takes an AbortSignal and rejects with its reason.
 */
import type { Batch } from '../batch/batch.js'
import type { DecoderColumn, WireFormat } from '../codec/decoder-column.js'
import type { Catalog, CatalogStream } from '../model/catalog.js'
import type { SourcePosition } from '../model/checkpoint.js'
import type { SourcePressure } from '../model/source-pressure.js'
import type { ErrorCode } from '../model/error.js'
import type { SplitRange } from '../model/split-range.js'
import type { Field } from '../model/column-type.js'
import type { CursorColumn } from '../model/cursor.js'
import type { Limits, Lookback, ReadMethod, Selection, SpecialValue, TypeProfile } from '../model/sync-spec.js'
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
  close(): Promise<void>
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
  readonly warnings: readonly string[]
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

}

export interface SnapshotOptions {
  readonly limits: Limits
  /** Readers beside the leader, at most; 0 reads on the leader's own connection and thread. */
  readonly readers: number
  readonly signal?: AbortSignal
  /** Streams whose row security is accepted. */
  readonly rowSecurityOn?: ReadonlySet<string>
}

  /** How long the connection took that this was asked over, from the first attempt to its use. */
  readonly connectMs: number
  /** How long a query of a row takes. */
  readonly queryMs: number
  /** Where asked for. */
  readonly statistics?: readonly SchemaStatistics[]
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
  /** Splits may be read in any order and by several readers; one split per stream unless parallel reading applies. */
  plan(read: StreamRead): Promise<readonly Split[]>
  /**
   * Reads one split. Completes only after the whole stream arrived: trailer, CopyDone, `COPY n` with n = rows decoded; of the
   * other methods, every message of the exchange and as many rows as its command tags say.
   * A returned (not exhausted) iterator cancels the read.
   */
  read(split: Split, options?: { readonly signal?: AbortSignal }): AsyncIterable<Batch>
  /**
   * Takes back the memory of a batch that `read` gave, or of one made of it over the same memory: nobody may read it from then
   * on. Only spares making memory anew; never required, and a batch of other memory is left alone.
   */
  giveBack?(batch: Batch): void
  /** @throws STREAM_CHANGED when the partitions of the stream are no longer those of the snapshot's start. */
  assertUnchanged(stream: CatalogStream): Promise<void>
  /** Waits until everything the snapshot saw is on the server's disk. False: not within the time, keep the old horizon. */
  awaitDurable(options?: {
    readonly signal?: AbortSignal
  }): Promise<{ readonly durable: boolean; readonly waitedMs: number }>
  close(): Promise<void>
}

export interface CountOptions {
  readonly where: string | null
  readonly window: RowWindow | null
  readonly signal?: AbortSignal
}

export interface StreamCount {
  readonly total: number
  /** Rows that the window selects; null without a window. */
  readonly inWindow: number | null
}

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
  readonly where: string | null
  /** Adds {@link XMIN_FIELD} as the last column. */
  readonly withXmin: boolean
  /** Absent: `copy`. All give the same batches. */
  readonly method?: ReadMethod
  readonly limits: Limits
}

/** Hidden last column of a read that asks for it: the row's 32-bit xmin, as int64. */
export const XMIN_FIELD = '_trunkline_xmin'

/** How a column is read; made by {@link Source.mapColumns}. */
export interface ReadColumn {
  readonly field: Field
  /** The column at the source. */
  readonly source: string
  /** SELECT expression: the quoted column, or what renders it as text or JSON. */
  readonly expression: string
  readonly wire: WireFormat
  readonly unrepresentable: 'error' | 'null'
  /** What the mapping cannot keep, as a sentence; null when it keeps everything. */
  readonly loss: string | null
}

export interface TypeOptions {
  /** Landing types by column, as configured. */
  readonly types: Readonly<Record<string, string>>
  readonly specialNumeric: SpecialValue
  readonly specialTemporal: SpecialValue
  readonly invalidUtf8: 'error' | 'binary'
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
  /** Read again in the same snapshot, it gives its rows in the same order; absent where that is not known. */
  readonly repeatable?: true
}
  /** Default: exact. */
  readonly typeProfile?: TypeProfile
