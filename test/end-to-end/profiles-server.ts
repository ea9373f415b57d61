/**
 * A server with the databases, roles and tables that the example configurations name, and the command line before it: every host
 * name leads there, and so does port 5432, so that a configuration runs as it stands in its document.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import { type CliResult, makeFolder, runCli } from '../cli/run-cli.js'
import { queryFile } from '../cli/query-file.js'
import { serverFiles } from '../postgres/certificates/certificates.js'
import { type SpecialServer, startServer } from '../server/servers.js'

const DATABASES: Readonly<Record<string, string>> = {
  shop: `
    CREATE TABLE people (id int PRIMARY KEY, name text, last_updated timestamptz);
    INSERT INTO people SELECT g, 'person ' || g, '2024-01-01Z'::timestamptz + g / 10 * interval '1 second'
      FROM generate_series(1, 12345) g;
    CREATE TABLE places (id int PRIMARY KEY, name text);
    CREATE TABLE customers (customer_id int PRIMARY KEY, customer_name text, region text, created_at timestamp);
    INSERT INTO customers SELECT g, 'c' || g, (ARRAY['Europe', 'Asia'])[g % 2 + 1], '2024-01-01'::timestamp + g * interval '1 s'
      FROM generate_series(1, 300) g;`,
  ecommerce: `
    CREATE TABLE customers (id int PRIMARY KEY, name text, joined date);
    INSERT INTO customers SELECT g, 'customer ' || g, '2024-01-01'::date + g FROM generate_series(1, 500) g;
    CREATE TABLE orders (order_id int PRIMARY KEY, customer_id int, total numeric(10,2), updated_at timestamptz NOT NULL);
    INSERT INTO orders SELECT g, g % 500 + 1, g * 1.25, '2024-01-01Z'::timestamptz + g * interval '1 hour' FROM generate_series(1, 1000) g;
    CREATE TABLE returns (id int PRIMARY KEY, updated_at timestamptz NOT NULL);
    INSERT INTO returns SELECT g, '2024-01-01Z'::timestamptz + g * interval '1 hour' FROM generate_series(1, 30) g;`,
  sales: `
    CREATE TABLE orders (order_id int PRIMARY KEY, total numeric(10,2), updated_at timestamptz NOT NULL);
    INSERT INTO orders SELECT g, g, '2024-01-01Z'::timestamptz + g * interval '1 hour' FROM generate_series(1, 700) g;`,
  warehouse: `
    CREATE SCHEMA analytics;
    CREATE TABLE analytics.customers (id int PRIMARY KEY, segment text);
    INSERT INTO analytics.customers VALUES (1, 'new'), (2, 'old');
    CREATE TABLE analytics.orders (order_id int PRIMARY KEY, customer_id int, updated_at timestamptz NOT NULL);
    INSERT INTO analytics.orders SELECT g, g % 2 + 1, '2024-01-01Z'::timestamptz + g * interval '1 hour' FROM generate_series(1, 400) g;
    GRANT USAGE ON SCHEMA analytics TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO PUBLIC`,
  production: `
    CREATE SCHEMA orders;
    CREATE TABLE orders.order_items (order_id int, item_id int, modified_at timestamptz NOT NULL, PRIMARY KEY (order_id, item_id));
    INSERT INTO orders.order_items SELECT g, g % 3, '2024-01-01Z'::timestamptz + g * interval '1 second' FROM generate_series(1, 12000) g;
    GRANT USAGE ON SCHEMA orders TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA orders TO PUBLIC`,
  new_database: `
    CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 20);
    CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b SELECT generate_series(1, 30);`,
  mydb: `
    CREATE TABLE users (id int PRIMARY KEY, name text, tags text[], updated_at timestamptz NOT NULL);
    INSERT INTO users SELECT g, 'user ' || g, ARRAY['t' || g], '2022-12-01Z'::timestamptz + g * interval '1 day' FROM generate_series(1, 90) g;
    CREATE TABLE visits (id int PRIMARY KEY, user_id int REFERENCES users);
    INSERT INTO visits SELECT g, g % 90 + 1 FROM generate_series(1, 200) g;
    CREATE VIEW recent AS SELECT * FROM users WHERE updated_at > '2023-01-15';
    CREATE VIEW slow AS SELECT id, pg_sleep(0.05)::text AS slept FROM visits;`,
}
const ROLES: Readonly<Record<string, string>> = {
  reader: 'hunter2',
  readonly_user: 'hunter2',
  analytics_user: 'hunter2',
  etl_user: 'hunter2',
  new_user: 'hunter2',
  user: 'pass',
}

export interface DocumentServer extends AsyncDisposable {
  readonly server: SpecialServer
  readonly cwd: string
  /** Rows as the server's text. */
  sql(database: string, text: string): Promise<string[][]>
  /** A session that stays. */
  openSession(database: string): Promise<Session>
  /** Of a DuckDB file in the folder. */
  landed(file: string, text: string): Promise<string[][]>
  /** Writes the configuration and runs `sync -c` with it, or another command. */
  run(
    file: string,
    content: object | string,
    args?: readonly string[],
    options?: RunOptions,
  ): Promise<CliResult>
  /** Runs with what there is. */
  command(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<CliResult>
}

interface Session extends AsyncDisposable {
  sql(text: string): Promise<string[][]>
}

export interface RunOptions {
  readonly command?: string
  readonly env?: Readonly<Record<string, string>>
}

const REDIRECT = pathToFileURL(join(import.meta.dirname, '../cli/stated-hosts.mjs')).href

export async function startDocumentServer(): Promise<DocumentServer> {
  const server = await startServer({
    major: 18,
    conf: { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' },
    hba: ['host all all 127.0.0.1/32 scram-sha-256'],
    files: serverFiles(),
  })
  const cwd = makeFolder()
  const sql = (database: string, text: string): Promise<string[][]> => inDatabase(server, database, text)
  await sql('postgres', "ALTER ROLE postgres PASSWORD 'secret'")
  for (const [role, password] of Object.entries(ROLES))
    await sql('postgres', `CREATE ROLE "${role}" LOGIN PASSWORD '${password}'`)
  for (const [database, content] of Object.entries(DATABASES)) {
    await sql('postgres', `CREATE DATABASE ${database}`)
    await sql(database, `${content}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC; ANALYZE`)
  }
  // What the set-up wrote is on disk: no run has to wait for it.
  await sql('postgres', 'CHECKPOINT')
  const command = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> =>
    runCli(args, {
      cwd,
      env: {
        NODE_OPTIONS: `--import ${REDIRECT}`,
        TEST_SERVER_HOST: '127.0.0.1',
        TEST_SERVER_PORT: String(server.port),
        DB_HOST: 'db.example',
        DB_USER: 'readonly_user',
        DB_PASSWORD: 'hunter2',
        ANALYTICS_PASSWORD: 'hunter2',
        PROD_DB_PASSWORD: 'hunter2',
        ...env,
      },
    })
  return {
    server,
    cwd,
    sql,
    openSession: (database) => openSession(server, database),
    landed: async (file, text) => {
      const rows = await queryFile(join(cwd, file), text)
      return rows.map((row) => row.map(String))
    },
    command,
    run: (file, content, args = [], options = {}) => {
      const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2)
      writeFileSync(join(cwd, file), text)
      return command([options.command ?? 'sync', '-c', file, ...args], options.env)
    },
    [Symbol.asyncDispose]: () => server.close(),
  }
}

async function inDatabase(server: SpecialServer, database: string, text: string): Promise<string[][]> {
  await using session = await openSession(server, database)
  return await session.sql(text)
}

/** Every value as the server's text. */
async function openSession(server: SpecialServer, database: string): Promise<Session> {
  const client = new pg.Client({
    host: server.socketDir,
    port: server.port,
    user: 'postgres',
    database,
    types: { getTypeParser: () => (value: unknown) => value },
  })
  await client.connect()
  return {
    async sql(text) {
      const result: unknown = await client.query({ text, rowMode: 'array' })
      const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryArrayResult<unknown[]>
      return last.rows.map((row) => row.map(String))
    },
    [Symbol.asyncDispose]: () => client.end(),
  }
}

export function exampleFile(path: string): string {
  return readFileSync(new URL(`../../examples/${path}`, import.meta.url), 'utf8')
}
