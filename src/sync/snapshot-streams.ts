/** The streams of one snapshot, several at a time: what they share, and when each is begun. */
import type { CatalogStream } from '../model/catalog.js'
import type { Snapshot } from '../source/contract.js'
import type { MeasuredReaders } from './measured-readers.js'
import type { SnapshotUse } from './report.js'
import { SideBySide } from './side-by-side.js'
import { SnapshotFence } from './snapshot-fence.js'
import { StreamOrder, streamsAtOnce, type StreamQueue } from './stream-order.js'
import type { StreamRunInput } from './stream-run.js'
import type { UnchangedStreams } from './unchanged-streams.js'

/** A task of the run with its stream as it is under the lock. */
export interface SnapshotStream<Task> {
  readonly task: Task
  readonly stream: CatalogStream
  readonly bytes: number
  /** All of it is to be read, so far as is known before it is begun. */
  readonly full: boolean
}

/** What a stream has of the snapshot it runs in. */
export interface WithinSnapshot<Task> extends Pick<
  StreamRunInput,
  'snapshot' | 'signal' | 'readers' | 'fence' | 'whenAllBegun'
> {
  /** Null where none are set aside. */
  readonly unchanged: UnchangedStreams<SnapshotStream<Task>> | null
  /** No other stream has had any of the snapshot's time. */
  readonly alone: boolean
}

export interface SnapshotStreamsOptions<Task> {
  readonly snapshot: Snapshot
  readonly streams: readonly SnapshotStream<Task>[]
  readonly readers: MeasuredReaders
  /** 0: the leader reads. */
  readonly mostReaders: number
  /** Each stream has the snapshot to itself as long as it runs. */
  readonly oneByOne: boolean
  /** In which order they are begun; absent: long ones first, short ones beside them. */
  readonly order?: (streams: readonly SnapshotStream<Task>[]) => StreamQueue<SnapshotStream<Task>>
  /** Aborts when the snapshot or the run is given up: nothing is begun then. */
  readonly signal: AbortSignal
  /** Rejects only when the run cannot go on. */
  readonly run: (stream: SnapshotStream<Task>, within: WithinSnapshot<Task>) => Promise<void>
  /** How streams that did not change are set aside; null: they are not. */
  readonly setAside: ((fence: SnapshotFence) => UnchangedStreams<SnapshotStream<Task>>) | null
}

/** Resolves when no stream is under way, with those that were not begun. */
export async function runSnapshotStreams<Task>(
  options: SnapshotStreamsOptions<Task>,
): Promise<SnapshotUse & { readonly rest: readonly Task[] }> {
  const { snapshot, streams, readers, signal } = options
  const fence = new SnapshotFence(snapshot, signal)
  const waitForBegun: (() => void)[] = []
  const unchanged = options.setAside?.(fence) ?? null
  let begun = 0
  let allBegun = false
  const { order: makeOrder = (some): StreamQueue<SnapshotStream<Task>> => new StreamOrder(some) } = options
  let order = makeOrder(streams)
  const next = (running: ReadonlySet<SnapshotStream<Task>>): SnapshotStream<Task> | null => {
    if (signal.aborted) return null
    const inUse = options.mostReaders === 0 ? 0 : readers.permits.limit
    const stream = order.take(running, {
      readers: inUse,
      most: options.oneByOne ? 1 : streamsAtOnce(inUse),
    })
    if (order.isEmpty && !allBegun) {
      allBegun = true
      for (const call of waitForBegun) call()
    }
    return stream
  }
  const runs = new SideBySide<SnapshotStream<Task>>({
    next,
    run: (stream) =>
      options.run(stream, {
        snapshot,
        signal,
        readers,
        fence: () => fence.pass(),
        unchanged,
        alone: begun++ === 0 && options.oneByOne,
        whenAllBegun: (call) => {
          if (allBegun) call()
          else waitForBegun.push(call)
        },
      }),
  })
  const permits = readers.begin({
    most: snapshot.maxReaders,
    fullBytes: streams.reduce((sum, { full, bytes }) => sum + (full ? bytes : 0), 0),
    onChange: () => {
      runs.look()
    },
  })
  await runs.run()
  if (unchanged !== null) {
    order = makeOrder([...order.rest, ...(await unchanged.finish())])
    await runs.run()
  }
  const rest = order.rest.map(({ task }) => task)
  return { fenceMs: fence.waitedMs, readers: permits.mostInUse, rest }
}
