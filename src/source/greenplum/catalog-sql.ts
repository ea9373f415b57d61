/**
 * The catalog queries of Greenplum 6, whose catalog is that of PostgreSQL 9.4, and of what came after.
 *
 * Columns that one version has and another has not are chosen by what {@link CONTEXT_SQL} found. Nothing that 9.4 does not know,
 * no recursion and no SELECT without columns: two planners read these, and both have to. Names are qualified by the session's
 * `search_path = pg_catalog`. Sizes and locks are those of the whole cluster; `gp_segment_id = -1` is the coordinator.
 */
import { elementSql } from '../catalog-sql.js'

/** Columns of the catalog that decide how it is asked. */
const PROBED = [
  'pg_attribute.attgenerated',
  'pg_attribute.attidentity',
  'pg_class.relrowsecurity',
  'pg_class.relstorage',
  'pg_index.indnkeyatts',
  'pg_partition.parrelid',
] as const

export type CatalogColumns = ReadonlySet<string>

export const CONTEXT_SQL = `
SELECT current_database()::text AS database,
       current_setting('server_version_num')::int AS server_version,
       current_setting('block_size')::int AS block_size,
       (current_setting('max_locks_per_transaction')::int8
        * (current_setting('max_connections')::int8 + current_setting('max_prepared_transactions')::int8))::text AS lock_slots,
       pg_is_in_recovery() AS standby,
       false AS hypertables,
       false AS distributed,
       (SELECT count(*)::int FROM gp_segment_configuration WHERE role = 'p' AND content >= 0) AS segments,
       (SELECT array_agg(c.relname::text || '.' || a.attname::text)
          FROM pg_attribute a
          JOIN pg_class c ON c.oid = a.attrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'pg_catalog'
           AND c.relname::text || '.' || a.attname::text IN (${PROBED.map((name) => `'${name}'`).join(', ')})
       ) AS catalog_columns`

/** External tables are foreign tables of one wrapper from 7 on, and have a storage of their own before. */
function externalSql(has: CatalogColumns): string {
  const wrapped = `EXISTS (SELECT 1 FROM pg_foreign_table f
                  JOIN pg_foreign_server s ON s.oid = f.ftserver
                  JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
                 WHERE f.ftrelid = c.oid AND w.fdwname = 'gp_exttable_fdw')`
  return has.has('pg_class.relstorage') ? `(c.relstorage = 'x')` : wrapped
}

/** relkind as PostgreSQL has it since 10: p for the root of a partitioned table, f for what is read from elsewhere. */
function kindSql(has: CatalogColumns): string {
  const root = has.has('pg_partition.parrelid')
    ? ` WHEN EXISTS (SELECT 1 FROM pg_partition p WHERE p.parrelid = c.oid AND NOT p.paristemplate) THEN 'p'`
    : ''
  return `CASE WHEN ${externalSql(has)} THEN 'f'${root} ELSE c.relkind::text END`
}

/** Every relation that could be a stream. The views of gp_toolkit run programs on the hosts of the segments. */
export function relationsSql(has: CatalogColumns): string {
  return `
SELECT c.oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       ${kindSql(has)} AS kind,
       EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid) AS child,
       has_schema_privilege(n.oid, 'USAGE') AS usage,
       EXISTS (SELECT 1 FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
              ) AS of_extension,
       ${externalSql(has)} AS external
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('information_schema', 'gp_toolkit')
   AND n.nspname NOT LIKE 'pg\\_%'
 ORDER BY n.nspname, c.relname`
}

/** The relations themselves; a distribution key without columns is a random distribution. */
export function detailsSql(has: CatalogColumns): string {
  return `
SELECT c.oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       ${kindSql(has)} AS kind,
       ${externalSql(has)} AS external,
       CASE WHEN d.policytype IS NULL THEN 'none'
            WHEN d.policytype = 'r' THEN 'replicated'
            WHEN d.distkey::text = '' THEN 'random'
            ELSE 'hashed'
        END AS distribution,
       ${has.has('pg_class.relrowsecurity') ? 'row_security_active(c.oid)' : 'false'} AS row_security,
       coalesce(has_table_privilege(c.oid, 'SELECT'), false) AS table_privilege,
       obj_description(c.oid, 'pg_class') AS comment
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN gp_distribution_policy d ON d.localoid = c.oid
 WHERE c.oid = ANY ($1::oid[])`
}

/** All of them: the trees are followed by us. */
export const INHERITS_SQL = 'SELECT i.inhparent AS parent, i.inhrelid AS child FROM pg_inherits i'

/** As of PostgreSQL, with the locks of the coordinator: functions that open such a relation would wait. */
const HELD_SQL = `held AS (
  SELECT relation FROM pg_locks
   WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND granted AND pid <> pg_backend_pid() AND gp_segment_id = -1
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`

/** `h` heap, `a` append-optimised by row, `c` by column, `x` external, `f` foreign, `v` view. */
function storageSql(has: CatalogColumns): string {
  if (has.has('pg_class.relstorage')) return 'c.relstorage::text'
  return `CASE WHEN c.relkind = 'f' THEN 'x' ELSE coalesce((
         SELECT CASE m.amname WHEN 'heap' THEN 'h' WHEN 'ao_row' THEN 'a' WHEN 'ao_column' THEN 'c' ELSE '?' END
           FROM pg_am m WHERE m.oid = c.relam), 'v') END`
}

/** Relations of trees. Each size asks every segment, so for very many the last ANALYZE has to do. */
export function membersSql(has: CatalogColumns, options: { readonly sizes: 'asked' | 'estimated' }): string {
  const estimated = `c.relpages::float8 * current_setting('block_size')::int`
  const asked = `CASE WHEN c.relkind NOT IN ('r', 'm') OR ${externalSql(has)} THEN 0
            WHEN c.oid IN (SELECT relation FROM held) THEN ${estimated}
            ELSE coalesce(pg_relation_size(c.oid), 0)::float8
        END`
  return `
WITH ${HELD_SQL}
SELECT c.oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       ${kindSql(has)} AS kind,
       c.relpersistence::text AS persistence,
       ${storageSql(has)} AS storage,
       nullif(c.relfilenode, 0) AS filenode,
       c.reltuples::float8 AS planner_rows,
       c.relpages AS planner_pages,
       ${options.sizes === 'asked' ? asked : estimated} AS bytes,
       (SELECT count(*)::int FROM pg_index i WHERE i.indrelid = c.oid) AS indexes
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ($1::oid[])
 ORDER BY c.oid`
}

/** What a type is after its domains, four of them deep at most; of the modifiers on the way the outermost holds. */
const TYPE_COLUMNS = `t.oid AS type_oid,
       t.typname::text AS type_name,
       tn.nspname::text AS type_schema,
       t.typtype::text AS type_kind,
       format_type(a.atttypid, a.atttypmod) AS sql_type,
       NULL::text AS base_sql_type,
       coalesce(nullif(a.atttypmod, -1), nullif(d0.typtypmod, -1), nullif(d1.typtypmod, -1), nullif(d2.typtypmod, -1),
                nullif(d3.typtypmod, -1), -1) AS modifier,
       CASE WHEN d0.typtype = 'd' THEN d0.typname::text END AS domain,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS enum_labels,
       CASE WHEN t.typoutput = 'array_out'::regproc THEN element.typname::text END AS element_type,
       ${elementSql('a.atttypmod')} AS element`

const TYPE_JOINS = `JOIN pg_type d0 ON d0.oid = a.atttypid
  LEFT JOIN pg_type d1 ON d0.typtype = 'd' AND d1.oid = d0.typbasetype
  LEFT JOIN pg_type d2 ON d1.typtype = 'd' AND d2.oid = d1.typbasetype
  LEFT JOIN pg_type d3 ON d2.typtype = 'd' AND d3.oid = d2.typbasetype
  LEFT JOIN pg_type d4 ON d3.typtype = 'd' AND d4.oid = d3.typbasetype
  JOIN pg_type t ON t.oid = coalesce(d4.oid, d3.oid, d2.oid, d1.oid, d0.oid)
  JOIN pg_namespace tn ON tn.oid = t.typnamespace
  LEFT JOIN pg_type element ON element.oid = t.typelem
  LEFT JOIN pg_type base ON base.oid = t.typelem
  LEFT JOIN pg_namespace space ON space.oid = base.typnamespace`

export function columnsSql(has: CatalogColumns): string {
  return `
WITH ${HELD_SQL}
SELECT a.attrelid AS relation,
       a.attname::text AS name,
       a.attnum::int AS number,
       ${TYPE_COLUMNS},
       a.attnotnull AS not_null,
       CASE WHEN a.attrelid NOT IN (SELECT relation FROM held) THEN pg_get_expr(d.adbin, d.adrelid) END AS default_expression,
       ${has.has('pg_attribute.attgenerated') ? 'a.attgenerated::text' : `''::text`} AS generated,
       ${has.has('pg_attribute.attidentity') ? 'a.attidentity::text' : `''::text`} AS identity,
       col_description(a.attrelid, a.attnum) AS comment,
       coalesce(has_column_privilege(a.attrelid, a.attnum, 'SELECT'), false) AS selectable
  FROM pg_attribute a
  ${TYPE_JOINS}
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum`
}

/** The types of a query's columns, given as lists of type oids and modifiers. */
export const RESULT_COLUMNS_SQL = `
SELECT 0 AS relation,
       a.position AS number,
       ${TYPE_COLUMNS},
       false AS not_null,
       NULL::text AS default_expression,
       '' AS generated,
       '' AS identity,
       NULL::text AS comment,
       true AS selectable
  FROM (SELECT g AS position, ($1::oid[])[g] AS atttypid, ($2::int4[])[g] AS atttypmod
          FROM generate_series(1, coalesce(array_length($1::oid[], 1), 0)) AS g) AS a
  ${TYPE_JOINS}
 ORDER BY a.position`

/** Before 7 an index has no columns beside those of its key. */
export function keyColumnsSql(has: CatalogColumns): string {
  return has.has('pg_index.indnkeyatts') ? 'i.indnkeyatts' : 'i.indnatts'
}

/** Every view. */
export const VIEWS_SQL = `
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'v'`

/** Relations that views read directly. Views themselves cannot be locked. */
export const VIEW_RELATIONS_SQL = `
SELECT DISTINCT r.ev_class AS view,
       c.oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind
  FROM pg_rewrite r
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
  JOIN pg_class c ON c.oid = d.refobjid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE r.ev_class = ANY ($1::oid[]) AND n.nspname <> 'pg_catalog' AND c.relkind IN ('r', 'p', 'v')
 ORDER BY 1, 2`

/** Storage of relations as it is now: what a mark is made of beside the counters. */
export function storageFactsSql(has: CatalogColumns): string {
  return `
SELECT c.oid,
       c.relfilenode AS filenode,
       ${storageSql(has)} AS storage
  FROM pg_class c
 WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'r'
 ORDER BY c.oid`
}

/**
 * Which cluster it is, in which life of it: another one, or one that was made anew by the same script, can come to the same numbers.
 * No version tells an identifier of its own.
 */
export const CLUSTER_SQL = `
SELECT s.content::text || ' ' || s.dbid::text || ' ' || s.hostname::text || ':' || s.port::text
       || ' ' || pg_postmaster_start_time()::text AS segment
  FROM gp_segment_configuration s
 WHERE s.role = 'p'
 ORDER BY s.content, s.dbid`

/** Sessions that wait for a lock that ACCESS SHARE is in the way of; the parameter: pids that are ours. */
export const WAITERS_SQL = `
SELECT w.pid, w.mode, w.relation::regclass::text AS relation
  FROM pg_catalog.pg_locks w
 WHERE NOT w.granted AND w.locktype = 'relation' AND w.mode = 'AccessExclusiveLock' AND w.gp_segment_id = -1
   AND w.pid <> ALL ($1::int[])
   AND EXISTS (SELECT 1 FROM pg_catalog.pg_locks h
                WHERE h.granted AND h.locktype = 'relation' AND h.gp_segment_id = -1 AND h.pid = ANY ($1::int[])
                  AND h.database = w.database AND h.relation = w.relation)`
