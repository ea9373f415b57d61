/** The known name closest to a mistyped one, or null where none is close enough to be meant. */
export function suggestName(typed: string, known: Iterable<string>): string | null {
  const wanted = normalize(typed)
  let best: string | null = null
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const name of known) {
    const distance = editDistance(wanted, normalize(name), bestDistance)
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** `maxConnections`, `max-connections` and `max_connections` are the same wish. */
function normalize(name: string): string {
  return name.replaceAll(/[-_\s]/g, '').toLowerCase()
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
    beforePrevious = previous
    previous = row
  }
  return previous[b.length] ?? limit
}
