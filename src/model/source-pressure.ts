/** How hard a server is pressed while a snapshot is held, as far as the role may see it. */
export interface SourcePressure {
  /** How far a standby is behind in replaying; null on a primary. */
  readonly replicaLagMs: number | null
  /** Replay waits for a snapshot such as ours to end. */
  readonly replayBlocked: boolean
  /** Queries of this database that a standby has cancelled because of replay, since its statistics were reset. */
  readonly conflicts: number | null
  /** Sessions that wait for a lock of ours. */
  readonly waitingSessions: number
  /** Connections in use, ours among them, and those that an ordinary role may have; null where the server does not say. */
  readonly connections: { readonly used: number; readonly most: number } | null
}
