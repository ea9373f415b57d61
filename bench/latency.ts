/** Latencies of pgbench transactions, from its log. Pure. */

/**
 * Milliseconds of each transaction of a log of `pgbench --log --rate`: per line client, number, microseconds from when it was
 * due, script, time. Lines of transactions that failed or were skipped have a word in place of the time, and are an error here:
 * without them the rest would look better than it was.
 * @throws Error for a line that is not of that form
 */
export function readLatencies(log: string): readonly number[] {
  return log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const micros = Number(line.split(' ')[2])
      if (!Number.isFinite(micros)) throw new Error(`pgbench logged a transaction without a time: ${line}`)
      return micros / 1000
    })
}

/** The least value that `percent` of all values do not exceed. @throws RangeError for no values */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const found = sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)]
  if (found === undefined) throw new RangeError('percentile of no values')
  return found
}
