/**
 * Conditions of a read by cursor; pure text from checked parts.
 *
 * Positions come as text that a server gave, and go back as quoted literals cast to the column's type.
 *
 * Values that are no place in an order do not move a position: NULL, and what lies beyond every other value (infinities, NaN). The
 * greatest of them lie above every bound and come with each read; NULL and minus infinity are asked for by name.
 */
import type { CursorColumn } from '../model/cursor.js'
import { unreachable } from '../model/column-type.js'
import { quoteIdent, quoteLiteral, quoteQualified } from '../postgres/quote.js'
import { VERSION_FIELD, type CursorRange, type ReadColumn, type VersionRule } from './contract.js'

/** numeric has infinities from here on. */
const FIRST_WITH_NUMERIC_INFINITY = 140_000
/** hashtextextended; before, md5 has to do. */
const FIRST_WITH_WIDE_HASH = 110_000

/** The column as it is compared. Text by its bytes: a collation can change with the server's libraries, and then loses rows. */
export function cursorSql({ name, kind }: CursorColumn): string {
  return kind === 'text' ? `${quoteIdent(name)} COLLATE "C"` : quoteIdent(name)
}

export function literalSql(column: CursorColumn, value: string): string {
  return `${quoteLiteral(value)}::${quoteQualified(column.typeSchema, column.typeName)}`
}

/** `"at" > '…'::timestamptz`: which rows a configured start leaves, in every run alike. */
export function startCondition(column: CursorColumn, start: string): string {
  return `${cursorSql(column)} > ${literalSql(column, start)}`
}

/** Null: all rows. */
export function cursorRangeSql(
  { column, from, below, others }: CursorRange,
  serverVersion: number,
): string | null {
  const cursor = cursorSql(column)
  const bounds = [
    ...(from === null ? [] : [`${cursor} >= ${literalSql(column, from)}`]),
    ...(below === null ? [] : [`${cursor} < ${literalSql(column, below)}`]),
  ]
  if (bounds.length === 0) return null
  const lowest = lowestSql(column, serverVersion)
  const beside = [
    ...(others.nulls && column.nullable ? [`${quoteIdent(column.name)} IS NULL`] : []),
    ...(others.lowest && lowest !== null ? [lowest] : []),
  ]
  const within = bounds.join(' AND ')
  return beside.length === 0 ? `(${within})` : `((${within}) OR ${beside.join(' OR ')})`
}

/** Rows at minus infinity; null where the type has none. */
function lowestSql(column: CursorColumn, serverVersion: number): string | null {
  const name = quoteIdent(column.name)
  switch (column.kind) {
    case 'time':
    case 'day':
      return `${name} = ${literalSql(column, '-infinity')}`
    case 'float':
      return `${name} = ${literalSql(column, '-Infinity')}`
    case 'numeric':
      return serverVersion < FIRST_WITH_NUMERIC_INFINITY
        ? null
        : `${name} = ${literalSql(column, '-Infinity')}`
    case 'integer':
    case 'text':
    case 'uuid':
      return null
    default:
      return unreachable(column.kind)
  }
}

/** True for a value that is a place in the order. */
export function finiteSql(column: CursorColumn, serverVersion: number): string {
  const name = quoteIdent(column.name)
  const between = (low: string, high: string): string =>
    `(${name} > ${literalSql(column, low)} AND ${name} < ${literalSql(column, high)})`
  switch (column.kind) {
    case 'time':
    case 'day':
      return between('-infinity', 'infinity')
    case 'float':
      return between('-Infinity', 'Infinity')
    case 'numeric':
      return serverVersion < FIRST_WITH_NUMERIC_INFINITY
        ? `(${name} < ${literalSql(column, 'NaN')})`
        : between('-Infinity', 'Infinity')
    case 'integer':
    case 'text':
    case 'uuid':
      return `(${name} IS NOT NULL)`
    default:
      return unreachable(column.kind)
  }
}

/**
 * What tells versions of a row apart by their content, where a run may have landed it before or may meet it again; NULL for all
 * others. 64 bits.
 */
export function versionSql(
  { column }: CursorRange,
  rule: VersionRule,
  columns: readonly ReadColumn[],
  serverVersion: number,
): string {
  const cursor = cursorSql(column)
  const row = `(ROW(${columns.map((each) => each.expression).join(', ')})::pg_catalog.text COLLATE "C")`
  const hash =
    serverVersion >= FIRST_WITH_WIDE_HASH
      ? `pg_catalog.hashtextextended(${row}, 0)`
      : `('x' || pg_catalog.substr(pg_catalog.md5(${row}), 1, 16))::pg_catalog.bit(64)::pg_catalog.int8`
  const again = rule.from === null ? 'TRUE' : `${cursor} >= ${literalSql(column, rule.from)}`
  const before = rule.upTo === null ? [] : [`${cursor} <= ${literalSql(column, rule.upTo)}`]
  const lowest = lowestSql(column, serverVersion)
  const cases = [again, ...before, `${quoteIdent(column.name)} IS NULL`, ...(lowest === null ? [] : [lowest])]
  return `CASE WHEN ${cases.join(' OR ')} THEN ${hash} END AS ${quoteIdent(VERSION_FIELD)}`
}
