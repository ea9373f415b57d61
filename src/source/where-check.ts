/** A `where` of the configuration: one expression, and for repeated reads one whose result depends on the row alone. */
import type { CatalogColumn, CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import type { Connection } from '../postgres/connection.js'
import { withReadSettings } from './read-settings.js'
import { fromSql } from './read-sql.js'
import { isNode, nameParts, parseSql, walkSql, type SqlNode } from './sql-parser.js'

/** Parsed once; configurations have few. */
const accepted = new Map<string, SqlNode>()
const MAX_ACCEPTED = 1000

/**
 * Makes sure that the text is one expression and nothing that could close the parentheses it is put into.
 *
 * @throws CONFIG_INVALID
 */
export async function assertCondition(stream: CatalogStream, where: string): Promise<void> {
  await parseCondition(stream, where)
}

/** The expression's parse tree. */
export async function parseCondition(stream: CatalogStream, where: string): Promise<SqlNode> {
  const known = accepted.get(where)
  if (known !== undefined) return known
  // Alone, without parentheses around it: what parses here cannot end any.
  const statements = await parseSql(`SELECT\n${where}\n`, `The condition of ${stream.name}`)
  const select = statements[0]?.node['SelectStmt']
  const expression = statements.length === 1 && isNode(select) ? soleExpression(select) : null
  if (expression === null) throw notACondition(stream)
  if (accepted.size >= MAX_ACCEPTED) accepted.clear()
  accepted.set(where, expression)
  return expression
}

/** The one target of a SELECT that has nothing else. */
function soleExpression(select: SqlNode): SqlNode | null {
  const { targetList, limitOption, op, ...others } = select
  if (limitOption !== 'LIMIT_OPTION_DEFAULT' || op !== 'SETOP_NONE' || Object.keys(others).length > 0)
    return null
  if (!Array.isArray(targetList) || targetList.length !== 1) return null
  const target: unknown = (targetList[0] as SqlNode)['ResTarget']
  if (!isNode(target) || target['name'] !== undefined || !isNode(target['val'])) return null
  return target['val']
}

function notACondition(stream: CatalogStream): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `The condition of ${stream.name} is not one SQL expression.`, {
    hint: "Write what would stand after WHERE, as in: where: created_at >= '2024-01-01'",
    context: { stream: stream.name },
  })
}

export interface ConditionRules {
  /** Its result must be the same at every read of the same row. */
  readonly stable: boolean
  readonly searchPath: readonly string[]
}

/** Asks the server, too. Inside a transaction. @throws CONFIG_INVALID, PERMISSION_DENIED */
export async function checkCondition(
  connection: Connection,
  stream: CatalogStream,
  where: string,
  rules: ConditionRules,
): Promise<void> {
  const expression = await parseCondition(stream, where)
  if (rules.stable) {
    const calls = assertOwnColumns(stream, expression)
    await assertStableCalls(connection, stream, calls)
  }
  try {
    await withReadSettings(connection, { rowSecurity: false, searchPath: rules.searchPath }, () =>
      connection.query(`EXPLAIN SELECT 1 FROM ${fromSql(stream)} WHERE (\n${where}\n)`),
    )
  } catch (error) {
    if (!(error instanceof TrunklineError) || !/^(42|22)/.test(error.context.sqlstate ?? '')) throw error
    if (error.code === 'PERMISSION_DENIED') throw error
    throw refuse(stream, `the server says: ${error.message}`)
  }
}

interface Call {
  readonly schema: string
  readonly name: string
  readonly arguments: number
}

/** Nodes whose value depends on more than the row. */
const FOREIGN_NODES: Readonly<Record<string, string>> = {
  SubLink: 'it has a subquery',
  SQLValueFunction: 'it depends on the time or on the user',
  ParamRef: 'it has a parameter ($1)',
  CurrentOfExpr: 'it names a cursor',
  GroupingFunc: 'it groups rows',
}
const TIME_TYPES = /^(date|time|timetz|timestamp|timestamptz|interval)$/
/** Texts that the server reads as the time of the run when it makes a date or a time of them. */
const MOVING_TEXT = /^\s*(now|today|tomorrow|yesterday)\b/i

/** The function calls of the expression, which the server has to be asked about. */
function assertOwnColumns(stream: CatalogStream, expression: SqlNode): readonly Call[] {
  const calls: Call[] = []
  const found = { time: false, movingText: false }
  walkSql(expression, (type, fields) => {
    const why = FOREIGN_NODES[type]
    if (why !== undefined) throw refuse(stream, why)
    if (type === 'ColumnRef') {
      const column = ownColumn(stream, nameParts(fields['fields']))
      found.time ||= TIME_TYPES.test(column.typeName)
    }
    if (type === 'typeName') {
      const name = nameParts(fields['names']).at(-1) ?? ''
      if (/^reg/.test(name)) throw refuse(stream, `it looks up a ${name} by its name`)
      found.time ||= TIME_TYPES.test(name)
    }
    if (type === 'A_Const' && isNode(fields['sval'])) {
      const text = fields['sval']['sval']
      found.movingText ||= typeof text === 'string' && MOVING_TEXT.test(text)
    }
    if (type === 'FuncCall' && !isSyntax(fields)) calls.push(callOf(stream, fields))
  })
  if (found.time && found.movingText) throw refuse(stream, "it depends on the time ('now', 'today')")
  return calls
}

function ownColumn(stream: CatalogStream, parts: readonly string[]): CatalogColumn {
  const name = parts.at(-1) ?? ''
  const column = stream.columns.find((candidate) => candidate.name === name)
  const qualified = [stream.schema, stream.table].slice(3 - parts.length).concat(name)
  if (column === undefined || parts.length > 3 || qualified.join('\0') !== parts.join('\0')) {
    throw refuse(stream, `${parts.join('.')} is not a column of it`)
  }
  return column
}

/** `EXTRACT(day FROM at)` and its kind: the server calls functions for them whose names differ between versions. */
function isSyntax(fields: SqlNode): boolean {
  const name = nameParts(fields['funcname']).at(-1) ?? ''
  return fields['funcformat'] === 'COERCE_SQL_SYNTAX' && SYNTAX.has(name)
}

const SYNTAX: ReadonlySet<string> = new Set(
  'btrim extract is_normalized ltrim normalize overlaps overlay position rtrim similar_to_escape substring timezone'.split(
    ' ',
  ),
)

function callOf(stream: CatalogStream, fields: SqlNode): Call {
  const parts = nameParts(fields['funcname'])
  const name = parts.at(-1) ?? ''
  const aggregate = ['over', 'agg_star', 'agg_order', 'agg_filter', 'agg_distinct'].some(
    (field) => fields[field] !== undefined,
  )
  if (aggregate || parts.length > 2) throw refuse(stream, `${parts.join('.')} looks at more than one row`)
  const schema = parts.length === 2 ? (parts[0] ?? '') : 'pg_catalog'
  return { schema, name, arguments: Array.isArray(fields['args']) ? fields['args'].length : 0 }
}

/**
 * Functions of pg_catalog that are marked stable only because of session settings (time zone, date style), which are the same
 * for every read of ours.
 */
const SETTLED: ReadonlySet<string> = new Set(
  (
    'array_to_string concat concat_ws date date_bin date_part date_trunc extract format json_build_array json_build_object ' +
    'jsonb_build_array jsonb_build_object make_timestamptz text timetz timestamp timestamptz timezone to_char to_date ' +
    'to_json to_jsonb to_number to_timestamp'
  ).split(' '),
)

/** Greenplum 6 has the catalog of 9.4. */
const FIRST_WITH_FUNCTION_KINDS = 110_000

async function assertStableCalls(
  connection: Connection,
  stream: CatalogStream,
  calls: readonly Call[],
): Promise<void> {
  const kind =
    connection.serverVersion >= FIRST_WITH_FUNCTION_KINDS
      ? 'p.prokind::text'
      : `CASE WHEN p.proisagg OR p.proiswindow THEN 'a' ELSE 'f' END`
  for (const call of calls) {
    const printed = call.schema === 'pg_catalog' ? call.name : `${call.schema}.${call.name}`
    // Of the overloads those that take as many arguments; variadic ones and defaults take others, too.
    const found = await connection.query<{ volatility: string; kind: string }>(
      `SELECT DISTINCT p.provolatile::text AS volatility, ${kind} AS kind
         FROM pg_catalog.pg_proc p
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = $1 AND p.proname = $2
          AND (p.pronargs = $3::int OR p.provariadic <> 0 OR (p.pronargs > $3::int AND p.pronargs - p.pronargdefaults <= $3::int))`,
      [call.schema, call.name, String(call.arguments)],
    )
    if (found.length === 0)
      throw refuse(stream, `there is no function ${printed} with ${call.arguments} arguments`)
    if (found.some(({ kind }) => kind !== 'f')) throw refuse(stream, `${printed} looks at more than one row`)
    const settled = call.schema === 'pg_catalog' && SETTLED.has(call.name)
    const stable = found.every(({ volatility }) => volatility === 'i' || (volatility === 's' && settled))
    if (!stable) throw refuse(stream, `${printed} is not immutable`)
  }
}

function refuse(stream: CatalogStream, why: string): TrunklineError {
  return new TrunklineError('CONFIG_INVALID', `The condition of ${stream.name} is refused: ${why}.`, {
    hint: 'Use columns of the table and functions whose result never changes; with mode full_refresh a condition may be anything.',
    context: { stream: stream.name },
  })
}
