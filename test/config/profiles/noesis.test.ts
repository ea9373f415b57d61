import { expect, test } from 'vitest'
import { parseExtraction } from '../../../src/config/profiles/noesis.js'
import { exampleText, readProfile, without, wordsOf } from './read-profile.js'

const BASIC = {
  profile: 'noesis',
  host: 'localhost',
  port: 5432,
  database: 'mydb',
  username: 'u',
  password: 'p',
}

test('the example file has its connection, schema and timeouts, in seconds', () => {
  const { connection, options, stream, streamName, profile } = readProfile(exampleText('noesis/config.yaml'))
  expect(connection.options).toEqual({
    host: 'localhost',
    port: '5432',
    dbname: 'mydb',
    user: 'postgres',
    password: 'secret',
    sslmode: 'require',
    connect_timeout: '30',
  })
  expect(streamName).toBe('"public".*')
  expect(stream).toEqual({ mode: 'full_refresh', readMethod: 'named', batchSize: 10_000 })
  expect(options.limits).toEqual({ maxConnections: 10, idleTimeoutMs: 300_000, statementTimeoutMs: 300_000 })
  expect([profile.warnings, profile.debug]).toEqual([[], false])
})

test('what is left out has the default: prefer, public, 30s, 300s, 10000 rows, 10 connections, 300s idle', () => {
  const { connection, profile } = readProfile(BASIC)
  expect(connection.options).toMatchObject({ sslmode: 'prefer', connect_timeout: '30' })
  expect(profile.service).toEqual({
    schema: 'public',
    batchSize: 10_000,
    maxConnections: 10,
    idleTimeoutMs: 300_000,
    statementTimeoutMs: 300_000,
  })
})

test.each([
  ['60s', '60', 60_000],
  ['1m30s', '90', 90_000],
  ['500ms', '1', 500],
  [45, '45', 45_000],
])('the duration %s is %s seconds to connect and %s ms for a statement', (stated, seconds, milliseconds) => {
  const { connection, profile } = readProfile({
    ...BASIC,
    connect_timeout: stated,
    statement_timeout: stated,
  })
  expect(connection.options['connect_timeout']).toBe(seconds)
  expect(profile.service?.statementTimeoutMs).toBe(milliseconds)
})

test("the catalog's spelling means the same as the README's", () => {
  const { connection, profile } = readProfile({
    hostname: 'localhost',
    port: '5432',
    database: 'mydb',
    username: 'u',
    password: 'p',
    sslMode: 'verify-ca',
    connectTimeout: 12,
    statementTimeout: '90s',
    batchSize: 5,
    maxConnections: 3,
    idleTimeout: '1m',
    logLevel: 'DEBUG',
  })
  expect(connection.options).toMatchObject({ host: 'localhost', sslmode: 'verify-ca', connect_timeout: '12' })
  expect(profile.service).toMatchObject({
    batchSize: 5,
    maxConnections: 3,
    idleTimeoutMs: 60_000,
    statementTimeoutMs: 90_000,
  })
  expect([profile.warnings, profile.debug]).toEqual([[], true])
})

test.each(['disable', 'prefer', 'require', 'verify-ca', 'verify-full'])(
  'sslmode %s is accepted',
  (sslmode) => {
    expect(readProfile({ ...BASIC, sslmode }).connection.options['sslmode']).toBe(sslmode)
  },
)

test('what looks like a number is text as it is written', () => {
  const { connection } = readProfile(
    'host: localhost\nport: 05432\ndatabase: 0x1F\nusername: 1e3\npassword: 00712345678901234567890\n',
  )
  expect(connection.options).toMatchObject({
    port: '05432',
    dbname: '0x1F',
    user: '1e3',
    password: '00712345678901234567890',
  })
})

test('verify-full trusts the authorities of the machine unless others are named', () => {
  const rootOf = (values: object, env = {}): string | undefined =>
    readProfile({ ...BASIC, sslmode: 'verify-full', ...values }, env).connection.options['sslrootcert']
  expect(rootOf({})).toBe('system')
  expect(rootOf({ sslrootcert: 'ca.crt' })).toBe('ca.crt')
  expect(rootOf({}, { PGSSLROOTCERT: 'ca.crt' })).toBeUndefined()
  expect(rootOf({ sslmode: 'verify-ca' })).toBeUndefined()
})

test('log_level debug asks for more of the log', () => {
  expect(readProfile({ ...BASIC, log_level: 'debug' }).profile.debug).toBe(true)
  expect(readProfile({ ...BASIC, log_level: 'info' }).profile.debug).toBe(false)
})

test('POSTGRES_* says what the file leaves out, and the file wins', () => {
  const env = {
    POSTGRES_HOST: 'other',
    POSTGRES_PORT: '5433',
    POSTGRES_DATABASE: 'otherdb',
    POSTGRES_USERNAME: 'reader',
    POSTGRES_PASSWORD: 'secret',
    POSTGRES_SCHEMA: 'app',
    POSTGRES_SSLMODE: 'require',
    POSTGRES_CONNECT_TIMEOUT: '5s',
    POSTGRES_STATEMENT_TIMEOUT: '10s',
  }
  const { connection, profile, streamName } = readProfile('host: localhost\ndatabase: mydb\n', env)
  expect(connection.options).toEqual({
    host: 'localhost',
    port: '5433',
    dbname: 'mydb',
    user: 'reader',
    password: 'secret',
    sslmode: 'require',
    connect_timeout: '5',
  })
  expect([streamName, profile.service?.statementTimeoutMs]).toEqual(['"app".*', 10_000])
})

test.each(['host', 'port', 'database', 'username', 'password'])('%s is required', (key) => {
  expect(wordsOf(without(BASIC, key))).toBe(
    `Error: invalid configuration: required field '${key}' is missing or empty`,
  )
})

test.each([
  [{ sslmode: 'always' }, "field 'sslmode' must be one of disable, prefer, require, verify-ca, verify-full"],
  [{ connect_timeout: 'soon' }, "field 'connect_timeout' must be a duration, such as 30s"],
  [{ batch_size: 0 }, "field 'batch_size' must be a whole number, 1 or more"],
  [{ log_level: 'loud' }, "field 'log_level' must be one of debug, info, warn, error"],
  [{ mode: { fullTable: {} } }, 'mode.fullTable.entity must be text that is not empty'],
])('%o is refused: %s', (values, expected) => {
  expect(wordsOf({ ...BASIC, ...values })).toBe(`Error: invalid configuration: ${expected}`)
})

test('mode in the file asks for one table in full', () => {
  const { mode } = JSON.parse(exampleText('noesis/full-table.json')) as { mode: object }
  const { stream, streamName } = readProfile({ ...BASIC, mode })
  expect([streamName, stream.mode]).toEqual(['public.users', 'full_refresh'])
})

test('or for what changed in it', () => {
  const { mode } = JSON.parse(exampleText('noesis/incremental.json')) as { mode: object }
  const { stream, streamName } = readProfile({ ...BASIC, mode, schema: 'app' })
  expect(streamName).toBe('app.users')
  expect(stream).toMatchObject({
    mode: 'incremental',
    cursorField: 'updated_at',
    cursorStart: '2023-01-01T00:00:00Z',
  })
})

test.each([
  [{}, 'mode must be an object'],
  [{ mode: {} }, 'mode must hold either fullTable or incremental, and nothing else'],
  [{ mode: { fullTable: { entity: 'a' }, incremental: {} } }, 'nothing else'],
  [{ mode: { incremental: { entity: 'a' } } }, 'mode.incremental.cursorField must be text'],
  [
    { mode: { incremental: { entity: 'a', cursorField: 'b', cursor: {} } } },
    'mode.incremental.cursor must be text',
  ],
  [null, 'mode must be an object'],
])('the request %o is refused', (request, message) => {
  expect(() => parseExtraction(request)).toThrow(message)
})

test('a request without a cursor, or with a number, is taken', () => {
  const of = (cursor: unknown) =>
    parseExtraction({ mode: { incremental: { entity: 'a', cursorField: 'id', cursor } } })
  expect(of(undefined)).toMatchObject({ cursor: null })
  expect(of(17)).toMatchObject({ cursor: '17' })
})
