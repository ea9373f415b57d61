/** A stream that is a configured SELECT: checked by PostgreSQL's parser, described by the server, its relations known. */
import type { CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { Connection } from '../postgres/connection.js'
import { greenplumOf } from '../postgres/dialect.js'
import { assembleColumn, type ColumnRow } from './assemble-catalog.js'
import { RESULT_COLUMNS_SQL } from './catalog-sql.js'
import type { NamedQuery } from './contract.js'
import { RESULT_COLUMNS_SQL as GREENPLUM_RESULT_COLUMNS_SQL } from './greenplum/catalog-sql.js'
import type { RelationName } from './lock-streams.js'
import { withReadSettings } from './read-settings.js'
import { isNode, parseSql, walkSql, type SqlNode } from './sql-parser.js'

/** Statements that may stand in a WITH and change something. */
const CHANGING: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])

export interface CheckedQuery {
  /** Without a semicolon at its end. */
  readonly sql: string
  readonly relations: readonly RelationName[]
}

/** @throws CUSTOM_SQL_INVALID unless it is exactly one SELECT that changes, creates and locks nothing. */
export async function checkQuery(name: string, sql: string): Promise<CheckedQuery> {
  const statements = await parseSql(sql, `The query ${name}`, 'CUSTOM_SQL_INVALID')
  const [first] = statements
  if (first === undefined || statements.length > 1) {
    throw invalid(name, `it holds ${statements.length} statements`)
  }
  if (!isNode(first.node['SelectStmt'])) throw invalid(name, 'it is not a SELECT')
  const commonNames = new Set<unknown>()
  const relations: RelationName[] = []
  walkSql(first.node, (type, fields) => {
    if (CHANGING.has(type)) throw invalid(name, 'it changes data in a WITH')
    if (type === 'LockingClause') throw invalid(name, 'it locks rows (FOR UPDATE, FOR SHARE)')
    if (type === 'ParamRef') throw invalid(name, 'it has a parameter ($1)')
    if (type === 'CommonTableExpr') commonNames.add(fields['ctename'])
    if (type === 'intoClause') throw invalid(name, 'it creates a table (INTO)')
    if (type === 'RangeVar') relations.push(relationOf(fields))
  })
  return {
    sql: first.text,
    relations: relations.filter((relation) => relation.schema !== null || !commonNames.has(relation.name)),
  }
}

function relationOf(fields: SqlNode): RelationName {
  const { schemaname, relname } = fields
  return {
    schema: typeof schemaname === 'string' ? schemaname : null,
    name: typeof relname === 'string' ? relname : '',
  }
}

/**
 * The query as a stream, inside a transaction.
 *
 * @throws CUSTOM_SQL_INVALID, also for two columns of one name; what the server says of the query.
 */
export async function describeQuery(
  connection: Connection,
  query: NamedQuery,
  searchPath: readonly string[],
): Promise<CatalogStream> {
  const { sql } = await checkQuery(query.name, query.sql)
  const fields = await withReadSettings(connection, { rowSecurity: false, searchPath }, async () => {
    // Alone, by Parse, which takes one statement: whatever the parser here thinks of it, it cannot be two.
    await connection.query(`PREPARE trunkline_query AS\n${sql}\n`)
    await connection.query('DEALLOCATE trunkline_query')
    return connection.describe(`SELECT * FROM (\n${sql}\n) AS "query" LIMIT 0`)
  }).catch((error: unknown) => {
    throw explain(error, query.name)
  })
  const seen = new Set<string>()
  for (const { name } of fields) {
    if (seen.has(name)) {
      const places = fields.flatMap((field, index) => (field.name === name ? [index + 1] : []))
      throw invalid(
        query.name,
        `columns ${places.join(' and ')} are both named ${JSON.stringify(name)}; give each a name of its own with AS`,
      )
    }
    seen.add(name)
  }
  const typesSql = greenplumOf(connection) === null ? RESULT_COLUMNS_SQL : GREENPLUM_RESULT_COLUMNS_SQL
  const types = await connection.query<Omit<ColumnRow, 'name'>>(typesSql, [
    `{${fields.map((field) => field.typeOid).join(',')}}`,
    `{${fields.map((field) => field.modifier).join(',')}}`,
  ])
  const columns = types.map((type, index) => assembleColumn({ ...type, name: fields[index]?.name ?? '' }))
  return {
    name: query.name,
    ...placeOf(query.name),
    oid: 0,
    kind: 'query',
    oddity: null,
    columns,
    key: declaredKey(query, seen),
    foreignKeys: [],
    indexes: [],
    comment: null,
    estimatedRows: null,
    bytes: 0,
    leaves: [],
    lockCount: 1,
    rowSecurity: false,
    tablePrivilege: true,
    sql,
  }
}

/** `schema.table` lands there, a plain name in the schema of most tables. */
function placeOf(name: string): { readonly schema: string; readonly table: string } {
  const dot = name.indexOf('.')
  return dot <= 0 || dot === name.length - 1
    ? { schema: 'public', table: name }
    : { schema: name.slice(0, dot), table: name.slice(dot + 1) }
}

function declaredKey(query: NamedQuery, columns: ReadonlySet<string>): CatalogStream['key'] {
  if (query.primaryKey === null) return null
  const unknown = query.primaryKey.find((column) => !columns.has(column))
  if (unknown !== undefined || query.primaryKey.length === 0) {
    throw new TrunklineError(
      'CONFIG_INVALID',
      `The query ${query.name} has no column ${unknown ?? ''} for its primary_key.`,
      {
        hint: `Its columns are ${[...columns].join(', ')}.`,
        context: { stream: query.name },
      },
    )
  }
  return { columns: query.primaryKey, from: 'declared', index: null }
}

function explain(error: unknown, name: string): unknown {
  if (!(error instanceof TrunklineError)) return error
  const { sqlstate } = error.context
  const ours = sqlstate?.startsWith('42') === true && sqlstate !== '42501'
  const unqualified = sqlstate === '42P01'
  return new TrunklineError(
    ours ? 'CUSTOM_SQL_INVALID' : error.code,
    `The server does not accept the query ${name}: ${error.message}`,
    {
      ...(unqualified
        ? { hint: 'Write tables as schema.table: names without a schema are looked for in pg_catalog alone.' }
        : error.hint === undefined
          ? {}
          : { hint: error.hint }),
      retry: error.retry,
      context: { ...error.context, stream: name },
      cause: error,
    },
  )
}

function invalid(name: string, why: string): TrunklineError {
  return new TrunklineError('CUSTOM_SQL_INVALID', `The query ${name} is refused: ${why}.`, {
    hint: 'A query is one plain SELECT; what it reads is read in the snapshot of the run.',
    context: { stream: name },
  })
}
