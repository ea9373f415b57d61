/**
 * What Trunkline keeps in schema `_trunkline` of the file: who owns each table, the lease of each sync, and the checkpoints.
 *
 * Format 1:
 * - `layout (format)`: one row; a higher number was written by a newer Trunkline.
 * - `syncs (sync, epoch, run_id, host, pid, leased_at, released_at)`: the lease. Each run raises the epoch, and every commit checks it.
 * - `tables (schema_name, table_name, sync, stream, number, generation, source)`: who owns which table; `number` names generations.
 * - `state (format, sync, stream, schema_name, table_name, generation, run_seq, epoch, run_id, committed_at, paused, skipped, checkpoint)`.
 */
import { hostname } from 'node:os'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Checkpoint } from '../../model/checkpoint.js'
import { CHECKPOINT_FORMAT, formatCheckpoint, parseCheckpoint } from '../../model/checkpoint.js'
import { TrunklineError } from '../../model/error.js'
import type { OpenOptions, StateEdit, StreamState, SyncState, TableName } from '../contract.js'
import type { DuckDbApi, Row } from './database.js'
import { queryRows } from './database.js'
import { CATALOG, fold, foldName, quoteName } from './quote.js'

export const STATE_SCHEMA = '_trunkline'
const LAYOUT_FORMAT = 1
const STATE = `${quoteName(CATALOG)}.${STATE_SCHEMA}`

export interface TableOwner {
  readonly sync: string
  readonly stream: string
  readonly number: number
  readonly generation: number
}

/** Creates what is missing. @throws STATE_TOO_NEW */
export async function createStateTables(connection: DuckDBConnection): Promise<void> {
  if (await hasStateTables(connection)) return
  await connection.run(`
    BEGIN;
    CREATE SCHEMA IF NOT EXISTS ${STATE};
    CREATE TABLE ${STATE}.layout (format INTEGER NOT NULL);
    INSERT INTO ${STATE}.layout VALUES (${LAYOUT_FORMAT});
    CREATE TABLE ${STATE}.syncs (
      sync VARCHAR NOT NULL, epoch BIGINT NOT NULL, run_id VARCHAR NOT NULL, host VARCHAR NOT NULL, pid INTEGER NOT NULL,
      leased_at TIMESTAMPTZ NOT NULL, released_at TIMESTAMPTZ);
    CREATE TABLE ${STATE}.tables (
      schema_name VARCHAR NOT NULL, table_name VARCHAR NOT NULL, sync VARCHAR NOT NULL, stream VARCHAR NOT NULL,
      number INTEGER NOT NULL, generation BIGINT NOT NULL, source JSON);
    CREATE TABLE ${STATE}.state (
      format INTEGER NOT NULL, sync VARCHAR NOT NULL, stream VARCHAR NOT NULL, schema_name VARCHAR NOT NULL,
      table_name VARCHAR NOT NULL, generation BIGINT NOT NULL, run_seq BIGINT NOT NULL, epoch BIGINT NOT NULL,
      run_id VARCHAR NOT NULL, committed_at TIMESTAMPTZ NOT NULL, paused BOOLEAN NOT NULL, skipped BOOLEAN NOT NULL,
      checkpoint JSON);
    COMMIT;`)
}

/** @throws STATE_TOO_NEW, STATE_MALFORMED */
export async function hasStateTables(connection: DuckDBConnection): Promise<boolean> {
  const found = await queryRows(
    connection,
    `SELECT 1 FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2 AND table_name = 'layout'`,
    [CATALOG, STATE_SCHEMA],
  )
  if (found.length === 0) return false
  const [layout] = await queryRows(connection, `SELECT format FROM ${STATE}.layout`)
  const format = Number(layout?.['format'])
  if (!Number.isInteger(format)) {
    throw new TrunklineError('STATE_MALFORMED', 'The table _trunkline.layout does not say a format.', {
      hint: 'Restore the file from a copy, or sync into a new one.',
    })
  }
  if (format > LAYOUT_FORMAT) {
    throw new TrunklineError(
      'STATE_TOO_NEW',
      `The saved state has format ${format}; this Trunkline reads ${LAYOUT_FORMAT}.`,
      { hint: 'Upgrade Trunkline, or sync into a new file.' },
    )
  }
  return true
}

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

export function fenced(message: string): TrunklineError {
  return new TrunklineError('FENCED', `${message} Nothing of this run was committed for the stream.`, {
    hint: 'Let one run of a sync finish before the next starts; the next run continues from what is saved.',
  })
}

export async function readSyncStates(
  connection: DuckDBConnection,
  sync: string | null,
): Promise<readonly SyncState[]> {
  if (!(await hasStateTables(connection))) return sync === null ? [] : [emptyState(sync)]
  const syncs = await queryRows(connection, `SELECT sync, epoch FROM ${STATE}.syncs ORDER BY sync`)
  const rows = await queryRows(connection, `SELECT * FROM ${STATE}.state ORDER BY sync, stream`)
  const states = new Map<string, { epoch: number; streams: Map<string, StreamState> }>()
  for (const row of syncs) {
    states.set(String(row['sync']), { epoch: Number(row['epoch']), streams: new Map() })
  }
  for (const row of rows) {
    states.get(String(row['sync']))?.streams.set(String(row['stream']), parseStreamState(row))
  }
  const all = [...states].map(([name, state]) => ({ sync: name, ...state }))
  if (sync === null) return all
  return [all.find((state) => state.sync === sync) ?? emptyState(sync)]
}

function emptyState(sync: string): SyncState {
  return { sync, epoch: 0, streams: new Map() }
}

function parseStreamState(row: Row): StreamState {
  const checkpoint = row['checkpoint']
  return {
    stream: String(row['stream']),
    table: { schema: String(row['schema_name']), name: String(row['table_name']) },
    generation: Number(row['generation']),
    runSeq: Number(row['run_seq']),
    runId: String(row['run_id']),
    committedAt: new Date(Number((row['committed_at'] as { micros: bigint }).micros / 1000n)),
    paused: row['paused'] === true,
    skipped: row['skipped'] === true,
    checkpoint: typeof checkpoint === 'string' ? parseCheckpoint(checkpoint) : null,
  }
}

/** @throws STREAM_MISSING when nothing is saved for the stream. */
export async function applyStateEdit(
  connection: DuckDBConnection,
  sync: string,
  stream: string,
  edit: StateEdit,
): Promise<void> {
  const changed = await connection.run(
    `UPDATE ${STATE}.state SET ${assignment(edit)} WHERE sync = $1 AND stream = $2`,
    [sync, stream],
  )
  if (changed.rowsChanged > 0) return
  throw nothingSaved(sync, stream)
}

export function nothingSaved(sync: string, stream: string): TrunklineError {
  return new TrunklineError(
    'STREAM_MISSING',
    `Nothing is saved for the stream ${stream} of the sync ${sync}.`,
    {
      hint: '`trunkline state show` lists the syncs and streams of a destination.',
      context: { stream },
    },
  )
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

/** The owner of a table, and whether anything of that name exists: names are compared as DuckDB does. */
export async function findTable(
  connection: DuckDBConnection,
  table: TableName,
): Promise<{ readonly exists: 'table' | 'view' | null; readonly owner: TableOwner | null }> {
  const names = [foldName(table.schema), foldName(table.name)]
  const relations = await queryRows(
    connection,
    `SELECT 'table' AS kind FROM duckdb_tables()
      WHERE database_name = $3 AND ${fold('schema_name')} = $1 AND ${fold('table_name')} = $2
     UNION ALL
     SELECT 'view' FROM duckdb_views()
      WHERE database_name = $3 AND ${fold('schema_name')} = $1 AND ${fold('view_name')} = $2`,
    [...names, CATALOG],
  )
  const owners = await queryRows(
    connection,
    `SELECT sync, stream, number, generation FROM ${STATE}.tables
      WHERE ${fold('schema_name')} = $1 AND ${fold('table_name')} = $2`,
    names,
  )
  const kind = relations[0]?.['kind']
  const owner = owners[0]
  return {
    exists: kind === 'table' || kind === 'view' ? kind : null,
    owner: owner
      ? {
          sync: String(owner['sync']),
          stream: String(owner['stream']),
          number: Number(owner['number']),
          generation: Number(owner['generation']),
        }
      : null,
  }
}

export async function highestTableNumber(connection: DuckDBConnection): Promise<number> {
  const [row] = await queryRows(connection, `SELECT coalesce(max(number), 0) AS number FROM ${STATE}.tables`)
  return Number(row?.['number'] ?? 0)
}

export interface StateWrite {
  readonly sync: string
  readonly stream: string
  readonly table: TableName
  readonly generation: number
  readonly number: number
  readonly expectedRunSeq: number
  readonly epoch: number
  readonly runId: string
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
  const [present] = await queryRows(
    connection,
    `SELECT run_seq, paused, skipped FROM ${STATE}.state WHERE sync = $1 AND stream = $2`,
    [sync, stream],
  )
  const runSeq = present ? Number(present['run_seq']) : 0
  if (runSeq !== write.expectedRunSeq) {
    throw fenced(
      `The stream ${stream} was committed by another run (${runSeq} commits, expected ${write.expectedRunSeq}).`,
    )
  }
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

export function toTimestamp(api: DuckDbApi, date: Date): InstanceType<DuckDbApi['DuckDBTimestampTZValue']> {
  return new api.DuckDBTimestampTZValue(BigInt(date.getTime()) * 1000n)
}
