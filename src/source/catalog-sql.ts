/**
 * The catalog queries of discovery: a fixed number of them, whatever the number of tables.
 *
 * Each runs in psql as it is; those with a parameter after `\bind '{16384,16385}'` (psql 16). Names are qualified by the
 * session's `search_path = pg_catalog`. Valid on PostgreSQL 12 to 18.
 */

/** What the server is and which extensions' catalogs there are to ask. */
export const CONTEXT_SQL = `
SELECT current_database()::text AS database,
       current_setting('server_version_num')::int AS server_version,
       current_setting('block_size')::int AS block_size,
       (current_setting('max_locks_per_transaction')::int8
        * (current_setting('max_connections')::int8 + current_setting('max_prepared_transactions')::int8))::text AS lock_slots,
       pg_is_in_recovery() AS standby,
       coalesce(has_schema_privilege(to_regnamespace('_timescaledb_catalog')::oid, 'USAGE')
                AND has_table_privilege(to_regclass('_timescaledb_catalog.hypertable')::oid, 'SELECT'), false) AS hypertables,
       coalesce(has_table_privilege(to_regclass('pg_catalog.pg_dist_partition')::oid, 'SELECT'), false) AS distributed`

/** Every relation that could be a stream, and what decides whether a selection takes it. */
export const RELATIONS_SQL = `
SELECT c.oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind,
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AS child,
       has_schema_privilege(n.oid, 'USAGE') AS usage,
       EXISTS (SELECT FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
              ) AS of_extension
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND c.relpersistence <> 't'
   AND n.nspname <> 'information_schema'
   AND n.nspname <> '_trunkline'  -- what is kept here of copies that land here
   AND n.nspname NOT LIKE 'pg\\_%'  -- a prefix that is reserved for the system
 ORDER BY n.nspname, c.relname`

/** The relations themselves. */
export const DETAILS_SQL = `
SELECT c.oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind,
       row_security_active(c.oid) AS row_security,
       coalesce(has_table_privilege(c.oid, 'SELECT'), false) AS table_privilege,
       obj_description(c.oid, 'pg_class') AS comment
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ($1::oid[])`

/**
 * Relations that another session holds exclusively: functions that open a relation would wait for that session, so sizes
 * come from the last ANALYZE and default expressions are left out.
 */
const HELD_SQL = `held AS MATERIALIZED (
  SELECT relation FROM pg_locks
   WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND granted AND pid <> pg_backend_pid()
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`

/** Each relation with all its partitions or inheritance children, over all levels. */
export const TREE_SQL = `
WITH RECURSIVE ${HELD_SQL},
tree AS (
  SELECT root, root AS oid FROM unnest($1::oid[]) AS root
  UNION
  SELECT tree.root, i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid)
SELECT tree.root,
       c.oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind,
       c.relpersistence::text AS persistence,
       a.amname::text AS access_method,
       nullif(c.relfilenode, 0) AS filenode,
       c.reltuples::float8 AS planner_rows,
       c.relpages AS planner_pages,
       current_setting('block_size')::int AS block_size,
       CASE WHEN c.relkind NOT IN ('r', 'm') THEN 0
            WHEN c.oid IN (SELECT relation FROM held) THEN c.relpages::float8 * current_setting('block_size')::int
            ELSE coalesce(pg_relation_size(c.oid), 0)::float8
        END AS bytes,
       (SELECT count(*)::int FROM pg_index i WHERE i.indrelid = c.oid) AS indexes
  FROM tree
  JOIN pg_class c ON c.oid = tree.oid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_am a ON a.oid = c.relam
 ORDER BY tree.root, c.oid`

/** Domains with their base types; of the modifiers on the way the outermost holds. */
const DOMAINS_SQL = `step AS (
  SELECT oid AS domain, typbasetype AS base, typtypmod AS modifier FROM pg_type WHERE typtype = 'd'
  UNION ALL
  SELECT step.domain, t.typbasetype, CASE WHEN step.modifier = -1 THEN t.typtypmod ELSE step.modifier END
    FROM step JOIN pg_type t ON t.oid = step.base AND t.typtype = 'd'),
resolved AS (
  SELECT step.* FROM step JOIN pg_type t ON t.oid = step.base AND t.typtype <> 'd')`

/** More of the elements of the array type `t`, as JSON: from `base`, a row of pg_type, and `space`, its namespace. */
export const elementSql = (modifier: string): string => `CASE WHEN t.typoutput = 'array_out'::regproc THEN
         json_build_object('type_oid', base.oid::int8, 'type_name', base.typname, 'type_schema', space.nspname,
                           'type_kind', base.typtype, 'modifier', ${modifier}, 'delimiter', t.typdelim,
                           'is_array', base.typoutput = 'array_out'::regproc)::text END`

/** What a column's type is, from \`a\` (atttypid, atttypmod) and the tables of {@link TYPE_JOINS}. */
const TYPE_COLUMNS = `t.oid AS type_oid,
       t.typname::text AS type_name,
       tn.nspname::text AS type_schema,
       t.typtype::text AS type_kind,
       format_type(a.atttypid, a.atttypmod) AS sql_type,
       CASE WHEN r.domain IS NOT NULL
            THEN format_type(r.base, CASE WHEN a.atttypmod = -1 THEN r.modifier ELSE a.atttypmod END) END AS base_sql_type,
       CASE WHEN a.atttypmod = -1 THEN coalesce(r.modifier, -1) ELSE a.atttypmod END AS modifier,
       CASE WHEN r.domain IS NOT NULL THEN declared.typname::text END AS domain,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS enum_labels,
       CASE WHEN t.typoutput = 'array_out'::regproc THEN element.typname::text END AS element_type,
       ${elementSql('coalesce(nullif(a.atttypmod, -1), er.modifier, -1)')} AS element`

const TYPE_JOINS = `JOIN pg_type declared ON declared.oid = a.atttypid
  LEFT JOIN resolved r ON r.domain = a.atttypid
  JOIN pg_type t ON t.oid = coalesce(r.base, a.atttypid)
  JOIN pg_namespace tn ON tn.oid = t.typnamespace
  LEFT JOIN pg_type element ON element.oid = t.typelem
  LEFT JOIN resolved er ON er.domain = t.typelem
  LEFT JOIN pg_type base ON base.oid = coalesce(er.base, t.typelem)
  LEFT JOIN pg_namespace space ON space.oid = base.typnamespace`

/** The columns of relations. */
export const COLUMNS_SQL = `
WITH RECURSIVE ${HELD_SQL},
${DOMAINS_SQL}
SELECT a.attrelid AS relation,
       a.attname::text AS name,
       a.attnum::int AS number,
       ${TYPE_COLUMNS},
       -- PostgreSQL 18 marks a column not null while its constraint is still NOT VALID and NULLs may be there.
       a.attnotnull AND NOT EXISTS (
         SELECT FROM pg_constraint k
          WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated
       ) AS not_null,
       -- A virtual column's expression is its content: a new one changes every row and touches none.
       CASE WHEN a.attgenerated IN ('', 'v') AND a.attrelid NOT IN (SELECT relation FROM held)
            THEN pg_get_expr(d.adbin, d.adrelid) END AS default_expression,
       a.attgenerated::text AS generated,
       a.attidentity::text AS identity,
       col_description(a.attrelid, a.attnum) AS comment,
       coalesce(has_column_privilege(a.attrelid, a.attnum, 'SELECT'), false) AS selectable
  FROM pg_attribute a
  ${TYPE_JOINS}
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum`

/** The types of a query's columns, given as lists of type oids and modifiers. */
export const RESULT_COLUMNS_SQL = `
WITH RECURSIVE ${DOMAINS_SQL}
SELECT 0 AS relation,
       a.position::int AS number,
       ${TYPE_COLUMNS},
       false AS not_null,
       NULL::text AS default_expression,
       '' AS generated,
       '' AS identity,
       NULL::text AS comment,
       true AS selectable
  FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS a (atttypid, atttypmod, position)
  ${TYPE_JOINS}
 ORDER BY a.position`

/** Indexes with their key columns in order; null stands for an expression. `keyColumns`: how many columns are of the key. */
export const indexesSql = (keyColumns: string): string => `
SELECT i.indrelid AS relation,
       i.indexrelid AS oid,
       c.relname::text AS name,
       (SELECT array_agg(a.attname::text ORDER BY k.position)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, position)
          LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number <> 0
         WHERE k.position <= ${keyColumns}) AS columns,
       i.indisunique AS unique,
       i.indisprimary AS primary,
       i.indimmediate AS immediate,
       i.indisvalid AND i.indislive AS valid,
       i.indisreplident AS replica_identity,
       i.indpred IS NOT NULL AS partial,
       CASE WHEN NOT EXISTS (SELECT 1 FROM pg_opclass o WHERE o.oid = ANY (i.indclass::oid[]) AND NOT o.opcdefault)
            THEN m.amname::text END AS method
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  LEFT JOIN pg_am m ON m.oid = c.relam
 WHERE i.indrelid = ANY ($1::oid[])
 ORDER BY i.indrelid, i.indexrelid`

export const INDEXES_SQL = indexesSql('i.indnkeyatts')

/** Foreign keys that meet a condition on `k`, their row of pg_constraint. */
export const foreignKeysSql = (condition: string): string => `
SELECT k.conrelid AS relation,
       k.conname::text AS name,
       (SELECT array_agg(a.attname::text ORDER BY u.position)
          FROM unnest(k.conkey) WITH ORDINALITY AS u (number, position)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number) AS columns,
       n.nspname::text AS referenced_schema,
       c.relname::text AS referenced_table,
       (SELECT array_agg(a.attname::text ORDER BY u.position)
          FROM unnest(k.confkey) WITH ORDINALITY AS u (number, position)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number) AS referenced_columns
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.confrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE k.contype = 'f'
   AND k.conrelid = ANY ($1::oid[])
   AND ${condition}
 ORDER BY k.conrelid, k.conname`

/** Without those that the server adds per referenced partition. */
export const FOREIGN_KEYS_SQL = foreignKeysSql(
  'NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)',
)

/** Hypertables; asked only where {@link CONTEXT_SQL} says that TimescaleDB's catalog can be read. */
export const HYPERTABLES_SQL = `
SELECT c.oid
  FROM _timescaledb_catalog.hypertable h
  JOIN pg_namespace n ON n.nspname = h.schema_name
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = h.table_name`

/** Tables distributed by Citus; asked only where {@link CONTEXT_SQL} says that its catalog can be read. */
export const DISTRIBUTED_SQL = `SELECT logicalrelid::oid AS oid FROM pg_catalog.pg_dist_partition`
