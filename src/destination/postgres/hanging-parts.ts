/** What hangs on a table that would go with it if another took its name: asked of the catalogs of the server. */
import type { Connection } from '../../postgres/connection.js'
import type { MadeParts } from './target-table.js'

/** Versions that brought a part. */
const COMPRESSION_SINCE = 140_000
const SCHEMA_PUBLICATIONS_SINCE = 150_000
const SET_OPTION_SINCE = 160_000

/**
 * Whether a table has anything that `made`, the table that would take its name, would not get: it gets the rows, owner, grants,
 * comments, the primary key and the plain indexes. Both by oid; `before` is what we had made of the first.
 */
export async function hasMoreOnIt(
  connection: Connection,
  present: number,
  made: { readonly oid: number; readonly before: MadeParts | null },
): Promise<boolean> {
  const [row] = await connection.query<{ more: boolean }>(moreSql(connection.serverVersion), [
    present,
    made.oid,
    made.before?.primaryKey ?? null,
    made.before !== null,
  ])
  return row?.more === true
}

/**
 * `parts` are the table and what belongs to it as to any: row type, TOAST table, identity sequences, primary key, NOT NULL, indexes.
 * Whatever else refers to one of them hangs on the table; what does not refer is compared or told one by one.
 */
const moreSql = (version: number): string => `
WITH relations (oid) AS (
  SELECT $1::oid
  UNION ALL
  SELECT d.objid FROM pg_depend d
   WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'i'
), parts (class, oid) AS (
  SELECT 'pg_class'::regclass::oid, oid FROM relations
  UNION ALL
  SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i JOIN relations r ON r.oid = i.indrelid
  UNION ALL
  SELECT 'pg_type'::regclass, unnest(ARRAY[y.oid, y.typarray]) FROM pg_type y JOIN relations r ON r.oid = y.typrelid
  UNION ALL
  SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE k.conrelid = $1 AND k.contype IN ('p', 'n')
)
SELECT c.relrowsecurity OR c.relforcerowsecurity OR c.reloptions IS NOT NULL OR c.relreplident <> 'd' OR c.reltablespace <> 0
       OR c.relpersistence <> 'p' OR c.reloftype <> 0 OR c.relam <> made.relam
       OR EXISTS (SELECT FROM pg_class t WHERE t.oid = c.reltoastrelid AND t.reloptions IS NOT NULL)
       OR EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent))
       OR EXISTS (
         SELECT FROM pg_depend d JOIN parts p ON d.refclassid = p.class AND d.refobjid = p.oid
          WHERE (d.classid, d.objid) NOT IN (SELECT class, oid FROM parts))
       OR EXISTS (
         SELECT FROM pg_depend d JOIN parts p ON d.classid = p.class AND d.objid = p.oid
          WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype IN ('e', 'x'))
       OR EXISTS (
         SELECT FROM pg_description d JOIN parts p ON d.classoid = p.class AND d.objoid = p.oid WHERE d.objoid <> $1)
       OR EXISTS (SELECT FROM pg_seclabel l JOIN parts p ON l.classoid = p.class AND l.objoid = p.oid)
       OR EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid)
       OR ${publishedWithOthers(version)}
       OR ${indexesWithMore}
       OR ${keyOfTheirs}
       OR ${columnsWithMore(version)}
       OR ${sequencesWithMore}
       OR ${rightsWithMore(version)} AS more
  FROM pg_class c, pg_class made
 WHERE c.oid = $1 AND made.oid = $2`

/** Without a key the rows of a published table could not be deleted in place. */
const publishedWithOthers = (version: number): string => {
  const ofSchema = `EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnnspid = c.relnamespace)`
  const published = `EXISTS (SELECT FROM pg_publication b WHERE b.puballtables)${
    version >= SCHEMA_PUBLICATIONS_SINCE ? ` OR ${ofSchema}` : ''
  }`
  return `EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AND (${published})`
}

const indexesWithMore = `EXISTS (
         SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
          WHERE i.indrelid = c.oid
            AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL OR i.indisclustered OR i.indisreplident OR NOT i.indisvalid
                 OR x.reltablespace <> 0 OR i.indisprimary AND x.reloptions IS NOT NULL))`

/** $3: the columns of the one that we made, known where $4 says so. */
const keyOfTheirs = `EXISTS (
         SELECT FROM pg_constraint k
          WHERE k.conrelid = c.oid AND k.contype = 'p'
            AND NOT EXISTS (
              SELECT FROM pg_constraint m
               WHERE m.conrelid = made.oid AND m.contype = 'p' AND pg_get_constraintdef(m.oid) = pg_get_constraintdef(k.oid))
            AND CASE WHEN $4 THEN pg_get_constraintdef(k.oid) IS DISTINCT FROM (
                       SELECT 'PRIMARY KEY (' || string_agg(quote_ident(name), ', ' ORDER BY position) || ')'
                         FROM unnest($3::text[]) WITH ORDINALITY AS n (name, position))
                ELSE NOT EXISTS (SELECT FROM pg_constraint m WHERE m.conrelid = made.oid AND m.contype = 'p') END)`

/** Of those that the new table has, too. */
const columnsWithMore = (version: number): string => `EXISTS (
         SELECT FROM pg_attribute a
           JOIN pg_attribute m ON m.attrelid = made.oid AND m.attname = a.attname AND NOT m.attisdropped
           JOIN pg_type y ON y.oid = a.atttypid
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND (a.attidentity <> '' AND a.attidentity <> m.attidentity OR a.attgenerated <> ''
                 OR a.attstorage <> y.typstorage OR a.attcollation <> y.typcollation
                 OR coalesce(a.attstattarget, -1) >= 0 OR a.attoptions IS NOT NULL
                 ${version >= COMPRESSION_SINCE ? `OR a.attcompression <> ''` : ''}))`

const sequencesWithMore = `EXISTS (
         SELECT FROM pg_attribute a
           JOIN pg_attribute m ON m.attrelid = made.oid AND m.attname = a.attname AND NOT m.attisdropped
           JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                           AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
           JOIN pg_depend e ON e.classid = 'pg_class'::regclass AND e.refclassid = 'pg_class'::regclass
                           AND e.refobjid = made.oid AND e.refobjsubid = m.attnum AND e.deptype = 'i'
           JOIN pg_sequence s ON s.seqrelid = d.objid
           JOIN pg_sequence n ON n.seqrelid = e.objid
           JOIN pg_class sc ON sc.oid = d.objid
           JOIN pg_class nc ON nc.oid = e.objid
          WHERE a.attrelid = c.oid AND a.attnum > 0
            AND (sc.relacl IS DISTINCT FROM nc.relacl
                 OR s.seqtypid = n.seqtypid
                    AND (s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
                        IS DISTINCT FROM (n.seqstart, n.seqincrement, n.seqmax, n.seqmin, n.seqcache, n.seqcycle)))`

/** Rights that others passed on, those that the owner gave up, and an owner that we could not make the new table's. */
const rightsWithMore = (version: number): string => `(
         EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantor <> c.relowner)
         OR EXISTS (
           SELECT FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = c.oid AND x.grantor <> c.relowner)
         OR c.relacl IS NOT NULL AND EXISTS (
           SELECT FROM aclexplode(acldefault('r', c.relowner)) o
            WHERE o.grantee = c.relowner AND NOT EXISTS (
              SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = o.grantee AND x.privilege_type = o.privilege_type))
         OR c.relowner <> made.relowner
            AND NOT (pg_has_role(c.relowner, '${version >= SET_OPTION_SINCE ? 'SET' : 'MEMBER'}')
                     AND has_schema_privilege(c.relowner, c.relnamespace, 'CREATE')))`
