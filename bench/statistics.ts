/**
 * What a series of runs amounts to. Wall time on shared machines drifts by a factor of two within an hour, so a time by
 * itself says little: a candidate is compared with the baseline run just before it, and the ratios are what is summed up.
 */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  /** How many values it was made of. */
  readonly n: number
}

/** @throws RangeError for an empty series, which has no middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  if (upper === undefined || lower === undefined) throw new RangeError('median of no values')
  return (lower + upper) / 2
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), n: values.length }
}

/** Null where any value is unknown: half a series would be compared with a whole one. */
export function spreadOfKnown(values: readonly (number | null)[]): Spread | null {
  const known = values.filter((value) => value !== null)
  return known.length === values.length && known.length > 0 ? spreadOf(known) : null
}

export interface Pair {
  readonly baseline: number
  readonly candidate: number
}

/**
 * Candidate over baseline, pair by pair; the median of the ratios, not the ratio of the medians.
 * @throws RangeError where a baseline took no time at all.
 */
export function pairedRatios(pairs: readonly Pair[]): Spread {
  return spreadOf(
    pairs.map(({ baseline, candidate }) => {
      if (!(baseline > 0)) throw new RangeError(`a baseline of ${String(baseline)} cannot be divided by`)
      return candidate / baseline
    }),
  )
}
