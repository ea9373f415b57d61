import { describe, expect, test } from 'vitest'
import type { CursorColumn } from '../../src/model/cursor.js'
import { cursorRangeSql, startCondition, versionSql } from '../../src/source/cursor-sql.js'
import { cursorBoundsSql, cursorCountSql } from '../../src/source/cursor-count-sql.js'
import { resolveCursor } from '../../src/source/cursor-field.js'
import { selectSql } from '../../src/source/read-sql.js'
import { DEFAULT_LIMITS } from '../../src/model/thresholds.js'
import { makeColumn, makeStream } from './make-stream.js'

const AT: CursorColumn = {
  name: 'at',
  typeSchema: 'pg_catalog',
  typeName: 'timestamptz',
  kind: 'time',
  nullable: true,
}
const WORD: CursorColumn = { ...AT, name: 'word', typeName: 'text', kind: 'text', nullable: false }
const OTHERS = { nulls: true, lowest: true }
const ALL = { column: AT, from: null, below: null, others: OTHERS }
const QUESTION = { range: ALL, since: null, inFlight: null, lookback: null, notBelow: null }

describe('conditions of a cursor', () => {
  test('quote names and values, and let the server compare', () => {
    expect(startCondition({ ...AT, name: 'a"t' }, "1'; --")).toBe(
      `"a""t" > '1''; --'::"pg_catalog"."timestamptz"`,
    )
    expect(startCondition(WORD, 'x')).toBe(`"word" COLLATE "C" > 'x'::"pg_catalog"."text"`)
  })

  test('are none where everything is read', () => {
    expect(cursorRangeSql(ALL, 180_000)).toBeNull()
  })

  test('reach rows without a place in the order where they are asked for', () => {
    const at = (text: string): string => `'${text}'::"pg_catalog"."timestamptz"`
    expect(
      cursorRangeSql({ ...ALL, from: '1', below: '2', others: { nulls: false, lowest: false } }, 180_000),
    ).toBe(`("at" >= ${at('1')} AND "at" < ${at('2')})`)
    expect(cursorRangeSql({ ...ALL, from: '1' }, 180_000)).toBe(
      `(("at" >= ${at('1')}) OR "at" IS NULL OR "at" = ${at('-infinity')})`,
    )
    expect(cursorRangeSql({ ...ALL, column: WORD, from: '1' }, 180_000)).toBe(
      `("word" COLLATE "C" >= '1'::"pg_catalog"."text")`,
    )
  })
})

describe('statements of a cursor', () => {
  const stream = makeStream({ columns: [makeColumn({ name: 'at' })] })
  const read = {
    stream,
    columns: [],
    where: null,
    withXmin: false,
    limits: DEFAULT_LIMITS,
    rows: { kind: 'cursor', range: ALL, versions: null },
  } as const

  test('read in its order, by the column itself and not by what lands of it', () => {
    expect(selectSql(read, { kind: 'all' })).toContain('FROM "s"."t" ORDER BY "s"."t"."at"')
    const query = { ...read, stream: { ...stream, sql: 'SELECT 1 AS at' } }
    expect(selectSql(query, { kind: 'all' })).toContain(
      'FROM (\nSELECT 1 AS at\n) AS "query" ORDER BY "query"."at"',
    )
    const bounded = { ...read, rows: { ...read.rows, range: { ...ALL, from: '1' } } }
    expect(selectSql(bounded, { kind: 'all' })).toMatch(/ WHERE \(\("at" >= '1'.* ORDER BY /)
  })

  test('look back from the highest value, or from what was under way where that lies below', () => {
    const sql = cursorCountSql(
      stream,
      null,
      null,
      { ...QUESTION, inFlight: '5', lookback: { kind: 'duration', ms: 1000 } },
      180_000,
    )
    expect(sql).toContain(
      `(LEAST(value, '5'::"pg_catalog"."timestamptz") - '1000 milliseconds'::pg_catalog.interval)::"pg_catalog"."timestamptz"`,
    )
    const integer: CursorColumn = { ...AT, typeName: 'int2', kind: 'integer' }
    const amount = {
      ...QUESTION,
      range: { ...ALL, column: integer },
      lookback: { kind: 'amount', amount: '7' } as const,
    }
    expect(cursorCountSql(stream, null, null, amount, 180_000)).toContain(
      `- '7'::pg_catalog.numeric, -32768)`,
    )
    expect(cursorBoundsSql(stream, null, QUESTION, 4, 180_000)).toContain(`'{0.25,0.5,0.75}'`)
  })

  test('never say infinity to a server whose numeric has none, nor a wide hash to one without', () => {
    const numeric: CursorColumn = { ...AT, typeName: 'numeric', kind: 'numeric' }
    const of = (version: number): string =>
      cursorCountSql(stream, null, null, { ...QUESTION, range: { ...ALL, column: numeric } }, version)
    expect(of(130_000)).not.toMatch(/Infinity'::/)
    expect(of(140_000)).toMatch(/Infinity'::/)
    const beside = (version: number): string | null =>
      cursorRangeSql({ ...ALL, column: numeric, from: '1' }, version)
    expect(beside(130_000)).not.toContain('Infinity')
    expect(beside(140_000)).toContain('-Infinity')
    const rule = { upTo: '1', from: '2' }
    expect(versionSql(ALL, rule, [], 90_400)).toContain('pg_catalog.md5(')
    expect(versionSql(ALL, rule, [], 120_000)).toContain('hashtextextended(')
  })
})

describe('a cursor field of a query', () => {
  const columns = ['id', 'changed', 'updated_at'].map((name) => makeColumn({ name, typeName: 'int4' }))
  const resolve = async (sql: string | null, field: string): Promise<string | null> =>
    (await resolveCursor(makeStream({ sql, columns }), { field, start: null }))?.name ?? null

  test('is what its SELECT list makes of it', async () => {
    const renamed = 'SELECT o.id, o.updated_at AS changed, c.updated_at FROM orders o JOIN c ON true'
    expect(await resolve(renamed, 'o.updated_at')).toBe('changed')
    expect(await resolve(renamed, 'c.updated_at')).toBe('updated_at')
    expect(await resolve(renamed, 'updated_at')).toBe('updated_at')
    expect(await resolve('SELECT o.*, c.id FROM orders o JOIN c ON true', 'o.updated_at')).toBe('updated_at')
    expect(await resolve('SELECT * FROM orders o', 'O.Updated_At')).toBe('updated_at')
    expect(await resolve('SELECT o.updated_at FROM a o UNION ALL SELECT 1', 'o.updated_at')).toBe(
      'updated_at',
    )
  })

  test('is nothing where it is not selected', async () => {
    expect(await resolve('SELECT o.id, c.updated_at FROM orders o JOIN c ON true', 'o.updated_at')).toBeNull()
    expect(await resolve('SELECT c.* FROM orders o JOIN c ON true', 'o.updated_at')).toBeNull()
    expect(await resolve('SELECT o.id FROM o', 'o.created')).toBeNull()
  })

  test('of a table may have the name of the table before it', async () => {
    expect(await resolve(null, 't.id')).toBe('id')
    expect(await resolve(null, 's.t.id')).toBe('id')
    expect(await resolve(null, 'x.id')).toBeNull()
  })
})
