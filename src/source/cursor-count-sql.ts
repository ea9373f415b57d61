/** Statements that find the position of a cursor, and where the next run has to read from; pure text from checked parts. */
import type { CatalogStream } from '../model/catalog.js'
import type { CursorColumn } from '../model/cursor.js'
import type { Lookback } from '../model/sync-spec.js'
import { quoteIdent, quoteLiteral, quoteQualified } from '../postgres/quote.js'
import type { CursorQuestion, RowWindow } from './contract.js'
import { cursorRangeSql, cursorSql, finiteSql, literalSql } from './cursor-sql.js'
import { fromSql, userWhere, whereSql, windowSql } from './read-sql.js'

function greatestSql(column: CursorColumn, finite: string): string {
  const cursor = cursorSql(column)
  // Its text is ordered as it is; max() of the type itself is of PostgreSQL 18.
  return column.kind === 'uuid'
    ? `(pg_catalog.max(${cursor}::pg_catalog.text COLLATE "C") FILTER (WHERE ${finite}))::pg_catalog.uuid`
    : `pg_catalog.max(${cursor}) FILTER (WHERE ${finite})`
}

/** From where the next run has to read when everything up to `position` is landed. */
function lowSql(position: string, { range, inFlight, lookback, notBelow }: CursorQuestion): string {
  const { column } = range
  const seen = inFlight === null ? position : `LEAST(${position}, ${literalSql(column, inFlight)})`
  const low = lookback === null ? seen : lookBackSql(column, seen, lookback)
  return notBelow === null ? low : `GREATEST(${low}, ${literalSql(column, notBelow)})`
}

/** The least value of each type of integers, which no lookback goes below. */
const LEAST_INTEGERS: Readonly<Record<string, string>> = {
  int2: '-32768',
  int4: '-2147483648',
  int8: '-9223372036854775808',
}

function lookBackSql(column: CursorColumn, position: string, lookback: Lookback): string {
  const type = quoteQualified(column.typeSchema, column.typeName)
  if (lookback.kind === 'duration') {
    return `(${position} - ${quoteLiteral(`${lookback.ms} milliseconds`)}::pg_catalog.interval)::${type}`
  }
  const amount = `${quoteLiteral(lookback.amount)}::pg_catalog.numeric`
  const least = LEAST_INTEGERS[column.typeName]
  if (least === undefined) return `(${position} - ${amount}::${type})`
  return `GREATEST(${position}::pg_catalog.numeric - ${amount}, ${least})::${type}`
}

/**
 * One pass: the rows of the range, those of them in the window, those without a place in the order, the greatest value that has
 * one and where the next run reads from. With a window the value is that of the rows in it, but never below `since`.
 */
export function cursorCountSql(
  stream: CatalogStream,
  where: string | null,
  window: RowWindow | null,
  question: CursorQuestion,
  serverVersion: number,
): string {
  const { range, since } = question
  const { column } = range
  const finite = finiteSql(column, serverVersion)
  const inWindow = window === null ? null : windowSql(window)
  const greatest = greatestSql(column, inWindow === null ? finite : `${finite} AND ${inWindow}`)
  const value = since === null ? greatest : `GREATEST(${greatest}, ${literalSql(column, since)})`
  const counted = `pg_catalog.count(*) FILTER (WHERE`
  return (
    `SELECT total::text, in_window::text, nulls::text, infinite::text, value::text, (${lowSql('value', question)})::text AS low` +
    ` FROM (SELECT pg_catalog.count(*) AS total, ${inWindow === null ? 'NULL::int8' : `${counted} ${inWindow})`} AS in_window,` +
    ` ${counted} ${quoteIdent(column.name)} IS NULL) AS nulls,` +
    ` ${counted} ${quoteIdent(column.name)} IS NOT NULL AND NOT ${finite}) AS infinite,` +
    ` ${collated(column, value)} AS value` +
    ` FROM ${fromSql(stream)}${whereSql([userWhere(where), cursorRangeSql(range, serverVersion)])}) AS counted`
  )
}

function collated({ kind }: CursorColumn, expression: string): string {
  return kind === 'text' ? `(${expression}) COLLATE "C"` : expression
}

/** Values that divide the rows of the range into `parts` of about equal size, each with its low as of then. */
export function cursorBoundsSql(
  stream: CatalogStream,
  where: string | null,
  question: CursorQuestion,
  parts: number,
  serverVersion: number,
): string {
  const { range } = question
  const { column } = range
  const shares = Array.from({ length: parts - 1 }, (_, index) => (index + 1) / parts)
  const order = cursorSql(column)
  return (
    `SELECT at::text AS at, (${lowSql('at', question)})::text AS low FROM (SELECT DISTINCT ${collated(column, 'bound')} AS at FROM` +
    ` (SELECT pg_catalog.unnest(pg_catalog.percentile_disc('{${shares.join(',')}}'::pg_catalog.float8[])` +
    ` WITHIN GROUP (ORDER BY ${order})) AS bound FROM ${fromSql(stream)}` +
    `${whereSql([userWhere(where), cursorRangeSql(range, serverVersion), finiteSql(column, serverVersion)])}) AS bounds) AS places ORDER BY places.at`
  )
}
