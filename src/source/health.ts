/** Whether a source can be used now, and what it is: the object that monitoring asks for again and again. */
import { toErrorData, TrunklineError } from '../model/error.js'
import type { Connection } from '../postgres/connection.js'
import type { HealthOptions, SourceHealth } from './contract.js'

const TIMEOUT_MS = 10_000
/** `relispartition`; a server below (Greenplum 6) has only inheritance. */
const FIRST_WITH_PARTITIONS = 100_000

/** What a PostgreSQL source can do, whoever asks. */
const CAPABILITIES: SourceHealth['capabilities'] = {
  incremental: true,
  schema_discovery: true,
  batch_reading: true,
  custom_queries: true,
}

/** Lends a connection; rejects where there is none. */
type Borrow = <Result>(
  signal: AbortSignal,
  work: (connection: Connection) => Promise<Result>,
) => Promise<Result>

interface Facts {
  readonly version: string
  /** Null without CONNECT, which a pooler can have in place of us. */
  readonly database_bytes: string | null
  readonly tables: string
}

/** Never rejects but with the reason of the caller's own signal. */
export async function probeHealth(borrow: Borrow, options: HealthOptions = {}): Promise<SourceHealth> {
  const { schema = 'public', timeoutMs = TIMEOUT_MS, signal } = options
  signal?.throwIfAborted()
  const limit = AbortSignal.timeout(timeoutMs)
  const either = signal === undefined ? limit : AbortSignal.any([signal, limit])
  const startedAtMs = performance.now()
  let connected = false
  const ask = (): Promise<Facts> =>
    borrow(either, async (connection) => {
      connected = true
      const [facts] = await connection.query<Facts>(healthSql(connection.serverVersion), [schema])
      if (facts === undefined) throw new Error('a SELECT without FROM gave no row')
      return facts
    })
  const finish = (facts: Facts | null): Omit<SourceHealth, 'status' | 'error'> => ({
    connected,
    response_time_ms: Math.round((performance.now() - startedAtMs) * 10) / 10,
    last_check: new Date().toISOString(),
    database_size_bytes: bytesOf(facts),
    table_count: facts === null ? null : Number(facts.tables),
    postgresql_version: facts?.version ?? null,
    schema,
    capabilities: CAPABILITIES,
  })
  try {
    // A connection that was kept can have ended with a restart that is long over.
    const facts = await ask().catch((error: unknown) => {
      if (error instanceof TrunklineError && error.code === 'CONNECTION_LOST') return ask()
      throw error
    })
    return { status: 'healthy', ...finish(facts) }
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason
    const { code, message, hint } = toErrorData(limit.aborted ? noAnswer(timeoutMs, connected) : error)
    connected &&= code !== 'CONNECTION_LOST'
    return {
      status: 'unhealthy',
      ...finish(null),
      error: { code, message, ...(hint === undefined ? {} : { hint }) },
    }
  }
}

function bytesOf(facts: Facts | null): number | null {
  const bytes = facts?.database_bytes ?? null
  return bytes === null ? null : Number(bytes)
}

/** Without locks: tables are counted from the catalog, and the size is that of the files. */
function healthSql(serverVersion: number): string {
  const isPart =
    serverVersion >= FIRST_WITH_PARTITIONS
      ? 'c.relispartition'
      : 'EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)'
  return `
SELECT pg_catalog.version() AS version,
       CASE WHEN pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT')
            THEN pg_catalog.pg_database_size(pg_catalog.current_database()) END::text AS database_bytes,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f') AND NOT ${isPart})::text AS tables`
}

function noAnswer(timeoutMs: number, connected: boolean): TrunklineError {
  const what = connected ? 'did not answer a query' : 'could not be connected to'
  return new TrunklineError('CONNECT_TIMEOUT', `The server ${what} within ${timeoutMs / 1000} s.`, {
    hint: 'Look at the load of the server, and whether a firewall drops packets.',
  })
}
