/** PostgreSQL's own parser, loaded when the first piece of somebody's SQL has to be looked at. */
import { createRequire } from 'node:module'
import { TrunklineError, type ErrorCode } from '../model/error.js'

/** A node of the parse tree: `{ TypeName: { field: … } }`, lists and scalars below. */
export type SqlNode = { readonly [key: string]: unknown }

export interface SqlStatement {
  readonly node: SqlNode
  /** Its own text, without the semicolon that ends it. */
  readonly text: string
}

/** The statements of a text. @throws `code` with what the parser says, naming `what`. */
export async function parseSql(
  sql: string,
  what: string,
  code: ErrorCode = 'CONFIG_INVALID',
): Promise<readonly SqlStatement[]> {
  if (sql.includes('\0')) throw unparsable(code, what, 'it holds a NUL character')
  // CommonJS: an import() would parse its files for export names first, which takes twice as long as loading it.
  const require = createRequire(import.meta.url)
  const { parse, hasSqlDetails } = require('libpg-query') as typeof import('libpg-query')
  try {
    const { stmts = [] } = await parse(sql)
    // Places are counted in bytes; a length of 0 reaches to the end.
    const bytes = Buffer.from(sql)
    return stmts.map((statement) => {
      const start = statement.stmt_location ?? 0
      const length = statement.stmt_len ?? 0
      const text = bytes.toString('utf8', start, length === 0 ? bytes.length : start + length)
      return { node: isNode(statement.stmt) ? statement.stmt : {}, text }
    })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const position = hasSqlDetails(error)
      ? ` at character ${(error.sqlDetails?.cursorPosition ?? 0) + 1}`
      : ''
    throw unparsable(code, what, `${message}${position}`)
  }
}

/**
 * Calls `visit` with every node below, parents first: the name of its type (`FuncCall`) where the tree has it, else that of the
 * field that can only hold one type (`typeName`, `intoClause`).
 */
export function walkSql(node: unknown, visit: (name: string, fields: SqlNode) => void): void {
  if (Array.isArray(node)) {
    for (const item of node) walkSql(item, visit)
  } else if (isNode(node)) {
    for (const [name, value] of Object.entries(node)) {
      if (isNode(value)) visit(name, value)
      walkSql(value, visit)
    }
  }
}

export function isNode(value: unknown): value is SqlNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The texts of a list of String nodes: a qualified name. A star is `*`. */
export function nameParts(list: unknown): readonly string[] {
  if (!Array.isArray(list)) return []
  return list.map((item: unknown) => {
    if (!isNode(item)) return ''
    if ('A_Star' in item) return '*'
    const text = isNode(item['String']) ? item['String']['sval'] : undefined
    return typeof text === 'string' ? text : ''
  })
}

function unparsable(code: ErrorCode, what: string, why: string): TrunklineError {
  return new TrunklineError(code, `${what} is not valid SQL: ${why}.`, {
    hint: 'It is read by the parser of PostgreSQL 18; run it in psql to see what is meant.',
  })
}
