/** The script that a DBA pastes: a role that can read what is to be copied, and nothing else. */

export interface GrantsInput {
  readonly database: string
  /** Gets the privileges; created where `create`. */
  readonly role: string
  readonly create: boolean
  readonly schemas: readonly string[]
  /** Null: every table of the schemas, those of the future included. */
  readonly tables: readonly { readonly schema: string; readonly table: string }[] | null
}

export function writeGrants({ database, role, create, schemas, tables }: GrantsInput): string {
  const grantee = quoteSqlName(role)
  const lines = [
    `-- What Trunkline needs, and nothing else. Run it as an administrator in the database ${quoteSqlName(database)}.`,
    ...(create
      ? [
          `CREATE ROLE ${grantee} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS CONNECTION LIMIT 8;`,
          `-- Then give it a password that stays out of logs, in psql: \\password ${grantee}`,
        ]
      : []),
    `ALTER ROLE ${grantee} SET default_transaction_read_only = on;`,
    `GRANT CONNECT ON DATABASE ${quoteSqlName(database)} TO ${grantee};`,
  ]
  for (const schema of schemas) lines.push(`GRANT USAGE ON SCHEMA ${quoteSqlName(schema)} TO ${grantee};`)
  if (tables !== null) {
    for (const { schema, table } of tables) {
      lines.push(`GRANT SELECT ON ${quoteSqlName(schema)}.${quoteSqlName(table)} TO ${grantee};`)
    }
  } else {
    for (const schema of schemas) {
      const name = quoteSqlName(schema)
      lines.push(
        `GRANT SELECT ON ALL TABLES IN SCHEMA ${name} TO ${grantee};`,
        `-- Tables made later, by the role that runs this; repeat it FOR ROLE each other owner:`,
        `ALTER DEFAULT PRIVILEGES IN SCHEMA ${name} GRANT SELECT ON TABLES TO ${grantee};`,
      )
    }
  }
  lines.push(
    '-- Optional: lets the report say how old the oldest transaction of other roles is.',
    `-- GRANT pg_read_all_stats TO ${grantee};`,
  )
  return `${lines.join('\n')}\n`
}

/** Control characters and bidirectional marks go as `U&"\\xxxx"`: the script is pasted, and printed before. */
export function quoteSqlName(name: string): string {
  if (/^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name)) return name
  const quoted = name.replaceAll('"', '""')
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  const unprintable = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g
  if (!unprintable.test(name)) return `"${quoted}"`
  const escaped = quoted
    .replaceAll('\\', '\\\\')
    .replaceAll(unprintable, (char) => `\\${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `U&"${escaped}"`
}

/** Reserved words of PostgreSQL that look like names; quoting one too many does no harm. */
const RESERVED = new Set(
  `all analyse analyze and any array as asc asymmetric authorization between binary bit boolean both case cast char character check
  coalesce collate column concurrently constraint create cross current_user dec decimal default deferrable desc distinct do else end
  except exists extract false fetch float for foreign freeze from full grant group grouping having ilike in initially inner inout int
  integer intersect interval into is isnull join lateral leading left like limit localtime national natural nchar none not notnull null
  nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real references returning right
  row select session_user setof similar smallint some substring symmetric table tablesample then time timestamp to trailing treat trim
  true union unique user using values varchar variadic verbose when where window with`.split(/\s+/),
)
