/**
 * What Trunkline keeps in schema `_trunkline` of the file: who owns each table, the lease of each sync, and the checkpoints.
 *
 * Format 1:
 * - `layout (format)`: one row; a higher number was written by a newer Trunkline.
 * - `syncs (sync, epoch, run_id, host, pid, leased_at, released_at)`: the lease. Each run raises the epoch, and every commit checks it.
 * - `tables (schema_name, table_name, sync, stream, number, generation, source)`: who owns which table; `number` names generations.
 * - `state (format, sync, stream, schema_name, table_name, generation, run_seq, epoch, run_id, committed_at, paused, skipped, checkpoint)`.
 *   A stream whose first load was saved and not committed has run_seq 0.
 * - `partials (sync, stream, schema_name, table_name, number, generation, epoch, run_id, saved_at, progress)`: what interrupted loads
 *   left. The rows are in `<schema_name>._trunkline_<number>_<generation>`. Absent in files that no load was saved in.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import { TrunklineError } from '../../model/error.js'
import type { DuckDbApi } from './database.js'
import { queryRows } from './database.js'
import { CATALOG, quoteName } from './quote.js'

export const STATE_SCHEMA = '_trunkline'
export const STATE = `${quoteName(CATALOG)}.${STATE_SCHEMA}`
const LAYOUT_FORMAT = 1

/** Creates what is missing. @throws STATE_TOO_NEW */
export async function createStateTables(connection: DuckDBConnection): Promise<void> {
  if (!(await hasStateTables(connection))) await createLayout(connection)
  await connection.run(`
    CREATE TABLE IF NOT EXISTS ${STATE}.partials (
      sync VARCHAR NOT NULL, stream VARCHAR NOT NULL, schema_name VARCHAR NOT NULL, table_name VARCHAR NOT NULL,
      number INTEGER NOT NULL, generation BIGINT NOT NULL, epoch BIGINT NOT NULL, run_id VARCHAR NOT NULL,
      saved_at TIMESTAMPTZ NOT NULL, progress JSON NOT NULL)`)
}

async function createLayout(connection: DuckDBConnection): Promise<void> {
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
  if (!(await hasStateTable(connection, 'layout'))) return false
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

export async function hasStateTable(connection: DuckDBConnection, name: string): Promise<boolean> {
  const found = await queryRows(
    connection,
    `SELECT 1 FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2 AND table_name = $3`,
    [CATALOG, STATE_SCHEMA, name],
  )
  return found.length > 0
}

export function toTimestamp(api: DuckDbApi, date: Date): InstanceType<DuckDbApi['DuckDBTimestampTZValue']> {
  return new api.DuckDBTimestampTZValue(BigInt(date.getTime()) * 1000n)
}

export function toDate(timestamp: unknown): Date {
  return new Date(Number((timestamp as { micros: bigint }).micros / 1000n))
}
