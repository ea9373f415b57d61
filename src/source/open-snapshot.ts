/** Begins, locks, takes the snapshot, and looks at what is under the lock: the order is what makes a read complete. */
import type { CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { Logger } from '../model/log.js'
import type { Connection } from '../postgres/connection.js'
import { greenplumOf } from '../postgres/dialect.js'
import { quoteIdent, quoteQualified } from '../postgres/quote.js'
import { beginReading } from '../postgres/session.js'
import type { ContextRow } from './assemble-catalog.js'
import type { SnapshotOptions } from './contract.js'
import { readStreams } from './discover.js'
import { startGreenplumSnapshot } from './greenplum/leader.js'
import { prepareSnapshot, tablesOf, type Prepared } from './greenplum/prepare.js'
import { isSharingTrusted, UNKNOWN_ON_GREENPLUM, withFactsOfSnapshot } from './greenplum/snapshot-facts.js'
import { guarded } from './guarded.js'
import { type LockedStream, lockStreams, type RelationName } from './lock-streams.js'
import { observeActivity, withoutPrepared } from './cursor-activity.js'
import { readHorizonAge, startSnapshot } from './position.js'
import { checkQuery, describeQuery } from './query-stream.js'
import { ReaderPool } from './reader-pool.js'
import type { ReaderOptions } from './reader.js'
import type { SnapshotParts } from './snapshot.js'

export interface OpenOptions {
  readonly leader: Connection
  /** Readers that the budget has room for. */
  readonly readers: number
  readonly reader: () => Promise<Omit<ReaderOptions, 'ticket'>>
  readonly snapshot: SnapshotOptions
  readonly searchPath: readonly string[]
  readonly logger: Logger
}

type Failure = SnapshotParts['failed'][number]

export async function openParts(
  streams: readonly CatalogStream[],
  options: OpenOptions,
): Promise<Omit<SnapshotParts, 'openSide' | 'release'>> {
  const { leader, logger } = options
  const { limits } = options.snapshot
  const greenplum = greenplumOf(leader)
  const named = await Promise.all(streams.map(readRelationNames))
  const prepared = greenplum === null ? null : await prepareSnapshot(leader, streams, named.flat(), limits)
  const requests = streams.map((stream, index) => ({
    stream,
    relations: relationsToLock(stream, named[index] ?? [], prepared),
  }))
  const observed = greenplum === null && options.snapshot.observeActivity === true
  const activity = observed ? await observeActivity(leader) : null
  const usesSearchPath = streams.some((stream) => stream.kind === 'query')
  await beginReading(leader, limits)
  const { locked, failed } = await lockStreams(leader, requests, {
    searchPath: usesSearchPath ? options.searchPath : [],
    lockTimeoutMs: limits.lockTimeoutMs,
  })
  const readers = greenplum === null || isSharingTrusted(greenplum, options.snapshot) ? options.readers : 0
  const { facts, context, position, exported, canAwaitFlush, held } =
    greenplum === null
      ? { ...(await startSnapshot(leader, readers > 0)), held: null }
      : await startGreenplumSnapshot(leader, { mayExport: readers > 0, limits })
  const inFlight = activity === null ? null : await withoutPrepared(leader, activity)
  const size = context.standby ? 0 : readers
  const verified = await verifyStreams(leader, context, locked, {
    rowSecurityOn: options.snapshot.rowSecurityOn ?? new Set(),
    searchPath: options.searchPath,
  })
  const openReaders = (exportedId: string): ReaderPool => {
    // What the coordinator says of its own transactions says nothing about rows.
    const contents = greenplum === null ? facts.contents : null
    const { lockTimeoutMs, statementTimeoutMs } = limits
    const ticket = { exportedId, contents, lockTimeoutMs, statementTimeoutMs }
    return new ReaderPool({ size, logger, reader: async () => ({ ...(await options.reader()), ticket }) })
  }
  return {
    id: exported ?? facts.contents,
    position,
    horizon: facts.horizon,
    inFlight: greenplum === null ? inFlight : UNKNOWN_ON_GREENPLUM,
    horizonAgeSeconds: held === null ? await readHorizonAge(leader, context, facts) : null,
    streams: verified.streams.map((stream) => withFactsOfSnapshot(stream, context, prepared)),
    failed: [...failed, ...verified.failed],
    leader,
    readers: exported === null ? null : openReaders(exported),
    blockSize: context.block_size,
    limits,
    filtered: new Set(verified.streams.filter((stream) => stream.rowSecurity).map((stream) => stream.name)),
    searchPath: options.searchPath,
    logger,
    canAwaitFlush,
    held,
  }
}

/** The streams as the snapshot sees them, less those that changed since they were discovered or may not be read. */
async function verifyStreams(
  leader: Connection,
  context: ContextRow,
  locked: readonly LockedStream[],
  options: { readonly rowSecurityOn: ReadonlySet<string>; readonly searchPath: readonly string[] },
): Promise<{ readonly streams: readonly CatalogStream[]; readonly failed: readonly Failure[] }> {
  const relations = locked.filter(({ stream }) => stream.kind !== 'query')
  const present = await readStreams(
    leader,
    context,
    relations.map(({ stream }) => stream.oid),
  )
  const byOid = new Map(present.map((stream) => [stream.oid, stream]))
  const streams: CatalogStream[] = []
  const failed: Failure[] = []
  for (const { stream: before, held } of locked) {
    try {
      if (before.sql !== null) {
        const query = { name: before.name, sql: before.sql, primaryKey: before.key?.columns ?? null }
        streams.push(await describeQuery(leader, query, options.searchPath))
        continue
      }
      const stream = assertSame(before, byOid.get(before.oid))
      assertAllowed(stream, options.rowSecurityOn)
      if (!held) await pin(leader, stream)
      streams.push(stream)
    } catch (error) {
      if (leader.lost.aborted) throw error
      failed.push({ stream: before.name, error })
    }
  }
  return { streams, failed }
}

/** Of a query. */
async function readRelationNames(stream: CatalogStream): Promise<readonly RelationName[]> {
  return stream.sql === null ? [] : (await checkQuery(stream.name, stream.sql)).relations
}

/** Null: itself. */
function relationsToLock(
  stream: CatalogStream,
  named: readonly RelationName[],
  prepared: Prepared | null,
): readonly RelationName[] | null {
  if (stream.sql !== null) {
    return prepared === null ? named : named.flatMap((relation) => tablesOf(prepared, relation))
  }
  const itself = { schema: stream.schema, name: stream.table }
  // A view cannot be locked there, and an external table is not to be read before it is to be copied.
  const isReplaced = prepared !== null && (stream.kind === 'view' || stream.oddity === 'external')
  return isReplaced ? tablesOf(prepared, itself) : null
}

function assertSame(before: CatalogStream, now: CatalogStream | undefined): CatalogStream {
  if (now?.name === before.name) return now
  const what =
    now === undefined
      ? `${before.name} was dropped, or dropped and made anew, since it was discovered.`
      : `${before.name} is now called ${now.name}.`
  throw new TrunklineError('STREAM_CHANGED', what, {
    hint: 'Run again: each run discovers anew. If a name in the configuration changed, change it there.',
    retry: 'never',
    context: { stream: before.name },
  })
}

function assertAllowed(stream: CatalogStream, rowSecurityOn: ReadonlySet<string>): void {
  const context = { stream: stream.name }
  if (stream.columns.length === 0) {
    throw new TrunklineError(
      'STREAM_UNSUPPORTED',
      `${stream.name} has no columns, so there is nothing to copy.`,
      {
        hint: 'Exclude it from the selection.',
        context,
      },
    )
  }
  if (!stream.tablePrivilege && !stream.columns.some((column) => column.selectable)) {
    const table = quoteQualified(stream.schema, stream.table)
    throw new TrunklineError('PERMISSION_DENIED', `The role may not read ${stream.name}.`, {
      hint: `GRANT USAGE ON SCHEMA ${quoteIdent(stream.schema)} and GRANT SELECT ON ${table} to it, or exclude the table.`,
      context,
    })
  }
  if (stream.oddity === 'unlogged_on_standby') {
    throw new TrunklineError(
      'STREAM_UNSUPPORTED',
      `${stream.name} is unlogged, and this server is a standby.`,
      {
        hint: 'Its rows never reach a standby: read it from the primary, or exclude it.',
        context,
      },
    )
  }
  if (stream.rowSecurity && !rowSecurityOn.has(stream.name)) {
    throw new TrunklineError('ROW_SECURITY', `Row security hides rows of ${stream.name} from this role.`, {
      hint: 'Give the role BYPASSRLS, or set row_security: on for the stream to copy the rows it may see.',
      context,
    })
  }
}

/**
 * What LOCK TABLE could not take is locked by a first read. The snapshot is older than this lock, so the storage must
 * still be that of the snapshot: pg_relation_filenode answers as of now.
 */
async function pin(leader: Connection, stream: CatalogStream): Promise<void> {
  await guarded(leader, () =>
    leader.query(`SELECT 1 FROM ${quoteQualified(stream.schema, stream.table)} LIMIT 0`),
  )
  if (stream.leaves.length === 0) return
  const now = await leader.query<{ oid: number; filenode: number | null }>(
    'SELECT oid, pg_relation_filenode(oid)::oid AS filenode FROM unnest($1::oid[]) AS oid',
    [`{${stream.leaves.map((leaf) => leaf.oid).join(',')}}`],
  )
  const filenodes = new Map(now.map((row) => [row.oid, row.filenode]))
  if (stream.leaves.every((leaf) => filenodes.get(leaf.oid) === leaf.filenode)) return
  throw new TrunklineError('STREAM_CHANGED', `${stream.name} was rewritten while the snapshot was taken.`, {
    hint: 'A retry takes a new snapshot.',
    context: { stream: stream.name },
  })
}
