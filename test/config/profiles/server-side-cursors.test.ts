import { expect, test } from 'vitest'
import { readProfile, refusalOf, without, wordsOf } from './read-profile.js'

const CONFIGURATION = {
  hostname: 'db.example.com',
  port: '5432',
  database: 'shop',
  username: 'reader',
  password: 'secret',
  sslmode: 'require',
  table_name: 'people',
  batch_size: '1000',
  cursor_mode: 'CLIENT',
}
const MINIMAL = Object.fromEntries(
  Object.entries(CONFIGURATION).filter(([key]) => !['sslmode', 'batch_size', 'cursor_mode'].includes(key)),
)

test('every key has its meaning: a table read by last_updated and upserted by id', () => {
  const { connection, options, stream, streamName, destination, profile } = readProfile(CONFIGURATION)
  expect(connection.options).toEqual({
    host: 'db.example.com',
    port: '5432',
    dbname: 'shop',
    user: 'reader',
    password: 'secret',
    sslmode: 'require',
  })
  expect(streamName).toBe('public.people')
  expect(stream).toEqual({
    mode: 'incremental',
    landing: 'upsert',
    cursorField: 'last_updated',
    cursorStart: '1990-01-01T00:00:00+00:00',
    primaryKey: ['id'],
    readMethod: 'client',
    batchSize: 1000,
  })
  expect(options).toMatchObject({ targetSchema: 'main', jobs: 1, limits: { maxConnections: 2 } })
  expect(destination).toBe('./warehouse.duckdb')
  expect(profile.warnings).toEqual([])
})

test('what is left out has the default of the connector: disable, 5000 and NAMED', () => {
  const { connection, stream } = readProfile(MINIMAL)
  expect(connection.options['sslmode']).toBe('disable')
  expect(stream).toMatchObject({ readMethod: 'named', batchSize: 5000 })
})

test('an empty sslmode is the default, and of a server elsewhere that is said', () => {
  const { connection, profile } = readProfile({ ...CONFIGURATION, sslmode: '' })
  expect(connection.options['sslmode']).toBe('disable')
  expect(profile.warnings).toEqual([expect.stringContaining('the connection is not encrypted')])
  expect(readProfile({ ...MINIMAL, hostname: 'localhost' }).profile.warnings).toEqual([])
})

test.each(['named', 'Named', 'NAMED'])('cursor_mode %s is NAMED', (cursor_mode) => {
  expect(readProfile({ ...CONFIGURATION, cursor_mode }).stream.readMethod).toBe('named')
})

test.each(['hostname', 'port', 'database', 'username', 'password', 'table_name'])(
  '%s missing or empty is a ValueError',
  (key) => {
    const expected = `ValueError: Missing required configuration parameter: ${key}`
    expect(wordsOf(without(CONFIGURATION, key))).toBe(expected)
    expect(wordsOf({ ...CONFIGURATION, [key]: '' })).toBe(expected)
  },
)

test.each([
  [{ sslmode: 'verify-full' }, 'ValueError: Invalid sslmode value: verify-full'],
  [{ sslmode: 'prefer' }, 'ValueError: Invalid sslmode value: prefer'],
  [{ cursor_mode: 'SERVER' }, "ValueError: Unsupported cursor_mode: SERVER. Please use 'CLIENT' or 'NAMED'."],
  [{ batch_size: 'many' }, "ValueError: invalid literal for int() with base 10: 'many'"],
  [{ batch_size: '0' }, 'ValueError: batch_size must be 1 or more, got 0'],
  [{ port: 5432 }, 'ValueError: Configuration value for port must be a string, got int'],
  [{ batch_size: null }, 'ValueError: Configuration value for batch_size must be a string, got NoneType'],
  [{ table_name: 'a.b.c' }, 'ValueError: Invalid table_name: a.b.c'],
])('%o is refused as %s', (values, expected) => {
  expect(wordsOf({ ...CONFIGURATION, ...values })).toBe(expected)
})

test('our own sentence, hint and code go along', () => {
  const error = refusalOf({ ...CONFIGURATION, cursor_mode: 'SERVER' })
  expect(error.code).toBe('CONFIG_INVALID')
  expect(error.message).toContain('configuration.json:1:')
  expect(error.message).toContain('must be CLIENT or NAMED')
  expect(error.hint).toContain('NAMED keeps the rows at the server')
})

test('the table is named as in SQL: without quotes in lower case, with a schema or without', () => {
  const nameOf = (table_name: string): string => readProfile({ ...CONFIGURATION, table_name }).streamName
  expect(nameOf('PEOPLE')).toBe('public.people')
  expect(nameOf('Sales.People')).toBe('sales.people')
  expect(nameOf('"People"')).toBe('public.People')
  expect(nameOf('"odd.schema"."a ""b"""')).toBe('"odd.schema"."a ""b"""')
})

test('a key that is not known is warned of, and nothing else: the connector ignores it', () => {
  const { profile, stream } = readProfile({ ...CONFIGURATION, batchsize: '1', note: 'x' })
  expect(profile.warnings).toEqual([
    expect.stringMatching(/`batchsize` has no effect\. Did you mean `batch_size`\?$/),
    expect.stringMatching(/`note` has no effect\.$/),
  ])
  expect(stream.batchSize).toBe(1000)
})

test('a variable in a value is not replaced: the connector has none', () => {
  const { connection } = readProfile({ ...CONFIGURATION, password: '${HOME}' }, { HOME: '/root' })
  expect(connection.options['password']).toBe('${HOME}')
})

test('the log of a run is in the words of the connector', () => {
  const { runWords } = readProfile(MINIMAL).profile
  expect(runWords?.connected).toBe('Successfully connected to database')
  expect(runWords?.reading).toBe('Fetching data using NAMED cursor mode and 5000 batch size.')
  expect(runWords?.landed(1234)).toBe('Total rows upserted from people: 1234')
  expect(runWords?.closed).toBe('Closed database connection')
})
