/** What the double needs in a database: the catalog of Greenplum 6 as views over that of PostgreSQL, and facts about tables. */
import type { TestDatabase } from '../server/servers.js'

export type DoubleStorage = 'h' | 'a' | 'c' | 'x'

export interface DoubleTable {
  /** pg_class.relstorage. */
  readonly storage?: DoubleStorage
  /** Default: by the first column. */
  readonly distribution?: 'hashed' | 'random' | 'replicated' | 'none'
  /** The root of a partitioned table, whose leaves inherit from it. */
  readonly partitioned?: boolean
}

/** Columns of the catalog that 9.4 has not; a view has the others. */
const NEWER: Readonly<Record<string, readonly string[]>> = {
  pg_attribute: ['attidentity', 'attgenerated', 'atthasmissing', 'attmissingval', 'attcompression'],
  pg_class: [
    'relispartition',
    'relpartbound',
    'relrowsecurity',
    'relforcerowsecurity',
    'relrewrite',
    'relam',
  ],
  pg_constraint: ['conparentid', 'conperiod', 'conenforced'],
  pg_index: ['indnkeyatts', 'indnullsnotdistinct'],
  pg_proc: ['prokind', 'prosupport', 'prosqlbody'],
  pg_roles: ['rolbypassrls'],
}

/** As superuser, once for a database. */
export async function installDouble(database: TestDatabase, segments = 2): Promise<void> {
  await database.sql(`
CREATE SCHEMA gp_double;
CREATE SCHEMA gp_toolkit;
CREATE TABLE gp_double.tables (oid oid PRIMARY KEY, storage text NOT NULL, policy "char", distkey int2vector, root boolean NOT NULL);
CREATE SEQUENCE gp_double.not_a_table;
CREATE TABLE gp_double.gp_id (gpname name);
INSERT INTO gp_double.gp_id SELECT 'gp' FROM generate_series(1, ${segments});
CREATE FUNCTION gp_double.gp_dist_random(name text) RETURNS SETOF gp_double.gp_id LANGUAGE sql VOLATILE AS 'SELECT * FROM gp_double.gp_id';
CREATE FUNCTION gp_double.version(base text, version text) RETURNS text LANGUAGE sql AS
  $$SELECT 'PostgreSQL ' || base || ' (Greenplum Database ' || version || ' build commit:double) on x86_64'$$;
CREATE VIEW gp_double.gp_segment_configuration AS
  SELECT (content + 2)::int2 AS dbid, content::int2 AS content, 'p'::"char" AS role, 'p'::"char" AS preferred_role,
         'host' || content AS hostname, 6000 + content AS port
    FROM generate_series(-1, ${segments - 1}) AS content;
CREATE VIEW gp_double.gp_distribution_policy AS
  SELECT oid AS localoid, policy AS policytype, distkey FROM gp_double.tables WHERE policy IS NOT NULL;
CREATE TABLE gp_double.partition_root (parrelid oid, paristemplate boolean);
CREATE VIEW gp_double.pg_partition AS SELECT oid AS parrelid, false AS paristemplate FROM gp_double.tables WHERE root;
CREATE FUNCTION gp_double.no_system_column() RETURNS int LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'column "gp_segment_id" does not exist' USING ERRCODE = '42703'; END$$;
CREATE FUNCTION gp_double.segment_of(relation oid, place tid, segments int) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN EXISTS (SELECT 1 FROM gp_double.tables t WHERE t.oid = relation AND t.policy IS DISTINCT FROM 'p')
              THEN gp_double.no_system_column() ELSE abs(hashtext(place::text)) % segments END$$;
CREATE FUNCTION gp_double.count_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN EXECUTE format('ALTER SEQUENCE gp_double.%I RESTART', 'changes_' || TG_RELID);
  ELSE PERFORM nextval(format('gp_double.%I', 'changes_' || TG_RELID)::regclass);
  END IF;
  RETURN NULL;
END$$;
-- Without a row before the first change; a sequence is read as it is now, whatever the snapshot.
CREATE FUNCTION gp_double.counters(relation oid, wanted text) RETURNS TABLE (segno int, modcount bigint, tupcount bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM gp_double.tables t WHERE t.oid = relation AND t.storage = wanted) THEN
    RAISE EXCEPTION 'Relation is not an append-only table of this kind' USING ERRCODE = '22023';
  END IF;
  RETURN QUERY EXECUTE format('SELECT 1, last_value, 0::bigint FROM gp_double.%I WHERE is_called', 'changes_' || relation);
END$$;
CREATE FUNCTION gp_toolkit.__gp_aoseg(relation regclass) RETURNS TABLE (segno int, modcount bigint, tupcount bigint)
LANGUAGE sql VOLATILE AS $$SELECT * FROM gp_double.counters(relation, 'a')$$;
CREATE FUNCTION gp_toolkit.__gp_aocsseg(relation regclass) RETURNS TABLE (segno int, modcount bigint, tupcount bigint)
LANGUAGE sql VOLATILE AS $$SELECT * FROM gp_double.counters(relation, 'c')$$;
CREATE VIEW gp_double.pg_locks AS SELECT *, -1 AS gp_segment_id FROM pg_catalog.pg_locks;
CREATE VIEW gp_double.pg_stat_activity AS
  SELECT datid, datname, pid, pid AS sess_id, usesysid, usename, application_name, client_addr, client_hostname, client_port,
         backend_start, xact_start, query_start, state_change, wait_event_type IS NOT DISTINCT FROM 'Lock' AS waiting, state,
         backend_xid, backend_xmin, query, NULL::text AS waiting_reason, 0::oid AS rsgid, NULL::text AS rsgname,
         NULL::interval AS rsgqueueduration
    FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend';
CREATE TABLE gp_double.filler (relstorage "char");
  `)
  for (const [relation, newer] of Object.entries(NEWER)) {
    const kept = await database.sql<{ names: string }>(
      `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS names FROM pg_attribute
        WHERE attrelid = $1::regclass AND (attnum > 0 OR attname = 'oid') AND NOT attisdropped AND attname <> ALL ($2)`,
      [`pg_catalog.${relation}`, [...newer]],
    )
    const columns = kept[0]?.names ?? ''
    await database.sql(`CREATE VIEW gp_double.${relation} AS ${viewOf(relation, columns)}`)
  }
  await database.sql(
    `GRANT USAGE ON SCHEMA gp_double, gp_toolkit TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA gp_double TO PUBLIC`,
  )
}

/** A table of ours stands for one that only Greenplum has in its catalog. */
const PARTITION_NAME = `CASE WHEN c.oid = 'gp_double.partition_root'::regclass THEN 'pg_partition' ELSE c.relname END AS relname,
  CASE WHEN c.oid = 'gp_double.partition_root'::regclass THEN 'pg_catalog'::regnamespace ELSE c.relnamespace END::oid AS relnamespace`

/** Of pg_class with relstorage; of pg_attribute with the row that tells of it, and without those of newer columns. */
function viewOf(relation: string, columns: string): string {
  switch (relation) {
    case 'pg_class':
      return `SELECT ${columns.replace(/\boid\b/, 'c.oid').replace(/\brelname, relnamespace\b/, PARTITION_NAME)},
                     coalesce(t.storage, CASE c.relkind WHEN 'v' THEN 'v' ELSE 'h' END)::"char" AS relstorage, 0::oid AS relam
                FROM pg_catalog.pg_class c LEFT JOIN gp_double.tables t ON t.oid = c.oid
               WHERE c.relnamespace <> 'gp_double'::regnamespace OR c.oid = 'gp_double.partition_root'::regclass`
    case 'pg_attribute': {
      const hidden = Object.entries(NEWER).flatMap(([of, names]) =>
        names.filter((name) => name !== 'relam').map((name) => `('${of}', '${name}')`),
      )
      const real = `SELECT ${columns} FROM pg_catalog.pg_attribute a
        WHERE NOT EXISTS (SELECT 1 FROM (VALUES ${hidden.join(', ')}) AS h (of, name)
                           WHERE a.attrelid = ('pg_catalog.' || h.of)::regclass AND a.attname = h.name)`
      const of = `'pg_catalog.pg_class'::regclass`
      const added = columns.replace(/\battrelid\b/, `(${of})::oid AS attrelid`)
      return `${real} UNION ALL SELECT ${added} FROM pg_catalog.pg_attribute WHERE attrelid = 'gp_double.filler'::regclass AND attname = 'relstorage'`
    }
    case 'pg_proc':
      return `SELECT ${columns}, prokind = 'a' AS proisagg, prokind = 'w' AS proiswindow FROM pg_catalog.pg_proc`
    default:
      return `SELECT ${columns} FROM pg_catalog.${relation}`
  }
}

/** Says what kind of table it is; the changes of an append-optimised one are counted from then on. */
export async function describeTable(
  database: TestDatabase,
  name: string,
  { storage = 'h', distribution = storage === 'x' ? 'none' : 'hashed', partitioned = false }: DoubleTable,
): Promise<void> {
  const policy = { hashed: `'p'`, random: `'p'`, replicated: `'r'`, none: 'NULL' }[distribution]
  const key = distribution === 'hashed' ? '1' : ''
  await database.sql(
    `INSERT INTO gp_double.tables VALUES ('${name}'::regclass, '${storage}', ${policy}, '${key}'::int2vector, ${partitioned})`,
  )
  if (storage !== 'a' && storage !== 'c') return
  const [row] = await database.sql<{ oid: string }>(`SELECT '${name}'::regclass::oid AS oid`)
  await database.sql(`
    CREATE SEQUENCE gp_double.changes_${row?.oid ?? ''};
    CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON ${name} FOR EACH STATEMENT EXECUTE FUNCTION gp_double.count_change();
    CREATE TRIGGER emptied AFTER TRUNCATE ON ${name} FOR EACH STATEMENT EXECUTE FUNCTION gp_double.count_change();
    GRANT SELECT ON gp_double.changes_${row?.oid ?? ''} TO PUBLIC`)
}
