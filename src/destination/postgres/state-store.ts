/** Leases, owners, checkpoints and partial loads in the tables of `state-layout.ts`. */
import { hostname } from 'node:os'
import {
  CHECKPOINT_FORMAT,
  formatCheckpoint,
  formatLoadProgress,
  parseCheckpoint,
  parseLoadProgress,
} from '../../model/checkpoint.js'
import type { Checkpoint, LoadProgress } from '../../model/checkpoint.js'
import type { Connection } from '../../postgres/connection.js'
import type { OpenOptions, PartialLoad, StateEdit, StreamState, SyncState, TableName } from '../contract.js'
import { fenced, nothingSaved } from '../refusals.js'
import { alreadyCommitted } from './refusals.js'
import { STATE, generationTable, hasStateTables, quoteTable } from './state-layout.js'
import type { MadeParts } from './target-table.js'

/** int8 comes as text. */
interface StateRow {
  readonly sync: string
  readonly stream: string
  readonly schema_name: string
  readonly table_name: string
  readonly generation: string
  readonly run_seq: string
  readonly run_id: string
  readonly committed_ms: string
  readonly paused: boolean
  readonly skipped: boolean
  readonly checkpoint: string | null
}

interface PartialRow {
  readonly sync: string
  readonly stream: string
  readonly schema_name: string
  readonly table_name: string
  readonly number: string
  readonly generation: string
  readonly saved_ms: string
  readonly progress: string
  readonly there: boolean
}

const MILLISECONDS = (column: string): string =>
  `floor(extract(epoch FROM ${column}) * 1000)::int8 AS ${column.replace('_at', '_ms')}`

/** Raises the epoch of the sync and makes it ours. Returns the new epoch. */
export async function takeLease(connection: Connection, options: OpenOptions): Promise<number> {
  const [row] = await connection.query<{ epoch: string }>(
    `INSERT INTO ${STATE}.syncs AS s VALUES ($1, 1, $2, $3, $4, $5, NULL)
     ON CONFLICT (sync) DO UPDATE
        SET epoch = s.epoch + 1, run_id = excluded.run_id, host = excluded.host, pid = excluded.pid,
            leased_at = excluded.leased_at, released_at = NULL
     RETURNING epoch`,
    [options.sync, options.runId, hostname(), process.pid, options.startedAt.toISOString()],
  )
  return Number(row?.epoch)
}

export async function releaseLease(connection: Connection, sync: string, epoch: number): Promise<void> {
  await connection.query(
    `UPDATE ${STATE}.syncs SET released_at = pg_catalog.clock_timestamp() WHERE sync = $1 AND epoch = $2`,
    [sync, epoch],
  )
}

/**
 * Inside the caller's transaction: until it is over, nobody takes the lease.
 * @throws FENCED when another run has taken it since
 */
export async function assertLease(connection: Connection, sync: string, epoch: number): Promise<void> {
  const [row] = await connection.query<{ epoch: string; run_id: string }>(
    `SELECT epoch, run_id FROM ${STATE}.syncs WHERE sync = $1 FOR SHARE`,
    [sync],
  )
  if (Number(row?.epoch) === epoch) return
  const by = row === undefined ? 'Another run' : `Run ${row.run_id}`
  throw fenced(`${by} has taken over the sync ${sync}.`)
}

export async function readSyncStates(
  connection: Connection,
  sync: string | null,
): Promise<readonly SyncState[]> {
  if (!(await hasStateTables(connection))) return sync === null ? [] : [emptyState(sync)]
  const syncs = await connection.query<{ sync: string; epoch: string }>(
    `SELECT sync, epoch FROM ${STATE}.syncs WHERE $1::text IS NULL OR sync = $1 ORDER BY sync COLLATE "C"`,
    [sync],
  )
  const rows = await connection.query<StateRow>(
    `SELECT sync, stream, schema_name, table_name, generation, run_seq, run_id, ${MILLISECONDS('committed_at')},
            paused, skipped, checkpoint::text
       FROM ${STATE}.state WHERE $1::text IS NULL OR sync = $1 ORDER BY sync COLLATE "C", stream COLLATE "C"`,
    [sync],
  )
  const partials = await readPartials(connection, sync)
  const states = new Map<string, { epoch: number; streams: Map<string, StreamState> }>()
  for (const row of syncs) states.set(row.sync, { epoch: Number(row.epoch), streams: new Map() })
  for (const row of rows) {
    const partial = partials.find((saved) => saved.sync === row.sync && saved.stream === row.stream)
    states.get(row.sync)?.streams.set(row.stream, parseStreamState(row, partial ?? null))
  }
  const all = [...states].map(([name, state]) => ({ sync: name, ...state }))
  if (sync === null) return all
  return all.length === 0 ? [emptyState(sync)] : all
}

function emptyState(sync: string): SyncState {
  return { sync, epoch: 0, streams: new Map() }
}

function parseStreamState(row: StateRow, partial: SavedPartial | null): StreamState {
  return {
    stream: row.stream,
    table: { schema: row.schema_name, name: row.table_name },
    generation: Number(row.generation),
    runSeq: Number(row.run_seq),
    runId: row.run_id,
    committedAt: new Date(Number(row.committed_ms)),
    paused: row.paused,
    skipped: row.skipped,
    checkpoint: row.checkpoint === null ? null : parseCheckpoint(row.checkpoint),
    partial: partial?.exists === true ? toPartialLoad(partial) : null,
  }
}

/** Which load it is of, and where its rows are. */
export interface PartialKey {
  readonly sync: string
  readonly stream: string
  readonly table: TableName
  readonly number: number
  readonly generation: number
}

interface SavedPartial extends PartialKey {
  readonly savedAt: Date
  /** Not parsed: what cannot be read can still be dropped. */
  readonly progress: string
  /** Its rows are there. */
  readonly exists: boolean
}

export async function readPartials(
  connection: Connection,
  sync: string | null,
): Promise<readonly SavedPartial[]> {
  const rows = await connection.query<PartialRow>(
    `SELECT sync, stream, schema_name, table_name, number, generation, ${MILLISECONDS('saved_at')}, progress::text,
            EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                     WHERE n.nspname = '${STATE}' AND c.relname = number || '_' || generation) AS there
       FROM ${STATE}.partials WHERE $1::text IS NULL OR sync = $1`,
    [sync],
  )
  return rows.map((row) => ({
    sync: row.sync,
    stream: row.stream,
    table: { schema: row.schema_name, name: row.table_name },
    number: Number(row.number),
    generation: Number(row.generation),
    savedAt: new Date(Number(row.saved_ms)),
    progress: row.progress,
    exists: row.there,
  }))
}

/** @throws STATE_TOO_NEW, STATE_MALFORMED */
function toPartialLoad({ generation, table, savedAt, progress }: SavedPartial): PartialLoad {
  return { generation, table, savedAt, progress: parseLoadProgress(progress) }
}

/** Forgets what an interrupted load left, and drops its rows, inside the caller's transaction. */
export async function dropPartial(connection: Connection, saved: PartialKey): Promise<void> {
  await connection.execute(
    `DROP TABLE IF EXISTS ${quoteTable(generationTable(saved.number, saved.generation))}`,
  )
  await deletePartial(connection, saved)
}

function deletePartial(
  connection: Connection,
  { sync, stream }: Pick<PartialKey, 'sync' | 'stream'>,
): Promise<unknown> {
  return connection.query(`DELETE FROM ${STATE}.partials WHERE sync = $1 AND stream = $2`, [sync, stream])
}

/** @throws STREAM_MISSING when nothing is saved for the stream. */
export async function applyStateEdit(
  connection: Connection,
  sync: string,
  stream: string,
  edit: StateEdit,
): Promise<void> {
  if (edit.kind === 'resync') {
    const partials = await readPartials(connection, sync)
    const saved = partials.find((partial) => partial.stream === stream)
    if (saved) await dropPartial(connection, saved)
  }
  const changed = await connection.query(
    `UPDATE ${STATE}.state SET ${assignment(edit)} WHERE sync = $1 AND stream = $2 RETURNING 1`,
    [sync, stream],
  )
  if (changed.length === 0) throw nothingSaved(sync, stream)
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

export async function nextTableNumber(connection: Connection): Promise<number> {
  const [row] = await connection.query<{ number: string }>(
    `SELECT pg_catalog.nextval('${STATE}.table_numbers') AS number`,
  )
  return Number(row?.number)
}

/** Who writes what of a stream. */
export interface StateOrigin extends PartialKey {
  readonly expectedRunSeq: number
  readonly epoch: number
  readonly runId: string
}

export interface StateWrite extends StateOrigin {
  readonly checkpoint: Checkpoint
  readonly made: MadeParts | null
}

/**
 * Writes the checkpoint and the ownership, inside the caller's transaction. Returns the oid of the table that has the name now.
 * @throws FENCED
 */
export async function writeState(connection: Connection, write: StateWrite): Promise<number | null> {
  const { sync, stream, table, generation, expectedRunSeq, epoch, runId, number, checkpoint, made } = write
  const isThere = await requireExpected(connection, write)
  if (isThere) await deletePartial(connection, write)
  const values = [sync, stream, table.schema, table.name, generation, expectedRunSeq + 1, epoch, runId]
  await connection.query(
    isThere
      ? `UPDATE ${STATE}.state
            SET format = ${CHECKPOINT_FORMAT}, schema_name = $3, table_name = $4, generation = $5, run_seq = $6, epoch = $7,
                run_id = $8, committed_at = pg_catalog.clock_timestamp(), checkpoint = $9
          WHERE sync = $1 AND stream = $2`
      : `INSERT INTO ${STATE}.state
         VALUES (${CHECKPOINT_FORMAT}, $1, $2, $3, $4, $5, $6, $7, $8, pg_catalog.clock_timestamp(), false, false, $9)`,
    [...values, formatCheckpoint(checkpoint)],
  )
  const owned = [
    table.schema,
    table.name,
    sync,
    stream,
    number,
    generation,
    JSON.stringify(checkpoint.source),
  ]
  const [row] = await connection.query<{ oid: number | null }>(
    `INSERT INTO ${STATE}.tables AS t VALUES ($1, $2, $3, $4, $5, $6, $7, pg_catalog.to_regclass($8), $9)
     ON CONFLICT (schema_name, table_name) DO UPDATE
        SET sync = excluded.sync, stream = excluded.stream, number = excluded.number, generation = excluded.generation,
            source = excluded.source, oid = excluded.oid, made = excluded.made
     RETURNING t.oid`,
    [...owned, quoteTable(table), made === null ? null : JSON.stringify(made)],
  )
  return row?.oid ?? null
}

/**
 * The lease is ours until the transaction ends, so nobody else writes the stream's row of state but to edit it. True: there is one.
 * @throws FENCED when another run, or an earlier attempt of this one, has committed it, or another has the lease
 */
async function requireExpected(connection: Connection, origin: StateOrigin): Promise<boolean> {
  const { sync, stream, epoch, runId, expectedRunSeq } = origin
  await assertLease(connection, sync, epoch)
  const [present] = await connection.query<{ run_seq: string; epoch: string; run_id: string }>(
    `SELECT run_seq, epoch, run_id FROM ${STATE}.state WHERE sync = $1 AND stream = $2 FOR UPDATE`,
    [sync, stream],
  )
  const runSeq = Number(present?.run_seq ?? 0)
  if (runSeq === expectedRunSeq) return present !== undefined
  const byThisRun = Number(present?.epoch) === epoch && present?.run_id === runId
  if (byThisRun && runSeq === expectedRunSeq + 1) throw alreadyCommitted(stream)
  throw fenced(
    `The stream ${stream} was committed by another run (${runSeq} commits, expected ${expectedRunSeq}).`,
  )
}

export interface SavedLoad extends StateOrigin {
  readonly progress: LoadProgress
}

/** Writes how far a load is, inside the caller's transaction. @throws FENCED */
export async function writePartial(connection: Connection, write: SavedLoad): Promise<void> {
  const { sync, stream, table, number, generation, epoch, runId, progress } = write
  if (!(await requireExpected(connection, write))) {
    await connection.query(
      `INSERT INTO ${STATE}.state
       VALUES (${CHECKPOINT_FORMAT}, $1, $2, $3, $4, 0, 0, $5, $6, pg_catalog.clock_timestamp(), false, false, NULL)`,
      [sync, stream, table.schema, table.name, epoch, runId],
    )
  }
  await deletePartial(connection, write)
  await connection.query(
    `INSERT INTO ${STATE}.partials VALUES ($1, $2, $3, $4, $5, $6, $7, $8, pg_catalog.clock_timestamp(), $9)`,
    [sync, stream, table.schema, table.name, number, generation, epoch, runId, formatLoadProgress(progress)],
  )
}

/**
 * Whether a commit whose answer was lost has taken place: waits until the transaction that holds the lease is over, so that what
 * is then read stays so. Inside a transaction of its own.
 */
export async function isCommitted(
  connection: Connection,
  { sync, stream, epoch, expectedRunSeq }: Pick<StateOrigin, 'sync' | 'stream' | 'epoch' | 'expectedRunSeq'>,
): Promise<boolean> {
  await awaitCommits(connection, sync)
  const [row] = await connection.query<{ run_seq: string; epoch: string }>(
    `SELECT run_seq, epoch FROM ${STATE}.state WHERE sync = $1 AND stream = $2`,
    [sync, stream],
  )
  return Number(row?.run_seq) === expectedRunSeq + 1 && Number(row?.epoch) === epoch
}

/** The same for a save: whether it was this one that was saved last. */
export async function isSaved(
  connection: Connection,
  { sync, stream, generation, epoch, runId, progress }: SavedLoad,
): Promise<boolean> {
  await awaitCommits(connection, sync)
  const found = await connection.query(
    `SELECT FROM ${STATE}.partials
      WHERE sync = $1 AND stream = $2 AND generation = $3 AND epoch = $4 AND run_id = $5 AND progress::text = $6`,
    [sync, stream, generation, epoch, runId, formatLoadProgress(progress)],
  )
  return found.length > 0
}

/** Until no transaction is left that has begun to commit under the lease. */
async function awaitCommits(connection: Connection, sync: string): Promise<void> {
  await connection.query(`SELECT FROM ${STATE}.syncs WHERE sync = $1 FOR UPDATE`, [sync])
}
