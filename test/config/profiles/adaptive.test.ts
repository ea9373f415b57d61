import { expect, test } from 'vitest'
import { readProfile, without, wordsOf } from './read-profile.js'

const CONFIGURATION = {
  host: 'db.example.com',
  port: '5432',
  database: 'shop',
  username: 'reader',
  password: 'secret',
  region: 'Europe',
  max_retries: '3',
  retry_sleep_seconds: '0.5',
}

test('every key has its meaning: all tables, upserted under source_{schema}_{table}', () => {
  const { connection, options, destination } = readProfile(CONFIGURATION)
  expect(connection.options).toMatchObject({
    host: 'db.example.com',
    port: '5432',
    dbname: 'shop',
    user: 'reader',
  })
  expect(options).toMatchObject({
    targetSchema: 'main',
    nameTemplate: 'source_{schema}_{table}',
    defaults: {
      mode: 'full_refresh',
      landing: 'upsert',
      landingWithoutKey: 'replace',
      deletes: 'ignore',
      readMethod: 'named',
    },
    limits: { maxAttempts: 3, firstRetryDelayMs: 500, maxRetryDelayMs: 300_000, retryJitter: [0.5, 1.5] },
    adaptive: { strategy: 'table_size' },
    metadataTables: true,
    wording: 'connector_sdk',
    rowFilter: { region: 'Europe' },
  })
  expect(Object.keys(options.defaults?.addColumns ?? {})).toEqual([
    '_fivetran_id',
    '_fivetran_synced',
    'sync_timestamp',
    'region',
  ])
  expect(options.select).toBeUndefined()
  expect(destination).toBe('./warehouse.duckdb')
})

test('without the optional keys: five retries from five seconds on, and no region', () => {
  const { options } = readProfile(
    Object.fromEntries(Object.entries(CONFIGURATION).filter(([key]) => !/region|retr/.test(key))),
  )
  expect(options.limits).toMatchObject({ maxAttempts: 5, firstRetryDelayMs: 5000 })
  expect(options.rowFilter).toBeUndefined()
  expect(options.defaults?.addColumns).not.toHaveProperty('region')
})

test('an empty region is none', () => {
  expect(readProfile({ ...CONFIGURATION, region: '' }).options.rowFilter).toBeUndefined()
})

test.each(['host', 'port', 'database', 'username', 'password'])('%s missing is a ValueError', (key) => {
  expect(wordsOf(without(CONFIGURATION, key))).toBe(
    `ValueError: Missing required configuration value: ${key}`,
  )
})

test.each([
  [{ port: 5432 }, 'ValueError: Configuration value for port must be a string, got int'],
  [{ max_retries: 3 }, 'ValueError: Configuration value for max_retries must be a string, got int'],
  [
    { retry_sleep_seconds: 1.5 },
    'ValueError: Configuration value for retry_sleep_seconds must be a string, got float',
  ],
  [{ region: true }, 'ValueError: Configuration value for region must be a string, got bool'],
  [{ region: ['a'] }, 'ValueError: Configuration value for region must be a string, got list'],
  [{ region: {} }, 'ValueError: Configuration value for region must be a string, got dict'],
  [{ max_retries: 'often' }, "ValueError: invalid literal for int() with base 10: 'often'"],
  [{ retry_sleep_seconds: 'soon' }, "ValueError: could not convert string to float: 'soon'"],
])('%o is refused as %s', (values, expected) => {
  expect(wordsOf({ ...CONFIGURATION, ...values })).toBe(expected)
})

test('sslmode comes from PGSSLMODE as for every program on libpq; without it a server elsewhere is warned of', () => {
  expect(readProfile(CONFIGURATION, { PGSSLMODE: 'verify-full' }).connection.options['sslmode']).toBe(
    'verify-full',
  )
  const { connection, profile } = readProfile(CONFIGURATION)
  expect(connection.options['sslmode']).toBe('prefer')
  expect(profile.warnings).toEqual([expect.stringContaining('the default here is `prefer`')])
})
