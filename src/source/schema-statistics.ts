/** How much there is in each schema, from the catalog and the server's own statistics: no table is opened or locked. */
import type { Connection } from '../postgres/connection.js'
import type { SchemaStatistics } from './contract.js'

/** `relispartition`; a server below (Greenplum 6) has only inheritance. */
const FIRST_WITH_PARTITIONS = 100_000

interface Row {
  readonly schema: string
  readonly tables: string
  readonly bytes: string
  readonly rows: string
  readonly dead: string
  readonly analyzed_at: string | null
  readonly never_analyzed: string
}

/** Of the schemas that the role may use, in the order of their names. */
export async function readSchemaStatistics(connection: Connection): Promise<readonly SchemaStatistics[]> {
  const rows = await connection.query<Row>(statisticsSql(connection.serverVersion))
  return rows.map((row) => ({
    schema: row.schema,
    tables: Number(row.tables),
    bytes: Number(row.bytes),
    estimatedRows: Number(row.rows),
    deadRows: Number(row.dead),
    lastAnalyzedAt: row.analyzed_at,
    neverAnalyzed: Number(row.never_analyzed),
  }))
}

/**
 * Sizes are those of the last VACUUM or ANALYZE, TOAST included: asking the files would wait for whoever holds a table exclusively.
 * A partition counts with its size and rows, and not as a table.
 */
function statisticsSql(serverVersion: number): string {
  const isPart =
    serverVersion >= FIRST_WITH_PARTITIONS
      ? 'c.relispartition'
      : 'EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)'
  return `
SELECT n.nspname AS schema,
       pg_catalog.count(*) FILTER (WHERE NOT ${isPart})::text AS tables,
       (COALESCE(pg_catalog.sum(c.relpages::bigint + COALESCE(t.relpages, 0)), 0)
         * pg_catalog.current_setting('block_size')::bigint)::bigint::text AS bytes,
       COALESCE(pg_catalog.sum(CASE WHEN c.relkind <> 'p' AND c.reltuples > 0 THEN c.reltuples::float8 ELSE 0 END), 0)::bigint::text AS rows,
       COALESCE(pg_catalog.sum(s.n_dead_tup), 0)::bigint::text AS dead,
       pg_catalog.to_char(pg_catalog.max(GREATEST(s.last_analyze, s.last_autoanalyze)) AT TIME ZONE 'UTC',
                          'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS analyzed_at,
       pg_catalog.count(*) FILTER (WHERE c.relkind IN ('r', 'm')
                                     AND GREATEST(s.last_analyze, s.last_autoanalyze) IS NULL)::text AS never_analyzed
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
  LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
 WHERE c.relkind IN ('r', 'p', 'f', 'm')
   AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
   AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
 GROUP BY n.nspname
 ORDER BY n.nspname`
}
