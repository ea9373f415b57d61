/** The known stream whose name is closest to a mistyped one, or null where none is close enough to be meant. */
export function closestName(typed: string, names: readonly string[]): string | null {
  const wanted = typed.toLowerCase()
  let best: string | null = null
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const name of names) {
    // Without its schema, a name may be meant as well.
    for (const form of [name, name.slice(name.indexOf('.') + 1)]) {
      const distance = editDistance(wanted, form.toLowerCase(), bestDistance)
      if (distance < bestDistance) {
        best = name
        bestDistance = distance
      }
    }
  }
  return best
}

/** Levenshtein distance; `limit` or more means too far. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution))
    }
    if (Math.min(...row) >= limit) return limit
    previous = row
  }
  return previous[b.length] ?? limit
}
