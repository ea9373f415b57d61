/** One extraction: which stream is meant, a snapshot of it, and its rows as batches. */
import type { Batch } from '../batch/batch.js'
import { countNulls } from '../batch/row-range.js'
import { valueReader } from '../batch/rows.js'
import { formatStreamName } from '../model/catalog.js'
import type { Field } from '../model/column-type.js'
import type { CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import { parseStreamPattern } from '../model/stream-pattern.js'
import type { Limits } from '../model/sync-spec.js'
import type { ReadOptions, ReadableSnapshot } from '../reading.js'
import { createReadableSource } from '../reading.js'
import type { NamedQuery, Source } from '../source/contract.js'
import type { ExtractionBody } from './request-schemas.js'
import { ServiceError } from './service-error.js'
import { assertGiven, type Withheld, type Withhold } from './withheld.js'

/** What is read, of what can be read by name. */
export interface ExtractionSource {
  readonly schemas: readonly string[]
  readonly queries: ReadonlyMap<string, NamedQuery>
  readonly withhold: Withhold
  open(): Promise<Source>
}

export interface Extraction extends AsyncDisposable {
  readonly stream: string
  readonly snapshotId: string
  readonly fields: readonly Field[]
  /** Ends after `limit` rows. Throws what reading throws; leaving it early cancels the read. */
  readonly batches: AsyncIterable<Batch>
  /** The greatest cursor given so far, as text; null without one. */
  readonly cursor: () => string | null
}

const INLINE_QUERY = 'query'

/** @throws ServiceError, STREAM_MISSING and what opening a snapshot can meet */
export async function openExtraction(
  from: ExtractionSource,
  body: ExtractionBody,
  { limits, signal }: { readonly limits: Limits; readonly signal: AbortSignal },
): Promise<Extraction> {
  const readable = createReadableSource(await from.open(), limits)
  const snapshot = await openSnapshot(body, from, (names, queries) =>
    // The service lets nobody in whose role could do more than read, unless told to: that was asked before.
    readable.snapshot(names, { queries, allowPrivilegedRole: true, signal }),
  )
  try {
    const [stream] = snapshot.streams
    if (stream === undefined) throw new TrunklineError('STREAM_MISSING', 'The stream is not there.')
    const options: ReadOptions = {
      ...toReadOptions(body, stream, { withheld: from.withhold(stream), signal }),
      // A statement's time is then that of some rows, and not that of whoever takes them all.
      ...(limits.statementTimeoutMs > 0 ? { readMethod: 'named' } : {}),
    }
    const cursor = { value: null as string | null }
    const fields = snapshot.fields(stream.name, options)
    const batches = snapshot.read(stream.name, options)
    return {
      stream: stream.name,
      snapshotId: snapshot.id,
      fields,
      batches: limited(batches, body.limit ?? Infinity, cursorWatch(body, cursor)),
      cursor: () => cursor.value,
      [Symbol.asyncDispose]: () => snapshot.close(),
    }
  } catch (error) {
    await snapshot.close()
    throw error
  }
}

type OpenSnapshot = (names: readonly string[], queries: readonly NamedQuery[]) => Promise<ReadableSnapshot>

async function openSnapshot(
  { mode }: ExtractionBody,
  { queries, schemas }: ExtractionSource,
  open: OpenSnapshot,
): Promise<ReadableSnapshot> {
  if ('query' in mode) {
    return open([], [{ name: INLINE_QUERY, sql: mode.query.sql, primaryKey: null }])
  }
  const { entity } = 'fullTable' in mode ? mode.fullTable : mode.incremental
  const query = queries.get(entity)
  if (query !== undefined) return open([], [query])
  const names = namesOf(entity, schemas)
  for (const [index, name] of names.entries()) {
    try {
      return await open([name], [])
    } catch (error) {
      const missing = error instanceof TrunklineError && error.code === 'STREAM_MISSING'
      if (!missing || index === names.length - 1) throw error
    }
  }
  throw new TrunklineError('STREAM_MISSING', 'There is no schema to look for tables in.', {
    hint: 'Write the entity as schema.table.',
  })
}

/** `users` in each of the schemas; `sales.orders` as it is. Never a pattern: one entity is one stream. */
function namesOf(entity: string, schemas: readonly string[]): readonly string[] {
  if (!parseStreamPattern(entity).exact) {
    throw new ServiceError(
      'REQUEST_INVALID',
      'The entity holds a wildcard.',
      'Name one table; write a name that holds * or ? in double quotes.',
    )
  }
  return entity.includes('.') || entity.startsWith('"')
    ? [entity]
    : schemas.map((schema) => formatStreamName(schema, entity))
}

function toReadOptions(
  body: ExtractionBody,
  stream: CatalogStream,
  { withheld, signal }: { readonly withheld: Withheld; readonly signal: AbortSignal },
): ReadOptions {
  const { mode, columns, where } = body
  const incremental = 'incremental' in mode ? mode.incremental : null
  // Whoever may compare with a column can find out what stands in it.
  assertGiven(stream.name, withheld.columns, [
    ...(columns ?? []),
    ...(incremental === null ? [] : [incremental.cursorField]),
  ])
  const readable = stream.columns.filter(({ selectable }) => selectable).map(({ name }) => name)
  const excludeColumns = [
    ...(body.excludeColumns ?? []),
    ...readable.filter((name) => withheld.columns.has(name)),
  ]
  const conditions = [
    ...withheld.conditions,
    ...(where === undefined ? [] : [where]),
    ...(incremental === null ? [] : [placeCondition(incremental)]),
  ].filter((condition) => condition !== null)
  return {
    signal,
    ...(columns === undefined ? {} : { columns }),
    ...(excludeColumns.length === 0 ? {} : { excludeColumns }),
    ...(incremental === null ? {} : { cursor: toCursor(incremental) }),
    ...(conditions.length === 0
      ? {}
      : { where: conditions.map((condition) => `(${condition})`).join(' AND ') }),
  }
}

type Incremental = Extract<ExtractionBody['mode'], { incremental: unknown }>['incremental']

function toCursor({ cursorField, cursor }: Incremental): NonNullable<ReadOptions['cursor']> {
  return { field: cursorField, ...(cursor === undefined || cursor === null ? {} : { from: String(cursor) }) }
}

/** A read by cursor begins at it, and without one takes rows that have no place in its order, too. */
function placeCondition({ cursorField, cursor, inclusive }: Incremental): string | null {
  const column = `"${cursorField.replaceAll('"', '""')}"`
  if (cursor === undefined || cursor === null) return `${column} IS NOT NULL`
  return inclusive === true ? null : `${column} <> '${String(cursor).replaceAll("'", "''")}'`
}

/** Remembers the cursor of the last row that has one: rows come in its order. */
function cursorWatch({ mode }: ExtractionBody, cursor: { value: string | null }): (batch: Batch) => void {
  if (!('incremental' in mode)) return () => undefined
  const { cursorField } = mode.incremental
  return (batch) => {
    const index = batch.fields.findIndex(({ name }) => name === cursorField)
    if (index < 0 || batch.rowCount === 0) return
    const value = valueReader(batch, index)(batch.rowCount - 1)
    if (value !== null && !(value instanceof Uint8Array)) cursor.value = String(value)
  }
}

async function* limited(
  batches: AsyncIterable<Batch>,
  limit: number,
  look: (batch: Batch) => void,
): AsyncGenerator<Batch, void> {
  let left = limit
  for await (const batch of batches) {
    const shown = batch.rowCount <= left ? batch : firstRows(batch, left)
    left -= shown.rowCount
    look(shown)
    yield shown
    if (left === 0) return
  }
}

/** Over the same memory. */
function firstRows(batch: Batch, count: number): Batch {
  const columns = batch.columns.map((column) => ({
    ...column,
    nullCount: countNulls({ batch, start: 0, count }, column),
  }))
  return { ...batch, rowCount: count, columns }
}
