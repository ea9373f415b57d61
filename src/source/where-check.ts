/** A `where` of the configuration: one expression, and for repeated reads one whose result depends on the row alone. */
import type { CatalogStream } from '../model/catalog.js'
import { TrunklineError } from '../model/error.js'
import { isNode, parseSql, type SqlNode } from './sql-parser.js'

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
  const select = statements[0]?.['SelectStmt']
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
