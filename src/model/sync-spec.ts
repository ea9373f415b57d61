/** What a person asks for: one sync, resolved from flags, files and environment into one shape. */
import type { AddedColumn } from './added-column.js'
import type { HookModule, ShouldReadStream, TransformRow } from './hooks.js'
import type { AdaptiveOptions } from './adaptive-options.js'

export type Mode = 'mirror' | 'full_refresh' | 'incremental'
export type Landing = 'replace' | 'upsert' | 'append'
export type Deletes = 'hard' | 'soft' | 'ignore'
/** dlt's words: follow the source, stop, or land only what the destination already has. */
export type OnSchemaChange = 'evolve' | 'freeze' | 'discard_value'
export type ReadMethod = 'copy' | 'named' | 'client'
/** `exact` loses nothing; `widened` lands everything as one of six types, and numeric as a double. */
export type TypeProfile = 'exact' | 'widened'
/** What becomes of a value that the landing type cannot hold. */
export type SpecialValue = 'error' | 'null' | 'text'

/** For cursors of time a duration, for numbers an amount in the decimal text of the server. */
export type Lookback =
  { readonly kind: 'duration'; readonly ms: number } | { readonly kind: 'amount'; readonly amount: string }
/**
 * What keeps a run by cursor from passing over rows that commit late: transaction ids, the start of the oldest transaction under
 * way, or no more than a person's `lookback`.
 */
export type CursorBound = 'xmin' | 'in_flight' | 'lookback'
export type AuditEvery =
  { readonly kind: 'duration'; readonly ms: number } | { readonly kind: 'runs'; readonly runs: number }

/** Options of one stream or of a pattern; what is absent falls to `defaults`, then to the rules of the plan. */
export interface StreamOptions {
  readonly disabled?: boolean
  readonly mode?: Mode
  readonly landing?: Landing
  /** The column by which `incremental` reads on; of a query also qualified, as it stands there: `o.updated_at`. */
  readonly cursorField?: string
  /** Only rows whose cursor lies after it are read, ever; as the server reads the column's type. Absent: all rows. */
  readonly cursorStart?: string
  /** How far below the highest value seen the next run reads again. */
  readonly lookback?: Lookback
  readonly cursorBound?: CursorBound
  /** How often a table read by cursor is searched, by transaction id, for what the cursor missed. */
  readonly auditEvery?: AuditEvery
  readonly primaryKey?: readonly string[]
  readonly columns?: readonly string[]
  readonly excludeColumns?: readonly string[]
  /** A condition over the stream's own columns, immutable functions only in `mirror` and `incremental`. */
  readonly where?: string
  /** A SELECT; makes the stream a query. */
  readonly sql?: string
  /** How columns land that `types` says nothing of. */
  readonly typeProfile?: TypeProfile
  /** Landing type by column: `text`, `decimal(18,2)`, `json`. */
  readonly types?: Readonly<Record<string, string>>
  readonly deletes?: Deletes
  /** Make the indexes of the source at the destination, where that has any. */
  readonly indexes?: boolean
  readonly onSchemaChange?: OnSchemaChange
  readonly readMethod?: ReadMethod
  readonly batchSize?: number
  readonly specialNumeric?: SpecialValue
  readonly specialTemporal?: SpecialValue
  readonly invalidUtf8?: 'error' | 'binary'
  readonly rowSecurity?: 'stop' | 'on'
  /**
   * By column: `hmac:SECRET`, `hash`, `redact`, `partial`, `partial:4`, `null`. Holds secrets: never to be printed. Stated for a
   * pattern it holds for the columns that a stream has; for a stream by its name, the column must be there.
   */
  readonly mask?: Readonly<Record<string, string>>
  /** Name at the destination, by column; of patterns as `mask`. */
  readonly rename?: Readonly<Record<string, string>>
  /** By name at the destination. */
  readonly addColumns?: Readonly<Record<string, AddedColumn>>
  /** Code of one's own: the path of a module that exports `transformRow`, `shouldReadStream` or both. */
  readonly hooks?: string | HookModule
  readonly transformRow?: TransformRow
  readonly shouldReadStream?: ShouldReadStream
  /** A hook of another version is another hook, and loads its streams anew. Default: a digest of its source text. */
  readonly hookVersion?: string
  /** In place of `landing`, where the stream has no key. */
  readonly landingWithoutKey?: Exclude<Landing, 'upsert'>
  /** Streams without this column are left out, and said to be. */
  readonly onlyWithColumn?: string
}

export interface Limits {
  /** Connections to the source, all together. */
  readonly maxConnections: number
  /** After which the snapshot is let go in an orderly way. */
  readonly maxSnapshotAgeMs: number
  readonly maxReplicaLagMs: number | null
  readonly maxReadBytesPerSecond: number | null
  /** How long a session may wait on a lock of ours before we let go. */
  readonly yieldToDdlMs: number
  readonly lockTimeoutMs: number
  /** Longest silence of the server during a read. */
  readonly stallTimeoutMs: number
  readonly maxFieldBytes: number
  readonly batchBytes: number
  readonly batchRows: number
  /** Of each statement, kept by the server; 0: none. */
  readonly statementTimeoutMs: number
  readonly maxAttempts: number
  readonly firstRetryDelayMs: number
  /** Pauses double from the first one up to this. */
  readonly maxRetryDelayMs: number
  /** Each pause is multiplied by a chance number between these two. */
  readonly retryJitter: readonly [number, number]
  /** Connections that are kept open between two uses, however long nobody uses them. */
  readonly minConnections: number
  /** After which a connection beyond those is closed that nobody uses. */
  readonly idleTimeoutMs: number
  /** A connection this old is not used for another transaction. */
  readonly connectionMaxAgeMs: number
  /** Contacts with the source that fail in a row before it is left alone; 0: it never is. */
  readonly breakerFailures: number
  /** How long it is left alone, before one contact tries whether it is back. */
  readonly breakerPauseMs: number
  /** Contacts with the source in a minute; null: as many as it takes. */
  readonly maxRequestsPerMinute: number | null
  /** Of them, at most so many at once. */
  readonly requestBurst: number
  /** A load of a new generation is saved this long after its beginning, and again and again after as long. */
  readonly saveEveryMs: number
  /** And whenever so many more rows have come; null: only by time. */
  readonly saveEveryRows: number | null
}

export interface Selection {
  /** Patterns over stream names, `*` and `?`; empty means every non-system schema with USAGE. */
  readonly select: readonly string[]
  readonly exclude: readonly string[]
}

export interface SyncSpec {
  /** Identity of the sync at the destination. */
  readonly name: string
  readonly selection: Selection
  readonly defaults: StreamOptions
  /** By pattern; of the patterns that match a stream the most specific wins, key by key. */
  readonly streams: Readonly<Record<string, StreamOptions>>
  readonly limits: Limits
  readonly targetSchema: string | null
  /** `{schema}` and `{table}` are replaced. */
  readonly nameTemplate: string | null
  /** Take over destination tables that another sync or nobody owns. */
  readonly adopt: boolean
  readonly allowMassDelete: boolean
  readonly allowPrivilegedRole: boolean
  readonly acceptNewSource: boolean
  /** Read Greenplum side by side in a shared snapshot also where its version was not measured; absent: no. */
  readonly allowUnverifiedSnapshot?: boolean
  /** Readers; null chooses. */
  readonly jobs: number | null
  /** Compare everything after landing. */
  readonly verify: boolean
  readonly adaptive: AdaptiveOptions
  /** Streams that have a column of the name are read only where it has the value. */
  readonly rowFilter: Readonly<Record<string, string>>
  /** Land what the streams and their columns are, in `postgres_table` and `postgres_column`. */
  readonly metadataTables: boolean
  /** Whose words the log uses. */
  readonly wording: Wording
}

/** `connector_sdk`: levels INFO, WARNING, SEVERE, and the texts of the Connector SDK's examples. */
export type Wording = 'native' | 'connector_sdk'
