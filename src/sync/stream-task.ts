/** What a run remembers of a stream from one attempt to the next. */
import type { CatalogStream } from '../model/catalog.js'
import type { StreamOptions } from '../model/sync-spec.js'
import type { PartialLoad, StreamState, TableName } from '../destination/contract.js'
import type { StreamPlan } from './plan.js'

/** A stream on its way through the run. */
export interface StreamTask {
  /** As discovered; under the lock of a snapshot it may have changed. */
  readonly stream: CatalogStream
  readonly options: StreamOptions
  readonly table: TableName
  state: StreamState | null
  /** What there is of a load of the next generation. */
  partial: PartialLoad | null
  plan: StreamPlan | null
  attempts: number
  /** The attempt that saved something last, 0 for none: what gets on is tried for as long as it takes. */
  savedAttempt: number
  startedAtMs: number | null
}

/** Before its first attempt. @param state as the last run left it */
export function makeTask(
  { stream, options }: Pick<StreamTask, 'stream' | 'options'>,
  table: TableName,
  state: StreamState | null,
): StreamTask {
  return {
    stream,
    options,
    table,
    state,
    partial: state?.partial ?? null,
    plan: null,
    attempts: 0,
    savedAttempt: 0,
    startedAtMs: null,
  }
}

/** So far as is known before it is planned. */
export function isReadInFull({ options, state }: StreamTask): boolean {
  return options.mode === 'full_refresh' || (state?.checkpoint ?? null) === null
}
