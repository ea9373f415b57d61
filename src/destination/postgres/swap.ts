/**
 * How a new generation takes the place of a table.
 *
 * By name: the present table is dropped and the new one gets its name, its grants and its plain indexes. That costs nothing, but
 * whatever else hangs on the present table would go with it. So where there is anything (views, foreign keys, triggers, policies,
 * publications, …) the table stays and its rows become those of the new generation in place: by key only those that differ, else all
 * of them. Both are one transaction with the checkpoint; in place, readers are never kept waiting, and older snapshots still see the
 * earlier rows. By name, a transaction that looks at the table for the first time in an older snapshot sees the new rows where they
 * were loaded in one go (COPY … FREEZE), and none where the load was saved on its way.
 */
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { TableName } from '../contract.js'
import { type Generation, replaceInPlace } from './replace-in-place.js'
import { quoteTable } from './state-layout.js'
import { executeWithShortWaits, lockExclusively } from './table-lock.js'
import type { PresentTable } from './target-table.js'
import { freeName, readTable } from './target-table.js'

/**
 * Inside the caller's transaction, which holds nothing of the present table yet.
 * @throws LOCK_TIMEOUT
 */
export async function swapIn(
  connection: Connection,
  generation: Generation,
  present: PresentTable | null,
): Promise<void> {
  const { table } = generation.landing
  if (present === null) {
    await moveIn(connection, generation)
    await grantByDefault(connection, table)
    return
  }
  if (present.kind === 'p' || (present.kind === 'r' && (await hasMoreOnIt(connection, present)))) {
    await replaceInPlace(connection, generation, present)
    return
  }
  if (present.kind !== 'r') {
    await executeWithShortWaits(connection, `DROP ${KINDS[present.kind] ?? 'TABLE'} ${quoteTable(table)}`)
    await moveIn(connection, generation)
    return
  }
  const indexes = await copyIndexes(connection, generation, present)
  await lockExclusively(connection, table)
  // Somebody may have been quicker than the lock.
  if (await hasMoreOnIt(connection, present)) {
    await replaceInPlace(connection, generation, present)
    return
  }
  await copyGrants(connection, present, generation)
  await connection.execute(`DROP TABLE ${quoteTable(table)}`)
  await moveIn(connection, generation)
  for (const { made, name } of indexes)
    await rename(connection, 'INDEX', { schema: table.schema, name: made }, name)
}

const KINDS: Readonly<Record<string, string>> = { v: 'VIEW', m: 'MATERIALIZED VIEW', f: 'FOREIGN TABLE' }

/**
 * Whether a table has anything that would not come with its rows, its grants and its plain indexes. Own row type, TOAST table,
 * primary key, NOT NULL constraints and identity are what a new table has, too.
 */
async function hasMoreOnIt(connection: Connection, present: PresentTable): Promise<boolean> {
  const [row] = await connection.query<{ more: boolean }>(MORE_SQL, [present.oid])
  return row?.more === true
}

const MORE_SQL = `
SELECT c.relrowsecurity OR c.relforcerowsecurity OR c.reloptions IS NOT NULL OR c.relreplident <> 'd' OR c.reltablespace <> 0
       OR c.relpersistence <> 'p'
       OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
       OR EXISTS (
         SELECT FROM pg_depend d
          WHERE (d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                 OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (SELECT t.oid FROM pg_type t WHERE t.oid = c.reltype OR t.typelem = c.reltype AND t.typarray = 0))
            AND NOT (d.classid = 'pg_type'::regclass AND EXISTS (
                       SELECT FROM pg_type t WHERE t.oid = d.objid AND (t.oid = c.reltype OR t.typelem = c.reltype)))
            AND NOT (d.classid = 'pg_class'::regclass AND (d.objid = c.reltoastrelid OR EXISTS (
                       SELECT FROM pg_index i WHERE i.indexrelid = d.objid AND i.indexprs IS NULL AND i.indpred IS NULL)))
            AND NOT (d.classid = 'pg_class'::regclass AND d.deptype = 'i' AND EXISTS (
                       SELECT FROM pg_class s WHERE s.oid = d.objid AND s.relkind = 'S'))
            AND NOT (d.classid = 'pg_constraint'::regclass AND EXISTS (
                       SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.conrelid = c.oid AND k.contype IN ('p', 'n')))
       ) AS more
  FROM pg_class c
 WHERE c.oid = $1`

/** The new table gets the name, which is free. */
async function moveIn(connection: Connection, { table, landing }: Generation): Promise<void> {
  const to = landing.table
  await connection.execute(`ALTER TABLE ${quoteTable(table)} SET SCHEMA ${quoteIdent(to.schema)}`)
  await connection.execute(
    `ALTER TABLE ${quoteTable({ schema: to.schema, name: table.name })} RENAME TO ${quoteIdent(to.name)}`,
  )
  await nameParts(connection, table.name, to)
}

/** Its primary key and sequences are called as those of a table that was made under the name. */
async function nameParts(connection: Connection, before: string, { schema, name }: TableName): Promise<void> {
  const parts = await connection.query<{ name: string; kind: string }>(
    `SELECT c.relname::text AS name, c.relkind::text AS kind
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relkind IN ('i', 'S') AND starts_with(c.relname, $2)`,
    [schema, `${before}_`],
  )
  for (const part of parts) {
    const wanted = await freeName(connection, schema, `${name}${part.name.slice(before.length)}`)
    await rename(connection, part.kind === 'S' ? 'SEQUENCE' : 'INDEX', { schema, name: part.name }, wanted)
  }
}

function rename(connection: Connection, kind: string, from: TableName, to: string): Promise<void> {
  return connection.execute(`ALTER ${kind} ${quoteTable(from)} RENAME TO ${quoteIdent(to)}`)
}

interface Grant {
  readonly grantee: string
  readonly privilege: string
  readonly grantable: boolean
  /** Null: of the table. */
  readonly column: string | null
}

const GRANTS_SQL = (acl: string, column: string, from: string): string => `
SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee,
       a.privilege_type AS privilege, a.is_grantable AS grantable, ${column} AS "column"
  FROM ${from}, aclexplode(${acl}) AS a`

/** Owner and grants of the present table, to the columns that there still are. */
async function copyGrants(
  connection: Connection,
  present: PresentTable,
  { table }: Generation,
): Promise<void> {
  const grants = await connection.query<Grant>(
    `${GRANTS_SQL('c.relacl', 'NULL::text', 'pg_class AS c')} WHERE c.oid = $1 AND a.grantee <> c.relowner
     UNION ALL
     ${GRANTS_SQL('c.attacl', 'c.attname::text', 'pg_attribute AS c')} WHERE c.attrelid = $1 AND NOT c.attisdropped
     ORDER BY 1, 2, 4`,
    [present.oid],
  )
  const made = await readTable(connection, table)
  if (made === null) return
  const before = await connection.query<{ grantee: string }>(
    `${GRANTS_SQL('c.relacl', 'NULL::text', 'pg_class AS c')} WHERE c.oid = $1 AND a.grantee <> c.relowner`,
    [made.oid],
  )
  const name = quoteTable(table)
  const revoked = [...new Set(before.map(({ grantee }) => grantee))]
  const statements = [
    ...revoked.map((grantee) => `REVOKE ALL ON ${name} FROM ${grantee}`),
    ...grants
      .filter(({ column }) => column === null || made.columns.has(column))
      .map((grant) => formatGrant(name, grant)),
    ...(made.owner === present.owner ? [] : [`ALTER TABLE ${name} OWNER TO ${quoteIdent(present.owner)}`]),
  ]
  if (statements.length > 0) await connection.execute(statements.join('; '))
}

/** What ALTER DEFAULT PRIVILEGES IN SCHEMA gives to tables that are made where this one was not made. */
async function grantByDefault(connection: Connection, table: TableName): Promise<void> {
  const grants = await connection.query<Grant>(
    `${GRANTS_SQL('d.defaclacl', 'NULL::text', 'pg_default_acl AS d JOIN pg_namespace n ON n.oid = d.defaclnamespace')}
      WHERE d.defaclobjtype = 'r' AND n.nspname = $1 AND d.defaclrole = current_user::regrole AND a.grantee <> d.defaclrole`,
    [table.schema],
  )
  const statements = grants.map((grant) => formatGrant(quoteTable(table), grant))
  if (statements.length > 0) await connection.execute(statements.join('; '))
}

function formatGrant(table: string, { grantee, privilege, grantable, column }: Grant): string {
  const on = column === null ? '' : ` (${quoteIdent(column)})`
  return `GRANT ${privilege}${on} ON ${table} TO ${grantee}${grantable ? ' WITH GRANT OPTION' : ''}`
}

/** Plain indexes of the present table that the new one has no like of. They are built before anybody is kept out. */
async function copyIndexes(
  connection: Connection,
  { table }: Generation,
  present: PresentTable,
): Promise<readonly { readonly made: string; readonly name: string }[]> {
  const wanted = await readIndexes(connection, present.oid)
  const made = await readTable(connection, table)
  if (made === null) return []
  const there = new Set((await readIndexes(connection, made.oid)).map(({ how }) => how))
  const copied: { made: string; name: string }[] = []
  for (const { name, unique, how, columns } of wanted) {
    if (there.has(how) || !columns.every((column) => made.columns.has(column))) continue
    const temporary = `i${copied.length}_${table.name}`
    await connection.execute(
      `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${quoteIdent(temporary)} ON ${quoteTable(table)} USING ${how}`,
    )
    copied.push({ made: temporary, name })
  }
  return copied
}

/** `how`: all that comes after USING, as the server prints it. */
async function readIndexes(
  connection: Connection,
  oid: number,
): Promise<readonly { name: string; unique: boolean; how: string; columns: readonly string[] }[]> {
  const rows = await connection.query<{
    name: string
    unique: boolean
    definition: string
    columns: readonly string[]
  }>(
    `SELECT c.relname::text AS name, i.indisunique AS unique, pg_get_indexdef(i.indexrelid) AS definition,
            (SELECT array_agg(a.attname::text) FROM pg_attribute a
              WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])) AS columns
       FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      WHERE i.indrelid = $1 AND i.indisvalid AND NOT i.indisprimary AND i.indexprs IS NULL AND i.indpred IS NULL
      ORDER BY i.indexrelid`,
    [oid],
  )
  return rows.flatMap(({ definition, ...row }) => {
    const how =
      /^CREATE (?:UNIQUE )?INDEX (?:"(?:[^"]|"")+"|[^\s"]+) ON (?:ONLY )?(?:(?:"(?:[^"]|"")+"|[^\s".]+)\.)?(?:"(?:[^"]|"")+"|[^\s"]+) USING ([^]*)$/.exec(
        definition,
      )?.[1]
    return how === undefined ? [] : [{ ...row, how }]
  })
}
