/** Reads splits side by side, as many as permits allow. The order of rows does not matter to any landing. */
import type { Batch } from '../batch/batch.js'
import { TrunklineError } from '../model/error.js'
import type { Snapshot, Split } from '../source/contract.js'
import type { ReaderPermits } from './reader-permits.js'
import type { RunPressure } from './resource-pressure.js'

export interface ReadSplitsOptions {
  readonly permits: ReaderPermits
  /** Who reads: permits are shared fairly between streams. */
  readonly stream: string
  readonly signal: AbortSignal
  /** What the state of this machine and of the server makes of it; absent: nothing. */
  readonly pressure?: Pick<RunPressure, 'beforeBatch' | 'shape'>
}

interface Arrived {
  readonly batch: Batch
  /** Lets its read go on. */
  readonly proceed: () => void
}

/**
 * Batches of all splits that `take` hands out, in the order in which they arrive. `take` is asked for the next split as soon as
 * the one before has its reader; after its first null it is not asked again, and the batches end with the splits under way.
 *
 * Each read holds one batch at most and goes on when that batch has been used: whoever is slow to take holds the server back.
 * Where the source says that a split has been read before its last batches are used, the next one begins meanwhile.
 * A failure stops the other reads, and so does leaving early; either way nothing is under way any more when this has returned,
 * and every permit is given back.
 */
export async function* readSplits(
  snapshot: Pick<Snapshot, 'read'>,
  take: () => Split | null,
  { permits, stream, signal, pressure }: ReadSplitsOptions,
): AsyncGenerator<Batch, void> {
  const stop = new AbortController()
  const active = AbortSignal.any([signal, stop.signal])
  const arrived: Arrived[] = []
  const heldBack = new Set<() => void>()
  const underWay = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | null = null
  let wake: (() => void) | null = null

  const watch = (work: Promise<void>): void => {
    const watched = work
      .catch((error: unknown) => {
        failure ??= { error }
        stop.abort(new TrunklineError('ABORTED', 'Another split of the stream failed.'))
      })
      .finally(() => {
        underWay.delete(watched)
        wake?.()
      })
    underWay.add(watched)
  }
  const handOver = (batch: Batch): Promise<void> =>
    new Promise((resolve) => {
      const proceed = (): void => {
        heldBack.delete(proceed)
        resolve()
      }
      heldBack.add(proceed)
      arrived.push({ batch, proceed })
      wake?.()
    })
  const readOne = async (split: Split, onRead: () => void): Promise<void> => {
    const shaped = pressure?.shape(split) ?? split
    for await (const batch of snapshot.read(shaped, { signal: active, onRead })) {
      // It may have been on its way when the others were stopped, and then nobody would take it.
      active.throwIfAborted()
      await handOver(batch)
      active.throwIfAborted()
    }
  }
  const readAll = async (): Promise<void> => {
    for (let split = take(); split !== null; split = take()) {
      const permit = await permits.acquire(stream, active)
      const release = (): void => {
        permit.release()
      }
      watch(readOne(split, release).finally(release))
    }
  }

  watch(readAll())
  try {
    for (;;) {
      throwIfAny(failure)
      const next = arrived.shift()
      if (next !== undefined) {
        await pressure?.beforeBatch(signal)
        yield next.batch
        next.proceed()
      } else if (underWay.size === 0) {
        return
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        wake = null
      }
    }
  } finally {
    stop.abort(new TrunklineError('ABORTED', 'The stream is not read any further.'))
    for (const proceed of heldBack) proceed()
    await Promise.all(underWay)
  }
}

/** TypeScript does not see what a callback assigns. */
function throwIfAny(failure: { readonly error: unknown } | null): void {
  if (failure !== null) throw failure.error
}
