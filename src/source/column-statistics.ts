/** What the last ANALYZE found of a stream's columns, as far as the role may see it. */
import type { CatalogStream } from '../model/catalog.js'
import type { Connection } from '../postgres/connection.js'
import type { ColumnStatistics } from './contract.js'

interface Row {
  readonly name: string
  readonly null_fraction: string
  readonly distinct_values: string
  readonly correlation: string | null
}

/** Of a tree of tables those of the whole tree. Nothing for views and queries. */
const STATISTICS_SQL = `
SELECT DISTINCT ON (attname) attname AS name, null_frac::text AS null_fraction, n_distinct::text AS distinct_values,
       correlation::text AS correlation
  FROM pg_catalog.pg_stats WHERE schemaname = $1 AND tablename = $2 ORDER BY attname, inherited DESC`

export async function readColumnStatistics(
  connection: Connection,
  { schema, table, sql }: CatalogStream,
): Promise<ReadonlyMap<string, ColumnStatistics>> {
  if (sql !== null) return new Map()
  const rows = await connection.query<Row>(STATISTICS_SQL, [schema, table])
  return new Map(
    rows.map((row) => [
      row.name,
      {
        nullFraction: Number(row.null_fraction),
        distinct: Number(row.distinct_values),
        correlation: row.correlation === null ? null : Number(row.correlation),
      },
    ]),
  )
}
