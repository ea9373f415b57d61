/**
 * ACCESS SHARE on what is to be read, before the transaction has a snapshot.
 *
 * LOCK TABLE takes none, so the first query after it sees every table as it is under the lock. A table that was truncated or
 * rewritten between snapshot and lock would read as empty. Materialized views, foreign tables and tables of which the role
 * may only read columns cannot be locked this way: they are pinned by a first read after the snapshot, and compared.
 */
import type { CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { Connection } from '../postgres/connection.js'
import { quoteIdent, quoteQualified } from '../postgres/quote.js'
import { queryGuarded } from './guarded.js'
import { searchPathSql } from './read-settings.js'

export interface RelationName {
  /** Null where the search path decides. */
  readonly schema: string | null
  readonly name: string
}

export interface LockRequest {
  readonly stream: CatalogStream
  /** What is locked for it: the relations of a query; null: the stream itself. */
  readonly relations: readonly RelationName[] | null
}

export interface LockedStream {
  readonly stream: CatalogStream
  /** False: what the role may or the relation allows is less than a lock; it has to be pinned by a read. */
  readonly held: boolean
}

export interface LockResult {
  readonly locked: readonly LockedStream[]
  readonly failed: readonly { readonly stream: string; readonly error: unknown }[]
}

/** Locked in one statement as long as all goes well. */
const CHUNK = 100
/** For each stream by itself, after a first wait for all of them. */
const SECOND_WAIT_MS = 1000
/** Wrong kind of relation, privilege: cannot be locked and perhaps can be read. */
const UNLOCKABLE: ReadonlySet<string> = new Set(['42809', '42501'])

/**
 * Waits for a lock as long as `lockTimeoutMs` once per hundred streams, and after that shortly for each of them: meanwhile
 * others may wait for what is locked already.
 */
export async function lockStreams(
  connection: Connection,
  requests: readonly LockRequest[],
  options: { readonly searchPath: readonly string[]; readonly lockTimeoutMs: number },
): Promise<LockResult> {
  const { searchPath, lockTimeoutMs } = options
  const sorted = [...requests].sort((a, b) => a.stream.oid - b.stream.oid)
  const locked: LockedStream[] = []
  const failed: { stream: string; error: unknown }[] = []
  if (searchPath.length > 0) await connection.execute(searchPathSql(searchPath))
  for (let start = 0; start < sorted.length; start += CHUNK) {
    const chunk = sorted.slice(start, start + CHUNK)
    if (await lockTogether(connection, chunk)) {
      locked.push(...chunk.map((request) => ({ stream: request.stream, held: isLockable(request) })))
      continue
    }
    await connection.execute(lockTimeoutSql(Math.min(lockTimeoutMs, SECOND_WAIT_MS)))
    for (const request of chunk) {
      const outcome = await lockAlone(connection, request)
      if (typeof outcome === 'boolean') locked.push({ stream: request.stream, held: outcome })
      else failed.push({ stream: request.stream.name, error: outcome })
    }
    await connection.execute(lockTimeoutSql(lockTimeoutMs))
  }
  if (searchPath.length > 0) await connection.execute(searchPathSql([]))
  return { locked, failed }
}

function lockTimeoutSql(milliseconds: number): string {
  return `SET LOCAL lock_timeout = ${Math.max(1, Math.round(milliseconds))}`
}

async function lockTogether(connection: Connection, requests: readonly LockRequest[]): Promise<boolean> {
  const names = requests.filter(isLockable).flatMap(namesOf)
  if (names.length === 0) return true
  try {
    await queryGuarded(connection, [lockSql(names)])
    return true
  } catch (error) {
    // Only a refusal is worth asking again for each: the session itself may be at its end.
    if (connection.lost.aborted || !(error instanceof TrunklineError)) throw error
    return false
  }
}

/** Whether everything of it is locked, or why it cannot be read. */
async function lockAlone(connection: Connection, request: LockRequest): Promise<boolean | TrunklineError> {
  let held = isLockable(request)
  if (!held) return false
  for (const name of namesOf(request)) {
    try {
      await queryGuarded(connection, [lockSql([name])])
    } catch (error) {
      if (connection.lost.aborted || !(error instanceof TrunklineError)) throw error
      if (!UNLOCKABLE.has(error.context.sqlstate ?? '')) return explain(error, request.stream)
      held = false
    }
  }
  return held
}

function isLockable({ stream, relations }: LockRequest): boolean {
  if (relations !== null) return relations.length > 0 || stream.kind === 'query'
  switch (stream.kind) {
    case 'matview':
    case 'foreign':
      return false
    case 'query':
      return true
    default:
      return stream.tablePrivilege
  }
}

function namesOf(request: LockRequest): readonly string[] {
  if (request.relations === null) return [quoteQualified(request.stream.schema, request.stream.table)]
  return request.relations.map(({ schema, name }) =>
    schema === null ? quoteIdent(name) : quoteQualified(schema, name),
  )
}

/** Without ONLY, so with all partitions and children. */
function lockSql(names: readonly string[]): string {
  return `LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`
}

function explain(error: TrunklineError, stream: CatalogStream): TrunklineError {
  const context = { ...error.context, stream: stream.name }
  if (error.code === 'STREAM_MISSING') {
    return new TrunklineError('STREAM_CHANGED', `${stream.name} is no longer there under this name.`, {
      hint: 'It was dropped or renamed since it was discovered. Run again: each run discovers anew.',
      retry: 'never',
      context,
    })
  }
  return new TrunklineError(error.code, `Locking ${stream.name}: ${error.message}`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    retry: error.retry,
    context,
  })
}
