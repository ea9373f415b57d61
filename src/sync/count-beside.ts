/** The count of a large stream, which goes on beside its reading: both are one pass over the table at the server. */
import { TrunklineError } from '../model/error.js'
import type { StreamCount } from '../source/contract.js'

export interface CountBeside {
  /** The count, begun now if it was not yet. */
  take(): Promise<StreamCount>
  /** Nothing of it goes on after this. */
  cancel(): Promise<void>
}

/**
 * One connection counts, one stream after the other, and what is read in full needs its count only at the end: so it begins when
 * `whenFree` calls, or when it is asked for.
 */
export function countBeside(options: {
  readonly count: (signal: AbortSignal) => Promise<StreamCount>
  readonly whenFree: (call: () => void) => void
  /** Told when the count failed, so that the reading need not be brought to its end. */
  readonly onFailure: (error: unknown) => void
}): CountBeside {
  const stop = new AbortController()
  let counting: Promise<StreamCount> | null = null
  const begin = (): Promise<StreamCount> => {
    if (counting === null) {
      counting = options.count(stop.signal)
      counting.catch(options.onFailure)
    }
    return counting
  }
  options.whenFree(() => {
    if (!stop.signal.aborted) void begin()
  })
  return {
    take: begin,
    async cancel() {
      stop.abort(new TrunklineError('ABORTED', 'The count is not needed any more.'))
      await counting?.catch(() => undefined)
    },
  }
}
