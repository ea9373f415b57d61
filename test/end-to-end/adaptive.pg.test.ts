/** The adaptive connector's configuration, as it stands in its document, against a real server. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { queryFile } from '../cli/query-file.js'
import { makeFolder, runCli, type CliResult } from '../cli/run-cli.js'
import { onNewestServer, type TestDatabase } from '../server/servers.js'
import { keepLog } from '../sync/keep-log.js'
import { CopyFile } from './copy-file.js'

const SCHEMA = `
  CREATE TABLE customers (customer_id int PRIMARY KEY, customer_name text, email varchar(80), region text, created_at timestamp);
  INSERT INTO customers SELECT g, 'c' || g, NULL, (ARRAY['fdx55', 'weg45'])[g % 2 + 1], '2024-01-01'::timestamp + g * interval '1 s'
    FROM generate_series(1, 300) g;
  COMMENT ON TABLE customers IS 'who buys';
  CREATE TABLE notes (v text DEFAULT 'none');
  INSERT INTO notes VALUES ('a'), ('a'), (NULL);
  CREATE SCHEMA sales;
  CREATE TABLE sales.customers (id bigint PRIMARY KEY, tags text[], total numeric(12,2) NOT NULL);
  INSERT INTO sales.customers SELECT g, ARRAY['t'], g / 4.0 FROM generate_series(1, 40) g;
  CREATE TABLE sales.events (id int PRIMARY KEY) WITH (autovacuum_enabled = false);
  INSERT INTO sales.events SELECT generate_series(1, 9000);
  CREATE TABLE sales.log (id int PRIMARY KEY) WITH (autovacuum_enabled = false);
  INSERT INTO sales.log SELECT generate_series(1, 9000);
  ANALYZE;
  -- As if the planner had found so many.
  UPDATE pg_class SET reltuples = 2000000 WHERE relname = 'events';
  UPDATE pg_class SET reltuples = 60000000 WHERE relname = 'log';`

onNewestServer('the adaptive configuration', (server) => {
  let db: TestDatabase
  let cwd: string
  let first: CliResult
  beforeAll(async () => {
    db = await server.createDatabase()
    await db.sql(SCHEMA)
    cwd = makeFolder()
    first = await run()
  })

  function run(): Promise<CliResult> {
    const configuration = {
      host: db.host,
      port: String(db.port),
      database: db.name,
      username: db.user,
      password: 'not asked for',
      region: 'fdx55',
      max_retries: '3',
      retry_sleep_seconds: '0.1',
    }
    writeFileSync(join(cwd, 'configuration.json'), JSON.stringify(configuration))
    return runCli(['sync', '-c', 'configuration.json', 'warehouse.duckdb'], { cwd })
  }

  const landed = async (sql: string): Promise<string[][]> => {
    const rows = await queryFile(join(cwd, 'warehouse.duckdb'), sql)
    return rows.map((row) => row.map(String))
  }

  test('lands each table under its schema and its name, so that two of one name do not meet', async () => {
    expect([first.code, first.stderr]).toEqual([0, expect.not.stringContaining('SEVERE')])
    const tables = await landed(
      `SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' ORDER BY 1`,
    )
    expect(tables.flat()).toEqual([
      'postgres_column',
      'postgres_table',
      'source_public_customers',
      'source_public_notes',
      'source_sales_customers',
      'source_sales_events',
      'source_sales_log',
    ])
    expect(await landed('SELECT count(*) FROM source_sales_customers')).toEqual([['40']])
  })

  test('adds the columns of the document to those of the source, with their types', async () => {
    expect(
      await landed(
        `SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'source_public_customers' ORDER BY 1`,
      ),
    ).toEqual([
      ['_fivetran_id', 'VARCHAR'],
      ['_fivetran_synced', 'TIMESTAMP WITH TIME ZONE'],
      ['created_at', 'TIMESTAMP'],
      ['customer_id', 'INTEGER'],
      ['customer_name', 'VARCHAR'],
      ['email', 'VARCHAR'],
      ['region', 'VARCHAR'],
      ['sync_timestamp', 'DOUBLE'],
    ])
    const [row] = await landed(`
      SELECT count(DISTINCT _fivetran_id), count(*) FILTER (email IS NULL), count(DISTINCT sync_timestamp),
             bool_and(abs(sync_timestamp - epoch(_fivetran_synced)) < 1), bool_and(sync_timestamp > 1.7e9)
        FROM source_public_customers`)
    expect(row).toEqual(['150', '150', '1', 'true', 'true'])
  })

  test('keeps the rows of the region, where a table has regions, and says the region of the others', async () => {
    expect(await landed('SELECT DISTINCT region, count(*) FROM source_public_customers GROUP BY 1')).toEqual([
      ['fdx55', '150'],
    ])
    expect(await landed('SELECT DISTINCT region, count(*) FROM source_sales_customers GROUP BY 1')).toEqual([
      ['fdx55', '40'],
    ])
    const { stdout } = await runCli(['plan', '-c', 'configuration.json', 'warehouse.duckdb'], { cwd })
    expect(stdout).toContain(`only rows where "region" = 'fdx55'`)
  })

  test('lands a table without a key as it is, rows that are equal too', async () => {
    expect(await landed('SELECT count(*), count(v) FROM source_public_notes')).toEqual([['3', '2']])
  })

  test('says in the log how the tables are sorted by size, and what each is read with', () => {
    const lines = first.stderr.split('\n')
    const order = lines
      .filter((line) => /^INFO +\d+\. /.test(line))
      .map((line) => line.replaceAll(/ +/g, ' '))
    expect(order).toEqual([
      'INFO 1. public.notes 3 rows',
      'INFO 2. sales.customers 40 rows',
      'INFO 3. public.customers 300 rows',
      'INFO 1. sales.events 2,000,000 rows',
      'INFO 1. sales.log 60,000,000 rows',
    ])
    for (const text of [
      'SYNC PROCESSING PLAN',
      'SMALL TABLES (3 tables, <1M rows each):',
      'MEDIUM TABLES (1 tables, 1M-50M rows each):',
      'LARGE TABLES (1 tables, 50M+ rows each):',
      'SUMMARY STATISTICS',
    ]) {
      expect(lines).toContain(`INFO ${text}`)
    }
    expect(first.stderr).toMatch(
      /INFO Resource Monitor: Memory \d+\.\d% \(\d+\.\dGB available\), CPU \d+\.\d%, Disk \d+\.\d%/,
    )
    // Batches do not depend on how busy this machine is at the time, unless its memory is.
    expect(first.stderr).toMatch(
      /Resource-aware parameters for 2,000,000 row table: \d threads, [\d,]+ batch size, 25,000/,
    )
    expect(first.stderr).toMatch(
      /Resource-aware parameters for 60,000,000 row table: 1 threads, [\d,]+ batch size, 5,000/,
    )
  })

  test('finishes small tables before medium and large ones', () => {
    const finished = first.stderr.split('\n').flatMap((line) => /^✓ (\S+):/.exec(line)?.[1] ?? [])
    expect(finished.slice(-2)).toEqual(['sales.events', 'sales.log'])
    expect(finished.slice(2, -2).toSorted()).toEqual(['public.customers', 'public.notes', 'sales.customers'])
  })

  describe('and its metadata tables', () => {
    test('say what tables and columns there are', async () => {
      expect(
        await landed('SELECT schema_name, table_name, table_type, comment FROM postgres_table ORDER BY 1, 2'),
      ).toEqual([
        ['public', 'customers', 'BASE TABLE', 'who buys'],
        ['public', 'notes', 'BASE TABLE', 'null'],
        ['sales', 'customers', 'BASE TABLE', 'null'],
        ['sales', 'events', 'BASE TABLE', 'null'],
        ['sales', 'log', 'BASE TABLE', 'null'],
      ])
      const columns = `table_schema, table_name, column_name, data_type, column_default, is_nullable, character_maximum_length`
      const there = await db.sql(
        `SELECT ${columns} FROM information_schema.columns WHERE table_schema IN ('public', 'sales')
          ORDER BY table_schema COLLATE "C", table_name COLLATE "C", column_name COLLATE "C"`,
      )
      const here = await landed(
        `SELECT ${columns.replace('table_schema', 'schema_name')} FROM postgres_column ORDER BY 1, 2, 3`,
      )
      expect(here).toEqual(there.map((row) => Object.values(row).map(String)))
    })

    test('get new rows in each run, and the tables only what is new', async () => {
      await db.sql(`
        INSERT INTO customers VALUES (1000, 'new', NULL, 'fdx55', now());
        UPDATE customers SET customer_name = 'renamed' WHERE customer_id = 2;
        DELETE FROM customers WHERE customer_id = 4;
        ALTER TABLE customers ADD COLUMN since date`)
      expect((await run()).code).toBe(0)
      expect(
        await landed(
          `SELECT count(*), count(DISTINCT timestamp), count(DISTINCT (schema_name, table_name, timestamp)) FROM postgres_table`,
        ),
      ).toEqual([['10', '2', '10']])
      expect(
        await landed(
          `SELECT count(*) FROM postgres_column WHERE table_name = 'customers' AND column_name = 'since'`,
        ),
      ).toEqual([['1']])
      // Deleted rows stay, as the original never deletes.
      expect(await landed('SELECT count(*) FROM source_public_customers')).toEqual([['151']])
      expect(await landed('SELECT customer_name FROM source_public_customers WHERE customer_id = 2')).toEqual(
        [['renamed']],
      )
    })
  })

  test('a table that cannot be read is tried again after a pause, and given up in the end, without harm to the others', async () => {
    const copy = await CopyFile.create(db.url)
    const { logger, lines } = keepLog()
    const client = await db.connect()
    await client.query('BEGIN; LOCK TABLE sales.customers IN ACCESS EXCLUSIVE MODE')
    const report = await copy.run({
      select: ['sales.customers', 'public.notes'],
      wording: 'connector_sdk',
      limits: { lockTimeoutMs: 200, maxAttempts: 2, firstRetryDelayMs: 50, retryJitter: [0.5, 1.5] },
      logger,
    })
    await client.query('ROLLBACK')
    await client.end()
    expect(report.streams.map(({ stream, outcome }) => [stream, outcome])).toEqual([
      ['public.notes', 'done'],
      ['sales.customers', 'failed'],
    ])
    const told = lines.filter((line) => line.includes('sales.customers'))
    expect(told[0]).toMatch(/^warn Retrying sales\.customers after backoff 0\.\d\ds \(attempt 1\/2\)$/)
    expect(told.at(-1)).toMatch(/^error Max retries exceeded for table sales\.customers: /)
    await copy.remove()
  })

  test('what the server’s pressure is can be asked without a privilege', async () => {
    const copy = await CopyFile.create(db.url)
    const reader = await db.createRole()
    await db.sql(`
      CREATE TABLE sales.wide AS SELECT g AS id, repeat('x', 100) AS v FROM generate_series(1, 20000) g;
      GRANT SELECT ON sales.wide TO ${reader.name}; GRANT USAGE ON SCHEMA sales TO ${reader.name}`)
    const { logger, lines } = keepLog()
    const report = await copy.sync({
      url: reader.url,
      select: ['sales.wide'],
      jobs: 1,
      limits: { maxReadBytesPerSecond: 600_000, batchRows: 100 },
      // Any use at all is too much of it.
      adaptive: { sampleEveryMs: 50, connectionsHigh: 0, connectionsCritical: 100 },
      logger,
    })
    expect(lines.join('\n')).not.toContain('does not tell how hard it is pressed')
    expect(report.adaptations[0]).toMatchObject({ cause: 'connections', level: 'high' })
    await copy.remove()
  })
})
