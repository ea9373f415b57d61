/** Which stream is begun next, small ones beside big ones. Pure. */
import { LONG_STREAM_BYTES, MOST_STREAMS_AT_ONCE, STREAMS_BEYOND_READERS } from '../model/thresholds.js'

export interface OrderedStream {
  /** Heap bytes. */
  readonly bytes: number
  /** All of it is read, so far as is known before it is begun. */
  readonly full: boolean
}

/**
 * Long streams come first, largest first, but no more at once than readers: what is half done when a run ends is lost. Beside
 * them go the others, smallest first, so that their counts and commits fall into the time of the long ones. What is long only to
 * be counted comes last: one connection counts, and whatever is behind such a count waits for it.
 */
export function chooseStream<Stream extends OrderedStream>(
  waiting: readonly Stream[],
  running: ReadonlySet<Stream>,
  { readers, most }: { readonly readers: number; readonly most: number },
): Stream | null {
  if (running.size >= most) return null
  const longRunning = [...running].filter(isLong).length
  if (longRunning < Math.max(1, readers)) {
    const longest = pick(waiting.filter(isLong), (one, best) => one.bytes > best.bytes)
    if (longest !== null) return longest
  }
  return pick(
    waiting.filter((stream) => !isLong(stream)),
    (one, best) => one.bytes < best.bytes,
  )
}

/** How many streams run side by side with so many readers; 0: the leader reads, and has no time for a second stream. */
export function streamsAtOnce(readers: number): number {
  return readers === 0 ? 1 : Math.min(MOST_STREAMS_AT_ONCE, readers + STREAMS_BEYOND_READERS)
}

function isLong({ bytes, full }: OrderedStream): boolean {
  return full && bytes >= LONG_STREAM_BYTES
}

/** The first of the best. */
function pick<Stream>(
  from: readonly Stream[],
  isBetter: (one: Stream, best: Stream) => boolean,
): Stream | null {
  let best: Stream | null = null
  for (const one of from) if (best === null || isBetter(one, best)) best = one
  return best
}
