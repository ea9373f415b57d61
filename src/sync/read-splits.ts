/** Reads all splits of a read. The order of rows does not matter to any landing, so several may be under way at once. */
import type { Batch } from '../batch/batch.js'
import type { Snapshot, Split, StreamRead } from '../source/contract.js'

export interface ReadSplitsOptions {
  /** Splits read at the same time; below two, one after another. */
  readonly readers: number
  readonly signal: AbortSignal
}

export async function* readSplits(
  snapshot: Snapshot,
  read: StreamRead,
  options: ReadSplitsOptions,
): AsyncGenerator<Batch> {
  const splits = await snapshot.plan(read)
  if (options.readers < 2 || splits.length < 2) {
    for (const split of splits) yield* snapshot.read(split, { signal: options.signal })
    return
  }
  yield* readSideBySide(snapshot, splits, options)
}

type Arrived = { readonly reader: number; readonly next: IteratorResult<Batch> }

/** Holds one batch per reader at most; whichever comes first is given on, and only then asked for the next. */
async function* readSideBySide(
  snapshot: Snapshot,
  splits: readonly Split[],
  { readers, signal }: ReadSplitsOptions,
): AsyncGenerator<Batch> {
  const waiting = [...splits]
  const open = new Map<number, AsyncIterator<Batch>>()
  const pending = new Map<number, Promise<Arrived>>()
  const pull = (reader: number, iterator: AsyncIterator<Batch>): void => {
    pending.set(
      reader,
      iterator.next().then((next) => ({ reader, next })),
    )
  }
  const start = (reader: number): void => {
    const split = waiting.shift()
    if (split === undefined) return
    const iterator = snapshot.read(split, { signal })[Symbol.asyncIterator]()
    open.set(reader, iterator)
    pull(reader, iterator)
  }
  for (let reader = 0; reader < readers; reader++) start(reader)
  try {
    while (pending.size > 0) {
      const { reader, next } = await Promise.race(pending.values())
      pending.delete(reader)
      const iterator = open.get(reader)
      if (next.done === true || iterator === undefined) {
        open.delete(reader)
        start(reader)
        continue
      }
      yield next.value
      pull(reader, iterator)
    }
  } finally {
    await Promise.allSettled(pending.values())
    await Promise.allSettled([...open.values()].map(async (iterator) => iterator.return?.()))
  }
}
