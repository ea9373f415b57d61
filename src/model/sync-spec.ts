/** What a person asks for: one sync, resolved from flags, files and environment into one shape. */

export type Mode = 'mirror' | 'full_refresh' | 'incremental'
export type Landing = 'replace' | 'upsert' | 'append'
export type Deletes = 'hard' | 'soft' | 'ignore'
/** dlt's words: follow the source, stop, or land only what the destination already has. */
export type OnSchemaChange = 'evolve' | 'freeze' | 'discard_value'
export type ReadMethod = 'copy' | 'named' | 'client'
/** What becomes of a value that the landing type cannot hold. */
export type SpecialValue = 'error' | 'null' | 'text'

/** Options of one stream or of a pattern; what is absent falls to `defaults`, then to the rules of the plan. */
export interface StreamOptions {
  readonly disabled?: boolean
  readonly mode?: Mode
  readonly landing?: Landing
  readonly cursorField?: string
  readonly primaryKey?: readonly string[]
  readonly columns?: readonly string[]
  readonly excludeColumns?: readonly string[]
  /** A condition over the stream's own columns, immutable functions only in `mirror` and `incremental`. */
  readonly where?: string
  /** A SELECT; makes the stream a query. */
  readonly sql?: string
  /** Landing type by column: `text`, `decimal(18,2)`, `json`. */
  readonly types?: Readonly<Record<string, string>>
  readonly deletes?: Deletes
  readonly onSchemaChange?: OnSchemaChange
  readonly readMethod?: ReadMethod
  readonly batchSize?: number
  readonly specialNumeric?: SpecialValue
  readonly specialTemporal?: SpecialValue
  readonly invalidUtf8?: 'error' | 'binary'
  readonly rowSecurity?: 'stop' | 'on'
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
  readonly maxAttempts: number
  readonly firstRetryDelayMs: number
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
  /** Readers; null chooses. */
  readonly jobs: number | null
  /** Compare everything after landing. */
  readonly verify: boolean
}
