/**
 * The messages between the engine's thread and a reader: structured-cloneable data, batches transferred.
 *
 * Engine → reader: `open` once, then for each split `read`, `credit` (batches it may send), `cancel`; `close` ends it.
 * Reader → engine: `opened`, then for each read `batch`… and `done`, or `error`. A reader reads one split at a time.
 * Only `open` carries secrets (the connection's), so it is never logged.
 */
import type { Batch } from '../batch/batch.js'
import type { ErrorData } from '../model/error.js'
import type { ConnectionEvent } from '../postgres/connection-observer.js'
import type { ConnectionSettings } from '../postgres/connection-settings.js'
import type { Split } from './contract.js'
import type { ReadPace } from './read-pace.js'
import type { Given } from './replay.js'

/** What a reader needs to see the leader's snapshot. */
export interface SnapshotTicket {
  /** From pg_export_snapshot(). */
  readonly exportedId: string
  /** pg_current_snapshot() of the leader: the reader's must be equal. Null where it does not tell one snapshot from another. */
  readonly contents: string | null
  readonly lockTimeoutMs: number
  readonly statementTimeoutMs: number
}

export type ToReader =
  | {
      readonly kind: 'open'
      readonly connection: ConnectionSettings
      readonly snapshot: SnapshotTicket
      readonly pace: ReadPace
      /** Tell what happens to the connection. */
      readonly observed: boolean
    }
  /** `after`: these batches were given on before by a reader that was lost; they are read again and dropped. */
  | { readonly kind: 'read'; readonly readId: number; readonly split: Split; readonly after: Readonly<Given> }
  | { readonly kind: 'credit'; readonly readId: number; readonly batches: number }
  | { readonly kind: 'cancel'; readonly readId: number }
  /** The buffer of a batch that is done, transferred, for the next ones. */
  | { readonly kind: 'recycle'; readonly buffer: ArrayBuffer }
  | { readonly kind: 'close' }

export type FromReader =
  /** Of its connection, for whoever watches; the engine adds the `closed` of a thread that ended without it. */
  | { readonly kind: 'observed'; readonly event: ConnectionEvent }
  | { readonly kind: 'opened'; readonly backendPid: number }
  /** `digest`: of the split up to this batch. */
  | { readonly kind: 'batch'; readonly readId: number; readonly batch: Batch; readonly digest: number }
  | { readonly kind: 'done'; readonly readId: number; readonly rows: number; readonly bytes: number }
  /** `fatal`: the reader cannot be used any more. Without a `readId` it always is. */
  | {
      readonly kind: 'error'
      readonly readId: number | null
      readonly error: ErrorData
      readonly fatal: boolean
    }
