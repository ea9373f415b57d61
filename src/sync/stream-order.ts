/** Which stream is begun next, small ones beside big ones. */
import { LONG_STREAM_BYTES, MOST_STREAMS_AT_ONCE, STREAMS_BEYOND_READERS } from '../model/thresholds.js'

export interface OrderedStream {
  /** Heap bytes. */
  readonly bytes: number
  /** All of it is read, so far as is known before it is begun. */
  readonly full: boolean
}

/** Streams that wait to be begun. */
export interface StreamQueue<Stream> {
  readonly rest: readonly Stream[]
  readonly isEmpty: boolean
  /** The next one beside those that run; null while there is no room for any. */
  take(running: ReadonlySet<Stream>, room: { readonly readers: number; readonly most: number }): Stream | null
}

/**
 * Long streams come first, largest first, but no more at once than readers: what is half done when a run ends is lost. Beside
 * them go the others, smallest first, so that their counts and commits fall into the time of the long ones. What is long only to
 * be counted comes last: one connection counts, and whatever is behind such a count waits for it.
 */
export class StreamOrder<Stream extends OrderedStream> implements StreamQueue<Stream> {
  /** Smallest first, and taken from the end. */
  readonly #long: Stream[]
  /** Largest first, and taken from the end. */
  readonly #others: Stream[]

  constructor(streams: readonly Stream[]) {
    this.#long = streams.filter(isLong).sort((one, other) => one.bytes - other.bytes)
    const others = streams.filter((stream) => !isLong(stream)).sort((one, other) => one.bytes - other.bytes)
    this.#others = others.reverse()
  }

  /** What waits. */
  get rest(): readonly Stream[] {
    return [...this.#others.toReversed(), ...this.#long.toReversed()]
  }

  get isEmpty(): boolean {
    return this.#long.length === 0 && this.#others.length === 0
  }

  take(
    running: ReadonlySet<Stream>,
    { readers, most }: { readonly readers: number; readonly most: number },
  ): Stream | null {
    if (running.size >= most) return null
    const longRunning = [...running].filter(isLong).length
    const long = longRunning < Math.max(1, readers) ? this.#long.pop() : undefined
    return long ?? this.#others.pop() ?? null
  }
}

/** How many streams run side by side with so many readers; 0: the leader reads, and has no time for a second stream. */
export function streamsAtOnce(readers: number): number {
  return readers === 0 ? 1 : Math.min(MOST_STREAMS_AT_ONCE, readers + STREAMS_BEYOND_READERS)
}

function isLong({ bytes, full }: OrderedStream): boolean {
  return full && bytes >= LONG_STREAM_BYTES
}
