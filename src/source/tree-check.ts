/** Whether the partitions or inheritance children of a stream are still those that its snapshot started with. */
import type { CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { Connection } from '../postgres/connection.js'
import { quoteQualified } from '../postgres/quote.js'

/**
 * A table attached or detached meanwhile is read or left out at once, whatever the snapshot: planning uses the latest catalog.
 * So does pg_partition_tree, while a query of pg_inherits would see what the snapshot saw.
 *
 * @throws STREAM_CHANGED
 */
export async function assertTreeUnchanged(connection: Connection, stream: CatalogStream): Promise<void> {
  const now = await readTree(connection, stream)
  if (now === null) return
  const before = new Set(stream.leaves.map((leaf) => `${leaf.oid}`))
  if (now.size === before.size && [...now].every((oid) => before.has(oid))) return
  throw new TrunklineError(
    'STREAM_CHANGED',
    `Partitions of ${stream.name} were attached or detached while it was read.`,
    {
      hint: 'Nothing of this read is landed; a retry reads it as it is then.',
      context: { stream: stream.name },
    },
  )
}

async function readTree(connection: Connection, stream: CatalogStream): Promise<ReadonlySet<string> | null> {
  if (stream.kind === 'partitioned') {
    const rows = await connection.query<{ oid: string }>(
      'SELECT relid::oid::text AS oid FROM pg_catalog.pg_partition_tree($1::oid::regclass) WHERE isleaf',
      [String(stream.oid)],
    )
    return new Set(rows.map((row) => row.oid))
  }
  if (stream.kind !== 'inherited' && stream.kind !== 'table') return null
  return readPlannedTree(connection, stream)
}

/** There is no function that lists inheritance children of now; the planner's scans are the list. */
async function readPlannedTree(
  connection: Connection,
  stream: CatalogStream,
): Promise<ReadonlySet<string> | null> {
  const rows = await connection.query<{ 'QUERY PLAN': unknown }>(
    `EXPLAIN (FORMAT JSON, VERBOSE, COSTS OFF) SELECT FROM ${quoteQualified(stream.schema, stream.table)}`,
  )
  const names: { schema: string; name: string }[] = []
  collectScans(rows[0]?.['QUERY PLAN'], names)
  // A policy that lets no row through leaves nothing to scan, and so nothing to miss.
  if (stream.rowSecurity && names.length === 0) return null
  const before = new Map(
    stream.leaves.map((leaf) => [JSON.stringify([leaf.schema, leaf.name]), `${leaf.oid}`]),
  )
  return new Set(
    names.map(({ schema, name }) => before.get(JSON.stringify([schema, name])) ?? `${schema}.${name}`),
  )
}

function collectScans(node: unknown, into: { schema: string; name: string }[]): void {
  if (Array.isArray(node)) {
    for (const item of node) collectScans(item, into)
  } else if (typeof node === 'object' && node !== null) {
    const {
      Schema: schema,
      'Relation Name': name,
      'Parent Relationship': parent,
    } = node as Record<string, unknown>
    // What a policy of row security looks up is not of the stream.
    if (parent === 'SubPlan' || parent === 'InitPlan') return
    if (typeof schema === 'string' && typeof name === 'string') into.push({ schema, name })
    for (const value of Object.values(node)) collectScans(value, into)
  }
}
