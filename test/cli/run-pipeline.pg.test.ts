import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EXAMPLES } from '../pipeline/document-examples.js'
import { serverFiles } from '../postgres/certificates/certificates.js'
import { startServer, type SpecialServer } from '../server/servers.js'
import { queryFile } from './query-file.js'
import { makeFolder, runCli, type CliResult } from './run-cli.js'

let server: SpecialServer
let cwd: string

/** Databases, roles and tables that the document's examples name. */
const DATABASES: Readonly<Record<string, string>> = {
  ecommerce: `
    CREATE TABLE customers (id int PRIMARY KEY, name text, joined date);
    INSERT INTO customers SELECT g, 'customer ' || g, '2024-01-01'::date + g FROM generate_series(1, 500) g;
    CREATE TABLE orders (order_id int PRIMARY KEY, customer_id int, total numeric(10,2), updated_at timestamptz);
    INSERT INTO orders SELECT g, g % 500 + 1, g * 1.25, '2024-01-01Z'::timestamptz + g * interval '1 hour' FROM generate_series(1, 1000) g;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC`,
  sales: `
    CREATE TABLE orders (order_id int PRIMARY KEY, updated_at timestamptz);
    INSERT INTO orders SELECT g, now() FROM generate_series(1, 10) g;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC`,
  warehouse: `
    CREATE SCHEMA analytics;
    CREATE TABLE analytics.customers (id int PRIMARY KEY, segment text);
    INSERT INTO analytics.customers VALUES (1, 'new'), (2, 'old');
    CREATE TABLE analytics.orders (order_id int PRIMARY KEY, customer_id int, updated_at timestamptz);
    INSERT INTO analytics.orders VALUES (10, 1, now()), (11, 2, now()), (12, 1, NULL);
    GRANT USAGE ON SCHEMA analytics TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO PUBLIC`,
  production: `
    CREATE SCHEMA orders;
    CREATE TABLE orders.order_items (order_id int, item_id int, modified_at timestamptz, PRIMARY KEY (order_id, item_id));
    INSERT INTO orders.order_items SELECT g, 1, now() FROM generate_series(1, 12000) g;
    GRANT USAGE ON SCHEMA orders TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA orders TO PUBLIC`,
}
const ROLES = ['readonly_user', 'analytics_user', 'etl_user']

beforeAll(async () => {
  server = await startServer({
    major: 18,
    conf: { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' },
    hba: ['hostssl all all 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 scram-sha-256'],
    files: serverFiles(),
  })
  await inDatabase('postgres', async (client) => {
    for (const role of ROLES) await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'hunter2'`)
    for (const database of Object.keys(DATABASES)) await client.query(`CREATE DATABASE ${database}`)
  })
  for (const [database, sql] of Object.entries(DATABASES)) {
    await inDatabase(database, (client) => client.query(sql))
  }
  cwd = makeFolder()
})
afterAll(() => server.close())

async function inDatabase(database: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ host: server.socketDir, port: server.port, user: 'postgres', database })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

const redirect = pathToFileURL(join(import.meta.dirname, 'stated-hosts.mjs')).href

/** Writes the file and runs it. */
function runFile(name: string, text: string, ...args: readonly string[]): Promise<CliResult> {
  writeFileSync(join(cwd, name), text)
  return runCli(['run', name, ...args], {
    cwd,
    env: {
      NODE_OPTIONS: `--import ${redirect}`,
      TEST_SERVER_HOST: '127.0.0.1',
      TEST_SERVER_PORT: String(server.port),
      DB_HOST: 'db.example',
      DB_USER: 'readonly_user',
      DB_PASSWORD: 'hunter2',
      ANALYTICS_PASSWORD: 'hunter2',
      PROD_DB_PASSWORD: 'hunter2',
    },
  })
}

function query(file: string, sql: string): Promise<unknown[][]> {
  return queryFile(join(cwd, file), sql)
}

describe('the examples of the document, run as they stand', () => {
  test('the basic one lands a table', async () => {
    const { code, stdout, stderr } = await runFile('basic.sf', EXAMPLES.basic)
    expect(stderr).not.toContain('error')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^LOAD customer_data: 500 rows in .*\nbasic: 1 step in /)
    expect(await query('warehouse.duckdb', 'SELECT count(*), max(name) FROM main.customer_data')).toEqual([
      ['500', 'customer 99'],
    ])
  })

  test('a custom query with a schema and a qualified cursor replaces the table each run', async () => {
    for (const run of [1, 2]) {
      const { code, stdout, stderr } = await runFile('query.sf', EXAMPLES.query, 'query.duckdb')
      expect(stderr).toContain('query.sf:12:1: MODE REPLACE reads everything each run')
      expect([run, code, stdout.split(' in ')[0]]).toEqual([run, 0, 'LOAD enriched_orders: 3 rows'])
    }
    expect(await query('query.duckdb', 'SELECT order_id, segment FROM enriched_orders ORDER BY 1')).toEqual([
      [10, 'new'],
      [11, 'old'],
      [12, 'new'],
    ])
  })

  test('the production one asks for TLS, and is read by its own settings', async () => {
    const text = `${EXAMPLES.production}\nLOAD items FROM production_orders;`
    const { code, stdout } = await runFile('production.sf', text, 'production.duckdb')
    expect([code, stdout.split(' in ')[0]]).toEqual([0, 'LOAD items: 12,000 rows'])
  })

  test('the one with the older names connects', async () => {
    const { code, stdout } = await runFile(
      'legacy.sf',
      `${EXAMPLES.legacy}LOAD o FROM postgres_orders;`,
      ':memory:',
    )
    expect([code, stdout.split(' in ')[0]]).toEqual([0, 'LOAD o: 1,000 rows'])
  })

  test('the incremental one appends everything once, then each new version of a row', async () => {
    const file = 'incremental.duckdb'
    const sizes: string[] = []
    const run = async (): Promise<void> => {
      const { code, stdout, stderr } = await runFile('incremental.sf', EXAMPLES.incremental, file)
      expect(stderr).not.toContain('error')
      expect(code).toBe(0)
      sizes.push(stdout.split(' in ')[0] ?? '')
    }
    await run()
    await inDatabase('sales', (client) =>
      client.query(
        `UPDATE orders SET updated_at = now() WHERE order_id = 7; INSERT INTO orders VALUES (11, now())`,
      ),
    )
    await run()
    expect(sizes).toEqual(['LOAD orders_incremental: 10 rows', 'LOAD orders_incremental: 2 rows'])
    const table = 'SELECT count(*), count(*) FILTER (order_id = 7) FROM main.orders_incremental'
    expect(await query(file, table)).toEqual([['12', '2']])
  })

  test('a query with a qualified cursor is read on by it, with UPSERT', async () => {
    const text = EXAMPLES.query.replace(
      /LOAD (\w+) FROM (\w+)[^;]*;/,
      'LOAD $1 FROM $2 MODE UPSERT KEY (order_id);',
    )
    const first = await runFile('upsert.sf', text, 'upsert.duckdb')
    expect([first.code, first.stdout.split(' in ')[0]]).toEqual([0, 'LOAD enriched_orders: 3 rows'])
    await inDatabase('warehouse', (client) =>
      client.query(`UPDATE analytics.orders SET customer_id = 2, updated_at = now() WHERE order_id = 10`),
    )
    const second = await runFile('upsert.sf', text, 'upsert.duckdb')
    expect(second.code).toBe(0)
    expect(await query('upsert.duckdb', 'SELECT order_id, segment FROM enriched_orders ORDER BY 1')).toEqual([
      [10, 'old'],
      [11, 'old'],
      [12, 'new'],
    ])
  })
})

const ECOMMERCE = `SOURCE customers TYPE POSTGRES PARAMS {"host": "h", "database": "ecommerce", "username": "readonly_user",
  "password": "\${DB_PASSWORD}", "table": "customers"};
SOURCE orders TYPE POSTGRES PARAMS {"host": "h", "database": "ecommerce", "username": "readonly_user",
  "password": "\${DB_PASSWORD}", "table": "orders"};
`

describe('a pipeline', () => {
  const PIPELINE = `${ECOMMERCE}
    INCLUDE "parts/loads.sf" AS loads;
    SET top = 3;
    CREATE TABLE totals AS
      SELECT c.id, c.name, sum(o.total) AS total FROM customers c JOIN orders o ON o.customer_id = c.id
      WHERE c.id <= \${limit|5} GROUP BY ALL ORDER BY ALL;
    CREATE TABLE seen MODE UPSERT KEY (id) AS SELECT id, \${round} AS round FROM totals WHERE id >= \${round};
    CREATE TABLE log MODE APPEND AS SELECT \${round} AS round;
    IF '\${format|csv}' == 'csv' THEN
      EXPORT SELECT id, name FROM totals ORDER BY id LIMIT \${top} TO "out/\${round}/top.csv" TYPE CSV OPTIONS {"header": true};
    ELSE
      EXPORT totals TO "out/totals.parquet" TYPE PARQUET OPTIONS {"compression": "zstd"};
      EXPORT totals TO "out/totals.json" TYPE JSON OPTIONS {"array": true};
    END IF;`

  beforeAll(() => {
    mkdirSync(join(cwd, 'parts'))
    writeFileSync(
      join(cwd, 'parts', 'loads.sf'),
      'LOAD customers FROM customers;\nLOAD orders FROM orders MODE UPSERT KEY order_id;',
    )
  })

  test('loads, makes tables, writes files, and can run again', async () => {
    const first = await runFile('shop.sf', PIPELINE, 'shop.duckdb', '--var', 'round=1')
    expect([first.code, first.stderr]).toEqual([0, expect.not.stringContaining('error')])
    expect(readFileSync(join(cwd, 'out', '1', 'top.csv'), 'utf8')).toBe(
      'id,name\n1,customer 1\n2,customer 2\n3,customer 3\n',
    )
    const second = await runFile(
      'shop.sf',
      PIPELINE,
      'shop.duckdb',
      '--var',
      'round=2',
      '--var',
      'format=other',
    )
    expect([second.code, second.stdout.replaceAll(/ in .*/g, '')]).toEqual([
      0,
      'LOAD customers: 500 rows\nLOAD orders: 1,000 rows\nCREATE TABLE totals: 5 rows\nCREATE TABLE seen: 4 rows\n' +
        'CREATE TABLE log: 1 row\nEXPORT out/totals.parquet: 5 rows\nEXPORT out/totals.json: 5 rows\nshop: 7 steps\n',
    ])
    expect(await query('shop.duckdb', 'SELECT * FROM seen ORDER BY id')).toEqual([
      [1, 1],
      [2, 2],
      [3, 2],
      [4, 2],
      [5, 2],
    ])
    expect(await query('shop.duckdb', 'SELECT count(*) FROM log')).toEqual([['2']])
    expect(await query('shop.duckdb', 'SELECT count(*) FROM orders')).toEqual([['1000']])
    const parquet = join(cwd, 'out', 'totals.parquet')
    expect(await query('shop.duckdb', `SELECT count(*) FROM '${parquet}' WHERE total > 0`)).toEqual([['5']])
    expect(JSON.parse(readFileSync(join(cwd, 'out', 'totals.json'), 'utf8'))).toHaveLength(5)
    expect(readdirSync(join(cwd, 'out')).sort()).toEqual(['1', 'totals.json', 'totals.parquet'])
  })

  test('--plan shows the steps and does none', async () => {
    const { code, stdout } = await runFile('plan.sf', PIPELINE, 'plan.duckdb', '--var', 'round=1', '--plan')
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^1\. LOAD customers, replace\n {5}parts\/loads\.sf:1:1\n {5}from readonly_user@h:5432\/ecommerce\n/,
    )
    expect(stdout).toContain('WHERE c.id <= 5')
    expect(stdout).toMatch(/6\. EXPORT out\/1\/top\.csv/)
    expect(readdirSync(cwd)).not.toContain('plan.duckdb')
    const { stdout: json } = await runFile(
      'plan.sf',
      PIPELINE,
      'plan.duckdb',
      '--var',
      'round=1',
      '--plan',
      '--json',
    )
    expect(JSON.parse(json)).toMatchObject({
      v: 1,
      kind: 'pipeline_plan',
      steps: [{ kind: 'load' }, {}, {}, {}, {}, {}],
    })
  })

  test('rows appended by LOAD are told apart by the instant of the run', async () => {
    const text = `${ECOMMERCE} LOAD copies FROM customers MODE APPEND;
      CREATE TABLE runs AS SELECT _trunkline_run_at, count(*) AS n FROM copies GROUP BY 1;`
    for (const run of [1, 2])
      expect([run, (await runFile('copies.sf', text, 'copies.duckdb')).code]).toEqual([run, 0])
    expect(await query('copies.duckdb', 'SELECT n FROM runs')).toEqual([['500'], ['500']])
  })

  test('in memory leaves nothing behind but what is exported', async () => {
    const text = `${ECOMMERCE} LOAD c FROM customers; EXPORT SELECT count(*) AS n FROM c TO "memory.csv" TYPE csv;`
    const before = readdirSync(cwd)
    const { code, stdout } = await runFile('memory.sf', text, ':memory:', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
      kind: 'pipeline',
      steps: [{ rows: 500 }, { rows: 1 }],
    })
    expect(
      readdirSync(cwd)
        .filter((name) => !before.includes(name))
        .sort(),
    ).toEqual(['memory.csv', 'memory.sf'])
  })
})

test('a connection of trunkline.yaml is a source, and an example of files included and branches taken runs', async () => {
  writeFileSync(
    join(cwd, 'trunkline.yaml'),
    `version: 1
connections:
  shop: { host: 127.0.0.1, port: 5432, database: ecommerce, user: readonly_user, password: hunter2 }
`,
  )
  const text = 'SOURCE c FROM "shop" OPTIONS {"table": "customers"}; LOAD c FROM c;'
  const configured = await runFile('configured.sf', text, 'configured.duckdb')
  expect([configured.code, configured.stdout.split(' in ')[0]]).toEqual([0, 'LOAD c: 500 rows'])

  const folder = join(import.meta.dirname, '../../examples/pipelines')
  for (const name of ['report.sf', 'report-sources.sf']) cpSync(join(folder, name), join(cwd, name))
  const report = readFileSync(join(folder, 'report.sf'), 'utf8')
  const { code } = await runFile('report.sf', report, 'report.duckdb', '--var', 'region=eu')
  expect(code).toBe(0)
  const lines = readFileSync(join(cwd, 'reports', 'eu', 'top.csv'), 'utf8').split('\n')
  expect(lines.slice(0, 2)).toEqual(['id;name;orders;total', '1;customer 1;2;1875.00'])
  expect(lines).toHaveLength(12)
})

describe('everything is checked before anything is touched', () => {
  /** What stderr says of each problem, and that nothing was made. */
  async function problemsOf(text: string): Promise<readonly string[]> {
    const { code, stderr } = await runFile('wrong.sf', text, 'wrong.duckdb')
    expect(code).not.toBe(0)
    expect(readdirSync(cwd)).not.toContain('wrong.duckdb')
    return stderr.split('\n').filter((line) => line.startsWith('error: '))
  }

  test('SQL is tried on the columns that the tables will have', async () => {
    const { stderr } = await runFile(
      'sql.sf',
      `${ECOMMERCE}LOAD c FROM customers;
CREATE TABLE é AS SELECT 1;
CREATE TABLE a AS SELECT 'é' AS e, id, \${region|'north west'} AS region,
  c.nmae FROM c;
EXPORT a TO "a.csv" TYPE csv;
EXPORT SELECT FROM c WHERE TO "b.csv" TYPE csv;
CREATE TABLE b MODE UPSERT KEY nothing AS SELECT id FROM c;`,
      'sql.duckdb',
    )
    expect(stderr).toContain('error: sql.sf:6:14: Expected a table name after CREATE TABLE')
    const lines = await problemsOf(
      `${ECOMMERCE}LOAD c FROM customers;
CREATE TABLE a AS SELECT 'é' AS e, id, \${region|'north west'} AS region,
  c.nmae FROM c;
EXPORT SELECT * FROM c WHERE TO "b.csv" TYPE csv;
CREATE TABLE b MODE UPSERT KEY nothing AS SELECT id FROM c;
EXPORT missing TO "c.csv" TYPE csv;
CREATE TABLE d AS DROP TABLE c;`,
    )
    expect(lines).toEqual([
      expect.stringMatching(/^error: wrong\.sf:7:3: .*nmae/),
      expect.stringMatching(/^error: wrong\.sf:8:\d+: /),
      'error: wrong.sf:9:43: The query has no column "nothing" for the key.',
      expect.stringMatching(/^error: wrong\.sf:10:8: Table with name missing does not exist!/),
      expect.stringMatching(/^error: wrong\.sf:11:19: syntax error/),
    ])
  })

  test('tables and cursors are looked for', async () => {
    const source = (more: string): string =>
      `"host": "h", "database": "ecommerce", "username": "readonly_user", "password": "hunter2", ${more}`
    expect(
      await problemsOf(`SOURCE a TYPE POSTGRES PARAMS {${source('"table": "invalid_table"')}};
SOURCE b TYPE POSTGRES PARAMS {${source('"table": "customers", "sync_mode": "incremental", "cursor_field": "invalid_field"')}};
LOAD x FROM a;
LOAD y FROM b;`),
    ).toEqual([
      'error: wrong.sf:3:1: ConnectorError: Table not found: invalid_table in schema public',
      "error: wrong.sf:4:1: IncrementalError: Cursor field 'invalid_field' not found in data chunk columns: ['id', 'name', 'joined']",
    ])
  })

  test('a wrong password and a server that is not there are told in the words of the document', async () => {
    const source = (host: string, user: string): string =>
      `{"host": "${host}", "port": ${host === 'h' ? 5432 : 1}, "database": "ecommerce", "user": "${user}", "password": "wrong", "table": "t"}`
    expect(
      await problemsOf(`SOURCE a TYPE POSTGRES PARAMS ${source('h', 'readonly_user')};
SOURCE b TYPE POSTGRES PARAMS ${source('127.0.0.1', 'u')};
LOAD x FROM a; LOAD y FROM b; LOAD z FROM a;`),
    ).toEqual([
      'error: wrong.sf:3:1: ConnectorError: FATAL: password authentication failed for user "readonly_user"',
      'error: wrong.sf:3:16: ConnectorError: Failed to create connection pool: could not connect to server: Connection refused',
    ])
  })

  test('mistakes are shown with the line and a caret', async () => {
    const { code, stderr } = await runFile('caret.sf', 'LOAD a FROM b\nLOAD c;\n')
    expect(code).toBe(2)
    expect(stderr).toContain(`Multiple errors found:
error: caret.sf:1:14: Expected ';' after LOAD statement
  LOAD a FROM b
               ^
  CONFIG_INVALID
error: caret.sf:2:7: Expected FROM after the table name
  LOAD c;
        ^`)
  })
})

describe('SQL stays where it may be', () => {
  test('files outside of the allowed folders are neither read nor written', async () => {
    const outside = makeFolder()
    writeFileSync(join(outside, 'in.csv'), 'a\n1\n')
    const read = `CREATE TABLE t AS SELECT * FROM read_csv('${outside}/in.csv');`
    const refused = await runFile('outside.sf', read, 'outside.duckdb')
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('disabled by configuration')])
    const write = await runFile(
      'outside.sf',
      `EXPORT SELECT 1 TO "${outside}/out.csv" TYPE csv;`,
      'outside.duckdb',
    )
    expect([write.code, write.stderr]).toEqual([1, expect.stringContaining('outside of the folders')])
    expect(readdirSync(outside)).toEqual(['in.csv'])
    const both = `${read} EXPORT t TO "${outside}/out.csv" TYPE csv;`
    const allowed = await runFile('outside.sf', both, 'outside.duckdb', '--allow-folder', outside)
    expect([allowed.code, readFileSync(join(outside, 'out.csv'), 'utf8')]).toEqual([0, 'a\n1\n'])
  })

  test('a table that the pipeline did not make is not replaced', async () => {
    const load = `${ECOMMERCE}LOAD c FROM customers;`
    expect((await runFile('owner.sf', load, 'owned.duckdb')).code).toBe(0)
    const { code, stderr } = await runFile('other.sf', 'CREATE TABLE c AS SELECT 1;', 'owned.duckdb')
    expect([code, stderr]).toEqual([1, expect.stringContaining('belongs to the stream public.customers')])
    expect(await query('owned.duckdb', 'SELECT count(*) FROM c')).toEqual([['500']])
  })

  test('the database itself is not exported over', async () => {
    const { code, stderr } = await runFile(
      'over.sf',
      'EXPORT SELECT 1 TO "over.duckdb" TYPE csv;',
      'over.duckdb',
    )
    expect([code, stderr]).toEqual([1, expect.stringContaining('it is the database')])
  })
})

test('a key that is not one leaves the table as it was', async () => {
  const make = 'CREATE TABLE k MODE UPSERT KEY id AS SELECT * FROM (VALUES (1, ${a}), (${id}, 2)) v(id, a);'
  expect((await runFile('key.sf', make, 'key.duckdb', '--var', 'a=1', '--var', 'id=2')).code).toBe(0)
  const { code, stderr } = await runFile('key.sf', make, 'key.duckdb', '--var', 'a=9', '--var', 'id=1')
  expect([code, stderr]).toEqual([1, expect.stringContaining('The key (id) of k is not unique.')])
  expect(await query('key.duckdb', 'SELECT * FROM k ORDER BY id')).toEqual([
    [1, 1],
    [2, 2],
  ])
})
