/** Reading streams by name, as the library and `trunkline read` offer it, over any source. */
import type { Batch } from './batch/batch.js'
import type { Catalog, CatalogStream } from './model/catalog.js'
import type { SourcePosition } from './model/checkpoint.js'
import type { Field } from './model/column-type.js'
import { CURSOR_TYPE_NAMES, toCursorColumn } from './model/cursor.js'
import { TrunklineError } from './model/error.js'
import type { Limits, StreamOptions } from './model/sync-spec.js'
import type {
  CheckOptions,
  HealthOptions,
  NamedQuery,
  ReadColumn,
  Snapshot,
  Source,
  SourceCheck,
  SourceHealth,
  StreamRead,
} from './source/contract.js'
import { readSplits } from './sync/read-splits.js'
import { ReaderPermits } from './sync/reader-permits.js'
import { rowsAtOnce } from './sync/rows-at-once.js'

export interface DiscoverOptions {
  /** Patterns over `schema.table`, with `*` and `?`; default: every schema the role may use. */
  readonly select?: readonly string[]
  readonly exclude?: readonly string[]
  readonly signal?: AbortSignal
}

export interface SnapshotOptions {
  /**
   * Reader threads, each with a connection of its own, within `limits.maxConnections`; 0, the default, reads on this thread. A
   * large table is read by all of them at once; reads of several streams at a time share them fairly.
   */
  readonly jobs?: number
  /** Read streams of which row security shows the role only a part. */
  readonly rowSecurity?: 'stop' | 'on'
  /** Streams that are a SELECT, beside those that are named. */
  readonly queries?: readonly NamedQuery[]
  /** Take queries although the role could do more than read. */
  readonly allowPrivilegedRole?: boolean
  /** Read Greenplum by several connections also where its version was not measured. */
  readonly allowUnverifiedSnapshot?: boolean
  readonly signal?: AbortSignal
}

export interface ReadOptions extends Pick<
  StreamOptions,
  | 'columns'
  | 'excludeColumns'
  | 'where'
  | 'typeProfile'
  | 'readMethod'
  | 'batchSize'
  | 'types'
  | 'specialNumeric'
  | 'specialTemporal'
  | 'invalidUtf8'
> {
  /** In the order of this column; with `from`, only rows at or above it, which is text as PostgreSQL reads it. */
  readonly cursor?: { readonly field: string; readonly from?: string }
  readonly signal?: AbortSignal
}

/** One consistent snapshot of some streams. Close it soon: it keeps the server from cleaning up old rows. */
export interface ReadableSnapshot extends AsyncDisposable {
  readonly id: string
  readonly position: SourcePosition
  readonly streams: readonly CatalogStream[]
  /**
   * The rows, as batches that are yours to keep, in no order. Ending the loop early cancels the read. Whoever takes slowly
   * holds the server back: a reader has no more than a few batches waiting.
   * @throws STREAM_MISSING for a stream or column that the snapshot does not have, and whatever reading can meet
   */
  read(stream: string, options?: ReadOptions): AsyncIterable<Batch>
  /** The fields that batches of such a read have. */
  fields(stream: string, options?: ReadOptions): readonly Field[]
  /** Rows of the stream in this snapshot. */
  count(stream: string, options?: { readonly where?: string; readonly signal?: AbortSignal }): Promise<number>
  close(): Promise<void>
}

/** The contract behind a readable source; how `sync` gets at it. */
export const SOURCE: unique symbol = Symbol('trunkline.source')

export interface ReadableSource extends AsyncDisposable {
  readonly [SOURCE]: Source
  /** `user@host:port/database`. */
  readonly description: string
  readonly database: string
  check(options?: CheckOptions): Promise<SourceCheck>
  /** Whether the source can be used now; a server that is away makes it unhealthy, not an error. */
  health(options?: HealthOptions): Promise<SourceHealth>
  /** @throws SELECTION_EMPTY, STREAM_MISSING for a name without wildcard that does not exist */
  discover(options?: DiscoverOptions): Promise<Catalog>
  /** @throws the first error of a stream that cannot be locked or read */
  snapshot(streams: readonly string[], options?: SnapshotOptions): Promise<ReadableSnapshot>
  close(): Promise<void>
}

export function createReadableSource(source: Source, limits: Limits): ReadableSource {
  const discover = ({ select = [], exclude = [], signal }: DiscoverOptions = {}): Promise<Catalog> =>
    source.discover({ select, exclude }, signalOf(signal))
  return {
    [SOURCE]: source,
    description: source.description,
    database: source.database,
    check: (options) => source.check(options),
    health: (options) => source.health(options),
    discover,
    snapshot: async (
      names,
      { jobs = 0, rowSecurity = 'stop', allowUnverifiedSnapshot = false, signal, ...ofQueries } = {},
    ) => {
      const onlyQueries = names.length === 0 && (ofQueries.queries ?? []).length > 0
      const selection = { select: names, exclude: onlyQueries ? ['*'] : [] }
      const { streams } = await source.discover(selection, { ...ofQueries, ...signalOf(signal) })
      const accepted = new Set(rowSecurity === 'on' ? streams.map(({ name }) => name) : [])
      const options = {
        limits,
        readers: jobs,
        rowSecurityOn: accepted,
        allowUnverifiedSnapshot,
        ...signalOf(signal),
      }
      return createReadableSnapshot(source, await source.openSnapshot(streams, options), limits)
    },
    close: () => source.close(),
    [Symbol.asyncDispose]: () => source.close(),
  }
}

async function createReadableSnapshot(
  source: Source,
  snapshot: Snapshot,
  limits: Limits,
): Promise<ReadableSnapshot> {
  const failure = snapshot.failed[0]
  if (failure !== undefined) {
    await snapshot.close()
    throw failure.error
  }
  const find = (name: string): CatalogStream => findStream(snapshot, name)
  const permits = new ReaderPermits(snapshot.maxReaders)
  return {
    id: snapshot.id,
    position: snapshot.position,
    streams: snapshot.streams,
    read: (name, options = {}) => readStream(find(name), options, { source, snapshot, permits, limits }),
    fields: (name, options = {}) => chooseColumns(source, find(name), options).map(({ field }) => field),
    count: async (name, { where = null, signal }: { where?: string | null; signal?: AbortSignal } = {}) => {
      const count = await snapshot.count(find(name), { where, window: null, ...signalOf(signal) })
      return count.total
    },
    close: () => snapshot.close(),
    [Symbol.asyncDispose]: () => snapshot.close(),
  }
}

interface Within {
  readonly source: Source
  readonly snapshot: Snapshot
  readonly permits: ReaderPermits
  readonly limits: Limits
}

async function* readStream(
  stream: CatalogStream,
  options: ReadOptions,
  { source, snapshot, permits, limits }: Within,
): AsyncGenerator<Batch, void, undefined> {
  const columns = chooseColumns(source, stream, options)
  const method = options.readMethod ?? 'copy'
  const planned = await snapshot.plan({
    stream,
    columns,
    rows: options.cursor === undefined ? { kind: 'full' } : rowsByCursor(stream, options.cursor),
    where: options.where ?? null,
    withXmin: false,
    method,
    limits: { ...limits, batchRows: rowsAtOnce(method, options.batchSize, limits) },
  })
  const splits = [...planned]
  yield* readSplits(snapshot, () => splits.shift() ?? null, {
    permits,
    stream: stream.name,
    signal:
      options.signal === undefined ? snapshot.signal : AbortSignal.any([snapshot.signal, options.signal]),
  })
  await snapshot.assertUnchanged(stream)
}

function rowsByCursor(
  stream: CatalogStream,
  { field, from = null }: { readonly field: string; readonly from?: string | null },
): StreamRead['rows'] {
  const found = stream.columns.find(({ name }) => name === field)
  if (found === undefined) {
    throw new TrunklineError('STREAM_MISSING', `${stream.name} has no column ${field} for the cursor.`, {
      hint: `Its columns: ${stream.columns.map(({ name }) => name).join(', ')}.`,
      context: { stream: stream.name, field },
    })
  }
  const column = toCursorColumn(found)
  if (column === null) {
    throw new TrunklineError('STREAM_UNSUPPORTED', `${field} of ${stream.name} cannot be a cursor.`, {
      hint: `A cursor is a column of one of: ${CURSOR_TYPE_NAMES}.`,
      context: { stream: stream.name, field },
    })
  }
  const others = { nulls: false, lowest: false }
  return { kind: 'cursor', range: { column, from, below: null, others }, versions: null }
}

function findStream(snapshot: Snapshot, name: string): CatalogStream {
  const stream = snapshot.streams.find((candidate) => candidate.name === name)
  if (stream !== undefined) return stream
  throw new TrunklineError('STREAM_MISSING', `${name} is not a stream of this snapshot.`, {
    hint: `Its streams: ${snapshot.streams.map((candidate) => candidate.name).join(', ')}.`,
    context: { stream: name },
  })
}

/** In the order asked for. */
function chooseColumns(source: Source, stream: CatalogStream, options: ReadOptions): readonly ReadColumn[] {
  const columns = source.mapColumns(stream, {
    types: options.types ?? {},
    typeProfile: options.typeProfile ?? 'exact',
    specialNumeric: options.specialNumeric ?? 'error',
    specialTemporal: options.specialTemporal ?? 'error',
    invalidUtf8: options.invalidUtf8 ?? 'error',
  })
  const named = (name: string): ReadColumn => {
    const column = columns.find((candidate) => candidate.source === name)
    if (column !== undefined) return column
    throw new TrunklineError(
      'STREAM_MISSING',
      `${stream.name} has no column ${name} that the role may read.`,
      {
        hint: `Its columns: ${columns.map((candidate) => candidate.source).join(', ')}.`,
        context: { stream: stream.name, field: name },
      },
    )
  }
  const excluded = new Set((options.excludeColumns ?? []).map((name) => named(name).source))
  return (options.columns?.map(named) ?? columns).filter(({ source: name }) => !excluded.has(name))
}

function signalOf(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
