/** Which options hold for each stream: defaults, then patterns from general to specific, then its own name; key by key. */
import type { CatalogStream } from '../model/catalog.js'
import type { NamedQuery } from '../source/contract.js'
import { compareSpecificity, parseStreamPattern } from '../model/stream-pattern.js'
import type { StreamOptions, SyncSpec } from '../model/sync-spec.js'

export interface ResolvedStream {
  readonly stream: CatalogStream
  readonly options: StreamOptions
}

export interface ResolvedStreams {
  /** Streams that are to be synced, in the catalog's order. */
  readonly streams: readonly ResolvedStream[]
  /** Names (not patterns) that have options and match no stream. */
  readonly missing: readonly string[]
}

export function resolveOptions(
  streams: readonly CatalogStream[],
  spec: Pick<SyncSpec, 'defaults' | 'streams'>,
): ResolvedStreams {
  const entries = Object.entries(spec.streams)
    .map(([text, options]) => ({ pattern: parseStreamPattern(text), options }))
    .reverse()
    .sort((a, b) => compareSpecificity(a.pattern, b.pattern))
    .reverse()
  const matched = new Set<string>()
  const resolved: ResolvedStream[] = []
  for (const stream of streams) {
    let options: StreamOptions = spec.defaults
    for (const entry of entries) {
      if (!entry.pattern.matches(stream)) continue
      matched.add(entry.pattern.text)
      options = { ...options, ...entry.options }
    }
    if (options.disabled !== true) resolved.push({ stream, options })
  }
  const missing = entries
    .filter(
      ({ pattern, options }) => pattern.exact && options.disabled !== true && !matched.has(pattern.text),
    )
    .map(({ pattern }) => pattern.text)
  return { streams: resolved, missing }
}

/** Streams that are configured SELECTs. */
export function namedQueries(spec: Pick<SyncSpec, 'streams'>): NamedQuery[] {
  return Object.entries(spec.streams).flatMap(([name, { sql, primaryKey }]) =>
    sql === undefined ? [] : [{ name, sql, primaryKey: primaryKey ?? null }],
  )
}
