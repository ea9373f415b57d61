/** Checkpoints of streams of which nothing changed, for many at once: a few statements instead of a dozen for each. */
import { CHECKPOINT_FORMAT, formatCheckpoint } from '../../model/checkpoint.js'
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { UnchangedStream } from '../contract.js'
import { DELETED_AT } from './landing-sql.js'
import type { Lease } from './lease.js'
import { STATE, quoteOnly } from './state-layout.js'
import { readTable, readTypes } from './target-table.js'
import { targetColumns } from './target-types.js'

/** Tables counted by one statement. */
const COUNTED_AT_ONCE = 50

interface AsLanded {
  /** Soft deletes have marks. */
  readonly marked: boolean
  /** The table's own rows, as SQL. */
  readonly rows: string
  readonly oid: number
}

interface Expected extends UnchangedStream {
  /** Of the table that we made; null where it is not known. */
  readonly madeOid: number | null
}

type CountedStream = UnchangedStream & AsLanded

/**
 * Inside the caller's transaction, which holds the lease: writes the checkpoints of those streams that are saved and landed as they
 * are stated, whose table needs nothing of what beginning a landing would do, and has as many live rows.
 */
export async function confirmStreams(
  connection: Connection,
  lease: Lease,
  streams: readonly UnchangedStream[],
): Promise<ReadonlySet<string>> {
  const expected = await withExpectedState(connection, lease.sync, streams)
  const asLanded: CountedStream[] = []
  for (const stream of expected) {
    const found = await findAsLanded(connection, stream)
    if (found !== null) asLanded.push({ ...stream, ...found })
  }
  const confirmed = await withExpectedRows(connection, asLanded)
  if (confirmed.length > 0) await writeCheckpoints(connection, lease, confirmed)
  return new Set(confirmed.map(({ stream }) => stream))
}

/** Saved as stated, of our own, and without a load that was interrupted. */
async function withExpectedState(
  connection: Connection,
  sync: string,
  streams: readonly UnchangedStream[],
): Promise<readonly Expected[]> {
  const rows = await connection.query<{
    stream: string
    oid: number | null
    run_seq: string
    generation: string
    schema_name: string
    table_name: string
  }>(
    `SELECT s.stream, s.run_seq, s.generation, t.schema_name, t.table_name, t.oid
       FROM ${STATE}.state s
       JOIN ${STATE}.tables t ON t.sync = s.sync AND t.stream = s.stream
      WHERE s.sync = $1 AND s.stream = ANY ($2) AND s.checkpoint IS NOT NULL
        AND NOT EXISTS (SELECT FROM ${STATE}.partials p WHERE p.sync = s.sync AND p.stream = s.stream)
        FOR UPDATE OF s`,
    [sync, streams.map(({ stream }) => stream)],
  )
  return streams.flatMap((stream) => {
    const saved = rows.find(
      (row) =>
        row.stream === stream.stream &&
        Number(row.run_seq) === stream.expectedRunSeq &&
        Number(row.generation) === stream.generation &&
        row.schema_name === stream.table.schema &&
        row.table_name === stream.table.name,
    )
    return saved === undefined ? [] : [{ ...stream, madeOid: saved.oid }]
  })
}

/** Null where `begin` would change something (columns, the mark of soft deletes, comments) or refuse the table. */
async function findAsLanded(connection: Connection, stream: Expected): Promise<AsLanded | null> {
  const { fields, comments, deletes, origin, table, madeOid } = stream
  const present = await readTable(connection, table)
  if (present === null || (present.kind !== 'r' && present.kind !== 'p')) return null
  if (madeOid !== null && madeOid !== present.oid) return null
  const marked = present.columns.has(DELETED_AT)
  if ((deletes === 'soft' && !marked) || (deletes === 'hard' && marked)) return null
  if (comments.table !== null && comments.table !== present.comment) return null
  const types = await readTypes(connection, origin)
  const asLanded = targetColumns(fields, origin, { serverVersion: connection.serverVersion, types }).every(
    ({ field, sqlType, instead }) => {
      const column = present.columns.get(field.name)
      const comment = comments.columns[field.name] ?? null
      const sameType =
        column?.sqlType === sqlType || (instead !== null && column?.sqlType === instead.sqlType)
      return sameType && (comment === null || comment === column.comment)
    },
  )
  return asLanded ? { marked, rows: quoteOnly(table, present.kind), oid: present.oid } : null
}

async function withExpectedRows(
  connection: Connection,
  streams: readonly CountedStream[],
): Promise<readonly CountedStream[]> {
  const confirmed: CountedStream[] = []
  for (let start = 0; start < streams.length; start += COUNTED_AT_ONCE) {
    const chunk = streams.slice(start, start + COUNTED_AT_ONCE)
    const counts = chunk.map(({ rows, marked }, index) => {
      const live = marked ? ` WHERE ${quoteIdent(DELETED_AT)} IS NULL` : ''
      return `SELECT ${index} AS position, count(*) AS live FROM ${rows}${live}`
    })
    const rows = await connection.query<{ position: number; live: string }>(counts.join(' UNION ALL '))
    const liveOf = new Map(rows.map(({ position, live }) => [position, Number(live)]))
    confirmed.push(...chunk.filter(({ live }, index) => liveOf.get(index) === live))
  }
  return confirmed
}

async function writeCheckpoints(
  connection: Connection,
  { sync, epoch, runId }: Lease,
  streams: readonly CountedStream[],
): Promise<void> {
  const written = [
    sync,
    streams.map(({ stream }) => stream),
    streams.map(({ checkpoint }) => formatCheckpoint(checkpoint)),
  ]
  await connection.query(
    `UPDATE ${STATE}.state AS s
        SET format = ${CHECKPOINT_FORMAT}, run_seq = s.run_seq + 1, epoch = $4, run_id = $5,
            committed_at = clock_timestamp(), checkpoint = v.checkpoint::json
       FROM unnest($2::text[], $3::text[]) AS v (stream, checkpoint)
      WHERE s.sync = $1 AND s.stream = v.stream`,
    [...written, epoch, runId],
  )
  await connection.query(
    `UPDATE ${STATE}.tables AS t SET source = v.checkpoint::json -> 'source', oid = v.oid
       FROM unnest($2::text[], $3::text[], $4::oid[], $5::text[], $6::text[]) AS v (stream, checkpoint, oid, schema_name, table_name)
      WHERE t.sync = $1 AND t.stream = v.stream AND t.schema_name = v.schema_name AND t.table_name = v.table_name`,
    [
      ...written,
      streams.map(({ oid }) => oid),
      streams.map(({ table }) => table.schema),
      streams.map(({ table }) => table.name),
    ],
  )
}
