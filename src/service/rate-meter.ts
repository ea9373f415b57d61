/** How many per second at present: an average that forgets what is older than about its window. */

export interface RateMeter {
  add(count: number, nowMs: number): void
  perSecond(nowMs: number): number
}

export function createRateMeter(windowSeconds: number): RateMeter {
  let level = 0
  let atMs: number | null = null
  const decay = (nowMs: number): void => {
    const passed = atMs === null ? 0 : Math.max(0, nowMs - atMs) / 1000
    level *= Math.exp(-passed / windowSeconds)
    atMs = nowMs
  }
  return {
    add: (count, nowMs) => {
      decay(nowMs)
      level += count
    },
    perSecond: (nowMs) => {
      decay(nowMs)
      return level / windowSeconds
    },
  }
}
