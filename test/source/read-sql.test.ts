import { expect, test } from 'vitest'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import type { SplitRange } from '../../src/model/split-range.js'
import type { Xid8 } from '../../src/model/xid.js'
import { mapColumns } from '../../src/source/column-mapping.js'
import type { RowWindow, StreamRead } from '../../src/source/contract.js'
import { copySql, countSql, selectSql, windowSql } from '../../src/source/read-sql.js'
import { makeColumn, makeStream } from './make-stream.js'
import { TYPE_OPTIONS } from './open-source.js'

const ALL: SplitRange = { kind: 'all' }

const windowOf = (horizon: bigint, xmax: bigint, wholeLeaves: readonly number[] = []): RowWindow => ({
  horizon: horizon as Xid8,
  xmax: xmax as Xid8,
  wholeLeaves,
})

function readOf(read: Partial<StreamRead>): StreamRead {
  const stream = read.stream ?? makeStream()
  return {
    stream,
    columns: mapColumns(stream, TYPE_OPTIONS),
    rows: { kind: 'full' },
    where: null,
    withXmin: false,
    limits: DEFAULT_LIMITS,
    ...read,
  }
}

test('a full read selects the columns from the table with whatever belongs to it', () => {
  expect(copySql(selectSql(readOf({}), ALL))).toBe('COPY (SELECT "c" FROM "s"."t") TO STDOUT (FORMAT binary)')
})

test('names are quoted, and an expression takes the name of its column', () => {
  const stream = makeStream({
    schema: 'S"',
    table: 't;--',
    columns: [makeColumn({ name: 'a"b', typeName: 'inet' })],
  })
  expect(copySql(selectSql(readOf({ stream }), ALL))).toBe(
    `COPY (SELECT CASE WHEN "a""b" IS DISTINCT FROM NULL THEN pg_catalog.format('%s', "a""b") END AS "a""b" FROM "S"""."t;--") TO STDOUT (FORMAT binary)`,
  )
})

test('a condition stands in parentheses of its own, on lines of its own, before the window', () => {
  const sql = selectSql(
    readOf({ where: 'a -- b', rows: { kind: 'since', window: windowOf(100n, 200n) }, withXmin: true }),
    ALL,
  )
  expect(sql).toContain('SELECT "c", xmin AS "_trunkline_xmin" FROM')
  expect(sql).toContain('WHERE (\na -- b\n) AND (pg_catalog.age(xmin)')
})

test('the window is the distance from the horizon modulo 2^32, with a cheap test of the age before it', () => {
  expect(windowSql(windowOf(4294967610n, 4294967700n))).toBe(
    "(pg_catalog.age(xmin) <= (SELECT pg_catalog.age('314'::pg_catalog.xid))" +
      ' AND ((xmin::pg_catalog.text::pg_catalog.int8 - 4294967610) & 4294967295) < 90' +
      ' AND xmin::pg_catalog.text::pg_catalog.int8 >= 3)',
  )
})

test('a window so wide that ages could turn around is tested exactly alone', () => {
  expect(windowSql(windowOf(0n, 2n ** 30n - 1n))).toContain('age(')
  expect(windowSql(windowOf(0n, 2n ** 30n))).not.toContain('age(')
})

test('leaves that joined are read whole', () => {
  expect(windowSql(windowOf(5n, 6n, [16384, 4294967295]))).toMatch(/ OR tableoid IN \(16384, 4294967295\)\)$/)
  expect(() => windowSql(windowOf(5n, 6n, [1.5]))).toThrow('not an oid')
})

test('one pass counts all rows and those of the window', () => {
  expect(countSql(makeStream(), null, null)).toBe(
    'SELECT pg_catalog.count(*)::text AS total, NULL::text AS in_window FROM "s"."t"',
  )
  expect(countSql(makeStream(), 'a', windowOf(1n, 2n))).toMatch(
    /^SELECT pg_catalog\.count\(\*\)::text AS total, pg_catalog\.count\(\*\) FILTER \(WHERE \(.*\)\)::text AS in_window FROM "s"\."t" WHERE \(\na\n\)$/s,
  )
})

test('where no transaction began since the horizon, only all rows are counted', () => {
  expect(countSql(makeStream(), null, windowOf(5n, 5n))).toBe(
    'SELECT pg_catalog.count(*)::text AS total, 0::text AS in_window FROM "s"."t"',
  )
  expect(countSql(makeStream(), null, windowOf(5n, 5n, [7]))).toContain('tableoid IN (7)')
})

test('for workers of the server a short window is a list of the low halves of its transaction ids', () => {
  expect(countSql(makeStream(), null, windowOf(4294967294n, 4294967300n), { parallel: true })).toContain(
    `FILTER (WHERE xmin = ANY ('{4294967294,4294967295,3}'::pg_catalog.xid[]))`,
  )
  expect(countSql(makeStream(), null, windowOf(8n, 9n, [5]), { parallel: true })).toContain(
    `FILTER (WHERE (xmin = ANY ('{8}'::pg_catalog.xid[]) OR tableoid IN (5)))`,
  )
  expect(countSql(makeStream(), null, windowOf(8n, 8n + 4096n), { parallel: true })).toContain('ANY')
  expect(countSql(makeStream(), null, windowOf(8n, 8n + 4097n), { parallel: true })).toContain('age(')
})

test('a query is read from its own text, which a comment at its end cannot leave', () => {
  const stream = makeStream({ kind: 'query', sql: 'SELECT 1 AS c -- done' })
  expect(copySql(selectSql(readOf({ stream }), ALL))).toBe(
    'COPY (SELECT "c" FROM (\nSELECT 1 AS c -- done\n) AS "query") TO STDOUT (FORMAT binary)',
  )
})
