import { expect, test } from 'vitest'
import { readProfile, without, wordsOf } from './read-profile.js'

const CONFIGURATION = {
  HOST: 'localhost',
  PORT: '5432',
  DATABASE: 'shop',
  USERNAME: 'gpadmin',
  PASSWORD: 'secret',
}

test('a connection is all it takes: the one stream is built in', () => {
  const { connection, stream, streamName, options, profile } = readProfile(CONFIGURATION)
  expect(connection.options).toMatchObject({
    host: 'localhost',
    port: '5432',
    dbname: 'shop',
    user: 'gpadmin',
  })
  expect(streamName).toBe('sample_table')
  expect(stream).toEqual({
    sql: 'SELECT * FROM pg_catalog.pg_stat_activity',
    mode: 'incremental',
    landing: 'upsert',
    cursorField: 'query_start',
    cursorStart: '1990-01-01T00:00:00Z',
    primaryKey: ['pid', 'backend_start'],
    readMethod: 'named',
    batchSize: 5000,
  })
  expect(options).toMatchObject({
    targetSchema: 'main',
    allowPrivilegedRole: true,
    limits: { maxConnections: 2 },
  })
  expect(profile.warnings).toEqual([])
})

test.each(['HOST', 'PORT', 'DATABASE', 'USERNAME', 'PASSWORD'])(
  '%s missing is a ValueError, before any connection is tried',
  (key) => {
    expect(wordsOf(without(CONFIGURATION, key))).toBe(`ValueError: Missing required configuration: ${key}`)
    expect(wordsOf({ ...CONFIGURATION, [key]: '' })).toBe(
      `ValueError: Missing required configuration: ${key}`,
    )
  },
)

test('a value that is not text is refused', () => {
  expect(wordsOf({ ...CONFIGURATION, PORT: 5432 })).toBe(
    'ValueError: Configuration value for PORT must be a string, got int',
  )
})
