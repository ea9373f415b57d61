/**
 * Checkpoints of streams of which nothing changed, for many at once: a few statements instead of a dozen for each, of which each
 * is a millisecond of processor time.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import { CHECKPOINT_FORMAT, formatCheckpoint } from '../../model/checkpoint.js'
import type { UnchangedStream } from '../contract.js'
import { formatDuckDbType } from './column-types.js'
import type { DuckDbApi } from './database.js'
import { queryRows } from './database.js'
import { CATALOG, fold, foldName, quoteName, quoteTable, quoteText } from './quote.js'
import { STATE, toTimestamp } from './state-layout.js'
import { DELETED_AT } from './table-columns.js'

/** Tables counted by one statement. */
const COUNTED_AT_ONCE = 100

export interface ConfirmingRun {
  readonly sync: string
  readonly runId: string
  readonly epoch: number
}

/**
 * Inside the caller's transaction: writes the checkpoints of those streams that are saved and landed as they are stated, whose
 * table needs nothing of what beginning a landing would do, and has as many live rows. The tables are known to be theirs.
 */
export async function confirmStreams(
  api: DuckDbApi,
  connection: DuckDBConnection,
  run: ConfirmingRun,
  streams: readonly UnchangedStream[],
): Promise<ReadonlySet<string>> {
  const expected = await withExpectedState(connection, run.sync, streams)
  const asLanded = await withExpectedTables(connection, expected)
  const confirmed = await withExpectedRows(connection, asLanded)
  if (confirmed.length > 0) await writeCheckpoints(api, connection, run, confirmed)
  return new Set(confirmed.map(({ stream }) => stream))
}

async function withExpectedState(
  connection: DuckDBConnection,
  sync: string,
  streams: readonly UnchangedStream[],
): Promise<readonly UnchangedStream[]> {
  const rows = await queryRows(
    connection,
    `SELECT stream, run_seq, generation FROM ${STATE}.state WHERE sync = $1 AND checkpoint IS NOT NULL`,
    [sync],
  )
  const saved = new Map(rows.map((row) => [String(row['stream']), row]))
  return streams.filter(({ stream, expectedRunSeq, generation }) => {
    const row = saved.get(stream)
    return Number(row?.['run_seq']) === expectedRunSeq && Number(row?.['generation']) === generation
  })
}

interface LandedTable {
  comment: string | null
  /** By folded name. */
  readonly columns: Map<string, { readonly type: string; readonly comment: string | null }>
}

/** With whether soft deletes have marks there. */
type CountedStream = UnchangedStream & { readonly marked: boolean }

async function withExpectedTables(
  connection: DuckDBConnection,
  streams: readonly UnchangedStream[],
): Promise<readonly CountedStream[]> {
  if (streams.length === 0) return []
  const tables = await readTables(connection, streams)
  return streams.flatMap((stream) => {
    const landed = tables.get(keyOf(stream.table.schema, stream.table.name))
    if (landed === undefined || !isAsLanded(stream, landed)) return []
    return [{ ...stream, marked: landed.columns.has(DELETED_AT) }]
  })
}

/** What `begin` would change: columns, the mark of soft deletes, comments. */
function isAsLanded({ fields, comments, deletes }: UnchangedStream, landed: LandedTable): boolean {
  const marked = landed.columns.has(DELETED_AT)
  if ((deletes === 'soft' && !marked) || (deletes === 'hard' && marked)) return false
  if (comments.table !== null && comments.table !== landed.comment) return false
  return fields.every((field) => {
    const column = landed.columns.get(foldName(field.name))
    const comment = comments.columns[field.name] ?? null
    return column?.type === formatDuckDbType(field.type) && (comment === null || comment === column.comment)
  })
}

async function readTables(
  connection: DuckDBConnection,
  streams: readonly UnchangedStream[],
): Promise<ReadonlyMap<string, LandedTable>> {
  const names = JSON.stringify(streams.map(({ table }) => foldName(table.name)))
  const among = `${fold('table_name')} IN (SELECT unnest(from_json($2, '["VARCHAR"]')))`
  const tables = new Map<string, LandedTable>()
  const tableRows = await queryRows(
    connection,
    `SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE database_name = $1 AND ${among}`,
    [CATALOG, names],
  )
  for (const row of tableRows) {
    const key = keyOf(String(row['schema_name']), String(row['table_name']))
    tables.set(key, { comment: textOrNull(row['comment']), columns: new Map() })
  }
  const columnRows = await queryRows(
    connection,
    `SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns()
      WHERE database_name = $1 AND ${among}`,
    [CATALOG, names],
  )
  for (const row of columnRows) {
    const table = tables.get(keyOf(String(row['schema_name']), String(row['table_name'])))
    const column = { type: String(row['data_type']), comment: textOrNull(row['comment']) }
    table?.columns.set(foldName(String(row['column_name'])), column)
  }
  return tables
}

async function withExpectedRows(
  connection: DuckDBConnection,
  streams: readonly CountedStream[],
): Promise<readonly CountedStream[]> {
  const confirmed: CountedStream[] = []
  for (let start = 0; start < streams.length; start += COUNTED_AT_ONCE) {
    const chunk = streams.slice(start, start + COUNTED_AT_ONCE)
    const counts = chunk.map(({ table, marked }, index) => {
      const live = marked ? ` WHERE ${quoteName(DELETED_AT)} IS NULL` : ''
      return `SELECT ${index} AS position, count(*) AS live FROM ${quoteTable(table)}${live}`
    })
    const rows = await queryRows(connection, counts.join(' UNION ALL '))
    const liveOf = new Map(rows.map((row) => [Number(row['position']), Number(row['live'])]))
    confirmed.push(...chunk.filter(({ live }, index) => liveOf.get(index) === live))
  }
  return confirmed
}

async function writeCheckpoints(
  api: DuckDbApi,
  connection: DuckDBConnection,
  { sync, runId, epoch }: ConfirmingRun,
  streams: readonly UnchangedStream[],
): Promise<void> {
  const written = JSON.stringify(
    streams.map(({ stream, checkpoint }) => ({
      stream,
      checkpoint: formatCheckpoint(checkpoint),
      source: JSON.stringify(checkpoint.source),
    })),
  )
  const shape = quoteText('[{"stream":"VARCHAR","checkpoint":"VARCHAR","source":"VARCHAR"}]')
  const values = `(SELECT unnest(from_json($2, ${shape}), recursive := true)) AS v`
  await connection.run(
    `UPDATE ${STATE}.state AS s
        SET format = $3::INTEGER, run_seq = s.run_seq + 1, epoch = $4::BIGINT, run_id = $5, committed_at = $6,
            checkpoint = v.checkpoint
       FROM ${values} WHERE s.sync = $1 AND s.stream = v.stream`,
    [sync, written, CHECKPOINT_FORMAT, epoch, runId, toTimestamp(api, new Date())],
  )
  await connection.run(
    `UPDATE ${STATE}.tables AS t SET source = v.source FROM ${values} WHERE t.sync = $1 AND t.stream = v.stream`,
    [sync, written],
  )
}

function keyOf(schema: string, name: string): string {
  return JSON.stringify([foldName(schema), foldName(name)])
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
