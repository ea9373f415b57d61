/** Leases, owners and checkpoints in the tables of `state-layout.ts`. */
import { hostname } from 'node:os'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Checkpoint, LoadProgress } from '../../model/checkpoint.js'
import {
  CHECKPOINT_FORMAT,
  formatCheckpoint,
  formatLoadProgress,
  parseCheckpoint,
} from '../../model/checkpoint.js'
import type { OpenOptions, PartialLoad, StateEdit, StreamState, SyncState, TableName } from '../contract.js'
import { fenced, nothingSaved } from '../refusals.js'
import type { DuckDbApi, Row } from './database.js'
import { queryRows } from './database.js'
import { deletePartial, dropPartial, readPartials, toPartialLoad } from './partial-store.js'
import { fold, foldName } from './quote.js'
import { STATE, hasStateTables, toDate, toTimestamp } from './state-layout.js'

/** Raises the epoch of the sync and makes it ours. Returns the new epoch. */
export async function takeLease(
  api: DuckDbApi,
  connection: DuckDBConnection,
  options: OpenOptions,
): Promise<number> {
  await connection.run('BEGIN')
  try {
    const [row] = await queryRows(connection, `SELECT epoch FROM ${STATE}.syncs WHERE sync = $1`, [
      options.sync,
    ])
    const epoch = row ? Number(row['epoch']) + 1 : 1
    await connection.run(`DELETE FROM ${STATE}.syncs WHERE sync = $1`, [options.sync])
    await connection.run(
      `INSERT INTO ${STATE}.syncs VALUES ($1, $2::BIGINT, $3, $4, $5::INTEGER, $6, NULL)`,
      [options.sync, epoch, options.runId, hostname(), process.pid, toTimestamp(api, options.startedAt)],
    )
    await connection.run('COMMIT')
    return epoch
  } catch (error) {
    await connection.run('ROLLBACK')
    throw error
  }
}

export async function releaseLease(
  api: DuckDbApi,
  connection: DuckDBConnection,
  sync: string,
  epoch: number,
): Promise<void> {
  await connection.run(`UPDATE ${STATE}.syncs SET released_at = $3 WHERE sync = $1 AND epoch = $2::BIGINT`, [
    sync,
    epoch,
    toTimestamp(api, new Date()),
  ])
}

/** @throws FENCED when another run has taken the lease since. */
export async function assertLease(connection: DuckDBConnection, sync: string, epoch: number): Promise<void> {
  const [row] = await queryRows(connection, `SELECT epoch, run_id FROM ${STATE}.syncs WHERE sync = $1`, [
    sync,
  ])
  if (row && Number(row['epoch']) === epoch) return
  const by = typeof row?.['run_id'] === 'string' ? `Run ${row['run_id']}` : 'Another run'
  throw fenced(`${by} has taken over the sync ${sync}.`)
}

export async function readSyncStates(
  connection: DuckDBConnection,
  sync: string | null,
): Promise<readonly SyncState[]> {
  if (!(await hasStateTables(connection))) return sync === null ? [] : [emptyState(sync)]
  const syncs = await queryRows(connection, `SELECT sync, epoch FROM ${STATE}.syncs ORDER BY sync`)
  const rows = await queryRows(connection, `SELECT * FROM ${STATE}.state ORDER BY sync, stream`)
  const partials = await readPartials(connection)
  const states = new Map<string, { epoch: number; streams: Map<string, StreamState> }>()
  for (const row of syncs) {
    states.set(String(row['sync']), { epoch: Number(row['epoch']), streams: new Map() })
  }
  for (const row of rows) {
    const [of, stream] = [String(row['sync']), String(row['stream'])]
    const partial = partials.find((saved) => saved.sync === of && saved.stream === stream && saved.exists)
    states.get(of)?.streams.set(stream, parseStreamState(row, partial ? toPartialLoad(partial) : null))
  }
  const all = [...states].map(([name, state]) => ({ sync: name, ...state }))
  if (sync === null) return all
  return [all.find((state) => state.sync === sync) ?? emptyState(sync)]
}

function emptyState(sync: string): SyncState {
  return { sync, epoch: 0, streams: new Map() }
}

function parseStreamState(row: Row, partial: PartialLoad | null): StreamState {
  const checkpoint = row['checkpoint']
  return {
    stream: String(row['stream']),
    table: { schema: String(row['schema_name']), name: String(row['table_name']) },
    generation: Number(row['generation']),
    runSeq: Number(row['run_seq']),
    runId: String(row['run_id']),
    committedAt: toDate(row['committed_at']),
    paused: row['paused'] === true,
    skipped: row['skipped'] === true,
    checkpoint: typeof checkpoint === 'string' ? parseCheckpoint(checkpoint) : null,
    partial,
  }
}

/** @throws STREAM_MISSING when nothing is saved for the stream. */
export async function applyStateEdit(
  connection: DuckDBConnection,
  sync: string,
  stream: string,
  edit: StateEdit,
): Promise<void> {
  if (edit.kind === 'resync') {
    const partials = await readPartials(connection)
    const saved = partials.find((partial) => partial.sync === sync && partial.stream === stream)
    if (saved) await dropPartial(connection, saved)
  }
  const changed = await connection.run(
    `UPDATE ${STATE}.state SET ${assignment(edit)} WHERE sync = $1 AND stream = $2`,
    [sync, stream],
  )
  if (changed.rowsChanged > 0) return
  throw nothingSaved(sync, stream)
}

function assignment(edit: StateEdit): string {
  switch (edit.kind) {
    case 'pause':
      return edit.paused ? 'paused = true' : 'paused = false, skipped = false'
    case 'skip':
      return 'skipped = true'
    case 'resync':
      return 'checkpoint = NULL'
  }
}

export async function highestTableNumber(connection: DuckDBConnection): Promise<number> {
  const [row] = await queryRows(connection, `SELECT coalesce(max(number), 0) AS number FROM ${STATE}.tables`)
  return Number(row?.['number'] ?? 0)
}

/** Who writes what of a stream. */
export interface StateOrigin {
  readonly sync: string
  readonly stream: string
  readonly table: TableName
  readonly generation: number
  readonly number: number
  readonly expectedRunSeq: number
  readonly epoch: number
  readonly runId: string
}

export interface StateWrite extends StateOrigin {
  /** Something is saved of a load of the stream, which is over now. */
  readonly partial: boolean
  readonly committedAt: Date
  readonly checkpoint: Checkpoint
}

/** Writes the checkpoint and the ownership, inside the caller's transaction. @throws FENCED */
export async function writeState(
  api: DuckDbApi,
  connection: DuckDBConnection,
  write: StateWrite,
): Promise<void> {
  const { sync, stream, table } = write
  const present = await readExpected(connection, write)
  const runSeq = write.expectedRunSeq
  if (write.partial) await deletePartial(connection, sync, stream)
  await connection.run(`DELETE FROM ${STATE}.state WHERE sync = $1 AND stream = $2`, [sync, stream])
  await connection.run(
    `INSERT INTO ${STATE}.state VALUES
      ($1::INTEGER, $2, $3, $4, $5, $6::BIGINT, $7::BIGINT, $8::BIGINT, $9, $10, $11, $12, $13)`,
    [
      CHECKPOINT_FORMAT,
      sync,
      stream,
      table.schema,
      table.name,
      write.generation,
      runSeq + 1,
      write.epoch,
      write.runId,
      toTimestamp(api, write.committedAt),
      present?.['paused'] === true,
      present?.['skipped'] === true,
      formatCheckpoint(write.checkpoint),
    ],
  )
  await connection.run(
    `DELETE FROM ${STATE}.tables WHERE ${fold('schema_name')} = $1 AND ${fold('table_name')} = $2`,
    [foldName(table.schema), foldName(table.name)],
  )
  await connection.run(`INSERT INTO ${STATE}.tables VALUES ($1, $2, $3, $4, $5::INTEGER, $6::BIGINT, $7)`, [
    table.schema,
    table.name,
    sync,
    stream,
    write.number,
    write.generation,
    JSON.stringify(write.checkpoint.source),
  ])
}

/** The stream's row of state, if it has one. @throws FENCED when another run has committed it. */
async function readExpected(connection: DuckDBConnection, origin: StateOrigin): Promise<Row | undefined> {
  const [present] = await queryRows(
    connection,
    `SELECT run_seq, paused, skipped FROM ${STATE}.state WHERE sync = $1 AND stream = $2`,
    [origin.sync, origin.stream],
  )
  const runSeq = present ? Number(present['run_seq']) : 0
  if (runSeq === origin.expectedRunSeq) return present
  throw fenced(
    `The stream ${origin.stream} was committed by another run (${runSeq} commits, expected ${origin.expectedRunSeq}).`,
  )
}

export interface PartialWrite extends StateOrigin {
  readonly savedAt: Date
  readonly progress: LoadProgress
}

/** Writes how far a load is, inside the caller's transaction. @throws FENCED */
export async function writePartial(
  api: DuckDbApi,
  connection: DuckDBConnection,
  write: PartialWrite,
): Promise<void> {
  const { sync, stream, table } = write
  const savedAt = toTimestamp(api, write.savedAt)
  const present = await readExpected(connection, write)
  if (!present) {
    await connection.run(
      `INSERT INTO ${STATE}.state VALUES
        ($1::INTEGER, $2, $3, $4, $5, 0, 0, $6::BIGINT, $7, $8, false, false, NULL)`,
      [CHECKPOINT_FORMAT, sync, stream, table.schema, table.name, write.epoch, write.runId, savedAt],
    )
  }
  await deletePartial(connection, sync, stream)
  await connection.run(
    `INSERT INTO ${STATE}.partials VALUES
      ($1, $2, $3, $4, $5::INTEGER, $6::BIGINT, $7::BIGINT, $8, $9, $10)`,
    [
      sync,
      stream,
      table.schema,
      table.name,
      write.number,
      write.generation,
      write.epoch,
      write.runId,
      savedAt,
      formatLoadProgress(write.progress),
    ],
  )
}
