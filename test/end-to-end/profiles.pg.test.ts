/** The example configuration of each document, run as it stands: what lands is what the source holds. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DocumentServer, exampleFile, startDocumentServer } from './profiles-server.js'

let documents: DocumentServer

beforeAll(async () => {
  documents = await startDocumentServer()
})
afterAll(() => documents[Symbol.asyncDispose]())

/** The same query over the table at the source and over the one that landed. */
async function expectEqual(options: {
  readonly database: string
  readonly source: string
  readonly file: string
  readonly landed: string
  readonly columns: string
}): Promise<number> {
  const { database, source, file, landed, columns } = options
  const there = await documents.sql(database, `SELECT ${columns} FROM ${source} ORDER BY 1, 2`)
  const here = await documents.landed(file, `SELECT ${columns} FROM ${landed} ORDER BY 1, 2`)
  expect(here).toEqual(there)
  return there.length
}

const seconds = (column: string): string => `CAST(extract(epoch FROM ${column}) AS bigint)`

describe('server-side cursors', () => {
  const values = {
    '<YOUR_POSTGRESQL_HOSTNAME>': 'db.example',
    '<YOUR_POSTGRESQL_PORT>': '5432',
    '<YOUR_POSTGRESQL_DATABASE_NAME>': 'shop',
    '<YOUR_POSTGRESQL_USERNAME>': 'reader',
    '<YOUR_POSTGRESQL_PASSWORD>': 'hunter2',
    '<YOUR_SSL_MODE>': 'require',
    '<YOUR_POSTGRESQL_TABLE_NAME>': 'people',
  }

  test.each(['NAMED', 'CLIENT'])(
    'one table lands by a %s cursor, and the next run brings what changed',
    async (mode) => {
      const file = `cursors-${mode}.duckdb`
      const text = fill(exampleFile('server-side-cursors/configuration.json'), {
        ...values,
        '<YOUR_BATCH_SIZE>': '1000',
        '<YOUR_CURSOR_MODE>': mode,
      })
      const first = await documents.run('configuration.json', text, [file])
      expect([first.code, first.stderr]).toEqual([0, expect.not.stringContaining('error')])
      for (const line of [
        'Successfully connected to database',
        `Fetching data using ${mode} cursor mode and 1000 batch size.`,
        'Total rows upserted from people: 12345',
        'Closed database connection',
      ]) {
        expect(first.stderr.split('\n')).toContain(`info: ${line}`)
      }
      const people = {
        database: 'shop',
        source: 'people',
        file,
        landed: 'people',
        columns: `id, name, ${seconds('last_updated')}`,
      }
      expect(await expectEqual(people)).toBe(12_345)
      const types =
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'people' ORDER BY 1"
      expect(await documents.landed(file, types)).toEqual([
        ['id', 'INTEGER'],
        ['last_updated', 'TIMESTAMP WITH TIME ZONE'],
        ['name', 'VARCHAR'],
      ])

      await documents.sql(
        'shop',
        `INSERT INTO people SELECT max(id) + 1, 'new', max(last_updated) + interval '1 hour' FROM people;
       UPDATE people SET name = name || '!', last_updated = (SELECT max(last_updated) FROM people) WHERE id <= 3`,
      )
      const second = await documents.run('configuration.json', text, [file])
      expect(second.code).toBe(0)
      await expectEqual(people)
      await documents.sql('shop', 'DELETE FROM people WHERE id > 12345')
    },
  )
})

test('adaptive: every table lands as source_{schema}_{table}, with what the connector adds', async () => {
  const text = fill(exampleFile('adaptive/configuration.json'), {
    YOUR_POSTGRES_HOST: 'db.example',
    YOUR_POSTGRES_PORT: '5432',
    YOUR_POSTGRES_DATABASE: 'shop',
    YOUR_POSTGRES_USERNAME: 'reader',
    YOUR_POSTGRES_PASSWORD: 'hunter2',
    YOUR_POSTGRES_TRANSFORMATION_VALUE: 'Europe',
    YOUR_POSTGRES_MAX_RETRIES: '3',
    YOUR_POSTGRES_RETRY_SLEEP_IN_SECONDS: '0.2',
  })
  const { code, stderr } = await documents.run('configuration.json', text, ['adaptive.duckdb'])
  expect([code, stderr]).toEqual([0, expect.not.stringContaining('error:')])
  const file = 'adaptive.duckdb'
  expect(
    await expectEqual({
      database: 'shop',
      source: 'people',
      file,
      landed: 'source_public_people',
      columns: `id, name, ${seconds('last_updated')}`,
    }),
  ).toBe(12_345)
  // Only rows of the region, where a table has one.
  expect(
    await expectEqual({
      database: 'shop',
      source: "(SELECT * FROM customers WHERE region = 'Europe') AS c",
      file,
      landed: 'source_public_customers',
      columns: 'customer_id, customer_name, region',
    }),
  ).toBe(150)
})

test('Greenplum: the built-in stream lands the sessions of pg_stat_activity, and what each did last', async () => {
  const text = fill(exampleFile('greenplum/configuration.json'), {
    '<YOUR_GREENPLUM_DATABASE_HOST>': 'db.example',
    '<YOUR_GREENPLUM_DATABASE_PORT>': '5432',
    '<YOUR_GREENPLUM_DATABASE_NAME>': 'shop',
    '<YOUR_GREENPLUM_DATABASE_USERNAME>': 'postgres',
    '<YOUR_GREENPLUM_DATABASE_PASSWORD>': 'secret',
  })
  await using session = await documents.openSession('shop')
  const [[pid]] = (await session.sql('SELECT pg_backend_pid()')) as [[string]]
  for (const said of ['first', 'second']) {
    await session.sql(`SELECT '${said}'`)
    const { code, stderr } = await documents.run('configuration.json', text, ['greenplum.duckdb'])
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('error:')])
    const columns = `pid, datname, query, ${seconds('query_start')}`
    const there = await documents.sql(
      'postgres',
      `SELECT ${columns} FROM pg_stat_activity WHERE pid = ${pid}`,
    )
    const here = await documents.landed(
      'greenplum.duckdb',
      `SELECT ${columns} FROM sample_table WHERE pid = ${pid}`,
    )
    expect(here).toEqual(there)
    expect(here[0]?.[2]).toBe(`SELECT '${said}'`)
  }
  const types = await documents.landed(
    'greenplum.duckdb',
    "SELECT column_name, data_type FROM duckdb_columns() WHERE column_name IN ('datid', 'query_start') ORDER BY 1",
  )
  expect(types).toEqual([
    ['datid', 'BIGINT'],
    ['query_start', 'TIMESTAMP WITH TIME ZONE'],
  ])
  // The server's own processes have none.
  const [counts] = await documents.landed(
    'greenplum.duckdb',
    'SELECT count(*) = count(query_start) FROM sample_table',
  )
  expect(counts).toEqual(['true'])
  const nulls = await documents.sql(
    'postgres',
    'SELECT count(*) > 0 FROM pg_stat_activity WHERE query_start IS NULL',
  )
  expect(nulls).toEqual([['t']])
})

describe('SQLFlow', () => {
  test.each([
    ['customers.json', 'ecommerce', 'customers', 'customers', 'id, name, joined::text', 500],
    ['orders.json', 'sales', 'orders', 'orders', `order_id, total::text, ${seconds('updated_at')}`, 700],
    [
      'legacy-orders.json',
      'ecommerce',
      'orders',
      'orders',
      `order_id, total::text, ${seconds('updated_at')}`,
      1000,
    ],
    [
      'recommended-orders.json',
      'ecommerce',
      'orders',
      'orders',
      `order_id, total::text, ${seconds('updated_at')}`,
      1000,
    ],
    [
      'production-orders.json',
      'production',
      'orders.order_items',
      'order_items',
      `order_id, item_id, ${seconds('modified_at')}`,
      12_000,
    ],
    [
      'analytics_data.json',
      'warehouse',
      '(SELECT o.*, c.segment FROM analytics.orders o JOIN analytics.customers c ON o.customer_id = c.id) AS q',
      'analytics_data',
      `order_id, segment, ${seconds('updated_at')}`,
      400,
    ],
  ])('%s lands what the source has', async (example, database, source, landed, columns, rows) => {
    const file = `${example}.duckdb`
    const { code, stderr } = await documents.run(example, exampleFile(`sqlflow/${example}`), [file])
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('error:')])
    expect(await expectEqual({ database, source, file, landed, columns })).toBe(rows)
  })

  test('names of both kinds connect by the newer, and without a table everything of the schema lands', async () => {
    const text = exampleFile('sqlflow/mixed-names.json')
    const { code } = await documents.run('mixed-names.json', text, ['mixed.duckdb'])
    expect(code).toBe(0)
    for (const [table, rows] of [
      ['a', 20],
      ['b', 30],
    ] as const) {
      const both = {
        database: 'new_database',
        source: table,
        file: 'mixed.duckdb',
        landed: table,
        columns: 'id, id',
      }
      expect(await expectEqual(both)).toBe(rows)
    }
  })

  test("Airbyte's postgres.yaml takes the tables that have the cursor field, and says which have not", async () => {
    const { code, stderr } = await documents.run('postgres.yaml', exampleFile('sqlflow/postgres.yaml'))
    expect(code).toBe(0)
    expect(stderr).toContain('public.customers is left out: it has no column updated_at.')
    const file = 'warehouse.duckdb'
    const columns = `order_id, ${seconds('updated_at')}`
    expect(
      await expectEqual({ database: 'ecommerce', source: 'orders', file, landed: 'orders', columns }),
    ).toBe(1000)
    expect(
      await expectEqual({
        database: 'ecommerce',
        source: 'returns',
        file,
        landed: 'returns',
        columns: 'id, id',
      }),
    ).toBe(30)
  })
})

describe('noesis', () => {
  const USERS = `id, name, ${seconds('updated_at')}`

  test('the example file lands every table and view of the schema', async () => {
    await documents.sql('mydb', 'DROP VIEW slow')
    const { code, stderr } = await documents.run('config.yaml', exampleFile('noesis/config.yaml'), [
      'noesis.duckdb',
    ])
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('error:')])
    for (const [table, columns, rows] of [
      ['users', USERS, 90],
      ['visits', 'id, user_id', 200],
      ['recent', USERS, 45],
    ] as const) {
      const both = { database: 'mydb', source: table, file: 'noesis.duckdb', landed: table, columns }
      expect(await expectEqual(both)).toBe(rows)
    }
  })

  test.each([
    ['full-table.json', 'users', 90],
    ['incremental.json', "(SELECT * FROM users WHERE updated_at > '2023-01-01Z') AS u", 59],
  ])('with the mode of %s it lands what that asks for', async (example, source, rows) => {
    const { mode } = JSON.parse(exampleFile(`noesis/${example}`)) as { mode: object }
    const text = `${exampleFile('noesis/config.yaml')}mode: ${JSON.stringify(mode)}\n`
    const file = `${example}.duckdb`
    const { code, stderr } = await documents.run('asked.yaml', text, [file])
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('error:')])
    expect(
      await documents.landed(file, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'"),
    ).toEqual([['users']])
    expect(await expectEqual({ database: 'mydb', source, file, landed: 'users', columns: USERS })).toBe(rows)
  })

  test('the environment alone is configuration enough', async () => {
    const env = Object.fromEntries(
      exampleFile('noesis/environment.env')
        .trim()
        .split('\n')
        .map((line) => line.split('=') as [string, string]),
    )
    const { code } = await documents.command(['sync', 'env.duckdb', '-s', 'public.users'], env)
    expect(code).toBe(0)
    const both = { database: 'mydb', source: 'users', file: 'env.duckdb', landed: 'users', columns: USERS }
    expect(await expectEqual(both)).toBe(90)
  })
})

function fill(text: string, values: Readonly<Record<string, string>>): string {
  return Object.entries(values).reduce((filled, [from, to]) => filled.replaceAll(from, to), text)
}
