/** Builds what is missing of the data sets and remembers, in the database itself, what each was built from. */
import { createHash } from 'node:crypto'
import type pg from 'pg'
import { checksumQuery } from './check.js'
import { type DataSet, buildStatements, grantStatements, relationOf } from './data-sets.js'
import { READER } from './server.js'

export interface BuiltDataSet extends DataSet {
  /** Size of the whole table as COPY BINARY sends it. */
  readonly copyBytes: number
  /** What {@link checksumQuery} answers at the source. */
  readonly checksum: string
}

const MEMORY = `
  CREATE TABLE IF NOT EXISTS bench_data_set (
    name text PRIMARY KEY, definition text NOT NULL, copy_bytes bigint NOT NULL, checksum text NOT NULL)`

/** @param copyBytes Reads the table once and says how many bytes came. */
export async function buildDataSet(
  client: pg.Client,
  set: DataSet,
  copyBytes: (set: DataSet) => Promise<number>,
  say: (text: string) => void,
): Promise<BuiltDataSet> {
  const query = checksumQuery(set, 'postgres', relationOf(set))
  const definition = createHash('sha256')
    .update([...buildStatements(set), query].join('\n'))
    .digest('hex')
  await client.query(MEMORY)
  const known = await client.query<{ copy_bytes: string; checksum: string }>(
    'SELECT copy_bytes, checksum FROM bench_data_set WHERE name = $1 AND definition = $2',
    [set.name, definition],
  )
  const remembered = known.rows[0]
  if (remembered !== undefined) {
    return { ...set, copyBytes: Number(remembered.copy_bytes), checksum: remembered.checksum }
  }
  say(`building ${set.name}: ${set.rows.toLocaleString('en')} rows (once)`)
  for (const statement of buildStatements(set)) await client.query(statement)
  for (const statement of grantStatements(set, READER)) await client.query(statement)
  const bytes = await copyBytes(set)
  const checksum = await readChecksum(client, set)
  await client.query(
    `INSERT INTO bench_data_set VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE
     SET definition = excluded.definition, copy_bytes = excluded.copy_bytes, checksum = excluded.checksum`,
    [set.name, definition, bytes, checksum],
  )
  return { ...set, copyBytes: bytes, checksum }
}

/** What the source holds now; for a data set that changes, the remembered checksum is only that of its start. */
export async function readChecksum(client: pg.Client, set: DataSet): Promise<string> {
  const { rows } = await client.query<{ checksum: string }>(checksumQuery(set, 'postgres', relationOf(set)))
  const checksum = rows[0]?.checksum
  if (checksum === undefined) throw new Error(`no checksum of ${set.name}`)
  return checksum
}
