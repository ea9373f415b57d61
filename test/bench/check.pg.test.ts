import { DuckDBInstance } from '@duckdb/node-api'
import { beforeAll, describe, expect, it } from 'vitest'
import { checksumQuery, compareChecksums } from '../../bench/check.js'
import { type DataSet, buildStatements, describeDataSets, relationOf } from '../../bench/data-sets.js'
import { type TestDatabase, onNewestServer } from '../server/servers.js'

/** Small enough to be copied as text, by means that share nothing with what is measured. */
const SCALE = 0.00005
const DUCKDB_TYPES: Readonly<Record<string, string>> = {
  bigint: 'BIGINT',
  integer: 'INTEGER',
  'double precision': 'DOUBLE',
  'numeric(15,2)': 'DECIMAL(15,2)',
  date: 'DATE',
  timestamptz: 'TIMESTAMPTZ',
  uuid: 'UUID',
  boolean: 'BOOLEAN',
  smallint: 'SMALLINT',
  jsonb: 'JSON',
  'text[]': 'JSON',
}

/** The same rows in DuckDB, and a way to change them. */
async function copyToDuckDb(database: TestDatabase, set: DataSet) {
  const texts = set.columns.map(({ name, check }) => {
    if (check === 'padded') return `textin(bpcharout(${name})) AS ${name}`
    return check === 'array' ? `to_json(${name})::text AS ${name}` : `${name}::text AS ${name}`
  })
  const rows = await database.sql(
    `SELECT ${texts.join(', ')} FROM ${relationOf(set)} ORDER BY ${set.primaryKey.join(', ')}`,
  )
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  const columns = set.columns.map(({ name, type }) => `${name} ${DUCKDB_TYPES[type] ?? 'VARCHAR'}`)
  await connection.run("SET TimeZone = 'UTC'")
  await connection.run(`CREATE TABLE landed (${columns.join(', ')})`)
  const appender = await connection.prepare(
    `INSERT INTO landed VALUES (${set.columns.map((_, i) => `$${i + 1}`).join(', ')})`,
  )
  for (const row of rows) {
    appender.bind(set.columns.map(({ name }) => row[name] ?? null))
    await appender.run()
  }
  const checksum = async (): Promise<string> => {
    const reader = await connection.runAndReadAll(checksumQuery(set, 'duckdb', 'landed'))
    return String(reader.getRows()[0]?.[0])
  }
  return { connection, checksum }
}

onNewestServer('the check of what landed', (server) => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await server.createDatabase()
    await database.sql("SET TIME ZONE 'UTC'")
  })

  describe.each(Object.values(describeDataSets(SCALE)).filter(({ name }) => !/_\\d+m|ledger/.test(name)))(
    'of $name',
    (set) => {
      let source: string
      beforeAll(async () => {
        for (const statement of buildStatements(set)) await database.sql(statement)
        const [row] = await database.sql(checksumQuery(set, 'postgres', relationOf(set)))
        source = row?.['checksum'] ?? ''
      })

      it('finds nothing wrong with a true copy', async () => {
        const { checksum } = await copyToDuckDb(database, set)
        expect(source.split(' ')[0]).toBe(String(set.rows))
        expect(compareChecksums(set, source, await checksum())).toBeNull()
      })

      it('finds a value that is missing in any column', async () => {
        const copy = await copyToDuckDb(database, set)
        for (const { name } of set.columns.slice(0, 16)) {
          await copy.connection.run('BEGIN')
          await copy.connection.run(
            `UPDATE landed SET ${name} = NULL WHERE rowid = (SELECT max(rowid) FROM landed WHERE ${name} IS NOT NULL)`,
          )
          expect(compareChecksums(set, source, await copy.checksum())).toContain(`${set.name}, ${name}`)
          await copy.connection.run('ROLLBACK')
        }
      })

      it('finds a row that is missing and one that came twice', async () => {
        const copy = await copyToDuckDb(database, set)
        await copy.connection.run('INSERT INTO landed FROM landed WHERE rowid = 3')
        expect(compareChecksums(set, source, await copy.checksum())).toContain('rows')
        await copy.connection.run('DELETE FROM landed WHERE rowid IN (1, 2)')
        expect(compareChecksums(set, source, await copy.checksum())).toContain('rows')
      })
    },
  )

  it('finds a row that is in another table than at the source', async () => {
    const set = describeDataSets(SCALE).many_small
    for (const statement of buildStatements(set)) await database.sql(statement)
    const checksum = async (): Promise<string> => {
      const [row] = await database.sql(checksumQuery(set, 'postgres', relationOf(set)))
      return row?.['checksum'] ?? ''
    }
    const source = await checksum()
    await database.sql(
      'WITH moved AS (DELETE FROM many_small.t0000 WHERE id = 7 RETURNING *) INSERT INTO many_small.t0001 TABLE moved',
    )
    expect(compareChecksums(set, source, await checksum())).toContain('holder: sum')
    await database.sql(
      'WITH moved AS (DELETE FROM many_small.t0001 WHERE id = 7 RETURNING *) INSERT INTO many_small.t0000 TABLE moved',
    )
    expect(await checksum()).toBe(source)
  })

  it('finds two values that changed places, whose plain sum is the same', async () => {
    const set = describeDataSets(SCALE).narrow
    const copy = await copyToDuckDb(database, set)
    const [row] = await database.sql(checksumQuery(set, 'postgres', set.name))
    await copy.connection.run(
      'UPDATE landed SET amount = (SELECT amount FROM landed AS other WHERE other.id = 11 - landed.id) WHERE id IN (5, 6)',
    )
    expect(compareChecksums(set, row?.['checksum'] ?? '', await copy.checksum())).toContain(
      'amount: sum by row',
    )
  })
})
