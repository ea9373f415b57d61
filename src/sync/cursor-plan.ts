/** How a stream is read by its cursor field: which column, from where, and what keeps rows that commit late from being missed. Pure. */
import type { CatalogStream } from '../model/catalog.js'
import { CURSOR_TYPE_NAMES, toCursorColumn, type CursorColumn } from '../model/cursor.js'
import { TrunklineError, type ErrorCode } from '../model/error.js'
import type { AuditEvery, CursorBound, Landing, Lookback, StreamOptions } from '../model/sync-spec.js'
import { LARGE_HEAP_BYTES } from '../model/thresholds.js'
import type { ResolvedCursor, Source } from '../source/contract.js'

export interface CursorPlan {
  readonly column: CursorColumn
  readonly bound: CursorBound
  readonly start: string | null
  readonly lookback: Lookback | null
  /** Null where each run sees everything anyway, or nothing can be searched by transaction id. */
  readonly auditEvery: AuditEvery | null
  /** Rows between two checkpoints of a run, as stated; null chooses. */
  readonly segmentRows: number | null
  /** As a sentence. */
  readonly reason: string
  readonly warnings: readonly string[]
}

export interface CursorPlanInput {
  readonly stream: CatalogStream
  readonly options: StreamOptions
  readonly resolved: ResolvedCursor
  readonly landing: Landing
  /** Why rows cannot be told apart by transaction id; null where they can. */
  readonly obstacle: string | null
}

/** What a configured cursor field names; null without one. @throws STREAM_MISSING */
export async function resolveCursor(
  source: Pick<Source, 'resolveCursor'>,
  stream: CatalogStream,
  { cursorField, cursorStart }: StreamOptions,
): Promise<ResolvedCursor | null> {
  if (cursorField === undefined) return null
  const resolved = await source.resolveCursor(stream, { field: cursorField, start: cursorStart ?? null })
  if (resolved !== null) return resolved
  const columns = stream.columns.map((column) => column.name)
  throw new TrunklineError(
    'STREAM_MISSING',
    `${stream.name} has no column "${cursorField}" for its cursor.`,
    {
      hint:
        stream.sql === null
          ? `Its columns are ${columns.join(', ')}.`
          : `Its columns are ${columns.join(', ')}: add the cursor to what the query selects.`,
      context: { stream: stream.name, field: cursorField, columns },
    },
  )
}

/** So far as is known before it is planned. */
export function mayBeBoundByActivity({ mode, cursorField, cursorBound }: StreamOptions): boolean {
  if (cursorField === undefined || (mode !== undefined && mode !== 'incremental')) return false
  return cursorBound === undefined || cursorBound === 'in_flight'
}

/** @throws STREAM_UNSUPPORTED, PERMISSION_DENIED, CONFIG_INVALID */
export function planCursor(input: CursorPlanInput): CursorPlan {
  const { stream, options, resolved } = input
  const column = findColumn(stream, resolved.name)
  const { lookback = null } = options
  checkLookback(stream, column, lookback)
  const { bound, reason } = chooseBound(input, column)
  const audits = bound !== 'xmin' && input.obstacle === null && input.landing === 'upsert'
  return {
    column,
    bound,
    start: options.cursorStart ?? null,
    lookback,
    auditEvery: audits ? (options.auditEvery ?? null) : null,
    segmentRows: options.batchSize ?? null,
    reason,
    warnings: warnOfMissingIndex(stream, column, bound),
  }
}

/** Of tables alone it is known. By transaction id an index is of no use, until the table is large enough to be bounded by time. */
function warnOfMissingIndex(
  stream: CatalogStream,
  { name, typeName }: CursorColumn,
  bound: CursorBound,
): readonly string[] {
  const isTable = stream.kind === 'table' || stream.kind === 'partitioned' || stream.kind === 'matview'
  const wouldHelp = bound !== 'xmin' || (typeName === 'timestamptz' && stream.bytes > LARGE_HEAP_BYTES)
  if (!isTable || !wouldHelp || isIndexed(stream, name)) return []
  const column = /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
  // CONCURRENTLY is not for partitioned tables.
  const create = stream.kind === 'partitioned' ? 'CREATE INDEX' : 'CREATE INDEX CONCURRENTLY'
  return [
    `"${name}" has no index, so each run scans all of ${stream.name}: ${create} ON ${stream.name} (${column}).`,
  ]
}

function findColumn(stream: CatalogStream, name: string): CursorColumn {
  const found = stream.columns.find((column) => column.name === name)
  if (found === undefined) throw new TrunklineError('INTERNAL', `${stream.name} has no column ${name}.`)
  if (!found.selectable) {
    throw refuse('PERMISSION_DENIED', stream, name, {
      message: `The role may not read "${name}" of ${stream.name}, its cursor field.`,
      hint: `GRANT SELECT ON ${stream.name} to the role.`,
    })
  }
  const column = toCursorColumn(found)
  if (column !== null) return column
  throw refuse('STREAM_UNSUPPORTED', stream, name, {
    message: `"${name}" of ${stream.name} cannot be a cursor: it is of type ${found.sqlType}.`,
    hint: `A cursor is of a type with one lasting order: ${CURSOR_TYPE_NAMES}.`,
  })
}

function checkLookback(stream: CatalogStream, column: CursorColumn, lookback: Lookback | null): void {
  if (lookback === null) return
  const wanted = LOOKBACKS[column.kind]
  if (wanted === lookback.kind) return
  throw refuse('CONFIG_INVALID', stream, column.name, {
    message:
      wanted === null
        ? `${stream.name}: nothing can be looked back by from "${column.name}", which is of type ${column.typeName}.`
        : `${stream.name}: the lookback of "${column.name}" must be ${wanted === 'duration' ? 'a duration' : 'an amount'}.`,
    hint: wanted === 'amount' ? 'Write it as a number: 1000.' : 'Write it with its unit: 1h.',
  })
}

const LOOKBACKS: Readonly<Record<CursorColumn['kind'], Lookback['kind'] | null>> = {
  time: 'duration',
  day: 'duration',
  integer: 'amount',
  numeric: 'amount',
  float: 'amount',
  text: null,
  uuid: null,
}

function chooseBound(
  { stream, options, landing, obstacle }: CursorPlanInput,
  column: CursorColumn,
): { readonly bound: CursorBound; readonly reason: string } {
  const stated = options.cursorBound
  const field = column.name
  if (obstacle !== null) {
    if (stated !== undefined && stated !== 'lookback') {
      throw refuse('STREAM_UNSUPPORTED', stream, field, {
        message: `${stream.name} cannot be bounded by \`cursor_bound: ${stated}\`: ${obstacle}.`,
        hint: 'Leave `cursor_bound` out, and set `lookback` to how late rows can become visible.',
      })
    }
    return { bound: 'lookback', reason: `Read on from "${field}": ${obstacle}.` }
  }
  if (stated === 'in_flight' && column.typeName !== 'timestamptz') {
    throw refuse('STREAM_UNSUPPORTED', stream, field, {
      message: `${stream.name}: \`cursor_bound: in_flight\` needs a cursor of type timestamptz, and "${field}" is ${column.typeName}.`,
      hint: 'Leave `cursor_bound` out: changes are then found by transaction id.',
    })
  }
  if (stated === 'in_flight' && landing === 'append') {
    throw refuse('STREAM_UNSUPPORTED', stream, field, {
      message: `${stream.name}: \`cursor_bound: in_flight\` lands by upsert alone.`,
      hint: 'Leave `cursor_bound` out: an append is then made once by transaction id.',
    })
  }
  const large = stream.bytes > LARGE_HEAP_BYTES && isIndexed(stream, field)
  const bound =
    stated ??
    (large && landing === 'upsert' && column.typeName === 'timestamptz'
      ? 'in_flight'
      : large && options.lookback !== undefined
        ? 'lookback'
        : 'xmin')
  return { bound, reason: REASONS[bound](field) }
}

const REASONS: Readonly<Record<CursorBound, (field: string) => string>> = {
  xmin: () =>
    'Changed rows are found by transaction id, which needs no trust in the cursor; the table is scanned once per run.',
  in_flight: (field) =>
    `Read on from "${field}", from before the start of the oldest transaction that was under way.`,
  lookback: (field) => `Read on from "${field}", less the lookback.`,
}

/** By an index that begins with it and has every row. */
export function isIndexed({ indexes }: CatalogStream, column: string): boolean {
  return indexes.some((index) => index.valid && !index.partial && index.columns[0] === column)
}

function refuse(
  code: ErrorCode,
  stream: CatalogStream,
  field: string,
  { message, hint }: { readonly message: string; readonly hint: string },
): TrunklineError {
  return new TrunklineError(code, message, { hint, context: { stream: stream.name, field } })
}
