/**
 * What Trunkline keeps in schema `_trunkline` of the target database: who owns each table, the lease of each sync, the checkpoints,
 * and new generations until they take their places.
 *
 * Format 2:
 * - `layout (format, place)`: one row; a higher format was written by a newer Trunkline. `place` says of which database the oids are.
 * - `syncs (sync, epoch, run_id, host, pid, leased_at, released_at)`: the lease. Each run raises the epoch, and every commit checks it.
 * - `tables (schema_name, table_name, sync, stream, number, generation, source, oid, made)`: who owns which table; `number` names
 *   generations. `oid` tells the table from another of its name, `made` what we made of it from what was added since. Either is null
 *   where nobody knows.
 * - `state (format, sync, stream, schema_name, table_name, generation, run_seq, epoch, run_id, committed_at, paused, skipped, checkpoint)`.
 *   A stream whose first load was saved and not committed has run_seq 0.
 * - `partials (sync, stream, schema_name, table_name, number, generation, epoch, run_id, saved_at, progress)`: what interrupted loads
 *   left. The rows are in `_trunkline."<number>_<generation>"`.
 * - sequence `table_numbers`: gives numbers.
 *
 * Format 1 had neither `place` nor `oid` nor `made`.
 */
import { TrunklineError } from '../../model/error.js'
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent, quoteQualified } from '../../postgres/quote.js'
import type { TableName } from '../contract.js'
import { inReading, inTransaction } from './write-session.js'

export const STATE = '_trunkline'
const LAYOUT_FORMAT = 2

/** Two runs that come first at the same time make the tables one after the other. Any number that nobody else uses. */
const LAYOUT_LOCK = '7094372115'

const LAYOUT_SQL = `
CREATE TABLE ${STATE}.layout (format int4 NOT NULL, place text);
INSERT INTO ${STATE}.layout VALUES (${LAYOUT_FORMAT});
CREATE SEQUENCE ${STATE}.table_numbers;
CREATE TABLE ${STATE}.syncs (
  sync text PRIMARY KEY, epoch int8 NOT NULL, run_id text NOT NULL, host text NOT NULL, pid int8 NOT NULL,
  leased_at timestamptz NOT NULL, released_at timestamptz);
CREATE TABLE ${STATE}.tables (
  schema_name text NOT NULL, table_name text NOT NULL, sync text NOT NULL, stream text NOT NULL,
  number int8 NOT NULL, generation int8 NOT NULL, source json, oid oid, made json, PRIMARY KEY (schema_name, table_name));
CREATE TABLE ${STATE}.state (
  format int4 NOT NULL, sync text NOT NULL, stream text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL,
  generation int8 NOT NULL, run_seq int8 NOT NULL, epoch int8 NOT NULL, run_id text NOT NULL,
  committed_at timestamptz NOT NULL, paused bool NOT NULL, skipped bool NOT NULL, checkpoint json,
  PRIMARY KEY (sync, stream));
CREATE TABLE ${STATE}.partials (
  sync text NOT NULL, stream text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL, number int8 NOT NULL,
  generation int8 NOT NULL, epoch int8 NOT NULL, run_id text NOT NULL, saved_at timestamptz NOT NULL, progress json NOT NULL,
  PRIMARY KEY (sync, stream));`

const FROM_FORMAT_1_SQL = `
ALTER TABLE ${STATE}.layout ADD COLUMN place text;
ALTER TABLE ${STATE}.tables ADD COLUMN oid oid, ADD COLUMN made json;
UPDATE ${STATE}.layout SET format = ${LAYOUT_FORMAT};`

/** Creates what is missing, and brings an earlier format to this one. @throws STATE_TOO_NEW, STATE_MALFORMED */
export async function createStateTables(connection: Connection): Promise<void> {
  if ((await inReading(connection, () => readFormat(connection))) === LAYOUT_FORMAT) return
  await inTransaction(connection, async () => {
    await connection.query(`SELECT pg_catalog.pg_advisory_xact_lock(${LAYOUT_LOCK})`)
    const format = await readFormat(connection)
    if (format === LAYOUT_FORMAT) return
    if (format !== null) {
      await connection.execute(FROM_FORMAT_1_SQL)
      return
    }
    await ensureSchema(connection, STATE)
    await connection.execute(LAYOUT_SQL)
  })
}

/** Which database oids are of: a copy of it has others, or the same for other tables. */
export interface Place {
  /** Null where the server hides it. */
  readonly systemIdentifier: string | null
  readonly databaseOid: number
}

/** Inside the caller's transaction: forgets oids that came here with the rows of another database, from a dump or a template. */
export async function forgetForeignOids(connection: Connection, here: Place): Promise<void> {
  const [layout] = await connection.query<{ place: string | null }>(`SELECT place FROM ${STATE}.layout`)
  const [system = '', database = ''] = layout?.place?.split('/') ?? []
  const isOther =
    database !== String(here.databaseOid) ||
    (here.systemIdentifier !== null && system !== '' && system !== here.systemIdentifier)
  if (!isOther) return
  await connection.query(`UPDATE ${STATE}.layout SET place = $1`, [
    `${here.systemIdentifier ?? ''}/${here.databaseOid}`,
  ])
  await connection.execute(`UPDATE ${STATE}.tables SET oid = NULL`)
}

/** Asked first: IF NOT EXISTS needs the privilege to create one even where it does. */
export async function ensureSchema(connection: Connection, name: string): Promise<void> {
  const found = await connection.query('SELECT FROM pg_namespace WHERE nspname = $1', [name])
  if (found.length === 0) await connection.execute(`CREATE SCHEMA IF NOT EXISTS ${quoteIdent(name)}`)
}

/** In whichever format: those of earlier ones have what is read and edited outside of runs. @throws STATE_TOO_NEW, STATE_MALFORMED */
export async function hasStateTables(connection: Connection): Promise<boolean> {
  return (await readFormat(connection)) !== null
}

/** Null: nothing is there. Inside the caller's transaction. */
async function readFormat(connection: Connection): Promise<number | null> {
  const [found] = await connection.query<{ there: boolean }>(
    `SELECT pg_catalog.to_regclass('${STATE}.layout') IS NOT NULL AS there`,
  )
  if (found?.there !== true) return null
  const [layout] = await connection.query<{ format: number }>(`SELECT format FROM ${STATE}.layout`)
  if (layout === undefined) {
    throw new TrunklineError('STATE_MALFORMED', 'The table _trunkline.layout does not say a format.', {
      hint: 'Restore the schema _trunkline from a copy, or sync into another database.',
    })
  }
  if (layout.format > LAYOUT_FORMAT) {
    throw new TrunklineError(
      'STATE_TOO_NEW',
      `The saved state has format ${layout.format}; this Trunkline reads ${LAYOUT_FORMAT}.`,
      { hint: 'Upgrade Trunkline, or sync into another database.' },
    )
  }
  return layout.format
}

/** Where the rows of a generation wait until it takes its place. */
export function generationTable(number: number, generation: number): TableName {
  return { schema: STATE, name: `${number}_${generation}` }
}

export function quoteTable({ schema, name }: TableName): string {
  return quoteQualified(schema, name)
}

/**
 * For reading, changing and deleting a table's own rows: those of a table of somebody else's that inherits from it are not ours.
 * The rows of a partitioned table are all in others.
 */
export function quoteOnly(table: TableName, kind: string | undefined): string {
  return kind === 'p' ? quoteTable(table) : `ONLY ${quoteTable(table)}`
}

export function formatTable({ schema, name }: TableName): string {
  return `${schema}.${name}`
}
