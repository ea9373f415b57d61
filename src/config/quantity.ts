/** Durations and sizes as people write them: `2h`, `1h30m`, `500ms`, `8MiB`, `64KB`. */

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const BYTES = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
} as const

const DURATION_PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/y

/** Milliseconds, or null where the text is not a duration. A unit is required: `30` says nothing. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim()
  if (trimmed === '') return null
  let total = 0
  DURATION_PART.lastIndex = 0
  while (DURATION_PART.lastIndex < trimmed.length) {
    const match = DURATION_PART.exec(trimmed)
    if (match === null) return null
    total += Number(match[1]) * MILLISECONDS[match[2] as keyof typeof MILLISECONDS]
  }
  return Number.isFinite(total) ? Math.round(total) : null
}

/** Bytes, or null where the text is not a size. A bare number is bytes; `MB` is 10⁶ and `MiB` 2²⁰. */
export function parseSize(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(text)
  if (match === null) return null
  const unit = match[2] === '' ? 'B' : (match[2] ?? '').toUpperCase()
  if (!(unit in BYTES)) return null
  const bytes = Math.round(Number(match[1]) * BYTES[unit as keyof typeof BYTES])
  return Number.isSafeInteger(bytes) ? bytes : null
}
