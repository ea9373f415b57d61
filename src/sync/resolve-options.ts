/** Which options hold for each stream: defaults, then patterns from general to specific, then its own name; key by key. */
import type { CatalogStream } from '../model/catalog.js'
import type { NamedQuery } from '../source/contract.js'
import { compareSpecificity, parseStreamPattern } from '../model/stream-pattern.js'
import type { StreamOptions, SyncSpec } from '../model/sync-spec.js'
import { addRowFilter } from './row-filter.js'

export interface ResolvedStream {
  readonly stream: CatalogStream
  readonly options: StreamOptions
}

export interface ResolvedStreams {
  /** Streams that are to be synced, in the catalog's order. */
  readonly streams: readonly ResolvedStream[]
  /** Names (not patterns) that have options and match no stream. */
  readonly missing: readonly string[]
  /** Why streams of a pattern were left out, as sentences. */
  readonly leftOut: readonly string[]
}

export function resolveOptions(
  streams: readonly CatalogStream[],
  spec: Pick<SyncSpec, 'defaults' | 'streams'> & Partial<Pick<SyncSpec, 'rowFilter'>>,
): ResolvedStreams {
  const entries = Object.entries(spec.streams)
    .map(([text, options]) => ({ pattern: parseStreamPattern(text), options }))
    .reverse()
    .sort((a, b) => compareSpecificity(a.pattern, b.pattern))
    .reverse()
  const matched = new Set<string>()
  const resolved: ResolvedStream[] = []
  const leftOut: string[] = []
  for (const stream of streams) {
    let options = layOver({}, spec.defaults, { stream, exact: false })
    for (const entry of entries) {
      if (!entry.pattern.matches(stream)) continue
      matched.add(entry.pattern.text)
      options = layOver(options, entry.options, { stream, exact: entry.pattern.exact })
    }
    if (options.disabled === true) continue
    const { onlyWithColumn: wanted } = options
    if (wanted === undefined || stream.columns.some(({ name }) => name === wanted)) {
      resolved.push({ stream, options: addRowFilter(stream, options, spec.rowFilter ?? {}) })
    } else {
      leftOut.push(`${stream.name} is left out: it has no column ${wanted}.`)
    }
  }
  const missing = entries
    .filter(
      ({ pattern, options }) => pattern.exact && options.disabled !== true && !matched.has(pattern.text),
    )
    .map(({ pattern }) => pattern.text)
  return { streams: resolved, missing, leftOut }
}

/**
 * What is said of single columns is laid over column by column: no mask is lost to another one. Said of many streams it holds where
 * the column is; said of one by its name, the column must be there, which is found out when it is planned.
 */
function layOver(
  general: StreamOptions,
  specific: StreamOptions,
  { stream, exact }: { readonly stream: CatalogStream; readonly exact: boolean },
): StreamOptions {
  const present = <Value>(byColumn: Readonly<Record<string, Value>>): Readonly<Record<string, Value>> =>
    exact
      ? byColumn
      : Object.fromEntries(
          Object.entries(byColumn).filter(([name]) => stream.columns.some((column) => column.name === name)),
        )
  const { mask, rename, addColumns } = specific
  return {
    ...general,
    ...specific,
    ...(mask === undefined ? {} : { mask: { ...general.mask, ...present(mask) } }),
    ...(rename === undefined ? {} : { rename: { ...general.rename, ...present(rename) } }),
    ...(addColumns === undefined ? {} : { addColumns: { ...general.addColumns, ...addColumns } }),
  }
}

/** Streams that are configured SELECTs. */
export function namedQueries(spec: Pick<SyncSpec, 'streams'>): NamedQuery[] {
  return Object.entries(spec.streams).flatMap(([name, { sql, primaryKey }]) =>
    sql === undefined ? [] : [{ name, sql, primaryKey: primaryKey ?? null }],
  )
}
