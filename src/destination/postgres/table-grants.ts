/** Who owns a table and who may do what with it: read of one, given to another. */
import type { Connection } from '../../postgres/connection.js'
import { quoteIdent } from '../../postgres/quote.js'
import type { TableName } from '../contract.js'
import { quoteTable } from './state-layout.js'
import type { PresentTable } from './target-table.js'
import { readTable } from './target-table.js'

export interface Grant {
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

/** Those of others than the owner, of columns too. */
export function readGrants(connection: Connection, oid: number): Promise<readonly Grant[]> {
  return connection.query<Grant>(
    `${GRANTS_SQL('c.relacl', 'NULL::text', 'pg_class AS c')} WHERE c.oid = $1 AND a.grantee <> c.relowner
     UNION ALL
     ${GRANTS_SQL('c.attacl', 'c.attname::text', 'pg_attribute AS c')} WHERE c.attrelid = $1 AND NOT c.attisdropped
     ORDER BY 1, 2, 4`,
    [oid],
  )
}

/** The table gets the owner and exactly the grants of the one before, of the columns that there still are. */
export async function passOn(
  connection: Connection,
  table: TableName,
  { before, grants }: { readonly before: PresentTable; readonly grants: readonly Grant[] },
): Promise<void> {
  const name = quoteTable(table)
  const made = await readTable(connection, table)
  if (made === null) return
  if (made.owner !== before.owner) {
    // First: what is granted to the role that makes tables would become the owner's.
    await connection.execute(`ALTER TABLE ${name} OWNER TO ${quoteIdent(before.owner)}`)
  }
  // By default, from ALTER DEFAULT PRIVILEGES.
  const given = new Set((await readGrants(connection, made.oid)).map(({ grantee }) => grantee))
  const statements = [
    ...[...given].map((grantee) => `REVOKE ALL ON ${name} FROM ${grantee}`),
    ...grants
      .filter(({ column }) => column === null || made.columns.has(column))
      .map((grant) => formatGrant(name, grant)),
  ]
  if (statements.length > 0) await connection.execute(statements.join('; '))
}

/** What ALTER DEFAULT PRIVILEGES IN SCHEMA gives to tables that are made where this one was not made. */
export async function grantByDefault(connection: Connection, table: TableName): Promise<void> {
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
