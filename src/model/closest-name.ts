/** What was meant by a mistyped name: for the hints of errors. */

/** The known key or name that is closest, or null where none is close enough to be meant. */
export function closestKey(typed: string, known: Iterable<string>): string | null {
  const names = Array.from(known, (name) => ({ name, form: normalize(name) }))
  return findClosest(normalize(typed), names, 1)
}

/** The stream whose name is closest, with or without its schema, or null where none is close enough to be meant. */
export function closestStream(typed: string, streams: readonly string[]): string | null {
  const names = streams.flatMap((name) => {
    const form = name.toLowerCase()
    return [
      { name, form },
      { name, form: form.slice(form.indexOf('.') + 1) },
    ]
  })
  return findClosest(typed.toLowerCase(), names, 2)
}

/** `maxConnections`, `max-connections` and `max_connections` are the same wish. */
function normalize(name: string): string {
  return name.replaceAll(/[-_\s]/g, '').toLowerCase()
}

interface Candidate {
  readonly name: string
  /** What is compared. */
  readonly form: string
}

/** One slip in three characters is forgiven, and in any case `leastForgiven`. */
function findClosest(wanted: string, candidates: readonly Candidate[], leastForgiven: number): string | null {
  let best: string | null = null
  let bestDistance = Math.max(leastForgiven, Math.floor(wanted.length / 3)) + 1
  for (const { name, form } of candidates) {
    const distance = editDistance(wanted, form, bestDistance)
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** Optimal string alignment distance; `limit` or more means too far. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let distance = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, (beforePrevious[j - 2] ?? 0) + 1)
      }
      row.push(distance)
    }
    // A swap reaches back over one row, so two rows too far are needed to give up.
    if (Math.min(...row) >= limit && Math.min(...previous) >= limit) return limit
    beforePrevious = previous
    previous = row
  }
  return previous[b.length] ?? limit
}
