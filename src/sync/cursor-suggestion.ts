/** Which column of a stream looks like a cursor, from its type, its name, its indexes and the server's statistics. Pure. */
import type { CatalogColumn, CatalogStream } from '../model/catalog.js'
import { toCursorColumn } from '../model/cursor.js'
import type { ColumnStatistics } from '../source/contract.js'
import { isIndexed } from './cursor-plan.js'

export interface CursorSuggestion {
  readonly column: string
  /** What speaks for it, and what to know, as one sentence. */
  readonly why: string
}

/** Each sign and what it is worth; a suggestion needs {@link ENOUGH}. */
const CHANGED = { name: /(^|_)(updated?|modified|changed?|last_?(update|modif|change)|mtime)/i, worth: 5 }
const CREATED = {
  name: /(^|_)(created?|inserted|occurred|event|logged|received|ingested|ts|timestamp)/i,
  worth: 3,
}
const TYPES: Readonly<Record<string, number>> = { timestamptz: 4, timestamp: 3, date: 1, int8: 1, int4: 1 }
const INDEXED = 3
const COUNTER = 3
const MOSTLY_NULL = -6
const FEW_VALUES = -5
const ENOUGH = 7

/** A tenth without a value would be read again in each run. */
const MOST_NULLS = 0.1
/** Fewer distinct values, in rows enough to have many, are a status rather than a time. */
const FEWEST_VALUES = 20

/** Null where nothing looks like one. */
export function suggestCursor(
  stream: CatalogStream,
  statistics: ReadonlyMap<string, ColumnStatistics>,
): CursorSuggestion | null {
  let best: { readonly score: number; readonly suggestion: CursorSuggestion } | null = null
  for (const column of stream.columns) {
    if (!column.selectable || toCursorColumn(column) === null) continue
    const judged = judge(stream, column, statistics.get(column.name) ?? null)
    if (judged.score >= ENOUGH && judged.score > (best?.score ?? 0)) best = judged
  }
  return best?.suggestion ?? null
}

function judge(
  stream: CatalogStream,
  column: CatalogColumn,
  statistics: ColumnStatistics | null,
): { readonly score: number; readonly suggestion: CursorSuggestion } {
  const type = TYPES[column.typeName] ?? 0
  const indexed = isIndexed(stream, column.name)
  const isChanged = CHANGED.name.test(column.name)
  const isCreated = !isChanged && CREATED.name.test(column.name)
  const isCounter = isHandedOut(column)
  const fewValues = hasFewValues(stream, statistics)
  const score =
    type +
    (isChanged ? CHANGED.worth : isCreated ? CREATED.worth : 0) +
    (isCounter ? COUNTER : 0) +
    (indexed ? INDEXED : 0) +
    ((statistics?.nullFraction ?? 0) > MOST_NULLS ? MOSTLY_NULL : 0) +
    (fewValues ? FEW_VALUES : 0)
  const signs = [
    column.sqlType,
    indexed ? 'indexed' : 'not indexed',
    ...(statistics === null || Math.abs(statistics.correlation ?? 0) < 0.9
      ? []
      : ['in the order of the storage']),
  ]
  const meaning = isChanged
    ? 'by its name it is set by each change'
    : 'by its name it is set when a row is made, so updates of old rows would be missed'
  return { score, suggestion: { column: column.name, why: `${signs.join(', ')}; ${meaning}` } }
}

function isHandedOut({ identity, default: value }: CatalogColumn): boolean {
  return identity !== null || value?.startsWith('nextval(') === true
}

function hasFewValues({ estimatedRows }: CatalogStream, statistics: ColumnStatistics | null): boolean {
  const distinct = statistics?.distinct ?? null
  // Below 0 it is a share of the rows, so that it grows with them.
  return distinct !== null && distinct >= 0 && distinct < FEWEST_VALUES && (estimatedRows ?? 0) > 1000
}
