/** What a destination gives to the writer of a stream. */
import type { Connection } from '../../postgres/connection.js'
import type { StreamWriter } from '../contract.js'
import type { PartialKey, SavedLoad, StateOrigin } from './state-store.js'
import type { MadeParts, PresentTable } from './target-table.js'
import type { KnownType } from './target-types.js'

export interface WriterContext {
  /** In no transaction. */
  readonly connection: Connection
  readonly description: string
  readonly sync: string
  readonly runId: string
  readonly epoch: number
  /** Names the generation. */
  readonly number: number
  /** The landing starts a new generation, whatever it lands by. */
  readonly fresh: boolean
  /** What an earlier run saved of the generation is there, and is gone on with. */
  readonly resumed: boolean
  readonly present: PresentTable | null
  /** The present table is an earlier generation of this very stream. */
  readonly ours: boolean
  /** What we have made of the present table; null where it is not known, or the table is taken over. */
  readonly made: MadeParts | null
  /** Of the target, by which columns get the types of the source. */
  readonly types: readonly KnownType[]
  /** Asked on another connection when the answer to a commit was lost. */
  readonly isCommitted: (origin: StateOrigin) => Promise<boolean>
  /** The same for a save. */
  readonly isSaved: (saved: SavedLoad) => Promise<boolean>
  /** Ends what goes on, and the connection. */
  readonly signal: AbortSignal | undefined
  readonly onSaved: (partial: PartialKey) => void
  readonly onCommitted: () => void
  /** The connection is in no transaction any more, or is not to be used again. */
  readonly onEnd: (writer: StreamWriter, connection: Connection, usable: boolean) => void
}
