import { expect, test } from 'vitest'
import { TrunklineError } from '../../../src/model/error.js'
import { exampleText, readProfile, refusalOf, wordsOf } from './read-profile.js'

const BASIC = {
  host: 'localhost',
  database: 'ecommerce',
  username: 'reader',
  password: 'secret',
  table: 'customers',
}

test('the least that must be said has the defaults of the connector', () => {
  const { connection, stream, streamName, options, profile } = readProfile(BASIC)
  expect(connection.options).toEqual({
    host: 'localhost',
    port: '5432',
    dbname: 'ecommerce',
    user: 'reader',
    password: 'secret',
    connect_timeout: '10',
    application_name: 'sqlflow',
    sslmode: 'prefer',
  })
  expect(streamName).toBe('public.customers')
  expect(stream).toEqual({ mode: 'full_refresh', batchSize: 10_000 })
  expect(options).toMatchObject({
    targetSchema: 'main',
    limits: { minConnections: 1, maxConnections: 5, maxAttempts: 4 },
  })
  expect(profile.warnings).toEqual([])
})

test('the configuration for production has its pool, batch size, timeouts, TLS and composite key', () => {
  const { connection, stream, streamName, options } = readProfile(
    exampleText('sqlflow/production-orders.json'),
    { PROD_DB_PASSWORD: 'secret' },
  )
  expect(connection.options).toMatchObject({
    host: 'prod-db.company.com',
    dbname: 'production',
    user: 'etl_user',
    password: 'secret',
    sslmode: 'require',
    connect_timeout: '30',
  })
  expect(streamName).toBe('orders.order_items')
  expect(stream).toEqual({
    mode: 'incremental',
    cursorField: 'modified_at',
    primaryKey: ['order_id', 'item_id'],
    batchSize: 5000,
  })
  expect(options.limits).toMatchObject({ minConnections: 2, maxConnections: 10, stallTimeoutMs: 600_000 })
})

test('the older names mean the same', () => {
  const { connection, stream } = readProfile(exampleText('sqlflow/legacy-orders.json'), {
    DB_HOST: 'db',
    DB_USER: 'reader',
    DB_PASSWORD: 'secret',
  })
  expect(connection.options).toMatchObject({ host: 'db', dbname: 'ecommerce', user: 'reader' })
  expect(stream).toMatchObject({ mode: 'incremental', cursorField: 'updated_at', primaryKey: ['order_id'] })
})

test('where both names are given the newer win', () => {
  const { connection } = readProfile(exampleText('sqlflow/mixed-names.json'), {
    DB_HOST: 'db',
    DB_PASSWORD: 'x',
  })
  expect(connection.options).toMatchObject({ dbname: 'new_database', user: 'new_user' })
})

test("Airbyte's file maps one to one: without a table, every table that has the cursor field", () => {
  const { connection, stream, streamName } = readProfile(
    exampleText('sqlflow/postgres.yaml'),
    {},
    'postgres.yaml',
  )
  expect(connection.options).toMatchObject({
    host: 'localhost',
    port: '5432',
    dbname: 'ecommerce',
    user: 'user',
  })
  expect(streamName).toBe('"public".*')
  expect(stream).toMatchObject({
    mode: 'incremental',
    cursorField: 'updated_at',
    onlyWithColumn: 'updated_at',
  })
})

test('a query is named after its file, and looks for tables in the schema', () => {
  const { connection, stream, streamName } = readProfile(
    exampleText('sqlflow/analytics_data.json'),
    { ANALYTICS_PASSWORD: 'secret' },
    'analytics_data.json',
  )
  expect(streamName).toBe('analytics_data')
  expect(connection.searchPath).toEqual(['analytics'])
  expect(stream).toMatchObject({
    sql: 'SELECT o.*, c.segment FROM orders o JOIN customers c ON o.customer_id = c.id',
    mode: 'incremental',
    cursorField: 'o.updated_at',
  })
})

test('numbers may be written as text', () => {
  const { connection, options, stream } = readProfile({
    ...BASIC,
    port: '5433',
    connect_timeout: '7',
    min_connections: ' 2 ',
    max_connections: '3',
    batch_size: '100',
    max_retries: '0',
  })
  expect(connection.options).toMatchObject({ port: '5433', connect_timeout: '7' })
  expect(options.limits).toMatchObject({ minConnections: 2, maxConnections: 3, maxAttempts: 1 })
  expect(stream.batchSize).toBe(100)
})

test('a password that looks like a number is what is written', () => {
  const { connection } = readProfile('host: localhost\ndbname: shop\nuser: reader\npassword: 0071\n')
  expect(connection.options['password']).toBe('0071')
})

test('a password may be empty or absent', () => {
  for (const values of [
    { ...BASIC, password: '' },
    { ...BASIC, password: undefined },
  ]) {
    expect(readProfile(values).connection.options).not.toHaveProperty('password')
  }
})

test('a type profile is let through', () => {
  expect(readProfile({ ...BASIC, type_profile: 'widened' }).stream.typeProfile).toBe('widened')
})

test.each([
  [{ database: undefined }, "ParameterError: Either 'database' or 'dbname' parameter is required"],
  [{ username: undefined }, "ParameterError: Either 'username' or 'user' parameter is required"],
  [{ database: '', username: '' }, "ParameterError: Missing required parameters: {'database', 'username'}"],
  [{ host: undefined }, "ParameterError: Missing required parameters: {'host'}"],
  [{ port: 'abc' }, "ParameterError: Parameter 'port' must be an integer"],
  [{ connect_timeout: '5.5' }, "ParameterError: Parameter 'connect_timeout' must be an integer"],
  [{ min_connections: [] }, "ParameterError: Parameter 'min_connections' must be an integer"],
  [{ max_connections: true }, "ParameterError: Parameter 'max_connections' must be an integer"],
  [
    { sync_mode: 'mirror' },
    "ParameterError: Invalid sync_mode 'mirror'. Must be one of: cdc, full_refresh, incremental",
  ],
  [{ sync_mode: 'incremental' }, 'IncrementalError: cursor_field is required for incremental sync_mode'],
  [{ query: 'select 1' }, "ParameterError: Either 'table' or 'query' can be given, not both"],
  [{ primary_key: [] }, "ParameterError: Parameter 'primary_key' must be a name or a list of names"],
  [
    { destination_sync_mode: 'append_dedup' },
    "ParameterError: destination_sync_mode 'append_dedup' requires primary_key to be specified",
  ],
])('%o is refused as %s', (values, expected) => {
  expect(wordsOf({ ...BASIC, ...values })).toBe(expected)
})

test('an error has our code and hint, too', () => {
  const error = refusalOf({ ...BASIC, sync_mode: 'incremental' })
  expect([error.code, error.hint]).toEqual(['CONFIG_INVALID', expect.stringContaining('updated_at')])
})

test('a source that is left alone is told before what it was left alone for', () => {
  const { profile } = readProfile(BASIC)
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
  const error = new TrunklineError('CIRCUIT_OPEN', 'left alone', {
    context: { host: 'reader@localhost:5432/ecommerce' },
    cause: new TrunklineError('CONNECT_FAILED', 'nothing listens there', { cause: refused }),
  })
  expect(profile.describeError(error)).toEqual({
    className: 'ConnectorError',
    text: 'Circuit breaker is OPEN for reader@localhost:5432/ecommerce. Failing fast to prevent cascading failures.',
  })
})

test('cdc is refused by name', () => {
  expect(() => readProfile({ ...BASIC, sync_mode: 'cdc' })).toThrow('cdc is not available in this version')
})

test.each([
  ['overwrite', 'replace'],
  ['append', 'append'],
  ['append_dedup', 'upsert'],
])('destination_sync_mode %s lands by %s', (destination_sync_mode, landing) => {
  expect(readProfile({ ...BASIC, destination_sync_mode, primary_key: 'id' }).stream.landing).toBe(landing)
})

test('a cursor field without incremental is warned of', () => {
  const { stream, profile } = readProfile({ ...BASIC, cursor_field: 'updated_at' })
  expect(stream).not.toHaveProperty('cursorField')
  expect(profile.warnings).toEqual([expect.stringContaining('cursor_field has no effect')])
})

test.each([
  ['${DB}', 'shop'],
  ['x-${DB}-y', 'x-shop-y'],
  ['${NONE|other}', 'other'],
  ["${NONE|'a b'}", 'a b'],
  ['${ NONE | "a}b" }', 'a}b'],
  ["${NONE|it's}", "it's"],
  ['$${DB}', '${DB}'],
  ['${DB|other}', 'shop'],
  ['${NESTED}', '${DB}'],
])('the variable %s becomes %s', (database, expected) => {
  const { connection } = readProfile({ ...BASIC, database }, { DB: 'shop', NESTED: '${DB}' })
  expect(connection.options['dbname']).toBe(expected)
})

test('a variable that is not set is an error that names it', () => {
  let thrown: unknown
  try {
    readProfile({ ...BASIC, password: '${DB_PASSWORD}' })
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(TrunklineError)
  expect(thrown).toMatchObject({
    code: 'CONFIG_UNSET_VARIABLE',
    hint: expect.stringContaining('DB_PASSWORD') as string,
  })
})

test('variables are replaced in keys and in lists', () => {
  const { stream } = readProfile(
    { ...BASIC, sync_mode: 'incremental', cursor_field: 'at', '${KEY}': ['${ID}', 'line'] },
    { KEY: 'primary_key', ID: 'order_id' },
  )
  expect(stream.primaryKey).toEqual(['order_id', 'line'])
})
