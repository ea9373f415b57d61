/** What has to be asked of the server before a read can be divided; nothing for most reads. */
import type { CatalogStream } from '../model/catalog.js'
import type { Connection } from '../postgres/connection.js'
import type { StreamRead } from './contract.js'
import { selectSql } from './read-sql.js'

export interface Survey {
  /** False where a condition makes the server read less than the whole stream, by an index. */
  readonly sequential: boolean
  /** Values of the key's first column in their order, from its statistics; null where ranges of it are not worth it. */
  readonly keyBounds: KeyBounds | null
}

export interface KeyBounds {
  readonly column: string
  /** As the server's output text. */
  readonly values: readonly string[]
}

/** A read that nothing is known of. */
export const NO_SURVEY: Survey = { sequential: true, keyBounds: null }

/** Whether the server reads the whole stream for a condition. Inside a transaction. */
export async function isReadSequentially(connection: Connection, read: StreamRead): Promise<boolean> {
  const rows = await connection.query<{ 'QUERY PLAN': unknown }>(
    `EXPLAIN (FORMAT JSON) ${selectSql(read, { kind: 'all' })}`,
  )
  const plans = rows[0]?.['QUERY PLAN']
  return Array.isArray(plans) && plans.every((plan: unknown) => scansAll((plan as { Plan?: unknown }).Plan))
}

interface PlanNode {
  readonly 'Node Type'?: string
  readonly 'Parent Relationship'?: string
  readonly Plans?: readonly unknown[]
}

function scansAll(node: unknown): boolean {
  const { 'Node Type': type, Plans: children = [] } = (node ?? {}) as PlanNode
  if (type === 'Append') return children.every(scansAll)
  if (type !== 'Seq Scan') return false
  // The bound of a window's ages is found once; what a condition looks up for each row is not of this read alone.
  return children.every((child) => (child as PlanNode)['Parent Relationship'] === 'InitPlan')
}

/**
 * Types whose order does not depend on a collation: an index built under an older one finds less than there is.
 */
const ORDERED_TYPES: ReadonlySet<string> = new Set([
  'int2',
  'int4',
  'int8',
  'numeric',
  'date',
  'timestamp',
  'timestamptz',
  'uuid',
])
/** Rows lie so nearly in the order of the key that reading by it goes through the table from one end to the other. */
const MIN_CORRELATION = 0.98

/** The column by which an index could read the stream in ranges; null without one. */
export function rangeColumn(stream: CatalogStream): string | null {
  const { key } = stream
  const [name] = key?.columns ?? []
  if (stream.kind !== 'table' || key === null || key.index === null || name === undefined) return null
  const column = stream.columns.find((candidate) => candidate.name === name)
  const ordered = column?.typeSchema === 'pg_catalog' && ORDERED_TYPES.has(column.typeName)
  return ordered && !column.nullable ? name : null
}

/** From the statistics of the last ANALYZE, which the role sees for columns that it may read. */
export async function readKeyBounds(
  connection: Connection,
  stream: CatalogStream,
  column: string,
): Promise<KeyBounds | null> {
  const [row] = await connection.query<{ correlation: string | null; bounds: readonly string[] | null }>(
    `SELECT correlation::text AS correlation, histogram_bounds::text::text[] AS bounds
       FROM pg_catalog.pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND NOT inherited`,
    [stream.schema, stream.table, column],
  )
  if (row === undefined || row.bounds === null || Number(row.correlation) < MIN_CORRELATION) return null
  return { column, values: row.bounds }
}
