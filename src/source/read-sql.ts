/** The statements that count and read a stream; pure text from checked parts. */
import { XMIN_FIELD, type ReadColumn, type RowWindow, type StreamRead } from './contract.js'
import type { CatalogStream } from '../model/catalog.js'
import { formatXid8, xidWindow } from '../model/xid.js'
import { unreachable } from '../model/column-type.js'
import type { CursorColumn } from '../model/cursor.js'
import type { SplitRange } from '../model/split-range.js'
import { cursorRangeSql, cursorSql, versionSql } from './cursor-sql.js'
import { quoteIdent, quoteLiteral, quoteQualified } from '../postgres/quote.js'

/** What a configured SELECT is called in ours. */
const QUERY = 'query'

const LOW_32_BITS = 4_294_967_295n
/** Ids below are not of transactions. */
const FIRST_NORMAL_XID = 3n
/**
 * Below this many transactions the cheap test of a row's age stands before the exact one. It compares ages as of the next
 * transaction id, which moves on while a snapshot is read; half of the range leaves it as many again before ages turn around.
 */
const MAX_AGE_TEST_WINDOW = 2n ** 30n

/**
 * True for row versions written by transactions in [horizon, xmax), and for all rows of the whole leaves.
 *
 * A row carries the low 32 bits of its transaction id. Its distance from the horizon modulo 2³² is below the width of the
 * window exactly when it lies in it, also across a wraparound; ids below 3 are not of transactions. A row older by a
 * multiple of 2³² is taken as well: read once more, never lost. The server keeps the id when it freezes a row.
 */
export function windowSql(window: RowWindow): string {
  const width = xidWindow(window.horizon, window.xmax)
  const horizon = formatXid8(window.horizon)
  const exact =
    `((xmin::pg_catalog.text::pg_catalog.int8 - ${horizon}) & ${LOW_32_BITS}) < ${width}` +
    ' AND xmin::pg_catalog.text::pg_catalog.int8 >= 3'
  const low = (window.horizon & LOW_32_BITS).toString()
  const tested =
    width < MAX_AGE_TEST_WINDOW
      ? `pg_catalog.age(xmin) <= (SELECT pg_catalog.age('${low}'::pg_catalog.xid)) AND ${exact}`
      : exact
  if (window.wholeLeaves.length === 0) return `(${tested})`
  return `((${tested}) OR ${leavesSql(window)})`
}

function leavesSql({ wholeLeaves }: RowWindow): string {
  return `tableoid IN (${wholeLeaves.map(formatOid).join(', ')})`
}

/** Longest window whose transactions are listed one by one. */
const MAX_LISTED_WINDOW = 4096n

export interface CountForm {
  /** The server may use workers: age() keeps a query from having any, so that short windows are lists of transactions. */
  readonly parallel: boolean
}

/**
 * One pass, in which nothing is cheaper than count(*) alone: where no transaction began since the horizon, that is all.
 *
 * Processor seconds of the server for 10 M rows, PostgreSQL 18, the least of five: count(*) 0.29; with the window as a filter
 * 0.72; with a list of 20 to 5,000 transactions 0.65 to 0.69, which two processes can share. A pass for each count comes to
 * the same 0.7 and reads the table twice.
 */
export function countSql(
  stream: CatalogStream,
  where: string | null,
  window: RowWindow | null,
  form: CountForm = { parallel: false },
): string {
  const inWindow = window === null ? 'NULL' : countInWindowSql(window, form)
  return `SELECT pg_catalog.count(*)::text AS total, ${inWindow}::text AS in_window FROM ${fromSql(stream)}${whereSql([userWhere(where)])}`
}

function countInWindowSql(window: RowWindow, form: CountForm): string {
  const width = xidWindow(window.horizon, window.xmax)
  if (width === 0n && window.wholeLeaves.length === 0) return '0'
  const selected =
    form.parallel && width <= MAX_LISTED_WINDOW ? listedWindowSql(window, width) : windowSql(window)
  return `pg_catalog.count(*) FILTER (WHERE ${selected})`
}

/** Says the same as {@link windowSql}. */
function listedWindowSql(window: RowWindow, width: bigint): string {
  const xids: bigint[] = []
  for (let offset = 0n; offset < width; offset++) {
    const low = (window.horizon + offset) & LOW_32_BITS
    if (low >= FIRST_NORMAL_XID) xids.push(low)
  }
  const listed = `xmin = ANY ('{${xids.join(',')}}'::pg_catalog.xid[])`
  return window.wholeLeaves.length === 0 ? listed : `(${listed} OR ${leavesSql(window)})`
}

export function copySql(selectSql: string): string {
  return `COPY (${selectSql}) TO STDOUT (FORMAT binary)`
}

/** The rows of the range that `read` asks for. */
export function selectSql(read: StreamRead, range: SplitRange, serverVersion = 0): string {
  const columns = read.columns.map(read.undecoded === true ? ownFormSql : columnSql)
  if (read.withXmin) columns.push(`xmin AS ${quoteIdent(XMIN_FIELD)}`)
  const { rows } = read
  const byCursor = rows.kind === 'cursor' ? rows : null
  if (byCursor !== null && byCursor.versions !== null) {
    columns.push(versionSql(byCursor.range, byCursor.versions, read.columns, serverVersion))
  }
  const conditions = [
    rangeSql(read.stream, range),
    userWhere(read.where),
    rows.kind === 'since' ? windowSql(rows.window) : null,
    byCursor === null ? null : cursorRangeSql(byCursor.range, serverVersion),
  ]
  const order = byCursor === null ? '' : orderSql(read.stream, byCursor.range.column)
  return `SELECT ${columns.join(', ')} FROM ${fromSql(read.stream)}${whereSql(conditions)}${order}`
}

/** Qualified: a bare name would mean what the SELECT makes of the column, which can be its text. */
function orderSql(stream: CatalogStream, column: CursorColumn): string {
  const rows = stream.sql === null ? quoteQualified(stream.schema, stream.table) : quoteIdent(QUERY)
  return ` ORDER BY ${rows}.${cursorSql(column)}`
}

/**
 * Literals, so that the planner sees how much it is. Each of two neighbours has the bound on its side, and a row that has
 * neither NULL nor its match there is on exactly one of them, by the order that the type itself has at the server.
 */
function rangeSql(stream: CatalogStream, range: SplitRange): string | null {
  switch (range.kind) {
    case 'all':
      return null
    case 'blocks': {
      const to = range.to === null ? [] : [`ctid < ${tidSql(range.to)}`]
      return [`ctid >= ${tidSql(range.from)}`, ...to].join(' AND ')
    }
    case 'segment':
      // A literal: only then a single segment works.
      return `gp_segment_id = ${formatOid(range.segment)}`
    case 'keys': {
      const key = `(${range.columns.map(quoteIdent).join(', ')})`
      const literals = (values: readonly string[]): string =>
        `(${range.columns.map((name, index) => keyLiteral(stream, name, values[index])).join(', ')})`
      const from = range.from === null ? [] : [`${key} >= ${literals(range.from)}`]
      const to = range.to === null ? [] : [`${key} < ${literals(range.to)}`]
      const bounds = [...from, ...to]
      return bounds.length === 0 ? null : bounds.join(' AND ')
    }
    default:
      return unreachable(range)
  }
}

/** The place before the first row of a block. */
function tidSql(block: number): string {
  if (!Number.isInteger(block) || block < 0 || block > 0xffff_fffe)
    throw new Error(`not a block number: ${block}`)
  return `'(${block},0)'::pg_catalog.tid`
}

function keyLiteral(stream: CatalogStream, name: string, value: string | undefined): string {
  const column = stream.columns.find((candidate) => candidate.name === name)
  if (column === undefined || value === undefined) throw new Error(`not a key of ${stream.name}: ${name}`)
  return `${quoteLiteral(value)}::${quoteQualified(column.typeSchema, column.typeName)}`
}

/**
 * Never ONLY: a partitioned table has no rows of its own, and a child that a table gained must not go unread.
 * A line break ends a comment that a query might end with.
 */
export function fromSql(stream: CatalogStream): string {
  if (stream.sql !== null) return `(\n${stream.sql}\n) AS ${quoteIdent(QUERY)}`
  return quoteQualified(stream.schema, stream.table)
}

/** In the binary form of its own type. */
function ownFormSql(column: ReadColumn): string {
  return quoteIdent(column.source)
}

function columnSql(column: ReadColumn): string {
  const name = quoteIdent(column.source)
  return column.expression === name ? name : `${column.expression} AS ${name}`
}

export function userWhere(where: string | null): string | null {
  return where === null ? null : `(\n${where}\n)`
}

export function whereSql(conditions: readonly (string | null)[]): string {
  const present = conditions.filter((condition) => condition !== null)
  return present.length === 0 ? '' : ` WHERE ${present.join(' AND ')}`
}

function formatOid(oid: number): string {
  if (!Number.isInteger(oid) || oid < 0 || oid > 0xffff_ffff) throw new Error(`not an oid: ${oid}`)
  return String(oid)
}
