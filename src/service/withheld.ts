/**
 * What the configuration keeps from a copy, it keeps from a response. Of several syncs of a source the strictest holds: columns that
 * any of them leaves out, rows that any of them filters away. What would have to be changed on the way (masks, hooks) is refused.
 */
import type { ConfiguredSync } from '../config/find-configuration.js'
import { toSyncSpec } from '../config/sync-options.js'
import type { CatalogStream } from '../model/catalog.js'
import { parseStreamPattern } from '../model/stream-pattern.js'
import type { StreamOptions, SyncSpec } from '../model/sync-spec.js'
import { resolveOptions } from '../sync/resolve-options.js'
import { ServiceError } from './service-error.js'

export interface Withheld {
  /** Names of the stream's columns. */
  readonly columns: ReadonlySet<string>
  /** Conditions that rows must satisfy. */
  readonly conditions: readonly string[]
}

export type Withhold = (stream: CatalogStream) => Withheld

export const NOTHING_WITHHELD: Withheld = { columns: new Set(), conditions: [] }

/** @param syncs of one source. The function throws ServiceError STREAM_WITHHELD for a stream that is not given at all. */
export function withholdingOf(syncs: readonly ConfiguredSync[]): Withhold {
  const stated = syncs.map(({ options }) => ({
    spec: toSyncSpec(options, ''),
    exclude: options.exclude ?? [],
  }))
  return (stream) => {
    const each = stated.map(({ spec, exclude }) => ({
      options: optionsOf(stream, spec),
      excluded: exclude.some((pattern) => parseStreamPattern(pattern).matches(stream)),
    }))
    const leftOut = each.filter(({ options, excluded }) => options === null || excluded)
    if (leftOut.length > 0 && leftOut.length === each.length) {
      throw withheld(stream, 'leaves the stream out (disabled, exclude)')
    }
    const known = each.flatMap(({ options }) => (options === null ? [] : [options]))
    for (const options of known) assertUnchanged(stream, options)
    return {
      columns: new Set(known.flatMap((options) => columnsLeftOut(stream, options))),
      conditions: [...new Set(known.flatMap(({ where }) => (where === undefined ? [] : [where])))],
    }
  }
}

/** Null where the stream is disabled. */
function optionsOf(stream: CatalogStream, spec: SyncSpec): StreamOptions | null {
  return resolveOptions([stream], spec).streams[0]?.options ?? null
}

function assertUnchanged(stream: CatalogStream, options: StreamOptions): void {
  const { mask = {}, hooks, transformRow, shouldReadStream } = options
  const masked = stream.columns.filter(({ name }) => Object.hasOwn(mask, name))
  if (masked.length > 0) throw withheld(stream, `masks ${masked.map(({ name }) => name).join(', ')} (mask)`)
  if (hooks !== undefined || transformRow !== undefined || shouldReadStream !== undefined) {
    throw withheld(stream, 'has a hook for it (hooks)')
  }
}

function columnsLeftOut(stream: CatalogStream, { columns, excludeColumns = [] }: StreamOptions): string[] {
  return stream.columns
    .map(({ name }) => name)
    .filter((name) => excludeColumns.includes(name) || columns?.includes(name) === false)
}

function withheld(stream: CatalogStream, why: string): ServiceError {
  return new ServiceError(
    'STREAM_WITHHELD',
    `${stream.name} is not given over HTTP: the configuration ${why}.`,
    'Run the sync and read what it lands, or serve from a configuration that does not say so.',
  )
}

/** @throws ServiceError STREAM_WITHHELD for a column that is named although it is left out */
export function assertGiven(
  stream: string,
  withheldColumns: ReadonlySet<string>,
  named: readonly string[],
): void {
  const refused = named.filter((name) => withheldColumns.has(name))
  if (refused.length === 0) return
  throw new ServiceError(
    'STREAM_WITHHELD',
    `${refused.join(', ')} of ${stream} is not given over HTTP: the configuration leaves it out (columns, exclude_columns).`,
    'Ask for other columns.',
  )
}
