/**
 * Divides the reading of a stream into splits; pure. What the server has to say before is asked by survey-stream.
 *
 * From PostgreSQL 14 on a range of ctid is read by a Tid Range Scan, which touches only the blocks of the range, so a table is
 * divided by blocks. The last range has no end: rows that the snapshot sees can lie in blocks that the size did not count yet.
 *
 * A partitioned table and an inheritance tree are read through the parent, whose grants and row security hold, in ranges over
 * all leaves at once: each split is blocks [from, to) of every leaf. Naming a leaf by `tableoid` does not help: no server
 * prunes by it, so the other leaves would be scanned as well (seen in the plans of 14, 15 and 18), while a condition on ctid
 * is a Tid Range Scan on each of them. What is left is to plan and open every leaf once per split.
 *
 * PostgreSQL 12 and 13 have no such scan. There a large table whose rows lie in the order of its key is divided by ranges of the
 * key, at a fifth more of the server's processor time than one scan (5 M narrow rows: 1.26 s for 1.03), and only for readers that
 * share it; a partitioned table is read by one.
 */
import type { DecoderColumn } from '../codec/decoder-column.js'
import type { CatalogStream, GreenplumFacts } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { SplitRange } from '../model/split-range.js'
import { VERSION_FIELD, XMIN_FIELD, type Split, type StreamRead } from './contract.js'
import type { ReadSettings } from './read-settings.js'
import { selectSql } from './read-sql.js'
import { type KeyBounds, rangeColumn, type Survey } from './survey-stream.js'

export interface PlanOptions {
  readonly settings: ReadSettings
  /** Splits that can be read side by side. */
  readonly readers: number
  /** `server_version_num`. */
  readonly serverVersion: number
  /** Bytes of a block of the server. */
  readonly blockSize: number
  readonly survey: Survey
}

const MIB = 1024 * 1024
/** Before, the server reads the whole table for a range of ctid. */
const FIRST_WITH_TID_RANGE_SCAN = 140_000
/** Heap read by one split of a large table. What a split costs by itself, 1 to 3 ms, is below a hundredth of reading it. */
const SPLIT_BYTES = 64 * MIB
/** Below this, what a split costs by itself shows. */
const MIN_SPLIT_BYTES = 16 * MIB
/** Opening a leaf for nothing takes 8 µs (PostgreSQL 18), the hundredth of reading this much. */
const MIN_SPLIT_BYTES_PER_LEAF = MIB / 8
/** So that the readers come to their ends at about the same time. */
const SPLITS_PER_READER = 4
/** The last splits are divided into so many again. */
const MOST_LAST_PIECES = 4
/** So that little is read again after an interruption. */
const MIN_SPLITS = 16
/** Nobody keeps rows that pass undecoded as batches: little of them is on its way, and the other server begins and ends soon after us. */
const UNDECODED_BATCH_BYTES = MIB
/** A checkpoint lists the splits that are done. */
const MAX_SPLITS = 2000
/** Of a segment: each COPY is planned and dispatched by itself, and takes a slot of the resource queue. */
const MIN_SEGMENT_BYTES = 4 * MIB
/** Reading by an index is worth its price where the readers have much to share. */
const MIN_KEY_RANGES_BYTES = 256 * MIB

/** Together the splits give every row once. @throws PERMISSION_DENIED, STREAM_UNSUPPORTED */
export function planSplits(read: StreamRead, options: PlanOptions): readonly Split[] {
  const { stream, columns, limits } = read
  assertReadable(read)
  const decoded = columns.map(({ field, wire, elementWire, unrepresentable }): DecoderColumn => ({
    ...field,
    wire,
    ...(elementWire === undefined ? {} : { elementWire }),
    unrepresentable,
  }))
  if (read.withXmin) {
    decoded.push({
      name: XMIN_FIELD,
      type: { kind: 'int', bits: 64 },
      nullable: false,
      wire: 'oid',
      unrepresentable: 'error',
    })
  }
  if (read.rows.kind === 'cursor' && read.rows.versions !== null) {
    decoded.push({
      name: VERSION_FIELD,
      type: { kind: 'int', bits: 64 },
      nullable: true,
      wire: 'int8',
      unrepresentable: 'error',
    })
  }
  const given = read.rows.kind === 'full' ? read.rows.ranges : undefined
  const ranges = given ?? divide(read, options)
  return ranges.map((range, index) => ({
    stream: stream.name,
    index,
    range,
    method: read.method ?? 'copy',
    selectSql: selectSql(read, range, options.serverVersion),
    columns: decoded,
    maxFieldBytes: limits.maxFieldBytes,
    batchBytes:
      read.undecoded === true ? Math.min(limits.batchBytes, UNDECODED_BATCH_BYTES) : limits.batchBytes,
    batchRows: limits.batchRows,
    stallTimeoutMs: limits.stallTimeoutMs,
    maxReadBytesPerSecond: limits.maxReadBytesPerSecond,
    ...options.settings,
    ...(read.undecoded === true ? { undecoded: true } : {}),
    ...(read.rows.kind !== 'cursor' && keepsItsOrder(stream) ? { repeatable: true } : {}),
  }))
}

/** Tables are scanned by place, or by key: what else a plan can hold may give rows in another order the next time. */
function keepsItsOrder(stream: CatalogStream): boolean {
  return stream.oddity === null && isStored(stream)
}

function isStored({ kind }: CatalogStream): boolean {
  return kind === 'table' || kind === 'partitioned' || kind === 'inherited' || kind === 'matview'
}

/** What {@link PlanOptions.survey} has to hold for this read; null: nothing is to be asked. */
export function whatToAsk(
  read: StreamRead,
  { serverVersion, readers }: Pick<PlanOptions, 'serverVersion' | 'readers'>,
): 'scan' | 'key_bounds' | null {
  const { stream } = read
  if (read.rows.kind === 'cursor' || (read.rows.kind === 'full' && read.rows.ranges !== undefined))
    return null
  if (canReadByBlocks(stream, serverVersion))
    return read.where !== null && stream.bytes >= 2 * MIN_SPLIT_BYTES ? 'scan' : null
  const byKey =
    serverVersion < FIRST_WITH_TID_RANGE_SCAN &&
    readers > 1 &&
    stream.bytes >= MIN_KEY_RANGES_BYTES &&
    isDivisible(stream) &&
    rangeColumn(stream) !== null
  return byKey ? 'key_bounds' : null
}

function divide(read: StreamRead, options: PlanOptions): readonly SplitRange[] {
  const { stream } = read
  const { survey } = options
  // In one order.
  if (read.rows.kind === 'cursor') return [{ kind: 'all' }]
  if (stream.greenplum !== undefined) return divideSegments(stream.greenplum, stream.bytes, options)
  if (!survey.sequential) return [{ kind: 'all' }]
  if (canReadByBlocks(stream, options.serverVersion)) return divideBlocks(stream, options)
  return survey.keyBounds === null ? [{ kind: 'all' }] : divideKeys(stream, survey.keyBounds, options)
}

/**
 * On Greenplum `gp_segment_id = i` makes segment i alone work, and it alone. Places say nothing there: each segment counts blocks of
 * its own, and a range of ctid is a filter on a scan of everything.
 */
function divideSegments(
  { segments }: GreenplumFacts,
  bytes: number,
  { readers }: PlanOptions,
): readonly SplitRange[] {
  if (readers < 2 || segments < 2 || bytes < segments * MIN_SEGMENT_BYTES) return [{ kind: 'all' }]
  return Array.from({ length: segments }, (_, segment): SplitRange => ({ kind: 'segment', segment }))
}

function divideKeys(
  stream: CatalogStream,
  { column, values }: KeyBounds,
  { readers }: PlanOptions,
): readonly SplitRange[] {
  const count = Math.min(
    SPLITS_PER_READER * readers,
    Math.floor(stream.bytes / SPLIT_BYTES),
    values.length - 1,
  )
  const bounds = new Set<string>()
  for (let part = 1; part < count; part++) {
    const value = values[Math.round((part * (values.length - 1)) / count)]
    if (value !== undefined) bounds.add(value)
  }
  const inner = [...bounds]
  if (inner.length === 0) return [{ kind: 'all' }]
  return [null, ...inner].map((from, index) => {
    const to = inner[index]
    return {
      kind: 'keys',
      columns: [column],
      from: from === null ? null : [from],
      to: to === undefined ? null : [to],
    }
  })
}

function canReadByBlocks(stream: CatalogStream, serverVersion: number): boolean {
  return serverVersion >= FIRST_WITH_TID_RANGE_SCAN && isDivisible(stream)
}

/**
 * A policy is evaluated before any condition of ours, so that the whole table would be read for each range; and a role that may
 * read some columns may not read ctid.
 */
function isDivisible(stream: CatalogStream): boolean {
  return stream.oddity === null && !stream.rowSecurity && stream.tablePrivilege && isStored(stream)
}

function divideBlocks(stream: CatalogStream, options: PlanOptions): readonly SplitRange[] {
  const { readers, blockSize } = options
  const leaves = stream.leaves.map((leaf) => Math.ceil(leaf.bytes / blockSize))
  const blocks = leaves.reduce((sum, count) => sum + count, 0)
  const bytes = blocks * blockSize
  const least = Math.max(MIN_SPLIT_BYTES, leaves.length * MIN_SPLIT_BYTES_PER_LEAF)
  const each = Math.max(
    least,
    Math.min(SPLIT_BYTES, bytes / Math.max(MIN_SPLITS, SPLITS_PER_READER * readers)),
  )
  const count = Math.min(MAX_SPLITS, Math.floor(bytes / each))
  const bounds = blockBounds(
    leaves,
    splitShares(count, { readers, finest: Math.floor(bytes / count / least) }),
  )
  if (bounds.length === 0) return [{ kind: 'all' }]
  return [0, ...bounds].map((from, index) => ({
    kind: 'blocks',
    leaf: stream.oid,
    from,
    to: bounds[index] ?? null,
  }))
}

/**
 * Shares of the whole that lie below each bound between `count` equal parts. Of several readers the last part of each is divided once
 * more, into `finest` at most: whoever comes to its end first waits for the others, and no longer than one part takes.
 */
function splitShares(
  count: number,
  { readers, finest }: { readonly readers: number; readonly finest: number },
): readonly number[] {
  const whole = readers < 2 || count <= readers ? count : count - readers
  const pieces = Math.max(1, Math.min(MOST_LAST_PIECES, finest))
  const shares = Array.from({ length: whole }, (_, index) => (index + 1) / count)
  for (let piece = 1; piece <= (count - whole) * pieces; piece++) {
    shares.push((whole + piece / pieces) / count)
  }
  return shares.slice(0, -1)
}

/** Block numbers that divide the blocks of all leaves by `shares`: below block x lie min(size, x) blocks of each leaf. */
function blockBounds(leaves: readonly number[], shares: readonly number[]): readonly number[] {
  const sizes = [...leaves].sort((a, b) => a - b)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const bounds: number[] = []
  /** Blocks of the leaves that end below the bound in hand, and how many leaves those are. */
  let ended = 0
  let endedBlocks = 0
  for (const share of shares) {
    const below = total * share
    for (;;) {
      const size = sizes[ended]
      if (size === undefined || endedBlocks + size * (sizes.length - ended) >= below) break
      endedBlocks += size
      ended++
    }
    const bound = Math.round((below - endedBlocks) / (sizes.length - ended))
    if (bound > (bounds.at(-1) ?? 0)) bounds.push(bound)
  }
  return bounds
}

function assertReadable(read: StreamRead): void {
  const { stream } = read
  if (read.columns.length === 0) {
    throw new TrunklineError('STREAM_UNSUPPORTED', `${stream.name} has no column to read.`, {
      hint: 'Exclude it from the selection, or select at least one of its columns.',
      context: { stream: stream.name },
    })
  }
  const hidden = read.columns.filter(
    (column) => stream.columns.find((candidate) => candidate.name === column.source)?.selectable === false,
  )
  const [first] = hidden
  if (first !== undefined) {
    const names = hidden.map((column) => column.source).join(', ')
    throw new TrunklineError('PERMISSION_DENIED', `The role may not read ${names} of ${stream.name}.`, {
      hint: `GRANT SELECT on the table, or leave the ${hidden.length === 1 ? 'column' : 'columns'} out with exclude_columns.`,
      context: { stream: stream.name, field: first.source },
    })
  }
  if ((read.withXmin || read.rows.kind === 'since') && !isStored(stream)) {
    throw new TrunklineError(
      'STREAM_UNSUPPORTED',
      `${stream.name} is a ${stream.kind}: its rows carry no transaction id.`,
      {
        hint: 'Read it with mode full_refresh.',
        context: { stream: stream.name },
      },
    )
  }
}
