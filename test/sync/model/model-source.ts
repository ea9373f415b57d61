/** The model read as the real source reads a server: the same contract, the same 32-bit window, splits and batches. */
import { buildBatch } from '../../../src/batch/build-batch.js'
import type { Batch } from '../../../src/batch/batch.js'
import type { Value } from '../../../src/batch/rows.js'
import type { Catalog, CatalogColumn, CatalogStream } from '../../../src/model/catalog.js'
import type { SourcePosition } from '../../../src/model/checkpoint.js'
import type { ColumnType } from '../../../src/model/column-type.js'
import { TrunklineError } from '../../../src/model/error.js'
import type { SplitRange } from '../../../src/model/split-range.js'
import { formatLsn, type Lsn, type Xid8 } from '../../../src/model/xid.js'
import type {
  ReadColumn,
  ResolvedCursor,
  RowWindow,
  Snapshot,
  Source,
  SourceCheck,
  SourceHealth,
  Split,
  StreamRead,
  TypeOptions,
} from '../../../src/source/contract.js'
import { XMIN_FIELD } from '../../../src/source/contract.js'
import type { ModelDatabase, ModelLeaf, ModelSnapshot, ModelTable, Row, Version } from './database.js'

/** Called before and after every effect, in order; may act on the database, or throw. */
export type Step = (name: string) => void | Promise<void>

export interface ModelSourceOptions {
  readonly step?: Step
  /** A server whose log writer makes no progress: the fence never holds. */
  readonly neverDurable?: boolean
  /** Rows per batch. */
  readonly batchRows?: number
  /** Parts that each read is divided into; rows are dealt out among them by id. */
  readonly splits?: number
  /** Reads are divided into ranges of this many places of each leaf, as the real source divides by blocks. */
  readonly blockRows?: number
  /** Reads are divided into ranges of this many keys. */
  readonly keyRows?: number
}

const WRAP = 2n ** 32n

export class ModelSource implements Source {
  readonly description = 'model@nowhere/shop'
  readonly database = 'shop'
  readonly model: ModelDatabase
  readonly #options: ModelSourceOptions
  /** The snapshot of the last run, to compare with. */
  lastSnapshot: ModelSnapshot | null = null
  readonly checks = { privilegedRole: false }
  /** In which snapshot each table was found unchanged before its commit: its rows are to be those. */
  readonly snapshotOf = new Map<string, ModelSnapshot>()
  /** Of what the table consisted then: what joins later is not of that copy. */
  readonly leavesOf = new Map<string, readonly ModelLeaf[]>()
  /** How many readers each snapshot was opened with. */
  readonly readersAsked: number[] = []
  /** Splits that were read at the same time, at most. */
  mostReading = 0

  constructor(model: ModelDatabase, options: ModelSourceOptions = {}) {
    this.model = model
    this.#options = options
  }

  async step(name: string): Promise<void> {
    await this.#options.step?.(name)
  }

  async check(): Promise<SourceCheck> {
    await this.step('check')
    return {
      description: this.description,
      serverVersion: 150_000,
      serverVersionText: 'model',
      standby: this.model.standby,
      tls: null,
      role: 'reader',
      privilegedRole: this.checks.privilegedRole,
      pooled: false,
      connectMs: 0,
      queryMs: 0,
      warnings: [],
    }
  }

  async health(): Promise<SourceHealth> {
    await this.step('health')
    return {
      status: 'healthy',
      connected: true,
      response_time_ms: 0,
      last_check: '2026-01-01T00:00:00Z',
      database_size_bytes: 0,
      table_count: this.model.tables.size,
      postgresql_version: 'model',
      schema: 'public',
      capabilities: { incremental: true, schema_discovery: true, batch_reading: true, custom_queries: true },
    }
  }

  async discover(): Promise<Catalog> {
    await this.step('discover')
    const streams = [...this.model.tables.values()].map(toCatalogStream)
    return { database: this.database, serverVersion: 150_000, streams }
  }

  mapColumns(stream: CatalogStream, options: TypeOptions): readonly ReadColumn[] {
    return stream.columns.map((column): ReadColumn => {
      const asText = column.typeName === 'text' || options.types[column.name] === 'text'
      const type: ColumnType = asText ? { kind: 'text' } : { kind: 'int', bits: 64 }
      return {
        field: { name: column.name, type, nullable: column.nullable },
        source: column.name,
        expression: `"${column.name}"`,
        wire: asText ? 'text' : 'int8',
        unrepresentable: 'error',
        loss: null,
      }
    })
  }

  async openSnapshot(
    streams: readonly CatalogStream[],
    options: { readonly readers: number },
  ): Promise<Snapshot> {
    this.readersAsked.push(options.readers)
    await this.step('lock')
    const present: CatalogStream[] = []
    const failed: { stream: string; error: unknown }[] = []
    for (const { name } of streams) {
      const table = this.model.tables.get(name.replace('public.', ''))
      if (table === undefined) {
        failed.push({ stream: name, error: new TrunklineError('STREAM_MISSING', `${name} is gone.`) })
      } else present.push(toCatalogStream(table))
    }
    const seen = this.model.snapshot()
    this.lastSnapshot = seen
    await this.step('snapshot')
    return new ModelSnapshotReader(this, seen, { present, failed, readers: options.readers }, this.#options)
  }

  formSnapshotGroups(streams: readonly CatalogStream[]): Promise<readonly (readonly CatalogStream[])[]> {
    return Promise.resolve(streams.length === 0 ? [] : [streams])
  }

  resolveCursor(_stream: CatalogStream, { field }: { readonly field: string }): Promise<ResolvedCursor> {
    return Promise.resolve({ name: field, afterStart: null })
  }

  async checkWhere(_stream: CatalogStream, where: string): Promise<void> {
    await this.step('checkWhere')
    parseWhere(where)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

class ModelSnapshotReader implements Snapshot {
  readonly id = 'model'
  readonly position: SourcePosition
  readonly horizon: Xid8
  readonly horizonAgeSeconds = null
  readonly maxReaders: number
  readonly streams: readonly CatalogStream[]
  readonly failed: readonly { stream: string; error: unknown }[]
  readonly lost = new AbortController()
  readonly #source: ModelSource
  readonly #seen: ModelSnapshot
  readonly #options: ModelSourceOptions
  readonly #leavesAtStart = new Map<string, string>()
  #reading = 0

  constructor(
    source: ModelSource,
    seen: ModelSnapshot,
    opened: {
      readonly present: readonly CatalogStream[]
      readonly failed: readonly { stream: string; error: unknown }[]
      readonly readers: number
    },
    options: ModelSourceOptions,
  ) {
    this.#source = source
    this.#seen = seen
    this.#options = options
    this.maxReaders = Math.max(1, opened.readers)
    const streams = opened.present
    this.streams = streams
    this.failed = opened.failed
    const { model } = source
    for (const stream of streams) this.#leavesAtStart.set(stream.name, leafList(stream.leaves))
    this.horizon = seen.xmin as Xid8
    this.position = {
      systemIdentifier: model.systemIdentifier,
      database: source.database,
      timeline: model.timeline,
      lsn: formatLsn(seen.lsn as Lsn),
      standby: model.standby,
      xmax: seen.xmax.toString(),
    }
  }

  get signal(): AbortSignal {
    return this.lost.signal
  }

  async count(
    stream: CatalogStream,
    { where, window }: { readonly where: string | null; readonly window: RowWindow | null },
  ): Promise<{ total: number; inWindow: number | null }> {
    await this.#source.step('count')
    const rows = this.#select(stream, where)
    return {
      total: rows.length,
      inWindow: window === null ? null : rows.filter((found) => inWindow(found, window)).length,
    }
  }

  divideByCursor(): Promise<never> {
    return Promise.reject(new Error('the model has no cursors'))
  }

  async plan(read: StreamRead): Promise<readonly Split[]> {
    await this.#source.step('plan')
    const { limits, rows } = read
    if (rows.kind === 'cursor') throw new Error('the model has no cursors')
    const ranges = (read.rows.kind === 'full' ? read.rows.ranges : undefined) ?? this.#divide(read.stream)
    const of = this.#options.splits ?? 1
    return ranges.map((range, index) => ({
      stream: read.stream.name,
      index,
      range,
      method: 'copy',
      selectSql: JSON.stringify({
        where: read.where,
        columns: read.columns.map((column) => column.source),
        types: read.columns.map((column) => column.field.type.kind),
        withXmin: read.withXmin,
        window: rows.kind === 'full' ? null : serialize(rows.window),
        of,
      }),
      columns: read.columns.map((column) => ({
        ...column.field,
        wire: column.wire,
        unrepresentable: 'error' as const,
      })),
      maxFieldBytes: limits.maxFieldBytes,
      batchBytes: limits.batchBytes,
      batchRows: limits.batchRows,
      rowSecurity: false,
      searchPath: [],
      stallTimeoutMs: limits.stallTimeoutMs,
      maxReadBytesPerSecond: null,
    }))
  }

  #divide(stream: CatalogStream): readonly SplitRange[] {
    const { splits = 1, blockRows, keyRows } = this.#options
    if (blockRows !== undefined) {
      const { leaves } = this.#source.model.table(stream.table)
      const longest = Math.max(0, ...leaves.map(({ versions }) => versions.length))
      const count = Math.max(1, Math.ceil(longest / blockRows))
      if (count === 1) return [{ kind: 'all' }]
      return Array.from({ length: count }, (_, index) => ({
        kind: 'blocks',
        leaf: stream.oid,
        from: index * blockRows,
        to: index === count - 1 ? null : (index + 1) * blockRows,
      }))
    }
    if (keyRows !== undefined) {
      const count = 4
      return Array.from({ length: count }, (_, index) => ({
        kind: 'keys',
        columns: ['id'],
        from: index === 0 ? null : [String(index * keyRows)],
        to: index === count - 1 ? null : [String((index + 1) * keyRows)],
      }))
    }
    return Array.from({ length: splits }, () => ({ kind: 'all' }))
  }

  async *read(split: Split, options?: { readonly signal?: AbortSignal }): AsyncGenerator<Batch> {
    this.#reading++
    this.#source.mostReading = Math.max(this.#source.mostReading, this.#reading)
    try {
      if (this.#reading > this.maxReaders) throw new Error('more reads at once than readers')
      yield* this.#readSplit(split, options)
    } finally {
      this.#reading--
    }
  }

  async *#readSplit(split: Split, options?: { readonly signal?: AbortSignal }): AsyncGenerator<Batch> {
    await this.#source.step('read:open')
    const asked = JSON.parse(split.selectSql) as {
      where: string | null
      columns: (keyof Row)[]
      types: string[]
      withXmin: boolean
      window: { horizon: string; xmax: string; wholeLeaves: number[] } | null
      of: number
    }
    const window = asked.window === null ? null : parseWindow(asked.window)
    const stream = this.streams.find((candidate) => candidate.name === split.stream)
    if (stream === undefined) throw new Error(`no stream ${split.stream}`)
    const rows = this.#select(stream, asked.where)
      .filter((found) => window === null || inWindow(found, window))
      .filter((found) =>
        split.range.kind === 'all'
          ? found.version.row.id % BigInt(asked.of) === BigInt(split.index)
          : inRange(found, split.range),
      )
    const fields = [
      ...split.columns.map(({ name, type, nullable }) => ({ name, type, nullable })),
      ...(asked.withXmin
        ? [{ name: XMIN_FIELD, type: { kind: 'int', bits: 64 } as const, nullable: false }]
        : []),
    ]
    const size = this.#options.batchRows ?? 4
    for (let start = 0; start < rows.length; start += size) {
      options?.signal?.throwIfAborted()
      const values = rows.slice(start, start + size).map(({ version }): Value[] => [
        ...asked.columns.map((name, index) => {
          const value = version.row[name]
          return asked.types[index] === 'text' && value !== null ? String(value) : value
        }),
        ...(asked.withXmin ? [version.xmin % WRAP] : []),
      ])
      yield buildBatch(fields, values)
      await this.#source.step('read:batch')
    }
  }

  async assertUnchanged(stream: CatalogStream): Promise<void> {
    await this.#source.step('assertUnchanged')
    const now = this.#source.model.table(stream.table).leaves
    if (leafList(now) !== this.#leavesAtStart.get(stream.name)) {
      throw new TrunklineError('STREAM_CHANGED', `${stream.name} got or lost a partition.`)
    }
    this.#source.snapshotOf.set(stream.table, this.#seen)
    this.#source.leavesOf.set(stream.table, [...now])
  }

  async awaitDurable(): Promise<{ durable: boolean; waitedMs: number }> {
    await this.#source.step('awaitDurable')
    if (this.#options.neverDurable === true) return { durable: false, waitedMs: 20_000 }
    this.#source.model.flush(this.#seen.lsn)
    return { durable: true, waitedMs: 0 }
  }

  async close(): Promise<void> {
    await this.#source.step('close')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Partitions are those of now, rows those of the snapshot: a statement sees a partition attached since. */
  #select(stream: CatalogStream, where: string | null): { leaf: ModelLeaf; version: Version }[] {
    const { model } = this.#source
    const matches = parseWhere(where)
    return model
      .table(stream.table)
      .leaves.flatMap((leaf) => model.visible(leaf, this.#seen).map((version) => ({ leaf, version })))
      .filter(({ version }) => matches(version.row))
  }
}

function leafList(leaves: readonly { readonly oid: number }[]): string {
  return leaves
    .map((leaf) => leaf.oid)
    .sort()
    .join()
}

function inRange(
  { leaf, version }: { readonly leaf: ModelLeaf; readonly version: Version },
  range: Exclude<SplitRange, { readonly kind: 'all' }>,
): boolean {
  if (range.kind === 'blocks') {
    const place = leaf.versions.indexOf(version)
    return place >= range.from && (range.to === null || place < range.to)
  }
  if (range.kind === 'segment') throw new Error('the model has no segments')
  const bound = (key: readonly string[] | null): bigint | null => (key === null ? null : BigInt(key[0] ?? ''))
  const [from, to] = [bound(range.from), bound(range.to)]
  const { id } = version.row
  return (from === null || id >= from) && (to === null || id < to)
}

/** `v % 2 = 0` and `v % 2 = 1` are the only conditions the model knows. */
function parseWhere(where: string | null): (row: Row) => boolean {
  if (where === null) return () => true
  if (where === 'v % 2 = 0') return (row) => row.v % 2n === 0n
  if (where === 'v % 2 = 1') return (row) => row.v % 2n === 1n
  throw new Error(`the model does not know ${where}`)
}

/**
 * The predicate of the reading query: `age(xmin) <= age(horizon)` before
 * `((xmin::bigint - horizon) & 4294967295) < xmax - horizon AND xmin >= 3`.
 */
function inWindow(
  { leaf, version }: { readonly leaf: ModelLeaf; readonly version: Version },
  window: RowWindow,
): boolean {
  if (window.wholeLeaves.includes(leaf.oid)) return true
  const narrow = version.xmin % WRAP
  const distance = (((narrow - window.horizon) % WRAP) + WRAP) % WRAP
  const age = (xid: bigint): bigint => BigInt.asIntN(32, window.xmax - xid)
  return age(version.xmin) <= age(window.horizon) && distance < window.xmax - window.horizon && narrow >= 3n
}

function serialize(window: RowWindow): unknown {
  return { ...window, horizon: window.horizon.toString(), xmax: window.xmax.toString() }
}

function parseWindow(text: { horizon: string; xmax: string; wholeLeaves: number[] }): RowWindow {
  return { ...text, horizon: BigInt(text.horizon) as Xid8, xmax: BigInt(text.xmax) as Xid8 }
}

export function toCatalogStream(table: ModelTable): CatalogStream {
  return {
    name: `public.${table.name}`,
    schema: 'public',
    table: table.name,
    oid: table.oid,
    kind: table.leaves.length > 1 ? 'partitioned' : 'table',
    oddity: null,
    columns: table.columns.map((column): CatalogColumn => ({
      name: column.name,
      number: column.number,
      typeName: column.typeName,
      typeSchema: 'pg_catalog',
      typeOid: column.typeName === 'text' ? 25 : 20,
      typeKind: 'base',
      sqlType: column.sqlType,
      modifier: -1,
      domain: null,
      enumLabels: null,
      elementType: null,
      nullable: column.nullable,
      default: null,
      generated: null,
      identity: null,
      comment: null,
      selectable: true,
    })),
    key: table.key === null ? null : { columns: table.key, from: 'primary_key', index: `${table.name}_pkey` },
    foreignKeys: [],
    indexes: [],
    comment: null,
    estimatedRows: null,
    bytes: 8192,
    leaves: table.leaves.map((leaf, index) => ({
      oid: leaf.oid,
      schema: 'public',
      name: `${table.name}_${index}`,
      filenode: leaf.filenode,
      bytes: 8192,
    })),
    lockCount: table.leaves.length,
    rowSecurity: false,
    tablePrivilege: true,
    sql: null,
  }
}
