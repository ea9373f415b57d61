/** A database that destinations are tried on, and looked at by another connection. */
import pg from 'pg'
import { resolveSettings } from '../../../src/connectors.js'
import { createPostgresDestination } from '../../../src/destination/postgres/postgres-destination.js'
import type { Destination } from '../../../src/destination/contract.js'
import { quoteIdent, quoteQualified } from '../../../src/postgres/quote.js'
import type { ColumnType } from '../../../src/model/column-type.js'
import type { Place, Plain } from '../../../src/testing/conformance.js'
import type { TestDatabase } from '../../server/servers.js'

/** What a destination can do is known without a database. */
export async function makePlaceOnPaper(): Promise<Place> {
  const nowhere = { url: 'postgresql://nobody@localhost/nowhere' } as TestDatabase
  return { ...(await placeAt(nowhere)), remove: () => Promise.resolve() }
}

/** The database is emptied before and after. */
export async function makePostgresPlace(database: TestDatabase, major: number): Promise<Place> {
  await clear(database)
  const place = await placeAt(database)
  return major < READS_LONG_INTERVALS_SINCE ? { ...place, refuses: isLongInterval } : place
}

/** Before it, no server reads the text of an interval of more than 2^31 hours, which it prints itself. */
export const READS_LONG_INTERVALS_SINCE = 15

function isLongInterval(type: ColumnType, value?: Plain): boolean {
  if (type.kind === 'list')
    return Array.isArray(value) && value.some((one) => isLongInterval(type.element, one as Plain))
  if (type.kind !== 'interval' || !Array.isArray(value)) return false
  return BigInt(value[2] as bigint) / 3_600_000_000n > 2n ** 31n
}

async function placeAt(database: TestDatabase): Promise<Place> {
  const settings = await resolveSettings({ url: database.url, options: {}, place: null }, {})
  return {
    create: (): Destination => createPostgresDestination({ settings }),
    async readRows(table, columns) {
      const there = await database.sql('SELECT to_regclass($1) AS oid', [quoteTable(table)])
      if (there[0]?.['oid'] === null) return null
      await database.sql(SESSION)
      const names = columns.map((column, index) => `${quoteIdent(column.name)} AS c${index}`)
      const rows = await database.sql(`SELECT ${names.join(', ')} FROM ${quoteTable(table)}`)
      return rows.map((row) =>
        columns.map(({ type }, index) => {
          const value = row[`c${index}`] ?? null
          return type.kind === 'list' && value !== null ? parseArray(value) : value
        }),
      )
    },
    async makeForeignTable(table) {
      const name = quoteTable(table)
      await database.sql(
        `CREATE SCHEMA IF NOT EXISTS ${quoteIdent(table.schema)}; CREATE TABLE ${name} AS SELECT 77 AS id`,
      )
    },
    async readComments(table) {
      const rows = await database.sql<{ name: string | null; comment: string | null }>(
        `SELECT NULL AS name, obj_description(to_regclass($1), 'pg_class') AS comment
         UNION ALL
         SELECT attname, col_description(attrelid, attnum) FROM pg_attribute
          WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
        [quoteTable(table)],
      )
      const columns = rows.flatMap(({ name, comment }) =>
        name === null || comment === null ? [] : [[name, comment] as const],
      )
      return {
        table: rows.find(({ name }) => name === null)?.comment ?? null,
        columns: Object.fromEntries(columns),
      }
    },
    readableDuringRuns: true,
    remove: () => clear(database),
  }
}

/** As text[]; elements stay text. */
const parseArray = pg.types.getTypeParser(1009 as number, 'text') as (text: string) => (string | null)[]

const SESSION = `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 3;
  SET bytea_output = 'hex'`

function quoteTable({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return quoteQualified(schema, name)
}

/** Ends whoever a failed test has left there, and drops everything. */
async function clear(database: TestDatabase): Promise<void> {
  await database.sql(`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'trunkline%'`)
  const schemas = await database.sql<{ name: string }>(
    `SELECT nspname AS name FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'`,
  )
  for (const { name } of schemas) await database.sql(`DROP SCHEMA ${quoteIdent(name)} CASCADE`)
  await database.sql('CREATE SCHEMA public')
}
