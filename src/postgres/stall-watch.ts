/** Finds out that a server has stopped: nothing went either way for too long while somebody waited. */
import { TrunklineError } from '../model/error.js'

export interface StallOptions {
  /** Longest silence of the server while somebody waits for it. */
  readonly stallTimeoutMs: number
  /** Asked when it is reached: true gives the server as much time again. It may be sorting before its first row. */
  readonly isAlive?: () => Promise<boolean>
}

export interface Watched extends StallOptions {
  readonly isWaiting: () => boolean
  /** Grows with whatever goes on. */
  readonly progress: () => number
  readonly onStall: (error: TrunklineError) => void
}

/** Stalls are looked for this many times per timeout. */
const STALL_CHECKS = 4

/** Looks now and then; asks `isAlive` only after a whole timeout of silence in which somebody waited. Returns what ends it. */
export function watchForStall(watched: Watched): () => void {
  const { stallTimeoutMs, isAlive, isWaiting, progress, onStall } = watched
  let seen = progress()
  let silent = 0
  let asking = false
  let ended = false
  const stall = (): void => {
    if (!ended) onStall(stalled(stallTimeoutMs))
  }
  const check = (): void => {
    const now = progress()
    if (!isWaiting() || now !== seen) {
      seen = now
      silent = 0
      return
    }
    silent += 1
    if (silent < STALL_CHECKS) return
    if (asking || isAlive === undefined) {
      // The question itself went unanswered for as long.
      stall()
      return
    }
    asking = true
    silent = 0
    isAlive().then((alive) => {
      asking = false
      if (!alive && progress() === seen) stall()
    }, stall)
  }
  const timer = setInterval(check, Math.max(1, stallTimeoutMs / STALL_CHECKS))
  timer.unref()
  return () => {
    ended = true
    clearInterval(timer)
  }
}

function stalled(stallTimeoutMs: number): TrunklineError {
  return new TrunklineError(
    'CONNECTION_STALLED',
    `The server sent nothing for ${Math.round(stallTimeoutMs / 1000)} seconds.`,
    {
      hint: 'The network may have dropped the connection, or the server is stuck; limits.stall_timeout sets how long to wait.',
    },
  )
}
