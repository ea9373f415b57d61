/** Reads a split on whichever reader is free; when one is lost, another goes on where it stopped, in the same snapshot. */
import type { Batch } from '../batch/batch.js'
import { TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { Split } from './contract.js'
import type { Given } from './replay.js'

interface SplitReader {
  /** What it died of. */
  readonly failure: TrunklineError | null
  /** `onRead`: it has read the split and is free, although not all batches were taken. */
  read(
    split: Split,
    given: Given,
    options: { readonly signal: AbortSignal; readonly onRead: () => void },
  ): AsyncIterable<Batch>
}

export interface SurvivingOptions<R extends SplitReader> {
  readonly readers: { acquire(signal: AbortSignal): Promise<R | null>; release(reader: R): void }
  /** Where the server gives no reader. */
  readonly readOnLeader: (given: Readonly<Given>) => AsyncIterable<Batch>
  readonly signal: AbortSignal
  /** Told when a reader has read the split, and another one may be begun. */
  readonly onRead?: (() => void) | undefined
  readonly logger: Logger
}

/** Whatever ends this many readers of one split, one after the other and without a batch between, would end more. */
const MAX_LOSSES_IN_A_ROW = 5

/** @throws what the last reader of several died of, and every error that is not a loss of its reader */
export async function* readSurvivingLosses<R extends SplitReader>(
  split: Split,
  options: SurvivingOptions<R>,
): AsyncGenerator<Batch, void> {
  const { readers, signal, onRead, logger } = options
  const given: Given = { batches: 0, digest: 0 }
  let lossesInARow = 0
  for (;;) {
    const givenBefore = given.batches
    const reader = await readers.acquire(signal)
    if (reader === null) {
      yield* options.readOnLeader(given)
      return
    }
    let held = true
    const release = (): void => {
      if (held) readers.release(reader)
      held = false
    }
    const free = (): void => {
      release()
      onRead?.()
    }
    try {
      yield* reader.read(split, given, { signal, onRead: free })
      return
    } catch (error) {
      const lost = reader.failure !== null && error instanceof TrunklineError && error.retry === 'safe'
      const canRepeat = given.batches === 0 || split.repeatable
      lossesInARow = given.batches > givenBefore ? 1 : lossesInARow + 1
      if (!lost || !canRepeat || signal.aborted || lossesInARow === MAX_LOSSES_IN_A_ROW) throw error
      logger.warn({ code: error.code, stream: split.stream }, 'a reader was lost; another one takes over')
    } finally {
      release()
    }
  }
}
