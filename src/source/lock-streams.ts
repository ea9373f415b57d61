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
import { guarded } from './guarded.js'
import { searchPathSql } from './read-settings.js'

export interface RelationName {
  /** Null where the search path decides. */
  readonly schema: string | null
  readonly name: string
}

export interface LockRequest {
  readonly stream: CatalogStream
  /** The relations of a query; a stream of another kind is its own relation. */
  readonly relations: readonly RelationName[]
}

export interface LockResult {
  readonly locked: readonly LockRequest[]
  readonly failed: readonly { readonly stream: string; readonly error: unknown }[]
}

/** Locked in one statement as long as all goes well. */
const CHUNK = 100
/** Wrong kind of relation, privilege: cannot be locked and perhaps can be read. */
const UNLOCKABLE: ReadonlySet<string> = new Set(['42809', '42501'])

export async function lockStreams(
  connection: Connection,
  requests: readonly LockRequest[],
  searchPath: readonly string[],
): Promise<LockResult> {
  const sorted = [...requests].sort((a, b) => a.stream.oid - b.stream.oid)
  const locked: LockRequest[] = []
  const failed: { stream: string; error: unknown }[] = []
  if (searchPath.length > 0) await connection.execute(searchPathSql(searchPath))
  for (let start = 0; start < sorted.length; start += CHUNK) {
    const chunk = sorted.slice(start, start + CHUNK)
    if (await lockTogether(connection, chunk)) {
      locked.push(...chunk)
      continue
    }
    for (const request of chunk) {
      const error = await lockAlone(connection, request)
      if (error === null) locked.push(request)
      else failed.push({ stream: request.stream.name, error })
    }
  }
  if (searchPath.length > 0) await connection.execute(searchPathSql([]))
  return { locked, failed }
}

async function lockTogether(connection: Connection, requests: readonly LockRequest[]): Promise<boolean> {
  const names = requests.filter((request) => isLockable(request.stream)).flatMap(namesOf)
  if (names.length === 0) return true
  try {
    await guarded(connection, () => connection.execute(lockSql(names)))
    return true
  } catch (error) {
    // Only a refusal is worth asking again for each: the session itself may be at its end.
    if (connection.lost.aborted || !(error instanceof TrunklineError)) throw error
    return false
  }
}

async function lockAlone(connection: Connection, request: LockRequest): Promise<unknown> {
  if (!isLockable(request.stream)) return null
  for (const name of namesOf(request)) {
    try {
      await guarded(connection, () => connection.execute(lockSql([name])))
    } catch (error) {
      if (connection.lost.aborted || !(error instanceof TrunklineError)) throw error
      if (!UNLOCKABLE.has(error.context.sqlstate ?? '')) return explain(error, request.stream)
    }
  }
  return null
}

function isLockable(stream: CatalogStream): boolean {
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
  if (request.stream.kind !== 'query') return [quoteQualified(request.stream.schema, request.stream.table)]
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
      hint: 'It was dropped or renamed since it was discovered; a retry discovers anew.',
      context,
    })
  }
  return new TrunklineError(error.code, `Locking ${stream.name}: ${error.message}`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    retry: error.retry,
    context,
  })
}
