/** Which column a configured cursor field means, also where a query's own SELECT gives it another name. */
import type { CatalogStream } from '../model/catalog.js'
import { toCursorColumn } from '../model/cursor.js'
import type { ResolvedCursor } from './contract.js'
import { startCondition } from './cursor-sql.js'
import { isNode, nameParts, parseSql, type SqlNode } from './sql-parser.js'

export async function resolveCursor(
  stream: CatalogStream,
  { field, start }: { readonly field: string; readonly start: string | null },
): Promise<ResolvedCursor | null> {
  const name = await resolveCursorField(stream, field)
  const found = stream.columns.find((column) => column.name === name)
  if (name === null || found === undefined) return null
  const column = toCursorColumn(found)
  return { name, afterStart: start === null || column === null ? null : startCondition(column, start) }
}

/**
 * `updated_at` is the column of that name. `o.updated_at` is what a query's SELECT list makes of it: `o.updated_at AS changed`
 * is `changed`; `o.*` and `*` leave its name. Of a table it may be qualified with the table's name. Null where nothing fits.
 */
async function resolveCursorField(stream: CatalogStream, field: string): Promise<string | null> {
  const has = (name: string): boolean => stream.columns.some((column) => column.name === name)
  if (has(field)) return field
  const parts = splitName(field)
  const name = parts.at(-1)
  if (name === undefined) return null
  if (stream.sql === null) {
    const qualifier = parts.slice(0, -1)
    const own = [stream.schema, stream.table].slice(2 - qualifier.length)
    return qualifier.length <= 2 && own.join('.') === qualifier.join('.') && has(name) ? name : null
  }
  const [statement] = await parseSql(stream.sql, `The query ${stream.name}`, 'CUSTOM_SQL_INVALID')
  const found = statement === undefined ? null : findTarget(statement.node['SelectStmt'], parts)
  return found !== null && has(found) ? found : null
}

/** Of a UNION the first SELECT names the columns. */
function findTarget(select: unknown, wanted: readonly string[]): string | null {
  if (!isNode(select)) return null
  if (isNode(select['larg'])) return findTarget(select['larg'], wanted)
  const targets = Array.isArray(select['targetList']) ? (select['targetList'] as readonly SqlNode[]) : []
  let byStar: string | null = null
  for (const target of targets) {
    const entry = target['ResTarget']
    const value = isNode(entry) ? entry['val'] : undefined
    const reference = isNode(value) ? value['ColumnRef'] : undefined
    if (!isNode(entry) || !isNode(reference)) continue
    const parts = nameParts(reference['fields'])
    const name = wanted.at(-1) ?? ''
    if (parts.at(-1) === '*') {
      if (parts.length === 1 || endsAlike(parts.slice(0, -1), wanted.slice(0, -1))) byStar = name
    } else if (parts.at(-1) === name && endsAlike(parts.slice(0, -1), wanted.slice(0, -1))) {
      return typeof entry['name'] === 'string' ? entry['name'] : name
    }
  }
  return byStar
}

/** `orders` and `public.orders` may be the same table; without a qualifier anything is. */
function endsAlike(one: readonly string[], other: readonly string[]): boolean {
  const length = Math.min(one.length, other.length)
  return length === 0 || one.slice(-length).join('.') === other.slice(-length).join('.')
}

/** As SQL folds and quotes names. */
function splitName(field: string): readonly string[] {
  const parts = field.match(/"(?:[^"]|"")*"|[^".]+/g) ?? []
  return parts.map((part) =>
    part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.trim().toLowerCase(),
  )
}
