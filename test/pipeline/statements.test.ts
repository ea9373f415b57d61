import { describe, expect, test } from 'vitest'
import { compileText, errorOf, loadOf, ORDERS, problemsOf } from './compile-text.js'

describe('a source', () => {
  test('takes JSON with comments, commas at the end and strings over several lines', () => {
    const pipeline = compileText(`
      source orders type postgres params {
        "host": "db.example",          -- the primary
        "database": "shop", /* not "old" */
        'username': 'reader',
        "query": "SELECT 1 -- this stays
          FROM orders",
      };
      LOAD copy FROM orders;`)
    const [source] = pipeline.sources
    expect(source?.options).toMatchObject({ host: 'db.example', dbname: 'shop', user: 'reader' })
    expect(source?.reads).toEqual({
      kind: 'query',
      sql: 'SELECT 1 -- this stays\n          FROM orders',
    })
  })

  test('needs a key only once', () => {
    expect(problemsOf('SOURCE a TYPE POSTGRES PARAMS {"host": "a", "host": "b"};')).toEqual([
      '1:45 The key "host" stands here twice.',
    ])
  })

  test.each([
    ['SOURCE a;', '1:9 Expected TYPE or FROM after the name of the source'],
    ['SOURCE a TYPE POSTGRES;', "1:23 Expected 'PARAMS' after connector type at line 1."],
    ['SOURCE a TYPE POSTGRES PARAMS {"host": "h"', "1:43 Expected ',' or '}' after the value"],
    ['SOURCE a TYPE POSTGRES PARAMS {"host" "h"};', "1:38 Expected ':' after the key"],
    ['SOURCE a TYPE POSTGRES PARAMS {host: "h"};', '1:32 Expected a key in quotes'],
    ['SOURCE a TYPE POSTGRES PARAMS {"port": five};', '1:40 Expected a value, found five'],
    [
      'SOURCE a FROM "b" TYPE POSTGRES;',
      '1:19 Invalid SOURCE syntax at line 1: Cannot mix FROM and TYPE keywords.',
    ],
    [
      'SOURCE a TYPE POSTGRES FROM "b";',
      '1:24 Invalid SOURCE syntax at line 1: Cannot mix FROM and TYPE keywords.',
    ],
    ['SOURCE 1a TYPE POSTGRES PARAMS {};', '1:8 Expected a name after SOURCE'],
    ['SOURCE a FROM "b";', '1:15 There is no connection named "b".'],
    ['SOURCE a TYPE CSV PARAMS {"path": "x"};', '1:15 SOURCE of TYPE CSV is not available in this version.'],
  ])('%s', (text, problem) => {
    expect(problemsOf(text)).toEqual([problem])
  })

  test('is defined once, wherever it stands', () => {
    expect(problemsOf(`${ORDERS}${ORDERS}`)).toEqual(['2:8 The source orders is defined twice.'])
    expect(loadOf(compileText(`LOAD copy FROM orders; ${ORDERS}`)).source.name).toBe('orders')
  })

  test('may be a connection of the configuration, with options laid over it', () => {
    const connectors = new Map([['shop', { kind: 'connection' as const }]])
    const text = 'SOURCE a FROM "shop" OPTIONS {"table": "orders", "username": "other"}; LOAD t FROM a;'
    const { source } = loadOf(compileText(text, { connectors }))
    expect(source).toMatchObject({
      connection: 'shop',
      options: { user: 'other' },
      reads: { table: 'orders' },
    })
  })

  test('may be parameters of a profile, with options laid over them', () => {
    const params = { host: 'h', database: 'd', username: 'u', schema: 'sales', port: '5433' }
    const connectors = new Map([['pg', { kind: 'parameters' as const, type: 'postgres', params }]])
    const text = 'SOURCE a FROM "pg" OPTIONS {"table": "orders", "username": "other"}; LOAD t FROM a;'
    const { source } = loadOf(compileText(text, { connectors }))
    expect(source.options).toMatchObject({ host: 'h', dbname: 'd', user: 'other', port: '5433' })
    expect(source.schema).toBe('sales')
  })
})

describe('LOAD', () => {
  test.each([
    ['LOAD t FROM orders;', { mode: 'full_refresh', landing: 'replace' }],
    ['LOAD t FROM orders MODE REPLACE;', { mode: 'full_refresh', landing: 'replace' }],
    ['load t from orders mode append;', { mode: 'full_refresh', landing: 'append' }],
    ['LOAD t FROM orders MODE UPSERT KEY id;', { landing: 'upsert', primaryKey: ['id'], deletes: 'ignore' }],
    ['LOAD t FROM orders MODE UPSERT KEY (id, line);', { landing: 'upsert', primaryKey: ['id', 'line'] }],
    ['LOAD t FROM orders MODE UPSERT KEY id, line;', { landing: 'upsert', primaryKey: ['id', 'line'] }],
  ])('%s', (text, stream) => {
    const { spec } = loadOf(compileText(ORDERS + text))
    expect(spec).toMatchObject({
      name: 'shop.orders.t',
      selection: { select: ['public.orders'] },
      targetSchema: 'main',
      nameTemplate: 't',
      streams: { 'public.orders': stream },
    })
  })

  test.each([
    ['LOAD t FROM orders', "2:19 Expected ';' after LOAD statement"],
    ['LOAD t FROM orders OPTIONS {};', "2:19 Expected ';' after LOAD statement"],
    ['LOAD t;', '2:7 Expected FROM after the table name'],
    ['LOAD t FROM orders MODE UPSERT;', '2:31 UPSERT mode requires KEY to be specified'],
    ['LOAD t FROM orders MODE APPEND KEY id;', '2:32 KEY can only be used with UPSERT mode'],
    ['LOAD t FROM orders MODE MERGE;', '2:25 Invalid MODE: MERGE. Must be one of: REPLACE, APPEND, UPSERT'],
    ['LOAD t FROM order;', '2:13 There is no source named order.'],
    ['LOAD _trunkline_x FROM orders;', '2:6 Names that begin with _trunkline are reserved.'],
    ['LOAD t FROM orders; LOAD T FROM orders;', '2:26 The table T is made twice.'],
  ])('%s', (text, problem) => {
    expect(problemsOf(ORDERS + text)).toEqual([problem])
  })

  test('by a cursor is handed to the engine as such, except where everything is replaced', () => {
    const source =
      'SOURCE o TYPE POSTGRES PARAMS {"host": "h", "dbname": "d", "user": "u", "table": "orders", "sync_mode": "incremental", "cursor_field": "updated_at"};'
    const streamOf = (mode: string): unknown =>
      loadOf(compileText(`${source} LOAD t FROM o MODE ${mode};`)).spec.streams['public.orders']
    expect(streamOf('APPEND')).toMatchObject({
      mode: 'incremental',
      cursorField: 'updated_at',
      landing: 'append',
    })
    expect(streamOf('UPSERT KEY id')).toMatchObject({
      mode: 'incremental',
      landing: 'upsert',
      primaryKey: ['id'],
    })
    expect(streamOf('REPLACE')).toEqual({ mode: 'full_refresh', landing: 'replace', batchSize: 10_000 })
    const { warnings } = compileText(`${source} LOAD t FROM o;`)
    expect(warnings.map(({ message }) => message)).toEqual([
      'MODE REPLACE reads everything each run, whatever sync_mode says.',
    ])
  })
})

describe('CREATE TABLE', () => {
  test('keeps its query as written, comments, quotes and all', () => {
    const sql = `SELECT 'a;b' AS "c;d", $$e;f$$, E'g\\';h' -- i;j
      /* k; /* l; */ m; */ FROM t`
    const [step] = compileText(`CREATE TABLE x AS ${sql};`).steps
    expect(step).toMatchObject({ kind: 'create', table: 'x', mode: 'replace', sql: { text: sql } })
  })

  test('a backslash in SQL is a character like any other', () => {
    const pipeline = compileText(`CREATE TABLE x AS SELECT 'C:\\'; CREATE TABLE y AS SELECT 2;`)
    expect(pipeline.steps).toHaveLength(2)
  })

  test.each([
    ['MODE REPLACE', { mode: 'replace' }],
    ['MODE APPEND', { mode: 'append' }],
    ['MODE UPSERT KEY (a, b)', { mode: 'upsert', keys: ['a', 'b'] }],
  ])('%s', (mode, expected) => {
    expect(compileText(`CREATE TABLE x ${mode} AS SELECT 1;`).steps).toMatchObject([expected])
  })

  test.each([
    ['CREATE TABLE x AS ;', '1:18 Expected a query after AS'],
    ['CREATE TABLE x SELECT 1;', '1:16 Expected AS and a query'],
    ['CREATE VIEW x AS SELECT 1;', '1:8 Expected TABLE after CREATE'],
    ['CREATE TABLE x AS SELECT 1', "1:27 Expected ';' after CREATE TABLE statement"],
    ['CREATE TABLE x MODE INCREMENTAL AS SELECT 1;', '1:32 INCREMENTAL mode requires BY <time_column>'],
    [
      "CREATE TABLE x MODE APPEND LOOKBACK '1 day' AS SELECT 1;",
      '1:28 LOOKBACK can only be used with INCREMENTAL mode',
    ],
    [
      "CREATE TABLE x MODE INCREMENTAL BY day LOOKBACK '1 day' AS SELECT 1;",
      '1:21 CREATE TABLE with MODE INCREMENTAL is not available in this version.',
    ],
    ["CREATE TABLE x AS SELECT 'a;", '1:26 The string is not closed.'],
    ['CREATE TABLE x AS SELECT /* a;', '1:26 The comment is not closed.'],
    ['CREATE TABLE x AS SELECT 1; CREATE TABLE x AS SELECT 2;', '1:42 The table x is made twice.'],
  ])('%s', (text, problem) => {
    expect(problemsOf(text)).toEqual([problem])
  })
})

describe('EXPORT', () => {
  test('of a query: TO within it is left alone', () => {
    const sql = `SELECT INTERVAL '1' YEAR TO MONTH AS "TO" FROM t WHERE note = 'TO "x" TYPE csv'`
    const [step] = compileText(
      `EXPORT ${sql} TO "out/a.csv" TYPE CSV OPTIONS {"header": false, "sep": "|"};`,
    ).steps
    expect(step).toMatchObject({
      kind: 'export',
      sql: { text: sql },
      path: 'out/a.csv',
      format: 'csv',
      options: { HEADER: false, DELIMITER: '|' },
    })
  })

  test('of a table selects all of it', () => {
    const [step] = compileText(
      'EXPORT orders TO "a.parquet" TYPE parquet OPTIONS {"compression": "none"};',
    ).steps
    expect(step).toMatchObject({
      sql: { text: 'SELECT * FROM "orders"' },
      options: { COMPRESSION: 'uncompressed' },
    })
  })

  test('csv has a header unless told otherwise', () => {
    expect(compileText('EXPORT t TO "a.csv" TYPE csv;').steps).toMatchObject([{ options: { HEADER: true } }])
  })

  test.each([
    ['EXPORT t TO "s3://bucket/a" TYPE csv;', '1:13 EXPORT to s3:// is not available in this version.'],
    ['EXPORT t TO "a" TYPE excel;', '1:22 EXPORT to TYPE excel is not available in this version.'],
    ['EXPORT t TO "" TYPE csv;', '1:13 The place of the export is empty.'],
    ['EXPORT t TO a TYPE csv;', '1:13 Expected a place after TO'],
    ['EXPORT t TO "a" TYPE csv OPTIONS {"heading": true};', '1:46 Unknown key "heading"'],
    ['EXPORT t TO "a" TYPE csv OPTIONS {"header": 3};', "1:45 Parameter 'header' must be true or false"],
    [
      'EXPORT t TO "a" TYPE json OPTIONS {"compression": "rar"};',
      "1:51 Parameter 'compression' must be one of: none, gzip, zstd",
    ],
  ])('%s', (text, problem) => {
    expect(problemsOf(text)).toEqual([problem])
  })
})

describe('INCLUDE', () => {
  test('puts the statements of the file in its place', () => {
    const files = { 'sources.sf': ORDERS, 'more.sf': 'LOAD b FROM orders;' }
    const text = 'INCLUDE "sources.sf" AS s; LOAD a FROM orders; INCLUDE "more.sf" AS m; LOAD c FROM orders;'
    const { steps } = compileText(text, { files })
    expect(steps).toMatchObject([{ table: 'a' }, { table: 'b' }, { table: 'c' }])
  })

  test('what is wrong in an included file is told with its name', () => {
    const error = errorOf('INCLUDE "a.sf" AS a;', { files: { 'a.sf': '\nLOAD t FROM x' } })
    expect(error.problems).toMatchObject([{ file: 'a.sf', line: 2, column: 14 }])
  })

  test.each([
    [
      'INCLUDE "a.sf" AS a;',
      { 'a.sf': 'INCLUDE "b.sf" AS b;', 'b.sf': 'INCLUDE "a.sf" AS c;' },
      'a.sf includes itself.',
    ],
    ['INCLUDE "none.sf" AS a;', {}, 'none.sf: no such file.'],
    ['INCLUDE "f.py" AS f;', {}, 'INCLUDE takes pipeline files, which end in .sf.'],
    ['INCLUDE "a.sf" AS a; INCLUDE "a.sf" AS a;', { 'a.sf': '' }, 'The alias a is given twice.'],
  ])('%s', (text, files: Record<string, string>, message) => {
    expect(errorOf(text, { files }).problems.map((problem) => problem.message)).toEqual([message])
  })
})

test('several mistakes are told at once, each with file, line, column and a caret', () => {
  const text = `${ORDERS}LOAD a FROM orders
LOAD b FROM nowhere;
\tLOAD c FROM orders MODE WRONG;
EXPORT t TO "x" TYPE csv OPTIONS {"a": };
LOAD d FROM orders;`
  const error = errorOf(text)
  expect(error.message).toBe(`Multiple errors found:
shop.sf:2:19: Expected ';' after LOAD statement
shop.sf:4:26: Invalid MODE: WRONG. Must be one of: REPLACE, APPEND, UPSERT
shop.sf:5:40: Expected a value`)
  expect(error.problems.map(({ excerpt }) => excerpt)).toEqual([
    ['LOAD a FROM orders', '                  ^'],
    ['\tLOAD c FROM orders MODE WRONG;', '\t                        ^'],
    ['EXPORT t TO "x" TYPE csv OPTIONS {"a": };', '                                       ^'],
  ])
  expect(error.code).toBe('CONFIG_INVALID')
})

test('the place of a long line is shown, not all of it', () => {
  const [line, caret] = errorOf(`SET a = ${'x'.repeat(500)} 'y`).problems[0]?.excerpt ?? []
  expect(line?.length).toBeLessThan(110)
  expect(line?.[caret?.indexOf('^') ?? 0]).toBe("'")
})

test('a semicolon too many is no mistake, an unknown statement is', () => {
  expect(compileText(';; SET a = 1;;').steps).toEqual([])
  expect(problemsOf('DROP TABLE t; LOAD;')).toEqual([
    '1:1 Expected a statement, found DROP',
    '1:19 Expected a table name after LOAD',
  ])
})
